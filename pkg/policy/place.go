package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// place is one artifact in one place of a chain, and what was found out about it there.
type place struct {
	step    *Step
	facts   *Facts
	missing string   // the artifact's ID until its facts are there
	uris    []string // where trusted statements say that it is
	depth   int
	target  bool

	evidence []Evidence // of facts, with what speaks against each here
	checks   []Check    // on the artifact itself
	edges    []*edge    // all of which must hold
	ways     []*way     // one of which must hold, where there are any
	account  *Evidence  // the provenance that was believed
	authors  []string   // principals who signed the artifact or its provenance, here or in another place
	released *ReleaseClaim
	remarks  map[*Evidence][]Finding // why a statement was of no use where it was looked at

	state   state
	denies  bool // a trusted signer, or a list of what is revoked, says no to it or to what it was made from
	verdict Verdict
	reasons []Finding // what stands in the way, from here downwards, nearest first
}

// state is how far resolve has come with a place.
type state int

const (
	untouched state = iota
	open
	judged
)

// edge is one input that the account of an artifact's making names.
type edge struct {
	input    Input
	rule     string // what lets it in, in words
	findings []Finding
	to       *place // nil: it is not followed
}

func (p *place) id() string {
	if p.facts == nil {
		return p.missing
	}
	return p.facts.Artifact.ID
}

// judgePlace finds out what holds of p by itself, and follows what it leads to.
func (w *Walk) judgePlace(p *place) {
	p.evidence = slices.Clone(p.facts.Evidence)
	slices.SortStableFunc(p.evidence, func(a, b Evidence) int {
		return cmp.Or(cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Where, b.Where))
	})
	for i := range p.evidence {
		p.evidence[i].Principal = w.doc.principal(p.evidence[i].Signer)
	}
	w.disqualify(p)
	w.checkSigned(p)
	if p.id() != "" {
		p.authors = w.authors(p)
		w.checkMaking(p)
		for _, r := range p.step.Evidence {
			p.add(w.require(p, r))
		}
		w.checkRelease(p)
		w.checkWays(p)
		p.add(w.revoked.screen(p)...)
	} else { // nothing can be said of what has no name
		p.add(failed("artifact", "its artifact ID could not be established", Finding{Code: Unreadable, Detail: "no artifact ID"}))
	}
	if len(p.facts.Problems) > 0 {
		p.add(failed("collected", p.facts.Problems[0].Detail, p.facts.Problems...))
	}
}

func (p *place) add(checks ...Check) { p.checks = append(p.checks, checks...) }

// remark notes why e was of no use in one place, where it may be of use in another.
func (p *place) remark(e *Evidence, findings ...Finding) {
	if p.remarks == nil {
		p.remarks = map[*Evidence][]Finding{}
	}
	p.remarks[e] = append(p.remarks[e], findings...)
}

// concludeEvidence says of each bundle why it did not count, where it did not.
func (w *Walk) concludeEvidence(p *place) {
	for i := range p.evidence {
		e := &p.evidence[i]
		switch {
		case e.Counted:
		case len(p.remarks[e]) > 0:
			e.Findings = append(e.Findings, unique(p.remarks[e])...)
		case e.Signer != nil && len(e.Findings) == 0 && e.Principal == "":
			e.Findings = []Finding{{Code: UntrustedSigner, Got: e.Signer.String(), Detail: "the policy knows nobody who signs like this"}}
		}
	}
}

