package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// decides holds a story to a yes, or to a verdict that follows from exactly these reasons.
func (s *story) decides(t *testing.T, reasons ...policy.Reason) {
	t.Helper()
	d := s.decide()
	verdict := policy.Yes
	for _, r := range reasons {
		verdict = min(verdict, r.Verdict())
	}
	if got := d.Reasons(); d.Verdict() != verdict || !slices.Equal(sorted(got), sorted(slices.Clone(reasons))) {
		t.Errorf("%s because of %v, want %s because of %v\n%+v", d.Verdict(), got, verdict, reasons, d.Checks)
	}
}

// TestWalkRefusesWhatASignatureLeavesOutWhereNoneIsAsked: somebody whom the policy knows for something else signs that a
// file does not belong to the artifact.
func TestWalkRefusesWhatASignatureLeavesOutWhereNoneIsAsked(t *testing.T) {
	unsigned := func() *story {
		s := newStory()
		s.doc.Steps["release"].Signature = nil
		s.nodes[idRelease].Evidence[0].Signer = key("red")
		return s
	}
	unsigned().decides(t)
	s := unsigned()
	s.nodes[idRelease].Artifact.Uncovered = []string{"evil.py"}
	s.decides(t, policy.Uncovered)
}

// TestWalkTakesNoTimeThatIsYetToCome: what nobody but the signer dates may be of any age, and outranks nothing.
func TestWalkTakesNoTimeThatIsYetToCome(t *testing.T) {
	s := newStory()
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(30 * time.Second) // clocks differ
	s.decides(t)
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(400 * day)
	s.decides(t, policy.Stale)

	s = newStory()
	s.doc.Steps["release"].Evidence[0].MaxAge = 0
	s.doc.Steps["release"].Evidence[0].Signers = []string{"red", "data"}
	no := tested(5*day, 0.1)
	no.SaysNo = true
	s.add(idRelease, says("data", no))
	s.claim(idRelease, policy.TypeTestResult).At = ago(day)
	s.decides(t)
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(400 * day)
	s.decides(t, policy.Stale, policy.Refuted)
	seen := ago(day)
	s.nodes[idRelease].Evidence[2].Time = &seen // somebody trusted saw it before
	s.decides(t)

	s = newStory()
	s.nodes[idBase].Evidence = nil
	s.add(idBase, says("data", summary()))
	s.decides(t)
	s.claim(idBase, policy.TypeVSA).VSA.Oldest, s.claim(idBase, policy.TypeVSA).At = now.Add(9*day), now.Add(9*day)
	s.decides(t, policy.LinkUnattested, policy.NotPinned, policy.NoAlternative, policy.Stale)
}
