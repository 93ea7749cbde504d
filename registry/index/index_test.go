package index

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

// TestIndexAnswersAfterItWasClosed records all kinds of things, opens the index again, and asks.
func TestIndexAnswersAfterItWasClosed(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	data, base, chat, small := w.family()
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		if r := w.mustUpdate(x); r.Repos != 4 || r.Artifacts != 4 || r.Opened != 8 || r.Refused != 0 {
			t.Errorf("first update: %+v", r)
		}
		mustRecord(t, x, Verdict{Decision: decided(chat, then)})
		head := mustCheck(t, x)
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		x = mustOpen(t, at, Options{})
		down, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{})
		if err != nil || down.Len() != 3 {
			t.Fatalf("impact: %v, %v", down, err)
		}
		if n, _ := down.At(2); n != artifactNode(small) || rolesTo(down, 2) != "dataset.train base-model" {
			t.Errorf("farthest is %s by %s", n, rolesTo(down, 2))
		}
		up, err := x.Lineage(t.Context(), artifactNode(small), lineage.Limits{})
		if err != nil || up.Len() != 4 {
			t.Fatalf("lineage: %v, %v", up, err)
		}
		things, err := x.About(t.Context(), artifactNode(small), artifactNode(base))
		if err != nil || len(things[0].Runs) != 1 || things[0].Runs[0].Target != "https://prod.example" || things[0].Bundles != 3 ||
			!slices.Equal(things[1].Refs, []string{w.host + "/llm/base:v1"}) || things[1].Kind != "model" {
			t.Errorf("about: %+v, %v", things, err)
		}
		if runs, err := x.Deployed(t.Context(), chat); err != nil || len(runs) != 0 {
			t.Errorf("chat runs at %v (%v)", runs, err)
		}
		verdicts, err := x.Verdicts(t.Context(), chat)
		if err != nil || len(verdicts) != 1 || verdicts[0].Verdict != policy.No || !slices.Equal(verdicts[0].Reasons, []policy.Reason{policy.NoEvidence}) {
			t.Fatalf("verdicts: %+v, %v", verdicts, err)
		}
		if raw, err := x.Decision(t.Context(), verdicts[0].Decision); err != nil || !strings.Contains(string(raw), `"hallmark.decision/v1"`) {
			t.Errorf("decision: %s, %v", raw, err)
		}
		bundles, err := x.Bundles(t.Context(), chat)
		if err != nil || len(bundles) != 2 || bundles[0].Signer == "" || bundles[0].Name == "" {
			t.Errorf("bundles: %+v, %v", bundles, err)
		}
		if again, err := x.Check(t.Context(), head); err != nil || again != head {
			t.Errorf("check: %+v, before %+v (%v)", again, head, err)
		}
		if st, err := x.State(t.Context()); err != nil || st.Nodes != 5 || st.Edges != 6 || st.Bundles != 8 || len(st.Updates) != 1 {
			t.Errorf("state: %+v, %v", st, err)
		}
	})
}

func rolesTo(r *lineage.Reach, i int) string {
	var roles []string
	for _, s := range r.Path(i) {
		roles = append(roles, s.Role)
	}
	return strings.Join(roles, " ")
}

// TestRecordWritesNothingTwice repeats what was recorded, in the same run and in another.
func TestRecordWritesNothingTwice(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		name := Named{Ref: "registry.example/llm:v1", Artifact: digest("a")}
		entries := []Entry{refusal(1), name, Verdict{Decision: decided(digest("a"), then)}, refusal(2)}
		mustRecord(t, x, entries...)
		for range 2 {
			if n, err := x.Record(t.Context(), append(entries, refusal(1), refusal(2))...); n != 0 || err != nil {
				t.Errorf("again: %d, %v", n, err)
			}
			x = mustOpen(t, at, Options{})
		}
		if h := mustCheck(t, x); h.Seq != 4 {
			t.Errorf("%d events", h.Seq)
		}
		mustRecord(t, x, Verdict{Decision: decided(digest("a"), then.Add(1))})
	})
}

