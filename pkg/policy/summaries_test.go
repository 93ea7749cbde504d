package policy_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// TestASummaryOnWhatIsRevokedDeniesEveryWay, as an account that names it does. One that is merely of no use denies none.
func TestASummaryOnWhatIsRevokedDeniesEveryWay(t *testing.T) {
	pinned := func() *story {
		s := newStory()
		s.nodes[idBase].Evidence = nil
		s.add(idBase, says("data", summary()))
		s.doc.Steps["base"].AnyOf[2].Pinned = []string{idBase}
		return s
	}
	pinned().decides(t)
	s := pinned()
	s.revoke(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true})
	s.decides(t, policy.Revoked)
	s = pinned()
	s.claim(idBase, policy.TypeVSA).VSA.Oldest = ago(91 * day)
	s.decides(t)
}

// TestASummaryStandsForWhatIsAskedForByItsName: by the digest that it was resolved to, or as the caller wrote it; what has
// no name is nothing that a summary is about.
func TestASummaryStandsForWhatIsAskedForByItsName(t *testing.T) {
	for resource, good := range map[string]bool{"oci://example.com/chat:v1": true, "oci://example.com/chat@sha256:1": true, "oci://example.com/other": false, "": false} {
		s := newStory()
		s.doc.Targets[""] = "summed"
		s.doc.Steps["summed"] = &policy.Step{Name: "summed", AnyOf: []*policy.Alternative{s.doc.Steps["base"].AnyOf[1]}}
		c := summary()
		c.Subject, c.VSA.Resource = idRelease, resource
		s.add(idRelease, says("data", c))
		a := &s.nodes[idRelease].Artifact
		a.Ref, a.Pinned = "oci://example.com/chat:v1", "oci://example.com/chat@sha256:1"
		if resource == "" {
			a.Pinned = ""
		}
		if good {
			s.decides(t)
		} else {
			s.decides(t, policy.VSARefused, policy.NoAlternative)
		}
	}
}

// TestProvenanceIsHeldToItsRule as evidence is to its own.
func TestProvenanceIsHeldToItsRule(t *testing.T) {
	ruled := func(source string) *story {
		s := newStory()
		s.claim(idRelease, policy.TypeProvenance).Fields = map[string]any{"runs": 3.0}
		s.doc.Steps["release"].Provenance.Rule = mustCompile(source)
		return s
	}
	ruled("predicate.runs == 3").decides(t)
	ruled("predicate.runs == 4").decides(t, policy.RuleFailed, policy.LinkUnattested)
	ruled("predicate.steps == 3").decides(t, policy.RuleError, policy.LinkUnattested)
}
