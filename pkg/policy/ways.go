package policy

import (
	"fmt"
	"slices"
	"strings"
)

// way is one way to satisfy a step's anyOf.
type way struct {
	name  string
	check Check
	vsa   *VSA   // a summary may stand for it: decided once every input that leads here has said where it is
	to    *place // the same artifact in another step; nil: check is all
}

// checkRelease holds the artifact to its place in a channel.
func (w *Walk) checkRelease(p *place) {
	r := p.step.Release
	if r == nil {
		return
	}
	spoke, missed := w.claims(p, TypeRelease, "", r.Signers)
	var best *spoken
	for i, s := range spoke {
		if s.Claim.Release != nil && s.Claim.Release.Channel == r.Channel && (best == nil || s.Claim.Release.Sequence > best.Claim.Release.Sequence) {
			best = &spoke[i]
		}
	}
	if best == nil {
		detail := fmt.Sprintf("no release in the channel %s by %s", r.Channel, names(r.Signers))
		p.add(failed("release", detail, append(missed, Finding{Code: EvidenceMissing, Detail: detail})...))
		return
	}
	best.Counted = true
	p.released = best.Claim.Release
	floor, known := w.floor(r.Channel)
	detail := fmt.Sprintf("%s %d, says %s", r.Channel, p.released.Sequence, best.by)
	switch {
	case !known:
		p.add(failed("release", detail, Finding{Code: StateMissing, Detail: "nothing says which releases of the channel were seen before"}))
	case p.released.Sequence >= floor:
		p.add(Check{Name: "release", Verdict: Yes, Detail: detail})
	case r.Rollback != nil:
		c := w.approvedFor(p, r.Rollback, "rollback")
		if c.Verdict == Yes {
			p.add(Check{Name: "release", Verdict: Yes, Detail: fmt.Sprintf("%s, older than %d; rolled back: %s", detail, floor, c.Detail)})
			return
		}
		p.add(failed("release", detail, append([]Finding{older(p.released, floor)}, c.Findings...)...))
	default:
		p.add(failed("release", detail, older(p.released, floor)))
	}
}

func older(r *ReleaseClaim, floor uint64) Finding {
	return Finding{Code: ReleaseRollback, Detail: fmt.Sprintf("release %d of channel %s, which has seen %d", r.Sequence, r.Channel, floor)}
}

// floor is the lowest sequence that a channel takes, and whether anything is known of it. What was seen first in an empty
// memory is taken.
func (w *Walk) floor(channel string) (uint64, bool) {
	least, known := w.o.Floors[channel]
	if w.o.State != nil {
		least, known = max(least, w.o.State.Channels[channel]), true
	}
	return least, known
}

// checkWays finds out which of the ways of a step's anyOf hold of p's artifact by itself.
func (w *Walk) checkWays(p *place) {
	for _, a := range p.step.AnyOf {
		switch {
		case a.Ingested != nil:
			p.ways = append(p.ways, w.ingested(p, a.Ingested))
		case a.VSA != nil:
			p.ways = append(p.ways, &way{name: "vsa", vsa: a.VSA})
		case len(a.Pinned) > 0:
			c := Check{Name: "pinned", Verdict: Yes, Detail: "named by the policy"}
			if !slices.Contains(a.Pinned, p.id()) {
				c = failed("pinned", "not named by the policy", Finding{Code: NotPinned, Got: p.id(), Detail: "not named by the policy"})
			}
			p.ways = append(p.ways, &way{name: "pinned", check: c})
		case a.Step != "":
			next := &way{name: "step " + a.Step, to: w.follow(a.Step, p.id(), "", p.depth)}
			if next.to == nil {
				next.check = failed(next.name, "not followed", Finding{Code: CapReached, Detail: fmt.Sprintf("deeper than %d links, or more than %d artifacts", MaxDepth, MaxNodes)})
			}
			p.ways = append(p.ways, next)
		}
	}
}

// ingested finds out whether somebody trusted let the artifact in.
func (w *Walk) ingested(p *place, rule *Ingested) *way {
	spoke, missed := w.claims(p, TypeIngestion, "", rule.Signers)
	denies := false
	for _, s := range spoke {
		var findings []Finding
		if len(rule.Upstreams) > 0 && !slices.ContainsFunc(rule.Upstreams, func(u string) bool { return u == s.Claim.Upstream || strings.HasPrefix(s.Claim.Upstream, u+"@") }) {
			findings = append(findings, Finding{Code: LinkSwapped, Got: s.Claim.Upstream, Detail: "let in from elsewhere than the policy takes"})
		}
		if f := w.revoked.source(s.Evidence, s.Claim.Upstream); f != nil {
			findings = append(findings, *f)
			denies = true
		}
		if f := tooOld(s.Evidence, s.made(), rule.MaxAge, w.o.Now); f != nil {
			findings = append(findings, *f)
		}
		if len(findings) == 0 {
			s.Counted = true
			return &way{name: "ingested", check: Check{Name: "ingested", Verdict: Yes, Detail: "let in by " + s.by + " from " + s.Claim.Upstream}}
		}
		p.remark(s.Evidence, findings...)
		missed = append(missed, located(findings, s.Where)...)
	}
	if len(missed) == 0 {
		missed = []Finding{{Code: LinkUnattested, Detail: "not let in by " + list(rule.Signers, "or")}}
	}
	check := failed("ingested", missed[0].Detail, missed...)
	check.denies = denies
	return &way{name: "ingested", check: check}
}

