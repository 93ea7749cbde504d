package policy

import (
	"fmt"
	"slices"
	"time"
)

// maxReasons bounds how many findings a link passes on to what was made from it.
const maxReasons = 20

// kindAdapter and roleBase are the words by which an adapter and what it was made for are known.
const (
	kindAdapter = "adapter"
	roleBase    = "base-model"
)

// Decide decides on each target, in the order of Start.
func (w *Walk) Decide() []Decision {
	global := w.checkPolicy()
	out := make([]Decision, len(w.targets))
	for _, p := range w.targets {
		p.checks = append(slices.Clone(global), p.checks...)
		w.checkBase(p)
	}
	for i, p := range w.targets {
		if p.state == untouched { // else an earlier one was made from it
			w.resolve(p)
		}
		out[i] = w.decision(p)
	}
	return out
}

// checkPolicy is what stands in the way of every yes: the policy's own end, an older one than was used, the list of what is
// revoked, the clock. It is empty where nothing does.
func (w *Walk) checkPolicy() []Check {
	var findings []Finding
	add := func(code Reason, format string, args ...any) {
		findings = append(findings, Finding{Code: code, Detail: fmt.Sprintf(format, args...)})
	}
	if len(w.targets) == 0 || len(w.doc.Steps) == 0 {
		add(PolicyUnusable, "the policy has no steps")
	}
	if e := w.doc.Expires; !e.IsZero() && w.o.Now.After(e) {
		add(PolicyExpired, "the policy %s expired %s", w.doc.Name, e.UTC().Format(time.RFC3339))
	}
	latest := w.latest
	if s := w.o.State; s != nil {
		if w.doc.Version < s.PolicyVersion {
			add(PolicyRollback, "the policy %s is version %d, and %d was used before", w.doc.Name, w.doc.Version, s.PolicyVersion)
		}
		if s.Latest.After(latest) {
			latest = s.Latest
		}
	}
	if latest.After(w.o.Now.Add(skew)) {
		add(ClockBehind, "it is %s here, and something was signed %s", w.o.Now.UTC().Format(time.RFC3339), latest.UTC().Format(time.RFC3339))
	}
	findings = append(findings, w.revoked.problems...)
	findings = append(findings, w.o.Problems...)
	if w.capped {
		add(CapReached, "the chain is deeper than %d links, or of more than %d artifacts", MaxDepth, MaxNodes)
	}
	if len(findings) == 0 {
		return nil
	}
	return []Check{failed("policy", findings[0].Detail, unique(findings)...)}
}

// checkBase refuses an adapter that is used together with another base than it was made for.
func (w *Walk) checkBase(p *place) {
	if len(w.targets) < 2 || !w.isAdapter(p) {
		return
	}
	base, name := "", ""
	if p.account != nil {
		for _, in := range p.account.Claim.Making.Inputs {
			if in.Role == roleBase {
				base, name = in.Digest, in.Name
			}
		}
	}
	if base != "" && slices.ContainsFunc(w.targets, func(t *place) bool { return t != p && t.id() == base }) {
		p.add(Check{Name: "base", Verdict: Yes, Detail: "used with the base that it was made for, " + base})
		return
	}
	var with []string
	for _, t := range w.targets {
		if t != p {
			with = append(with, t.facts.Artifact.Ref)
		}
	}
	detail := fmt.Sprintf("it was made for %s %s, and is used with %s", name, base, names(with))
	if base == "" {
		detail = "no account that is believed says which base it was made for"
	}
	p.add(failed("base", detail, Finding{Code: BaseMismatch, Want: base, Detail: detail}))
}

// isAdapter reports whether anybody whom the policy knows calls p's artifact an adapter, whatever others call it.
func (w *Walk) isAdapter(p *place) bool {
	return slices.Contains(w.doc.signedKinds(p.facts), kindAdapter) || slices.ContainsFunc(p.evidence, func(e Evidence) bool {
		return e.Claim != nil && e.Claim.Kind == kindAdapter && len(e.Findings) == 0 && w.known.Accepts(e)
	})
}

