package index

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// TestUpdateAsksForUnchangedArtifactsByDigestAlone counts what a second update asks for.
func TestUpdateAsksForUnchangedArtifactsByDigestAlone(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true, PageSize: 2})
	_, _, chat, _ := w.family()
	now := then
	x := mustOpen(t, InMemory, Options{Now: func() time.Time { now = now.Add(time.Second); return now }})
	w.mustUpdate(x)
	before := len(w.g.Requests())
	r := w.mustUpdate(x)
	if r.Artifacts != 4 || r.Unchanged != 4 || r.Opened != 0 || r.New != 1 { // that it was looked at
		t.Errorf("second update: %+v", r)
	}
	for _, q := range w.g.Requests()[before:] {
		if q.Method == http.MethodGet && (strings.Contains(q.URI, "/manifests/") || strings.Contains(q.URI, "/blobs/")) {
			t.Errorf("unchanged, and asked: %s", q)
		}
	}
	w.attach("llm/chat", chat, deployment("https://prod.example", attestations.Deployed, then))
	if r := w.mustUpdate(x); r.Unchanged != 3 || r.Opened != 3 || r.New != 3 { // the new bundle, the list, the look
		t.Errorf("after one more bundle: %+v", r)
	}
	if runs, err := x.Deployed(t.Context(), chat); err != nil || len(runs) != 1 {
		t.Errorf("runs %v (%v)", runs, err)
	}
}

// TestUpdateFollowsTags moves a tag, takes one away, and takes another one for a scope that it is not in.
func TestUpdateFollowsTags(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	one, two := w.push("llm/one", "v1"), w.push("llm/two", "v1")
	w.push("other/three", "v1")
	raw, _ := w.g.Manifest("llm/two", two)
	w.g.PutManifest("llm/one", ocispec.MediaTypeImageManifest, raw, "")
	x := create(t, InMemory)
	w.mustUpdate(x)
	w.g.Tag("llm/one", "v1", two)
	w.g.Tag("llm/two", "v1", "")
	w.g.Tag("other/three", "v1", "")
	if r, err := w.update(x, "/llm/"); err != nil || len(r.Problems) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	for ref, want := range map[string][]string{"llm/one": {one, two}, "llm/two": {two, ""}, "other/three": {digestOf(t, x, w.host+"/other/three:v1")}} {
		names, err := x.Names(t.Context(), w.host+"/"+ref+":v1")
		var got []string
		for _, n := range names {
			got = append(got, n.Artifact)
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q (%v)", ref, got, want, err)
		}
	}
}

func digestOf(t *testing.T, x *Index, ref string) string {
	t.Helper()
	names, err := x.Names(t.Context(), ref)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", ref, names, err)
	}
	return names[0].Artifact
}

// TestUpdateLooksBelowIndexes has an index of two artifacts, one of which has a tag of its own.
func TestUpdateLooksBelowIndexes(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	id := w.push("llm/chat", "v1")
	raw, _ := w.g.Manifest("llm/chat", id)
	x := create(t, InMemory)
	list := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + id + `","size":1}]}`
	w.g.Tag("llm/chat", "v1", "")
	top := w.g.PutManifest("llm/chat", ocispec.MediaTypeImageIndex, []byte(list), "all")
	if len(raw) == 0 {
		t.Fatal("nothing was pushed")
	}
	for n, want := range []int{0, 2} {
		r := w.mustUpdate(x)
		if r.Artifacts != 2 || r.Unchanged != want {
			t.Errorf("update %d: %+v", n+1, r)
		}
	}
	if bundles, err := x.Bundles(t.Context(), id); err != nil || len(bundles) != 1 {
		t.Errorf("below the index: %v (%v)", bundles, err)
	}
	if bundles, err := x.Bundles(t.Context(), top); err != nil || len(bundles) != 0 {
		t.Errorf("the index: %v (%v)", bundles, err)
	}
}