// TestEvidenceThatTurnsBackIsRecordedAgain refuses a bundle, opens it, and refuses it for the same reason again: what was
// said last counts, however often it was said before, and saying it twice is saying it once.
func TestEvidenceThatTurnsBackIsRecordedAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		ok := opened(1, 0)
		bad := Refused{About: digest("n1"), Where: "here", Bundle: digest("b1"), PredicateType: "https://slsa.dev/provenance/v1", Reason: policy.UntrustedSigner, Why: "for a test"}
		x := create(t, at)
		reason := func() policy.Reason {
			t.Helper()
			bundles, err := x.Bundles(t.Context(), digest("n1"))
			if err != nil || len(bundles) != 1 {
				t.Fatalf("%+v, %v", bundles, err)
			}
			return bundles[0].Reason
		}
		for turn := range 3 {
			for _, e := range []Entry{bad, ok} {
				mustRecord(t, x, e)
				if n, err := x.Record(t.Context(), e); n != 0 || err != nil {
					t.Errorf("turn %d, the same again: %d, %v", turn, n, err)
				}
				if _, refused := e.(Refused); refused != (reason() == policy.UntrustedSigner) {
					t.Errorf("turn %d: %T was recorded, and it is %q", turn, e, reason())
				}
				x = mustOpen(t, at, Options{})
			}
		}
		mustRecord(t, x, bad, ok, bad) // in one batch
		other := bad
		other.Reason = policy.BadSignature
		mustRecord(t, x, other, bad)
		if reason() != policy.UntrustedSigner {
			t.Errorf("after a batch it is %q", reason())
		}
		if st, err := x.State(t.Context()); err != nil || st.Head.Seq != 11 || st.Refused != 1 || st.Bundles != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		mustCheck(t, x)
	})
}

// TestTwoIndexesSeeWhatTheOtherWrote has two programs, as it were, that write in turn.
func TestTwoIndexesSeeWhatTheOtherWrote(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		y := mustOpen(t, at, Options{})
		for i := range 4 {
			mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest(string(rune('a' + 2*i)))}, refusal(2*i))
			mustRecord(t, y, refusal(2*i+1), Named{Ref: "registry.example/llm:v1", Artifact: digest(string(rune('b' + 2*i)))})
		}
		for _, z := range []*Index{x, y} {
			names, err := z.Names(t.Context(), "registry.example/llm:v1")
			if err != nil || len(names) != 8 || names[7].Artifact != digest("h") {
				t.Errorf("names %v (%v)", names, err)
			}
			if h := mustCheck(t, z); h.Seq != 16 {
				t.Errorf("%d events", h.Seq)
			}
		}
	})
}

func TestNamesKeepTheirOrderUnderAClockAYearOff(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		ref := "registry.example/llm:prod"
		var want []string
		for i, off := range []time.Duration{0, 365 * 24 * time.Hour, -365 * 24 * time.Hour, time.Hour} {
			x := mustOpen(t, at, Options{Create: true, Now: func() time.Time { return then.Add(off) }})
			id := digest(string(rune('a' + i%3))) // it comes back to the first
			mustRecord(t, x, Named{Ref: ref, Artifact: id})
			want = append(want, id)
			_ = x.Close()
		}
		x := mustOpen(t, at, Options{})
		mustRecord(t, x, Named{Ref: ref})
		names, err := x.Names(t.Context(), ref)
		var got []string
		for _, n := range names {
			got = append(got, n.Artifact)
		}
		if err != nil || !slices.Equal(got, append(want, "")) || names[1].Since != then.AddDate(1, 0, 0) || !names[4].Until.IsZero() || names[2].Until != names[3].Since {
			t.Errorf("%+v (%v)", names, err)
		}
		if things, err := x.About(t.Context(), artifactNode(want[3])); err != nil || len(things[0].Refs) != 0 {
			t.Errorf("what is gone is named %v (%v)", things, err)
		}
		mustCheck(t, x)
	})
}

func TestRecordRefusesWhatSaysNothing(t *testing.T) {
	x := create(t, filepath.Join(t.TempDir(), "index.db"))
	for name, e := range map[string]Entry{
		"no reference":          Named{Artifact: digest("a")},
		"no digest":             Named{Ref: "registry.example/llm:v1", Artifact: "sha256:1"},
		"nobody opened it":      Opened{},
		"no artifact is listed": Listed{Repo: "registry.example/llm"},
		"no place":              Refused{Reason: policy.BadSignature},
		"no reason":             Refused{Where: "here"},
		"a verdict on nothing":  Verdict{Decision: policy.Decision{}},
		"under no policy":       Verdict{Decision: decided(digest("a"), then), Policy: "mine"},
		"no scope":              Updated{},
	} {
		if n, err := x.Record(t.Context(), refusal(1), e); err == nil || n != 0 {
			t.Errorf("%s: %d were written, %v", name, n, err)
		}
	}
	if h := mustCheck(t, x); h.Seq != 0 {
		t.Errorf("%d events of entries that came with a wrong one", h.Seq)
	}
	mustRecord(t, x, refusal(1), Named{Ref: "registry.example/llm:v1", Artifact: digest("a")})
}

