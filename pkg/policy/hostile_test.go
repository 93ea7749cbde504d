package policy_test

import (
	"slices"
	"testing"

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
