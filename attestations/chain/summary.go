package chain

import (
	"errors"
	"fmt"
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
// on an artifact ages only where somebody trusted vouches for its time.
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
	for _, l := range d.Chain {
		for i := range l.Evidence {
			e := &l.Evidence[i]
			if !e.Counted {
				continue
			}
			if !slices.Contains(names, e.Digest) {
				names = append(names, e.Digest)
			}
			if at := made(e); !at.IsZero() && (v.Basis.Oldest.IsZero() || at.Before(v.Basis.Oldest)) {
				v.Basis.Oldest = at.UTC()
			}
		}
	}
	if v.Basis.Oldest.After(v.TimeVerified) { // clocks differ by a little
		v.Basis.Oldest = v.TimeVerified
	}
	slices.Sort(names)
	for _, n := range names {
		v.InputAttestations = append(v.InputAttestations, attestations.Resource{Digest: attestations.DigestSet{"sha256": strings.TrimPrefix(n, "sha256:")}})
	}
	if d.Verdict() == policy.Yes {
		v.VerificationResult, v.VerifiedLevels = attestations.ResultPassed, levels(d, doc)
	}
	return on, v, v.Check()
}

// ancestors are the artifact itself and all that a chain leads to, each once, in the order in which it does.
func ancestors(on attestations.Artifact, links []policy.Link) []attestations.Digest {
	itself := attestations.Digest{Class: attestations.ClassArtifact, Hex: strings.TrimPrefix(on.ID, "sha256:")}
	out := []attestations.Digest{itself}
	seen := map[attestations.Digest]bool{itself: true}
	for _, l := range links {
		for _, e := range l.Edges {
			_, digits, _ := strings.Cut(e.Digest, ":")
			d := attestations.Digest{Class: attestations.DigestClass(e.Class), Hex: digits}
			if !seen[d] {
				seen[d] = true
				out = append(out, d)
			}
		}
	}
	return out
}

// made is the earliest time that is known of e; zero: none is.
func made(e *policy.Evidence) time.Time {
	var at time.Time
	if e.Time != nil {
		at = *e.Time
	}
	if e.Claim != nil && !e.Claim.At.IsZero() && (at.IsZero() || e.Claim.At.Before(at)) {
		at = e.Claim.At
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