// TestUpdateDoesNotFollowWhatItCannotOpen has provenance by a stranger, one about another artifact, and one that counts.
func TestUpdateDoesNotFollowWhatItCannotOpen(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	data := w.push("data/corpus", "v1")
	chat := w.push("llm/chat", "v1")
	p := made(attestations.BuildTrain, source, input(attestations.RoleDatasetTrain, data))
	ours := w.by
	w.by = newSigner(t)
	w.attach("llm/chat", chat, p)
	w.by = ours
	w.attach("data/corpus", data, deployment("https://prod.example", attestations.Deployed, then)) // sound
	stray := w.state(chat, p)
	x := create(t, InMemory)
	r := w.mustUpdate(x)
	if r.Refused != 1 || r.Opened != 3 {
		t.Errorf("%+v", r)
	}
	bundles, err := x.Bundles(t.Context(), chat)
	if err != nil || !slices.ContainsFunc(bundles, func(b Bundle) bool { return b.Reason == policy.UntrustedSigner && b.Signer == "" && b.Name != "" }) {
		t.Errorf("bundles %+v (%v)", bundles, err)
	}
	if r, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{}); err != nil || r.Len() != 0 {
		t.Errorf("a stranger's word is followed: %v (%v)", r, err)
	}
	if st, err := x.State(t.Context()); err != nil || st.Refused != 1 {
		t.Errorf("state %+v (%v)", st, err)
	}
	w.attachTo("data/corpus", data, stray)
	if r := w.mustUpdate(x); r.Refused != 1 || r.Opened != 2 {
		t.Errorf("with a claim about another artifact: %+v", r)
	}
	if bundles, err = x.Bundles(t.Context(), data); err != nil || !slices.ContainsFunc(bundles, func(b Bundle) bool { return b.Reason == policy.IDMismatch }) {
		t.Errorf("bundles %+v (%v)", bundles, err)
	}
	w.attach("llm/chat", chat, p)
	w.mustUpdate(x)
	if r, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{}); err != nil || r.Len() != 1 {
		t.Errorf("ours is not followed: %v (%v)", r, err)
	}
}

// TestBundleOnAnotherArtifactIsRefused attaches to one artifact all that is signed about another: a signature on its files,
// a claim, and what cosign looks for.
func TestBundleOnAnotherArtifactIsRefused(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	one, two := w.push("llm/one", "v1", deployment("https://prod.example", attestations.Deployed, then)), w.push("llm/two", "v1")
	st, err := attestations.NewCosignStatement(one)
	if err != nil {
		t.Fatal(err)
	}
	w.attachTo("llm/one", one, w.sign(st))
	x := create(t, InMemory)
	if r := w.mustUpdate(x); r.Opened != 4 || r.Refused != 0 {
		t.Fatalf("where they belong: %+v", r)
	}
	ref, err := registry.ParseRef(w.host + "/llm/one@" + one)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := registry.Find(t.Context(), ref, w.options())
	if err != nil {
		t.Fatal(err)
	}
	items, err := stored.Evidence(t.Context())
	if err != nil || len(items) != 3 {
		t.Fatalf("%d bundles, %v", len(items), err)
	}
	for _, item := range items {
		w.attachTo("llm/two", two, item.Bundle)
	}
	if r := w.mustUpdate(x); r.Opened != 1 || r.Refused != 3 {
		t.Errorf("on another artifact: %+v", r)
	}
	bundles, err := x.Bundles(t.Context(), two)
	if err != nil || len(bundles) != 4 || slices.ContainsFunc(bundles, func(b Bundle) bool { return b.Reason != "" && b.Reason != policy.IDMismatch }) {
		t.Errorf("bundles %+v (%v)", bundles, err)
	}
	if runs, err := x.Deployed(t.Context(), two); err != nil || len(runs) != 0 {
		t.Errorf("it runs at %v (%v)", runs, err)
	}
}

