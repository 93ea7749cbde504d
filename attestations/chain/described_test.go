package chain_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func rejection() attestations.Approval {
	return attestations.Approval{Decision: attestations.Rejected, Scope: []string{"production"}, Evidence: []string{}, DecidedOn: then}
}

// TestDescribeVerifiesWhatOpensAndIsAboutTheArtifact, and shows of all else what it says of itself, as unverified.
func TestDescribeVerifiesWhatOpensAndIsAboutTheArtifact(t *testing.T) {
	w, stranger := newWorld(t, small), newWorld(t, small)
	id, other := w.id(manifest.Options{}), numbered(1)
	key := "key " + w.by.Roots().Keys[0].Fingerprint()
	made := packaged(other, then)
	for name, c := range map[string]struct {
		item     chain.Item
		verified bool
		reason   policy.Reason
		why      string
		summary  string
	}{
		"provenance":     {w.state(id, made), true, "", "", "made by package, https://acme.example/b"},
		"a rejection":    {w.state(id, rejection()), true, "", "", "rejected for production"},
		"a signature":    {w.sign(w.build(manifest.Options{}), nil), true, "", "", "signature on the files"},
		"about another":  {w.state(other, svr(then)), false, policy.UnexpectedStatement, `it is about another artifact: "` + other + `"`, attestations.PredicateSVR},
		"by a stranger":  {stranger.state(id, svr(then)), false, policy.UntrustedSigner, "", attestations.PredicateSVR},
		"no bundle":      {chain.Item{Where: "claims.sig", Bundle: []byte("{")}, false, policy.BundleMalformed, "", ""},
		"broken in form": {w.signed(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + id[7:] + `"}}],"predicateType":"` + attestations.PredicateApproval + `","predicate":{}}`), false, policy.UnexpectedStatement, "", ""},
	} {
		d := chain.Describe(id, []chain.Item{c.item}, w.by.Roots())[0]
		if d.Verified != c.verified || d.Reason != c.reason || !strings.Contains(d.Why, c.why) || (d.Why == "") != c.verified || d.Summary != c.summary || d.Where != c.item.Where {
			t.Errorf("%s: %+v", name, d)
		}
		if c.verified && (d.Signer != key || d.Bundle == "") {
			t.Errorf("%s: signed by %q", name, d.Signer)
		}
		if d.SaysNo != (name == "a rejection" || name == "broken in form") {
			t.Errorf("%s: says no: %t", name, d.SaysNo)
		}
		if (len(d.Inputs) == 1) != (name == "provenance") {
			t.Errorf("%s: made from %+v", name, d.Inputs)
		}
		untrusted := chain.Describe(id, []chain.Item{c.item}, trust.Roots{})[0]
		if untrusted.Verified || untrusted.Summary != c.summary || c.verified && (untrusted.Why != "no trust was given" || untrusted.Reason != "") {
			t.Errorf("%s, and nobody trusted: %+v", name, untrusted)
		}
		if c.verified && !strings.HasPrefix(untrusted.Signer, "key ") || strings.HasSuffix(untrusted.Signer, " ") {
			t.Errorf("%s: says that it is signed by %q", name, untrusted.Signer)
		}
	}
}

// TestOrderIsThatOfAnArtifactsLife whatever digests its bundles have; what is not known here comes last.
func TestOrderIsThatOfAnArtifactsLife(t *testing.T) {
	want := []chain.Described{
		{PredicateType: attestations.PredicateOMS, Bundle: "sha256:5"},
		{PredicateType: attestations.PredicateProvenance, Bundle: "sha256:4"},
		{PredicateType: attestations.PredicateTestResult, Summary: "attack", Signer: "red", Bundle: "sha256:2"},
		{PredicateType: attestations.PredicateTestResult, Summary: "attack", Signer: "red", Bundle: "sha256:3"},
		{PredicateType: attestations.PredicateTestResult, Summary: "attack", Signer: "white", Bundle: "sha256:1"},
		{PredicateType: attestations.PredicateTestResult, Summary: "bias", Signer: "red", Bundle: "sha256:0"},
		{PredicateType: attestations.PredicateDeployment, Bundle: "sha256:0"},
		{PredicateType: "https://a.example/v1", Bundle: "sha256:7"},
		{PredicateType: attestations.PredicateCosign, Bundle: "sha256:6"},
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	bundles := func(all []chain.Described) (out []string) {
		for _, d := range all {
			out = append(out, d.PredicateType+" "+d.Bundle)
		}
		return out
	}
	if chain.Order(got); !slices.Equal(bundles(got), bundles(want)) {
		t.Errorf("%q", bundles(got))
	}
}
