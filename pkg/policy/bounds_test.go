package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// TestWalkTakesNoMoreArtifactsThanItsCap: the target is one of them.
func TestWalkTakesNoMoreArtifactsThanItsCap(t *testing.T) {
	for more, capped := range map[int]bool{0: false, 1: true} {
		s := newStory()
		m := s.claim(idRelease, policy.TypeProvenance).Making
		m.Inputs = nil
		for i := range policy.MaxNodes - 1 + more {
			m.Inputs = append(m.Inputs, policy.Input{Role: "dataset.train", Class: "artifact", Digest: artifactID(fmt.Sprint(i)), Content: true})
		}
		w := policy.NewWalk(s.doc, s.o)
		w.Start(*s.nodes[idRelease])
		if n := len(w.Wants()); n != policy.MaxNodes-1 {
			t.Errorf("wants %d inputs", n)
		}
		if d := w.Decide()[0]; slices.Contains(d.Reasons(), policy.CapReached) != capped {
			t.Errorf("%d artifacts: %v", policy.MaxNodes+more, d.Reasons())
		}
	}
}

// TestWalkShowsEachArtifactOnceInAStep though a cycle leads back to what is decided on.
func TestWalkShowsEachArtifactOnceInAStep(t *testing.T) {
	s := newStory()
	cycle(s)
	var links []string
	for _, l := range s.decide().Chain {
		links = append(links, l.Step+" "+l.Artifact.ID)
	}
	if !slices.Equal(links, []string{"release " + idRelease, "base " + idBase, "data " + idData}) {
		t.Errorf("%q", links)
	}
}

// TestWalkAsksForNothingThatItIsToldOf: what is used together is known before any link to it is followed.
func TestWalkAsksForNothingThatItIsToldOf(t *testing.T) {
	s := adapterOn(idBase)
	w := policy.NewWalk(s.doc, s.o)
	w.Start(*s.nodes[idRelease], *s.nodes[idBase])
	if wants := w.Wants(); len(wants) != 1 || wants[0].ID != idData {
		t.Errorf("wants %v", wants)
	}
}

// TestWalkFollowsNothingThatThePolicyDoesNotMention: a tool, say, is neither refused nor shown.
func TestWalkFollowsNothingThatThePolicyDoesNotMention(t *testing.T) {
	s := newStory()
	m := s.claim(idRelease, policy.TypeProvenance).Making
	m.Inputs = append(m.Inputs, policy.Input{Name: "torch", Role: "tool", Class: "file", Digest: idOther})
	d := s.decide()
	if d.Verdict() != policy.Yes || len(d.Chain[0].Edges) != 3 {
		t.Errorf("%s because of %v: %+v", d.Verdict(), d.Reasons(), d.Chain[0].Edges)
	}
}

// TestANoIsTakenBackByWhoSaidItAlone: two of three are asked for, and one of them says no.
func TestANoIsTakenBackByWhoSaidItAlone(t *testing.T) {
	for by, reasons := range map[string][]policy.Reason{"lead1": nil, "lead2": {policy.Refuted, policy.QuorumMissed}} {
		s := newStory()
		s.doc.Identities["lead3"] = policy.Principal{{Key: "lead3"}}
		s.doc.Steps["release"].Evidence[1].Signers = []string{"lead1", "lead2", "lead3"}
		s.drop(idRelease, ofType(policy.TypeApproval))
		no := approved(10 * day)
		no.SaysNo = true
		s.add(idRelease, says("lead1", no), says("lead3", approved(12*day)), says(by, approved(5*day)))
		if by == "lead1" {
			s.add(idRelease, says("lead2", approved(11*day)))
		}
		t.Run(by, func(t *testing.T) { s.decides(t, reasons...) })
	}
}

// TestAWayBeyondTheCapIsADontKnow: nobody looked whether it holds.
func TestAWayBeyondTheCapIsADontKnow(t *testing.T) {
	for inputs, capped := range map[int]bool{policy.MaxNodes - 2: false, policy.MaxNodes - 1: true} {
		s := newStory()
		step := s.doc.Steps["release"]
		step.Inputs = map[string]*policy.Inputs{"dataset.train": {Step: "base"}}
		step.AnyOf = []*policy.Alternative{{Step: "data"}}
		s.doc.Steps["data"] = &policy.Step{Name: "data", AnyOf: []*policy.Alternative{{Pinned: []string{idRelease}}}}
		m := s.claim(idRelease, policy.TypeProvenance).Making
		m.Inputs = nil
		for i := range inputs {
			m.Inputs = append(m.Inputs, policy.Input{Role: "dataset.train", Class: "artifact", Digest: artifactID(fmt.Sprint(i)), Content: true})
		}
		w := policy.NewWalk(s.doc, s.o)
		w.Start(*s.nodes[idRelease])
		d := w.Decide()[0] // nobody looked at the inputs either
		want := policy.Yes
		if capped {
			want = policy.Unknown
		}
		if c := named(d.Checks, "any-of"); c.Verdict != want || d.Verdict() != policy.Unknown || slices.Contains(d.Reasons(), policy.CapReached) != capped {
			t.Errorf("%d artifacts: %s because of %v; the way: %s", inputs+2, d.Verdict(), d.Reasons(), c.Verdict)
		}
	}
}