// resolve decides on p and on all that it leads to, each once.
func (w *Walk) resolve(p *place) {
	p.state = open
	if p.facts == nil { // nobody found out about it
		p.facts = &Facts{Artifact: Artifact{ID: p.missing}}
		p.add(failed("collected", "it was not looked at", Finding{Code: Unreadable, Got: p.missing, Detail: "it was not looked at"}))
	}
	if len(p.checks)+len(p.edges)+len(p.step.AnyOf) == 0 { // Load refuses such a step
		p.add(failed("step", "the policy asks for nothing here", Finding{Code: PolicyUnusable, Detail: "the step " + p.step.Name + " asks for nothing"}))
	}
	var led []Check
	for _, e := range p.edges {
		led = append(led, w.resolveEdge(p, e))
	}
	if len(p.step.AnyOf) > 0 {
		led = append(led, w.resolveWays(p))
	}
	w.checkKind(p)
	w.concludeEvidence(p)
	own := p.checks
	p.checks = slices.Concat(own, led)
	p.denies = slices.ContainsFunc(p.checks, func(c Check) bool { return c.denies })
	p.verdict, p.reasons = weigh(own, p.checks)
	p.state = judged
}

// absences are the reasons for a no that evidence which was not found could have mended.
var absences = []Reason{NoEvidence, EvidenceMissing, UntrustedSigner, QuorumMissed, LinkUnattested, Stale, NoAlternative, StateMissing}

// weigh returns the most careful verdict of checks and what stands in the way, a no first. own are those on the artifact
// itself: where they only lack something, and a source of evidence failed, the answer is that it is not known.
func weigh(own, checks []Check) (Verdict, []Finding) {
	verdict := Yes
	for _, c := range checks {
		if len(c.Findings) == 0 && c.Verdict != Yes { // not looked at: another check says why
			verdict = lower(verdict, Unknown)
			continue
		}
		verdict = lower(verdict, c.Verdict)
	}
	reasons := findings(checks)
	slices.SortStableFunc(reasons, func(a, b Finding) int { return int(a.Code.Verdict()) - int(b.Code.Verdict()) })
	failing := slices.ContainsFunc(own, func(c Check) bool { return c.Name == "collected" && c.Verdict == Unknown })
	if verdict == No && failing && !slices.ContainsFunc(checks, Check.definite) {
		verdict = Unknown
	}
	return verdict, reasons
}

// definite reports whether c is a no that no evidence could mend.
func (c Check) definite() bool {
	return c.Verdict == No && !c.mendable && slices.ContainsFunc(c.Findings, func(f Finding) bool { return f.Code.Verdict() == No && !slices.Contains(absences, f.Code) })
}

// findings are those of the checks that are no yes.
func findings(checks []Check) []Finding {
	var out []Finding
	for _, c := range checks {
		if c.Verdict != Yes {
			out = append(out, c.Findings...)
		}
	}
	return out
}

func (w *Walk) resolveEdge(p *place, e *edge) Check {
	name := e.input.Role
	what := e.input.Name + " " + e.input.Digest
	if len(e.findings) > 0 {
		c := failed(name, what+": "+e.findings[0].Detail, e.findings...)
		c.denies = slices.ContainsFunc(e.findings, func(f Finding) bool { return f.Code == Revoked })
		return c
	}
	if e.to == nil {
		return Check{Name: name, Verdict: Yes, Detail: what + ": " + e.rule}
	}
	if e.to.state == open {
		e.findings = []Finding{{Code: Cycle, Got: e.input.Digest, Detail: "it is made, by way of others, from what was made from it"}}
		return failed(name, what+": a cycle", e.findings...)
	}
	if e.to.state == untouched {
		w.resolve(e.to)
	}
	if f := disorder(p, e.to); f != nil {
		e.findings = []Finding{*f}
		return failed(name, what+": "+f.Detail, *f)
	}
	if e.to.verdict == Yes {
		return Check{Name: name, Verdict: Yes, Detail: what + ": " + e.rule}
	}
	return Check{Name: name, Verdict: e.to.verdict, Detail: fmt.Sprintf("%s: %s, %s", what, e.rule, e.to.verdict), Findings: passedOn(name, e.input, e.to.reasons), denies: e.to.denies}
}

// passedOn is what stands in the way further down, with the way there.
func passedOn(role string, in Input, reasons []Finding) []Finding {
	reasons = reasons[:min(len(reasons), maxReasons)]
	out := make([]Finding, len(reasons))
	for i, f := range reasons {
		where := role + " " + in.Digest
		if f.Where != "" {
			where += ": " + f.Where
		}
		f.Where = where
		out[i] = f
	}
	return out
}

// disorder says that what was made was made before what it was made from; nil: nothing shows that.
func disorder(p, from *place) *Finding {
	if p.account == nil || from.account == nil {
		return nil
	}
	done, begun := p.account.made(), from.account.Claim.At
	if done.IsZero() || begun.IsZero() || !begun.After(done) {
		return nil
	}
	return &Finding{Code: OutOfOrder, Got: done.UTC().Format(time.RFC3339), Want: begun.UTC().Format(time.RFC3339),
		Detail: fmt.Sprintf("made by %s, before what it was made from, %s", done.UTC().Format(time.RFC3339), begun.UTC().Format(time.RFC3339))}
}