// disqualify marks the evidence that counts for nothing here, whoever signed it: about another artifact, revoked, or good
// news of a time that is yet to come, which may be of any age.
func (w *Walk) disqualify(p *place) {
	for i := range p.evidence {
		e := &p.evidence[i]
		e.Findings = slices.Clone(e.Findings)
		if e.Claim != nil && p.id() != "" && e.Claim.Subject != p.id() {
			e.Findings = append(e.Findings, Finding{Code: WrongSubject, Where: e.Where, Want: p.id(), Got: e.Claim.Subject,
				Detail: "it is about another artifact"})
		}
		if c := e.Claim; c != nil && !c.SaysNo && e.Time == nil && c.At.After(w.o.Now.Add(skew)) {
			e.Findings = append(e.Findings, Finding{Code: Stale, Where: e.Where, Got: c.At.UTC().Format(time.RFC3339),
				Detail: "nothing shows its age: it is dated " + c.At.UTC().Format(time.RFC3339) + ", which is yet to come"})
		}
		if f := w.revoked.evidence(e); f != nil {
			e.Findings = append(e.Findings, *f)
		}
	}
}

// authors are the principals who signed p's artifact, or say how it was made, and whom any step trusts for that: a policy
// may ask for the work in one step and for its approval in another.
func (w *Walk) authors(p *place) []string {
	var out []string
	for _, name := range w.makers {
		by := Policy{Signers: w.doc.Identities[name]}
		if slices.ContainsFunc(p.evidence, func(e Evidence) bool {
			made := e.Signature && e.Compared || e.Claim != nil && e.Claim.Type == TypeProvenance
			return made && len(e.Findings) == 0 && by.Accepts(e)
		}) {
			out = append(out, name)
		}
	}
	return out
}

// ownWork reports whether who made p's artifact signed e, in whatever form.
func (w *Walk) ownWork(p *place, e *Evidence) bool {
	return slices.ContainsFunc(p.authors, func(name string) bool { return Policy{Signers: w.doc.Identities[name]}.Trusts(*e.Signer) })
}

// claims returns p's statements of a type that nothing speaks against so far, by any of the principals named; of a subtype
// only, where there is one. Those that a key's window speaks against are in out.
func (w *Walk) claims(p *place, kind, subtype string, by []string) (in []spoken, out []Finding) {
	for i := range p.evidence {
		e := &p.evidence[i]
		if e.Signature || e.Claim == nil || e.Claim.Type != kind || subtype != "" && e.Claim.Subtype != subtype {
			continue
		}
		name, findings := w.doc.speaker(by, e)
		switch {
		case name == "" && e.Principal != "": // somebody else's word for what is asked of others here
			p.remark(e, Finding{Code: UntrustedSigner, Got: e.Principal, Detail: fmt.Sprintf("it is %s whose word counts for that in step %s, not %s", list(by, "or"), p.step.Name, e.Principal)})
		case name == "":
		case len(e.Findings) > 0:
			out = append(out, located(e.Findings, e.Where)...)
		case len(findings) > 0:
			p.remark(e, findings...)
			out = append(out, located(findings, e.Where)...)
		default:
			in = append(in, spoken{e, name})
		}
	}
	return in, out
}

// spoken is a statement and the principal who made it.
type spoken struct {
	*Evidence
	by string
}

// made is the earliest time that anybody gives a statement: who is trusted for times, or the statement itself. It is zero
// where nobody does: then it may be of any age.
func (e *Evidence) made() time.Time {
	at := e.Claim.At
	if e.Time != nil && (at.IsZero() || e.Time.Before(at)) {
		at = *e.Time
	}
	return at
}

// last is the latest time that a statement that says no may be of; ok is false where nobody gives it one: it is then newer
// than all others.
func (e *Evidence) last() (at time.Time, ok bool) {
	at = e.Claim.At
	if e.Time != nil && e.Time.After(at) {
		at = *e.Time
	}
	return at, !at.IsZero()
}

// tooOld says why a statement is older than most; nil: it is not. 0 is any age.
func tooOld(e *Evidence, at time.Time, most time.Duration, now time.Time) *Finding {
	switch {
	case most <= 0:
		return nil
	case at.IsZero():
		return &Finding{Code: Stale, Where: e.Where, Detail: "nothing shows its age, and it may be at most " + span(most) + " old"}
	case now.Sub(at) > most:
		return &Finding{Code: Stale, Where: e.Where, Got: at.UTC().Format(time.RFC3339), Detail: fmt.Sprintf("made %s, older than %s", at.UTC().Format(time.RFC3339), span(most))}
	}
	return nil
}

