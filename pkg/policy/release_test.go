package policy_test

import (
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// release has the story's policy ask for a place in a channel, and states one.
func (s *story) release(sequence uint64) {
	s.doc.Steps["release"].Release = &policy.Release{Channel: "stable", Signers: []string{"trainer"}}
	s.add(idRelease, says("trainer", policy.Claim{Type: policy.TypeRelease, Subject: idRelease, Kind: "model", At: ago(day),
		Release: &policy.ReleaseClaim{Channel: "stable", Sequence: sequence}}))
}

func rollback(by ...string) func(s *story) {
	return func(s *story) {
		s.doc.Steps["release"].Release.Rollback = &policy.Quorum{Signers: []string{"lead1", "lead2"}, Distinct: 2}
		for _, name := range by {
			c := approved(day)
			c.Fields = map[string]any{"scope": []any{"rollback"}}
			s.add(idRelease, says(name, c))
		}
	}
}

func TestWalkKeepsTheOrderOfReleases(t *testing.T) {
	seen := func(n uint64) func(*story) {
		return func(s *story) { s.o.State = &policy.State{Channels: map[string]uint64{"stable": n}} }
	}
	for name, c := range map[string]struct {
		change []func(s *story)
		reason policy.Reason // empty: a yes
	}{
		"newer than was seen":         {[]func(*story){seen(6)}, ""},
		"the one that was seen":       {[]func(*story){seen(7)}, ""},
		"older":                       {[]func(*story){seen(8)}, policy.ReleaseRollback},
		"seen for the first time":     {[]func(*story){func(s *story) { s.o.State = &policy.State{} }}, ""},
		"nothing remembered":          {nil, policy.StateMissing},
		"a floor below":               {[]func(*story){func(s *story) { s.o.Floors = map[string]uint64{"stable": 7} }}, ""},
		"a floor above":               {[]func(*story){func(s *story) { s.o.Floors = map[string]uint64{"stable": 8} }}, policy.ReleaseRollback},
		"a floor above what was seen": {[]func(*story){seen(6), func(s *story) { s.o.Floors = map[string]uint64{"stable": 8} }}, policy.ReleaseRollback},
		"another channel's floor":     {[]func(*story){func(s *story) { s.o.Floors = map[string]uint64{"beta": 1} }}, policy.StateMissing},
		"another channel": {[]func(*story){seen(6), func(s *story) {
			s.claim(idRelease, policy.TypeRelease).Release.Channel = "beta"
		}}, policy.EvidenceMissing},
		"released by another": {[]func(*story){seen(6), func(s *story) { e := s.nodes[idRelease].Evidence; e[len(e)-1].Signer = key("red") }}, policy.EvidenceMissing},
		"released again since": {[]func(*story){seen(8), func(s *story) {
			for _, n := range []uint64{6, 9, 5} {
				again := *s.claim(idRelease, policy.TypeRelease)
				again.Release = &policy.ReleaseClaim{Channel: "stable", Sequence: n}
				e := says("trainer", again)
				e.Digest = artifactID(string(rune('a' + n)))
				s.add(idRelease, e)
			}
		}}, ""},
		"older, and rolled back":   {[]func(*story){seen(8), rollback("lead1", "lead2")}, ""},
		"older, approved by one":   {[]func(*story){seen(8), rollback("lead1")}, policy.ReleaseRollback},
		"older, approved for more": {[]func(*story){seen(8), rollback()}, policy.ReleaseRollback}, // the sign-off is for production
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.release(7)
			for _, change := range c.change {
				change(s)
			}
			d := s.decide()
			if c.reason == "" && d.Verdict() != policy.Yes || c.reason != "" && (d.Verdict() != c.reason.Verdict() || !slices.Contains(d.Reasons(), c.reason)) {
				t.Errorf("%s because of %v, want %s\n%+v", d.Verdict(), d.Reasons(), c.reason, d.Checks)
			}
		})
	}
}

func TestStateRemembersAReleaseOnlyAfterAYes(t *testing.T) {
	for _, spoil := range []bool{false, true} {
		s := newStory()
		s.release(7)
		s.o.State = &policy.State{Channels: map[string]uint64{"stable": 6}}
		if spoil {
			s.drop(idRelease, ofType(policy.TypeTestResult))
		}
		w := s.walk()
		d := w.Decide()[0]
		want := uint64(7)
		if spoil {
			want = 6
		}
		if got := w.State().Channels["stable"]; got != want {
			t.Errorf("after a %s the channel is at %d, want %d", d.Verdict(), got, want)
		}
		if s.o.State.Channels["stable"] != 6 {
			t.Error("the caller's state was changed")
		}
	}
}