func TestUnknownIsAnErrorAndNoEmptyAnswer(t *testing.T) {
	x := create(t, InMemory)
	mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest("a")})
	n := artifactNode(digest("b"))
	_, impact := x.Impact(t.Context(), n, lineage.Limits{})
	_, up := x.Lineage(t.Context(), n, lineage.Limits{})
	_, about := x.About(t.Context(), n)
	_, bundles := x.Bundles(t.Context(), n.Digest)
	_, runs := x.Deployed(t.Context(), n.Digest)
	for i, err := range []error{impact, up, about, bundles, runs} {
		if !errors.Is(err, lineage.ErrUnknown) {
			t.Errorf("question %d: %v", i, err)
		}
	}
	if r, err := x.Impact(t.Context(), artifactNode(digest("a")), lineage.Limits{}); err != nil || r.Len() != 0 {
		t.Errorf("known, and nothing was made from it: %v, %v", r, err)
	}
}

// TestDeploymentsEndWhenTheyAreRetired states what was done at two targets, out of order.
func TestDeploymentsEndWhenTheyAreRetired(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	id := w.push("llm/chat", "v1",
		deployment("https://a.example", attestations.Retired, then.Add(2*time.Hour)), deployment("https://a.example", attestations.Deployed, then),
		deployment("https://b.example", attestations.Retired, then), deployment("https://b.example", attestations.RolledBack, then.Add(time.Hour)),
		deployment("https://c.example", attestations.Retired, then), deployment("https://c.example", attestations.Deployed, then))
	x := create(t, InMemory)
	w.mustUpdate(x)
	runs, err := x.Deployed(t.Context(), id)
	var at []string
	for _, r := range runs {
		at = append(at, r.Target)
	}
	if err != nil || !slices.Equal(at, []string{"https://b.example", "https://c.example"}) {
		t.Errorf("runs at %q (%v)", at, err)
	}
}

// TestDeploymentsDoNotDependOnTheOrderTheyAreReadIn records a deployment and its end in both orders.
func TestDeploymentsDoNotDependOnTheOrderTheyAreReadIn(t *testing.T) {
	for _, c := range []struct {
		deployed, retired time.Time
		runs              int
	}{{then, then.Add(1), 0}, {then.Add(1), then, 1}, {then, then, 1}} {
		entry := func(n int, action attestations.DeploymentAction, at time.Time) Entry {
			o := opened(n, n).(Opened)
			o.body.About, o.body.Deployment = digest("a"), deploymentBody{"https://prod.example", string(action), at}
			return o
		}
		up, down := entry(1, attestations.Deployed, c.deployed), entry(2, attestations.Retired, c.retired)
		for _, order := range [][]Entry{{up, down}, {down, up}} {
			x := create(t, InMemory)
			mustRecord(t, x, order...)
			if runs, err := x.Deployed(t.Context(), digest("a")); err != nil || len(runs) != c.runs {
				t.Errorf("deployed %s, retired %s: runs %v (%v)", c.deployed, c.retired, runs, err)
			}
		}
	}
}

// TestNewestRevocationListCounts has the newer list take an entry back.
func TestNewestRevocationListCounts(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	id := w.push("llm/chat", "v1")
	entry := attestations.Revocation{Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: id[7:]}, Scope: attestations.ScopeDescendants, Reason: "poisoned", Since: then}
	list := attestations.Revocations{Sequence: 2, Issued: then, Expires: then.AddDate(0, 1, 0), Entries: []attestations.Revocation{entry}}
	w.attach("llm/chat", id, list)
	x := create(t, InMemory)
	w.mustUpdate(x)
	things, err := x.About(t.Context(), artifactNode(id))
	if err != nil || len(things[0].Revoked) != 1 || things[0].Revoked[0].Reason != "poisoned" || things[0].Revoked[0].By == "" {
		t.Errorf("revoked: %+v (%v)", things, err)
	}
	list.Sequence, list.Entries = 1, []attestations.Revocation{}
	w.attach("llm/chat", id, list)
	w.mustUpdate(x)
	if things, err = x.About(t.Context(), artifactNode(id)); err != nil || len(things[0].Revoked) != 1 {
		t.Errorf("an older list took it back: %+v (%v)", things, err)
	}
	list.Sequence = 3
	w.attach("llm/chat", id, list)
	w.mustUpdate(x)
	if things, err = x.About(t.Context(), artifactNode(id)); err != nil || len(things[0].Revoked) != 0 {
		t.Errorf("a newer list did not take it back: %+v (%v)", things, err)
	}
}