// checkSigned holds the artifact's files to the signatures of the principals that the step names.
func (w *Walk) checkSigned(p *place) {
	var uncovered []Finding
	for _, name := range p.facts.Artifact.Uncovered {
		if !slices.Contains(p.step.Uncovered, name) {
			uncovered = append(uncovered, Finding{Code: Uncovered, File: name, Detail: "left out by the signature"})
		}
	}
	q := p.step.Signature
	if q == nil {
		if len(uncovered) > 0 && p.target { // whoever signed that it does not belong to what is used is asked for nothing here
			p.add(failed("files", "files are left out", uncovered...))
		}
		return
	}
	rules := Policy{Signers: w.doc.forms(q.Signers), AllowUncovered: true}
	judge(rules, p.evidence)
	count(rules, p.evidence)
	files := checkFiles(rules, *p.facts, p.evidence)
	if len(uncovered) > 0 {
		files.Findings, files.Verdict = append(files.Findings, uncovered...), No
	}
	signature := checkSignature(rules, p.evidence, p.facts.Problems)
	signers := map[string]bool{}
	for i := range p.evidence {
		if e := &p.evidence[i]; e.Counted {
			if name, _ := w.doc.speaker(q.Signers, e); name != "" {
				signers[name] = true
			}
		}
	}
	if signature.Verdict == Yes && len(signers) > 0 {
		signature.Detail = names(slices.Sorted(maps.Keys(signers))) + ": " + signature.Detail
	}
	if n := len(signers); signature.Verdict == Yes && files.Verdict == Yes && n < q.Distinct {
		signature = failed("signature", fmt.Sprintf("%d of %d principals signed", n, q.Distinct), Finding{Code: QuorumMissed,
			Detail: fmt.Sprintf("signed by %d distinct principals, and %d are asked for", n, q.Distinct)})
	}
	p.add(files, signature)
}

// kinds is what the evidence that counted calls the artifact, here and in the steps by way of which it was let in.
func (p *place) kinds() []string {
	var kinds []string
	for i := range p.evidence {
		if e := &p.evidence[i]; e.Counted {
			kind := e.Kind
			if e.Claim != nil {
				kind = e.Claim.Kind
			}
			if kind != "" {
				kinds = append(kinds, kind)
			}
		}
	}
	for _, a := range p.ways {
		if a.to != nil && a.to.state == judged && a.to.verdict == Yes {
			kinds = append(kinds, a.to.kinds()...)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// checkKind holds what trusted signers call the artifact to what the step wants.
func (w *Walk) checkKind(p *place) {
	if p.step.Kind == "" || p.id() == "" {
		return
	}
	kinds := p.kinds()
	switch {
	case len(kinds) == 1 && kinds[0] == p.step.Kind:
		return
	case len(kinds) == 0 && len(p.step.AnyOf) > 0: // pinned, which says it, or there is no way at all
		return
	case len(kinds) == 0 && slices.ContainsFunc(p.checks, func(c Check) bool { return c.Verdict != Yes }):
		p.add(Check{Name: "kind", Verdict: Unknown, Detail: "not known: nothing that counts says it"}) // another check says why
	case len(kinds) == 0:
		p.add(failed("kind", "nobody who counts says what it is", Finding{Code: WrongKind, Want: p.step.Kind, Detail: "nobody who counts says what it is"}))
	default:
		detail := fmt.Sprintf("it is called %s, and %s is asked for", names(kinds), p.step.Kind)
		p.add(failed("kind", detail, Finding{Code: WrongKind, Want: p.step.Kind, Got: kinds[0], Detail: detail}))
	}
}
