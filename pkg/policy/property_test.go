package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// piece is one bundle that a story may have, and whether taking it away may turn a no into a yes: because it is what said
// no. These are all the exceptions that there are.
type piece struct {
	on     string
	e      policy.Evidence
	except string
}

// pieces are the evidence of newStory, and what could be there besides.
func pieces() []piece {
	var out []piece
	s := newStory()
	for _, id := range []string{idRelease, idBase, idData} {
		for _, e := range s.nodes[id].Evidence {
			out = append(out, piece{on: id, e: e})
		}
	}
	says := func(on, by, except string, c policy.Claim) { out = append(out, piece{on, says(by, c), except}) }
	no := func(c policy.Claim, before time.Duration) policy.Claim { c.SaysNo, c.At = true, ago(before); return c }
	says(idRelease, "red", "a newer negative", no(tested(0, 0), day))
	says(idRelease, "red", "", no(tested(0, 0), 20*day))
	says(idRelease, "red", "", tested(2*day, 0.9))
	says(idRelease, "red", "", tested(3*day, 0.1))
	says(idRelease, "lead2", "a newer negative", no(approved(0), day))
	says(idRelease, "trainer", "", made(idRelease, 2*day))
	second := made(idRelease, 3*day)
	second.Making.Inputs = second.Making.Inputs[:2]
	says(idRelease, "trainer", "a second account", second)
	says(idBase, "data", "a newer negative", policy.Claim{Type: policy.TypeVSA, Subject: idBase, At: ago(day), SaysNo: true,
		VSA: &policy.VSAClaim{Verifier: "https://acme.example/verify"}})
	says(idBase, "data", "", summary())
	calls := signature("trainer", "dataset")
	calls.Digest = artifactID("another kind")
	out = append(out, piece{idRelease, calls, "calls it another kind"})
	work := signature("lead1", "model")
	work.Digest = artifactID("own work")
	out = append(out, piece{idRelease, work, "shows that an approver made it"})
	late := stranger("mary", tested(0, 0.9))
	at := now.Add(time.Hour)
	late.Time = &at
	out = append(out, piece{idRelease, late, "shows that the clock is behind"})
	return out
}

func stranger(by string, c policy.Claim) policy.Evidence { return says(by, c) }

// told is the verdict of the story with just these pieces.
func told(all []piece, change func(*story)) policy.Decision {
	s := newStory()
	s.doc.Steps["release"].Signature.Signers = []string{"trainer", "lead1"}
	for _, id := range []string{idRelease, idBase, idData} {
		s.nodes[id].Evidence = nil
	}
	for _, p := range all {
		s.add(p.on, p.e)
	}
	if change != nil {
		change(s)
	}
	return s.decide()
}

// chosen draws pieces; most of those that the yes rests on are there, so that both verdicts are met.
func chosen(t *rapid.T) []piece {
	var out []piece
	for i, p := range pieces() {
		often := 9
		if p.except != "" {
			often = 2
		}
		if rapid.IntRange(0, 9).Draw(t, fmt.Sprint("piece ", i)) < often {
			out = append(out, p)
		}
	}
	return out
}

func TestTakingEvidenceAwayNeverTurnsANoIntoAYes(t *testing.T) {
	excepted, refused, allowed := map[string]bool{}, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		all := chosen(t)
		if told(all, nil).Verdict() == policy.Yes {
			allowed++
			return
		}
		refused++
		for i, p := range all {
			if told(slices.Delete(slices.Clone(all), i, i+1), nil).Verdict() != policy.Yes {
				continue
			}
			if p.except == "" {
				t.Fatalf("without %s on %s it is a yes", p.e.Where, p.on)
			}
			excepted[p.except] = true
		}
	})
	if refused == 0 || allowed == 0 {
		t.Errorf("%d refused, %d allowed: the test sees one side alone", refused, allowed)
	}
	for _, p := range pieces() { // the list of exceptions is no longer than it has to be
		if p.except != "" && len(excepted) > 0 && told(append(yes(), p), nil).Verdict() == policy.Yes {
			t.Errorf("%q is excepted, and changes nothing", p.except)
		}
	}
}

// yes are the pieces of newStory alone.
func yes() []piece {
	return slices.DeleteFunc(pieces(), func(p piece) bool {
		return p.except != "" || !slices.ContainsFunc(newStory().nodes[p.on].Evidence, func(e policy.Evidence) bool { return e.Digest == p.e.Digest })
	})
}

func TestAddingUntrustedEvidenceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := chosen(t)
		before := told(all, nil)
		after := told(all, func(s *story) {
			for i, p := range pieces() {
				if rapid.Bool().Draw(t, fmt.Sprint("stranger's ", i)) {
					e := p.e
					e.Signer, e.Digest, e.Time = key("mary"), artifactID(fmt.Sprint("m", i)), nil
					s.add(p.on, e)
				}
			}
		})
		if before.Verdict() != after.Verdict() {
			t.Fatalf("%s because of %v before, %s because of %v with a stranger's evidence", before.Verdict(), before.Reasons(), after.Verdict(), after.Reasons())
		}
	})
}

func TestOrderNamesAndCopiesOfEvidenceChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := chosen(t)
		before := told(all, nil)
		shuffled := rapid.Permutation(all).Draw(t, "order")
		for i := range shuffled {
			shuffled[i].e.Where = fmt.Sprint("elsewhere ", i)
			if rapid.Bool().Draw(t, "twice") {
				shuffled = append(shuffled, shuffled[i])
			}
		}
		after := told(shuffled, nil)
		if before.Verdict() != after.Verdict() || !slices.Equal(sorted(before.Reasons()), sorted(after.Reasons())) {
			t.Fatalf("%s because of %v, then %s because of %v", before.Verdict(), before.Reasons(), after.Verdict(), after.Reasons())
		}
	})
}

func sorted(codes []policy.Reason) []policy.Reason {
	slices.Sort(codes)
	return slices.Compact(codes)
}
