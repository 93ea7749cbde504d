package chain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

const verifier = "https://acme.example/verify"

// TestASummaryOfASummaryIsAsOldAndRestsOnAsMuch sums up a decision that a summary made: whoever believes the second one
// holds the same ancestors against what is revoked, and judges the same age.
func TestASummaryOfASummaryIsAsOldAndRestsOnAsMuch(t *testing.T) {
	w := newWorld(t, small)
	id := w.id(manifest.Options{})
	below := attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("c", 40)}
	bundle := "sha256:" + strings.Repeat("b", 64)
	first := attestations.VSA{
		Verifier: attestations.Verifier{ID: verifier}, TimeVerified: then, ResourceURI: "oci://registry.example/chat", SLSAVersion: attestations.SLSAVersion,
		Policy:             attestations.Resource{URI: "file:policy.yaml", Digest: attestations.DigestSet{"sha256": strings.Repeat("a", 64)}},
		InputAttestations:  []attestations.Resource{{Digest: attestations.DigestSet{"sha256": bundle[7:]}}},
		VerificationResult: attestations.ResultPassed, VerifiedLevels: []string{},
		Basis: attestations.Basis{Ancestors: []attestations.Digest{below}, Oldest: then.AddDate(0, -1, 0)},
	}
	doc := &policy.Document{
		Name: "second", Digest: "sha256:" + strings.Repeat("d", 64), Roots: w.by.Roots(), Targets: map[string]string{"": "served"},
		Identities: map[string]policy.Principal{"verifier": {trust.Identity{Key: w.by.Roots().Keys[0].Fingerprint()}}},
		Steps: map[string]*policy.Step{"served": {Name: "served", AnyOf: []*policy.Alternative{{VSA: &policy.VSA{
			Verifiers: []string{verifier}, Signers: []string{"verifier"}, Resources: []string{first.ResourceURI}, Policies: []string{"sha256:" + strings.Repeat("a", 64)}, MaxAge: 90 * 24 * time.Hour,
		}}}}},
	}
	targets := []chain.Target{{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{w.state(id, first)}}}}
	now := then.AddDate(0, 0, 1)
	decisions, _, err := chain.VerifyPolicy(ctx, targets, nil, doc, chain.PolicyOptions{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	want(t, decisions[0], policy.Yes)
	on, second, err := chain.Summarize(decisions[0], doc, chain.SummaryOptions{Verifier: first.Verifier, Resource: first.ResourceURI, Policy: "file:second.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if on.ID != id || second.VerificationResult != attestations.ResultPassed || !second.TimeVerified.Equal(now) {
		t.Errorf("summary of %s, %s at %s", on.ID, second.VerificationResult, second.TimeVerified)
	}
	if !second.Basis.Oldest.Equal(first.Basis.Oldest) {
		t.Errorf("its oldest evidence is of %s, not of %s", second.Basis.Oldest, first.Basis.Oldest)
	}
	itself, err := attestations.ParseArtifactID(id)
	if err != nil {
		t.Fatal(err)
	}
	if want := append([]attestations.Digest{itself}, first.Basis.Ancestors...); !slices.Equal(second.Basis.Ancestors, want) {
		t.Errorf("it rests on %v, not on %v", second.Basis.Ancestors, want)
	}
	names := []string{decisions[0].Evidence[0].Digest, bundle}
	slices.Sort(names)
	var have []string
	for _, r := range second.InputAttestations {
		have = append(have, "sha256:"+r.Digest["sha256"])
	}
	if !slices.Equal(have, names) {
		t.Errorf("it names %v, not %v", have, names)
	}
}