// resolveWays decides whether one of the ways holds, and none of them says no for all.
func (w *Walk) resolveWays(p *place) Check {
	var held []string
	var denied, missed []Finding
	best := No
	for _, a := range p.ways {
		switch {
		case a.vsa != nil:
			a.check = w.summed(p, a.vsa)
		case a.to != nil:
			a.resolve(w)
		}
		if a.check.denies {
			denied = append(denied, a.check.Findings...)
		}
		best = max(best, a.check.Verdict)
		if a.check.Verdict == Yes {
			held = append(held, a.check.Detail)
		}
		missed = append(missed, a.check.Findings...)
	}
	switch {
	case len(denied) > 0:
		c := failed("any-of", "a trusted signer says no", unique(denied)...)
		c.denies = true
		return c
	case len(held) > 0:
		return Check{Name: "any-of", Verdict: Yes, Detail: held[0]}
	}
	missed = append(unique(missed), Finding{Code: NoAlternative, Detail: fmt.Sprintf("none of %d ways holds", len(p.ways))})
	c := failed("any-of", missed[0].Detail, missed...)
	c.Verdict = best // a way that might hold makes it a don't know
	c.mendable = slices.ContainsFunc(p.ways, func(a *way) bool { return !a.check.definite() })
	return c
}

// resolve decides on a way that leads to another step for the same artifact.
func (a *way) resolve(w *Walk) {
	switch a.to.state {
	case open:
		a.check = failed(a.name, "a cycle of steps", Finding{Code: Cycle, Detail: "the step leads back to itself"})
		return
	case untouched:
		w.resolve(a.to)
	}
	if a.to.verdict == Yes {
		a.check = Check{Name: a.name, Verdict: Yes, Detail: a.name}
		return
	}
	a.check = Check{Name: a.name, Verdict: a.to.verdict, Detail: a.name + ": " + a.to.verdict.String(), Findings: a.to.reasons, denies: a.to.denies}
}

// decision is the answer on a target, with every place that it rests on.
func (w *Walk) decision(p *place) Decision {
	d := Decision{
		verdict: p.verdict, Artifact: p.facts.Artifact, Policy: w.doc.String(), Checks: p.checks, Evidence: p.evidence,
		Notes: p.facts.Notes, At: w.o.Now, TrustedRoot: p.facts.TrustedRoot,
	}
	d.Artifact.Kind = kind(p.evidence)
	seen := map[*place]bool{p: true}
	for queue := []*place{p}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		d.Chain = append(d.Chain, at.link())
		for _, next := range at.below() {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	if d.verdict != Yes && len(d.Reasons()) == 0 { // nothing is never a yes, and never without a reason
		const why = "the files were not compared"
		d.Checks = append(d.Checks, failed("collected", why, Finding{Code: Unreadable, Detail: why}))
	}
	return d
}

// below are the places that p leads to.
func (p *place) below() []*place {
	var out []*place
	for _, e := range p.edges {
		if e.to != nil {
			out = append(out, e.to)
		}
	}
	for _, a := range p.ways {
		if a.to != nil {
			out = append(out, a.to)
		}
	}
	return out
}

func (p *place) link() Link {
	l := Link{Step: p.step.Name, Artifact: p.facts.Artifact, Verdict: p.verdict, Checks: p.checks, Evidence: p.evidence}
	if l.Artifact.Kind == "" {
		l.Artifact.Kind = kind(p.evidence)
	}
	for _, e := range p.edges {
		out := Edge{Role: e.input.Role, Name: e.input.Name, Class: e.input.Class, Digest: e.input.Digest, URI: e.input.URI, Verdict: Yes, Why: e.rule}
		if p.account != nil && p.account.Signer != nil {
			out.Signer, out.Principal, out.Time = p.account.Signer.String(), p.account.Principal, p.account.Time
		}
		if e.to != nil {
			out.Step, out.Verdict = e.to.step.Name, e.to.verdict
		}
		if len(e.findings) > 0 {
			out.Verdict, out.Why = failed("", "", e.findings...).Verdict, e.findings[0].Detail
		}
		l.Edges = append(l.Edges, out)
	}
	return l
}

// String names the policy for people.
func (d *Document) String() string {
	s := fmt.Sprintf("%s, version %d", d.Name, d.Version)
	if d.Digest != "" {
		s += ", " + d.Digest
	}
	return s
}