// adapterOn is the story as that of an adapter, which is used with the artifact base.
func adapterOn(base string) *story {
	s := newStory()
	s.doc.Targets = map[string]string{"adapter": "release", "model": "served"}
	s.doc.Steps["release"].Kind = "adapter"
	s.doc.Steps["served"] = &policy.Step{Name: "served", Signature: &policy.Quorum{Signers: []string{"trainer"}, Distinct: 1}}
	s.nodes[idRelease].Evidence[0].Kind = "adapter"
	for _, e := range s.nodes[idRelease].Evidence[1:] {
		e.Claim.Kind = "adapter"
	}
	if s.nodes[base] == nil {
		s.nodes[base] = &policy.Facts{Artifact: policy.Artifact{ID: base, Files: 1}}
	}
	s.add(base, signature("trainer", "model"))
	s.more = []string{base}
	return s
}

func TestWalkRefusesAnAdapterOnAnotherBase(t *testing.T) {
	if d := adapterOn(idBase).decide(); d.Verdict() != policy.Yes {
		t.Errorf("on its base: %s because of %v\n%+v", d.Verdict(), d.Reasons(), d.Checks)
	}
	other := adapterOn(idOther)
	other.nodes[idOther].Artifact.Ref = "./other"
	if d := other.decide(); d.Verdict() != policy.No || !slices.Equal(d.Reasons(), []policy.Reason{policy.BaseMismatch}) ||
		named(d.Checks, "base").Detail != "it was made for base "+idBase+", and is used with ./other" {
		t.Errorf("on another: %s because of %v\n%+v", d.Verdict(), d.Reasons(), d.Checks)
	}
	unknown := adapterOn(idBase)
	unknown.doc.Steps["release"].Provenance, unknown.doc.Steps["release"].Inputs = nil, nil
	if d := unknown.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.BaseMismatch) {
		t.Errorf("made for nobody knows which: %s because of %v", d.Verdict(), d.Reasons())
	}
}

func TestLatestTakesEachPrincipalsNewestStatementAlone(t *testing.T) {
	s := newStory()
	s.doc.Steps["release"].Evidence[0].Latest = true
	if d := s.decide(); d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v", d.Verdict(), d.Reasons())
	}
	s.add(idRelease, says("red", tested(2*day, 0.1)))
	if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.RuleFailed) {
		t.Errorf("a newer, worse one: %s because of %v", d.Verdict(), d.Reasons())
	}
	s.add(idRelease, says("red", tested(day, 0.9)))
	if d := s.decide(); d.Verdict() != policy.Yes {
		t.Errorf("a still newer, better one: %s because of %v", d.Verdict(), d.Reasons())
	}
	tie := tested(day, 0.2)
	s.add(idRelease, says("red", tie))
	s.nodes[idRelease].Evidence[len(s.nodes[idRelease].Evidence)-1].Digest = artifactID("tie")
	if d := s.decide(); d.Verdict() != policy.No {
		t.Errorf("two newest that differ: %s", d.Verdict())
	}
}

func TestWaiversExcuseNothingElse(t *testing.T) {
	for name, spoil := range map[string]func(s *story){
		"another artifact":    func(s *story) { s.doc.Waivers[0].Subject = idOther },
		"another step":        func(s *story) { s.doc.Waivers[0].Step = "data" },
		"another requirement": func(s *story) { s.doc.Waivers[0].Evidence = "sign-off" },
		"another finding":     func(s *story) { s.doc.Waivers[0].Finding = policy.EvidenceMissing },
		"one that has ended":  func(s *story) { s.doc.Waivers[0].Until = ago(1) },
		"one that is refuted": func(s *story) { no := tested(day, 0); no.SaysNo = true; s.add(idRelease, says("red", no)) },
		"one that fails too":  func(s *story) { s.claim(idRelease, policy.TypeTestResult).Metrics[0].Value = 0 },
		"an approval's expiry": func(s *story) {
			s.claim(idRelease, policy.TypeTestResult).At = ago(day)
			s.claim(idRelease, policy.TypeApproval).Expires = ago(1)
			s.doc.Waivers = append(s.doc.Waivers, waiver(policy.Stale, "sign-off"))
		},
		"an approval that is missing": func(s *story) {
			s.claim(idRelease, policy.TypeTestResult).At = ago(day)
			s.drop(idRelease, ofType(policy.TypeApproval))
			s.doc.Waivers = append(s.doc.Waivers, waiver(policy.EvidenceMissing, "sign-off"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.claim(idRelease, policy.TypeTestResult).At = ago(31 * day)
			s.doc.Waivers = []policy.Waiver{waiver(policy.Stale, "robustness")}
			if d := s.decide(); d.Verdict() != policy.Yes {
				t.Fatalf("the waiver by itself: %s because of %v", d.Verdict(), d.Reasons())
			}
			spoil(s)
			if d := s.decide(); d.Verdict() != policy.No {
				t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
			}
		})
	}
}
