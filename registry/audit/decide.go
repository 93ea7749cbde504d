package audit

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// decideAll makes a row of everything that was found, in order, several at a time.
func (a *audit) decideAll(ctx context.Context) error {
	for _, row := range a.found.unread {
		if err := a.emit(row); err != nil {
			return err
		}
	}
	keys := slices.Sorted(maps.Keys(a.found.held))
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(a.judging())
	var done atomic.Int64
	for _, key := range keys {
		if inner.Err() != nil {
			break
		}
		work.Go(func() error {
			if inner.Err() != nil {
				return nil
			}
			if err := a.decideOne(inner, a.found.held[key]); err != nil {
				return err
			}
			a.progress("decided", int(done.Add(1)), len(keys))
			return nil
		})
	}
	err := work.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// decideOne makes the row of one manifest.
func (a *audit) decideOne(ctx context.Context, h *held) error {
	row := Row{Repository: h.ref.Name(), Tags: h.tags, Digest: h.ref.Digest(), MediaType: h.mediaType}
	if h.other != "" {
		row.Class, row.Reasons, row.Detail = ClassOther, []policy.Reason{policy.WrongArtifact}, h.other
		if err := a.past.keep(&record{Row: row}); err != nil {
			return err
		}
		return a.emit(row)
	}
	row.Class = ClassArtifact
	if old := a.again(h); old != nil {
		row = old.Row
		row.Tags, row.Reused, row.Soon = h.tags, true, a.soon(old.Next)
		again := *old
		again.Row = row
		if err := a.past.keep(&again); err != nil {
			return err
		}
		return a.emit(row)
	}
	target, _, err := h.fetch(ctx)
	if err != nil {
		return a.undecided(ctx, row, err)
	}
	d, err := a.judge.decide(ctx, target, a.library, a.now)
	if err != nil {
		return err
	}
	a.fill(&row, target, d)
	rec := &record{Evidence: h.referrers}
	if err := a.lookAhead(ctx, target, d, &row, rec); err != nil {
		return err
	}
	if s := a.o.Simulate; s != nil {
		other, err := s.decide(ctx, target, a.library, a.now)
		if err != nil {
			return err
		}
		o := outcome(other)
		row.Simulated = &o
	}
	rec.Row = row
	rec.Row.Simulated = nil
	if err := a.past.keep(rec); err != nil {
		return err
	}
	return a.emit(row)
}

// precision is how exactly the time is found at which a decision changes.
const precision = time.Minute

// lookAhead finds out how long the decision d holds, up to twice as long as the audit looks ahead, so that audits after this
// one can use it again and still tell what is about to change. It takes one more decision, and some where d changes.
func (a *audit) lookAhead(ctx context.Context, t chain.Target, d policy.Decision, row *Row, rec *record) error {
	lasts, end := a.now, a.horizon.Add(a.horizon.Sub(a.now))
	last, err := a.judge.decide(ctx, t, a.library, end)
	if err != nil {
		return err
	}
	if same(d, last) {
		lasts = end
	}
	for end.Sub(lasts) > precision {
		middle := lasts.Add(end.Sub(lasts) / 2)
		m, err := a.judge.decide(ctx, t, a.library, middle)
		if err != nil {
			return err
		}
		if same(d, m) {
			lasts = middle
		} else {
			end, last = middle, m
		}
	}
	if failed(last) { // what was asked for again did not come: nothing is known of later
		return nil
	}
	if next := amounts(last); !same(d, last) && !slices.Equal(next.Reasons, own(d)) {
		rec.Next = &Coming{end, next}
	}
	row.Soon = a.soon(rec.Next)
	if a.ground != "" && steady(d) {
		rec.Ground, rec.Until, rec.Rests = a.ground, &lasts, a.rests(d)
	}
	return nil
}

// soon is next, if it comes before the horizon.
func (a *audit) soon(next *Coming) *Coming {
	if next == nil || next.At.After(a.horizon) {
		return nil
	}
	return next
}

// undecided is the row of a manifest that was there and is no longer, or cannot be read.
func (a *audit) undecided(ctx context.Context, row Row, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := chain.Problem(err)
	row.Class, row.Verdict, row.Reasons, row.Detail = ClassUnread, policy.Unknown, []policy.Reason{p.Code}, p.Detail
	if old := a.past.record(row.Repository, row.Digest); old != nil { // what was known of it is known still
		if err := a.past.keep(old); err != nil {
			return err
		}
	}
	return a.emit(row)
}

// again returns what is remembered of an artifact, if its verdict holds now, and it is known what comes before the horizon:
// decided by the same ground, at a time from which it lasts until now, on evidence that is what it was, its own and that of all that it rests on.
func (a *audit) again(h *held) *record {
	old := a.past.record(h.ref.Name(), h.ref.Digest())
	switch {
	case old == nil || a.o.Simulate != nil || a.ground == "" || old.Ground != a.ground:
	case h.err != nil || !slices.Equal(old.Evidence, h.referrers):
	case old.Until == nil || old.Row.Decided == nil || a.now.Before(*old.Row.Decided) || a.now.After(*old.Until):
	case old.Next == nil && a.horizon.After(*old.Until): // nobody looked as far
	case old.Row.Class != ClassArtifact || old.Row.Digest != h.ref.Digest():
	default:
		for id, evidence := range old.Rests {
			if evidence == "" || a.evidenceOf(id) != evidence {
				return nil
			}
		}
		return old
	}
	return nil
}

// rests is what a decision rests on besides the artifact's own evidence in its repository: the evidence of everything in its
// chain. Of what is looked for elsewhere it cannot be told to be what it was, so nothing that rests on it is used again.
func (a *audit) rests(d policy.Decision) map[string]string {
	out := map[string]string{}
	for _, l := range d.Chain[min(1, len(d.Chain)):] {
		out[l.Artifact.ID] = a.evidenceOf(l.Artifact.ID)
	}
	delete(out, "")
	return out
}

// absent is the evidence of what is nowhere.
const absent = "absent"

// evidenceOf is a digest of which evidence there is of an artifact; empty where that cannot be told.
func (a *audit) evidenceOf(id string) string {
	if len(a.found.byID[id]) == 0 && a.o.Elsewhere == nil {
		return absent
	}
	return a.found.evidenceOf(id)
}

// fill fills in what was decided and on what.
func (a *audit) fill(row *Row, t chain.Target, d policy.Decision) {
	row.Verdict, row.Reasons = d.Verdict(), append([]policy.Reason{}, d.Reasons()...)
	row.ID, row.Kind, row.Evidence = d.Artifact.ID, d.Artifact.Kind, len(d.Evidence)
	at := d.At.UTC()
	row.Decided = &at
	if d.Verdict() != policy.Yes {
		row.Detail = detail(d)
	}
	bundles := map[string]attestations.Bundle{}
	for _, source := range t.Sources {
		if found, ok := source.(items); ok {
			for _, item := range found {
				bundles[item.Where] = item.Bundle
			}
		}
	}
	for i := range d.Evidence {
		row.note(&d.Evidence[i], bundles[d.Evidence[i].Where])
	}
	for f := range findings(d) {
		if f.Code == policy.Revoked && f.Got != "" {
			row.Revoked = append(row.Revoked, f.Got)
		}
	}
	for i := range row.Links {
		l := &row.Links[i]
		l.Held = l.Class == classArtifact && len(a.found.byID[l.Digest]) > 0
		l.judge(d)
	}
	row.Requirements = requirements(a.judge.Document, d)
}

const classArtifact = "artifact"

// detail is the first thing that stood in the way, in words.
func detail(d policy.Decision) string {
	for _, c := range d.Checks {
		for _, f := range c.Findings {
			if f.Detail != "" {
				return f.Detail
			}
		}
	}
	return ""
}

// note adds one bundle.
func (r *Row) note(e *policy.Evidence, b attestations.Bundle) {
	stranger := slices.ContainsFunc(e.Findings, func(f policy.Finding) bool { return f.Code == policy.UntrustedSigner })
	if e.Signature {
		r.Signatures++
	}
	if e.Signer == nil {
		u, err := b.Peek()
		if err == nil && (u.PredicateType == attestations.PredicateOMS || u.PredicateType == attestations.PredicateOMSLegacy) {
			r.Signatures++
		}
		if stranger && err == nil {
			r.Strangers = append(r.Strangers, strings.TrimSpace(u.Method+" "+strings.TrimSpace(u.Signer+" "+u.Issuer)))
		}
		return
	}
	r.Opened++
	r.Predicates = append(r.Predicates, e.PredicateType)
	if stranger {
		r.Strangers = append(r.Strangers, e.Signer.String())
		return
	}
	r.Signers = append(r.Signers, e.Signer.String())
	if e.Counted && e.Signature && e.Time != nil && (r.Signed == nil || e.Time.Before(*r.Signed)) {
		at := e.Time.UTC()
		r.Signed = &at
	}
	if e.PredicateType != attestations.PredicateProvenance {
		return
	}
	c, err := b.PeekClaim() // it was opened: what it says is what was signed
	if p, ok := c.Predicate.(attestations.Provenance); err == nil && ok && c.On.ID == r.ID {
		for _, in := range p.BuildDefinition.ResolvedDependencies {
			l := Link{Role: string(in.Role), Name: in.Name, Class: string(in.Digest.Class), Digest: in.Digest.String(), URI: in.URI, Reasons: []policy.Reason{}}
			if !slices.ContainsFunc(r.Links, func(o Link) bool { return o.Role == l.Role && o.Class == l.Class && o.Digest == l.Digest }) {
				r.Links = append(r.Links, l)
			}
		}
	}
}

// judge fills in what d says of the link.
func (l *Link) judge(d policy.Decision) {
	if len(d.Chain) == 0 {
		return
	}
	for _, e := range d.Chain[0].Edges {
		if e.Role != l.Role || e.Class != l.Class || e.Digest != l.Digest {
			continue
		}
		verdict := e.Verdict
		l.Verdict, l.Why = &verdict, e.Why
		if verdict != policy.Yes {
			l.Reasons = append(l.Reasons, edgeReasons(d, e)...)
		}
		return
	}
}

// edgeReasons are the reasons on the artifact that a link leads to.
func edgeReasons(d policy.Decision, e policy.Edge) []policy.Reason {
	var out []policy.Reason
	add := func(checks []policy.Check) {
		for _, c := range checks {
			for _, f := range c.Findings {
				if c.Verdict != policy.Yes && !slices.Contains(out, f.Code) {
					out = append(out, f.Code)
				}
			}
		}
	}
	for _, l := range d.Chain {
		if e.Step != "" && l.Step == e.Step && l.Artifact.ID == e.Digest {
			add(l.Checks)
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, c := range d.Checks { // it is refused as a link
		if c.Name == e.Role && strings.Contains(c.Detail, e.Digest) {
			add([]policy.Check{c})
		}
	}
	return out
}

// requirements says which requirements for controls are met, anywhere in the chain, and whether the artifact's provenance is.
func requirements(doc *policy.Document, d policy.Decision) []Requirement {
	var out []Requirement
	if doc == nil {
		return nil
	}
	for i, l := range d.Chain {
		step := doc.Steps[l.Step]
		if step == nil {
			continue
		}
		if i == 0 && step.Provenance != nil {
			q := Requirement{Step: l.Step, Name: policy.TypeProvenance, Type: policy.TypeProvenance, Artifact: l.Artifact.ID}
			q.Met = met(&l, q)
			out = append(out, q)
		}
		for _, r := range step.Evidence {
			if len(r.Controls) > 0 {
				q := Requirement{Step: l.Step, Name: r.Name, Type: r.Type, Activity: r.Subtype, Artifact: l.Artifact.ID, Controls: r.Controls}
				q.Met = met(&l, q)
				out = append(out, q)
			}
		}
	}
	return out
}

// met reports whether a requirement holds, by a statement that counts.
func met(l *policy.Link, q Requirement) bool {
	return slices.ContainsFunc(l.Checks, func(c policy.Check) bool { return c.Name == q.Name && c.Verdict == policy.Yes }) &&
		slices.ContainsFunc(l.Evidence, func(e policy.Evidence) bool {
			return e.Counted && e.Claim != nil && e.Claim.Type == q.Type && (q.Activity == "" || e.Claim.Subtype == q.Activity)
		})
}