// TestBundleAtTwoPlacesIsTwo has the same bundle attached twice, as two tools do.
func TestBundleAtTwoPlacesIsTwo(t *testing.T) {
	x := create(t, InMemory)
	for _, where := range []string{"a " + digest("1"), "a " + digest("2"), "b " + digest("1"), "b", "b 1"} {
		o := opened(1, 1).(Opened)
		o.body.Where = where
		mustRecord(t, x, o, Refused{About: digest("n1"), Where: where, Reason: policy.BadSignature})
	}
	bundles, err := x.Bundles(t.Context(), digest("n1"))
	if err != nil || len(bundles) != 10 || bundles[0].Where != "a "+min(digest("1"), digest("2")) || bundles[9].Where != "b "+digest("1") {
		t.Errorf("%+v (%v)", bundles, err)
	}
}

// TestUpdateFollowsOnlyWhomThePolicyTrusts has roots that open more than the policy names, and a policy that asks for a log.
func TestUpdateFollowsOnlyWhomThePolicyTrusts(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	id := w.push("llm/chat", "v1")
	logged := believe(w.by)
	logged.RequireLog = true
	for _, c := range []struct {
		policy policy.Policy
		reason policy.Reason
	}{{policy.Policy{}, policy.UntrustedSigner}, {believe(newSigner(t)), policy.UntrustedSigner}, {logged, policy.LogMissing}, {believe(w.by), ""}} {
		x := create(t, InMemory)
		r, err := x.Update(t.Context(), mustScope(t, w.host), UpdateOptions{Roots: w.by.Roots(), Policy: c.policy, Registry: w.options()})
		if err != nil || len(r.Problems) > 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		if b, err := x.Bundles(t.Context(), id); err != nil || len(b) != 1 || b[0].Reason != c.reason {
			t.Errorf("%s: %+v, want %q (%v)", c.policy, b, c.reason, err)
		}
	}
}

// TestChangedTrustReadsEvidenceAgain trusts somebody else the second time.
func TestChangedTrustReadsEvidenceAgain(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.push("llm/chat", "v1")
	x := create(t, InMemory)
	w.mustUpdate(x)
	ours := w.by
	w.by = newSigner(t)
	if r := w.mustUpdate(x); r.Refused != 1 || r.Unchanged != 0 {
		t.Errorf("under other trust: %+v", r)
	}
	if st, err := x.State(t.Context()); err != nil || st.Refused != 1 || st.Bundles != 1 {
		t.Errorf("under other trust: %+v (%v)", st, err)
	}
	w.by = ours
	if r := w.mustUpdate(x); r.Opened != 1 || r.Unchanged != 0 {
		t.Errorf("under ours again: %+v", r)
	}
	if st, err := x.State(t.Context()); err != nil || st.Refused != 0 || st.Bundles != 1 {
		t.Errorf("under ours again: %+v (%v)", st, err)
	}
}

// TestUpdateSaysWhatItCouldNotRead has one repository fail: the rest is recorded, and so is that it failed.
func TestUpdateSaysWhatItCouldNotRead(t *testing.T) {
	for name, part := range map[string]string{"tags": "/data/corpus/tags/", "a digest": "/data/corpus/manifests/v1", "referrers": "/data/corpus/referrers/", "a bundle": "/data/corpus/blobs/"} {
		for _, status := range []int{http.StatusTooManyRequests, http.StatusNotFound, http.StatusInternalServerError} {
			w := newWorld(t, lab.Options{Referrers: true})
			data, _, _, _ := w.family()
			x := create(t, InMemory)
			f := lab.Status(status, "")
			f.When = func(r *http.Request) bool { return strings.Contains(r.URL.Path, part) }
			w.proxy.Set(lab.Rule{Fault: f})
			r, err := w.update(x, "")
			if name == "referrers" && status == http.StatusNotFound { // a registry without the API
				continue
			}
			if err != nil || len(r.Problems) != 1 || r.Opened != 7 {
				t.Errorf("%s, %d: %+v, %v", name, status, r, err)
			}
			if st, err := x.State(t.Context()); err != nil || len(st.Updates) != 1 || len(st.Updates[0].Problems) != 1 {
				t.Errorf("%s, %d: %+v, %v", name, status, st, err)
			}
			w.proxy.Set()
			if r := w.mustUpdate(x); r.Unchanged != 3 {
				t.Errorf("%s, %d: afterwards %+v", name, status, r)
			}
			if down, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{}); err != nil || down.Len() != 3 {
				t.Errorf("%s, %d: impact %v, %v", name, status, down, err)
			}
		}
	}
}