// summed finds out whether a trusted summary may stand for all that is below.
func (w *Walk) summed(p *place, rule *VSA) Check {
	spoke, missed := w.claims(p, TypeVSA, "", rule.Signers)
	spoke = slices.DeleteFunc(spoke, func(s spoken) bool {
		return s.Claim.VSA == nil || !slices.Contains(rule.Verifiers, s.Claim.VSA.Verifier)
	})
	yes, noes := sides(spoke)
	rests := false // on what is revoked
	for _, s := range yes {
		findings := w.refuseSummary(p, rule, s)
		rests = rests || slices.ContainsFunc(findings, func(f Finding) bool { return f.Code == Revoked })
		if f := outdated(s, noes); f != nil {
			findings = append(findings, *f)
		}
		if len(findings) == 0 {
			s.Counted = true
			return Check{Name: "vsa", Verdict: Yes, Detail: fmt.Sprintf("verified by %s, signed by %s", s.Claim.VSA.Verifier, s.by)}
		}
		p.remark(s.Evidence, findings...)
		missed = append(missed, located(findings, s.Where)...)
	}
	for _, n := range noes {
		missed = append(missed, Finding{Code: Refuted, Where: n.Where, Detail: n.by + " verified it, and says no"})
	}
	if len(missed) == 0 {
		missed = []Finding{{Code: LinkUnattested, Detail: "no verification summary by " + names(rule.Signers)}}
	}
	check := failed("vsa", missed[0].Detail, unique(missed)...)
	check.denies = check.denies || rests
	return check
}

// refuseSummary says why a summary that says yes may not stand for what is below (SLSA v1.2, Verification Summary, How to
// verify). It is as old as the oldest evidence that it rests on.
func (w *Walk) refuseSummary(p *place, rule *VSA, s spoken) []Finding {
	v := s.Claim.VSA
	var out []Finding
	refuse := func(want, got, detail string) {
		out = append(out, Finding{Code: VSARefused, Want: want, Got: got, Detail: detail})
	}
	resources := rule.Resources
	if len(resources) == 0 {
		resources = p.names()
	}
	if !slices.Contains(resources, v.Resource) {
		refuse(strings.Join(resources, ", "), v.Resource, "it is about another resource URI")
	}
	policies := rule.Policies
	if len(policies) == 0 {
		policies = []string{w.doc.Digest}
	}
	if !slices.Contains(policies, v.Policy) {
		refuse(strings.Join(policies, ", "), v.Policy, "it was decided by another policy")
	}
	at := s.made()
	if v.Oldest.IsZero() {
		refuse("", "", "it does not say how old its evidence is")
	} else if at.IsZero() || v.Oldest.Before(at) {
		at = v.Oldest
	}
	if f := tooOld(s.Evidence, at, rule.MaxAge, w.o.Now); f != nil {
		out = append(out, *f)
	}
	if len(v.Ancestors) == 0 {
		refuse("", "", "it lists no ancestors, so that none can be looked up among what is revoked")
	}
	for _, name := range v.Inputs { // that a bundle is worth nothing says nothing of the artifact: it only takes the summary's ground
		if f := w.revoked.digest(classAttestation, name, true); f != nil {
			refuse("", name, "it rests on what is revoked: "+f.Detail)
		}
	}
	artifacts := false
	for _, a := range v.Ancestors {
		artifacts = artifacts || a.Class == classArtifact
		if f := w.revoked.digest(a.Class, a.Digest, false); f != nil {
			f.Detail = "it rests on what is revoked: " + f.Detail
			out = append(out, *f)
		}
	}
	if artifacts && w.revoked.filesBelow {
		out = append(out, Finding{Code: FilesUnknown, Got: p.id(), Detail: "single files are revoked, and those of what it rests on are not known"})
	}
	return out
}

// names are the URIs by which p's artifact is asked for.
func (p *place) names() []string {
	out := slices.Clone(p.uris)
	for _, name := range []string{p.facts.Artifact.Pinned, p.facts.Artifact.Ref} {
		if name != "" && p.target {
			out = append(out, name)
		}
	}
	return out
}
