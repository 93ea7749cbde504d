package chain

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// SummaryOptions is what a decision does not say about a verification.
type SummaryOptions struct {
	Verifier attestations.Verifier // who verified
	Resource string                // URI of the artifact as it is asked for
	Policy   string                // URI of the policy
}

// Summarize returns SLSA's verification summary of a decision by doc: what somebody who trusts the verifier may believe in
// place of the evidence. A decision that is neither yes nor no, or on an artifact whose ID is not known, has none.
//
// It rests on the bundles that counted, anywhere in the chain, and is as old as the oldest statement among them; a signature
// on an artifact ages only where somebody trusted vouches for its time. Where a summary stood for what is below, it rests on
// all that that one rests on, and is as old: nobody gets rid of age or ancestors by summing up once more.
func Summarize(d policy.Decision, doc *policy.Document, o SummaryOptions) (attestations.Artifact, attestations.VSA, error) {
	on := attestations.Artifact{ID: d.Artifact.ID, Kind: attestations.Kind(d.Artifact.Kind)}
	switch {
	case d.Verdict() == policy.Unknown:
		return on, attestations.VSA{}, errors.New("summarize the verification: it came to no decision")
	case on.ID == "":
		return on, attestations.VSA{}, errors.New("summarize the verification: the artifact's ID is not known")
	}
	if on.Kind == "" {
		on.Kind = attestations.KindModel
	}
	v := attestations.VSA{
		Verifier: o.Verifier, TimeVerified: d.At.UTC(), ResourceURI: o.Resource, SLSAVersion: attestations.SLSAVersion,
		Policy:             attestations.Resource{URI: o.Policy, Digest: attestations.DigestSet{"sha256": strings.TrimPrefix(doc.Digest, "sha256:")}},
		VerificationResult: attestations.ResultFailed, VerifiedLevels: []string{attestations.LevelFailed},
		Basis: attestations.Basis{Ancestors: ancestors(on, d.Chain)},
	}
	var names []string
	for e := range counted(d.Chain) {
		names = append(names, e.Digest)
		if at := made(e); !at.IsZero() && (v.Basis.Oldest.IsZero() || at.Before(v.Basis.Oldest)) {
			v.Basis.Oldest = at.UTC()
		}
		if e.Claim != nil && e.Claim.VSA != nil {
			names = append(names, e.Claim.VSA.Inputs...)
		}
	}
	if v.Basis.Oldest.After(v.TimeVerified) { // clocks differ by a little
		v.Basis.Oldest = v.TimeVerified
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		v.InputAttestations = append(v.InputAttestations, attestations.Resource{Digest: attestations.DigestSet{"sha256": strings.TrimPrefix(n, "sha256:")}})
	}
	if d.Verdict() == policy.Yes {
		v.VerificationResult, v.VerifiedLevels = attestations.ResultPassed, levels(d, doc)
	}
	return on, v, v.Check()
}

// counted goes through the bundles that counted.
func counted(links []policy.Link) iter.Seq[*policy.Evidence] {
	return func(yield func(*policy.Evidence) bool) {
		for _, l := range links {
			for i := range l.Evidence {
				if e := &l.Evidence[i]; e.Counted && !yield(e) {
					return
				}
			}
		}
	}
}

// ancestors are the artifact itself and all that a chain leads to, each once, in the order in which it does; then what
// summaries stand for.
func ancestors(on attestations.Artifact, links []policy.Link) []attestations.Digest {
	out := []attestations.Digest{}
	seen := map[attestations.Digest]bool{}
	add := func(class, digest string) {
		_, digits, _ := strings.Cut(digest, ":")
		d := attestations.Digest{Class: attestations.DigestClass(class), Hex: digits}
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	add(string(attestations.ClassArtifact), on.ID)
	for _, l := range links {
		for _, e := range l.Edges {
			add(e.Class, e.Digest)
		}
	}
	for e := range counted(links) {
		if e.Claim != nil && e.Claim.VSA != nil {
			for _, a := range e.Claim.VSA.Ancestors {
				add(a.Class, a.Digest)
			}
		}
	}
	return out
}

// made is the earliest time that is known of e, or of what a summary rests on; zero: none is.
func made(e *policy.Evidence) time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if e.Time != nil {
		earlier(*e.Time)
	}
	if e.Claim != nil {
		earlier(e.Claim.At)
		if e.Claim.VSA != nil {
			earlier(e.Claim.VSA.Oldest)
		}
	}
	return at
}

// levels is the build level that the policy knows of the builder that made the artifact, if one counted.
func levels(d policy.Decision, doc *policy.Document) []string {
	best := 0
	for _, e := range d.Evidence {
		if !e.Counted || e.Claim == nil || e.Claim.Making == nil {
			continue
		}
		for _, b := range doc.Builders {
			if b.ID == e.Claim.Making.Builder {
				best = max(best, b.Level)
			}
		}
	}
	if best == 0 {
		return []string{}
	}
	return []string{fmt.Sprintf("SLSA_BUILD_LEVEL_%d", best)}
}