// TestInterruptedUpdateGoesOnWhereItStopped ends the context in the middle.
func TestInterruptedUpdateGoesOnWhereItStopped(t *testing.T) {
	w := newWorld(t, lab.Options{Referrers: true})
	w.family()
	x := create(t, InMemory)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	u := UpdateOptions{Roots: w.by.Roots(), Policy: believe(w.by), Registry: w.options(), Workers: 1, Progress: func(done, _ int) {
		if done == 2 {
			cancel(stop)
		}
	}}
	scope := mustScope(t, w.host)
	if r, err := x.Update(ctx, scope, u); !errors.Is(err, stop) {
		t.Fatalf("%+v, %v", r, err)
	}
	if st, err := x.State(t.Context()); err != nil || len(st.Updates) != 0 {
		t.Errorf("it says that it looked at everything: %+v, %v", st, err)
	}
	if r := w.mustUpdate(x); r.Artifacts != 4 {
		t.Errorf("%+v", r)
	}
}

// TestRebuildForgetsEvidenceAndKeepsVerdicts takes a bundle away, which an update does not forget.
func TestRebuildForgetsEvidenceAndKeepsVerdicts(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		w := newWorld(t, lab.Options{Referrers: true})
		data, _, chat, _ := w.family()
		x := create(t, at)
		w.mustUpdate(x)
		mustRecord(t, x, Verdict{Decision: decided(chat, then)})
		other := newWorld(t, lab.Options{Referrers: true}) // the registry has nothing any more but this
		other.by = w.by
		if other.push("data/corpus", "v1") != data {
			t.Fatal("another artifact")
		}
		broken := errors.New("broken")
		if _, _, err := Rebuild(t.Context(), at, Options{}, func(*Index) error { return broken }); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if r, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{}); err != nil || r.Len() != 3 {
			t.Errorf("a rebuild that failed left %v (%v)", r, err)
		}
		carried, old, err := Rebuild(t.Context(), at, Options{}, func(fresh *Index) error { other.mustUpdate(fresh); return nil })
		if err != nil || carried != 1 || old != "" {
			t.Fatalf("carried %d, %q, %v", carried, old, err)
		}
		if r, err := x.Impact(t.Context(), artifactNode(data), lineage.Limits{}); err != nil || r.Len() != 0 {
			t.Errorf("who had it open sees %v (%v)", r, err)
		}
		if v, err := x.Verdicts(t.Context(), chat); err != nil || len(v) != 1 {
			t.Errorf("verdicts %v (%v)", v, err)
		}
		mustRecord(t, x, refusal(1))
		mustCheck(t, x)
	})
}

// TestRebuildKeepsADamagedFileBeside makes a new index where the old one cannot be read.
func TestRebuildKeepsADamagedFileBeside(t *testing.T) {
	at, _ := sample(t)
	tamper(t, at, `UPDATE hallmark_event SET at = at + 1 WHERE seq = 4`)
	carried, old, err := Rebuild(t.Context(), at, Options{}, func(x *Index) error { mustRecord(t, x, refusal(1)); return nil })
	if err != nil || carried != 0 || old != at+".damaged" {
		t.Fatalf("carried %d, %q, %v", carried, old, err)
	}
	if h := mustCheck(t, mustOpen(t, at, Options{})); h.Seq != 1 {
		t.Errorf("%d events", h.Seq)
	}
	if _, err := mustOpen(t, old, Options{}).Check(t.Context(), Head{}); !isDamaged(err) {
		t.Errorf("the damaged one: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(at), ".hallmark*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q (%v)", left, err)
	}
}
