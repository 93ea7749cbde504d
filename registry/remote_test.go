package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// filled is a registry that a model and three bundles were pushed to, and its fault, which is none yet.
func filled(t *testing.T, inner http.Handler) (*faulty, Ref, *manifest.Canonical) {
	t.Helper()
	f := &faulty{inner: inner}
	ref := serve(t, f)
	r := open(t, ref, Options{})
	c, subject := pushed(t, r, model(t, map[string]string{"model.bin": strings.Repeat("weights", 50_000), "config.json": "{}"}))
	for i := range 3 {
		if _, err := r.Attach(context.Background(), subject, testBundle(i), testPredicate); err != nil {
			t.Fatal(err)
		}
	}
	return f, ref, c
}

// answer is a fault in every request of which match says so.
func answer(match string, respond http.HandlerFunc) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Method+" "+r.URL.Path, match) {
			return false
		}
		respond(w, r)
		return true
	}
}

func TestPullRefusesWrongBytes(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	layer := c.Layers[1] // model.bin
	right := strings.Repeat("weights", 50_000)
	at := "GET /v2/team/chat/blobs/" + layer.Digest.String()
	faults := map[string]struct {
		respond http.HandlerFunc
		want    error
	}{
		"other bytes": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "W"+right[1:]) }, ErrDigest},
		"longer":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, right+"!") }, ErrDigest},
		"shorter": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush() // so that no length is told
			_, _ = io.WriteString(w, right[:1000])
		}, ErrDigest},
		"wrong length told": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "12")
			_, _ = io.WriteString(w, right[:12])
		}, ErrDigest},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(right)))
			_, _ = io.WriteString(w, right[:1000])
		}, errInterrupted},
		"partial answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, right)
		}, nil},
		"gone":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, ErrNotFound},
		"server broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, nil},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f.set(answer(at, fault.respond))
			parent := t.TempDir()
			err := open(t, ref, Options{}).Pull(context.Background(), c, filepath.Join(parent, "out"), PullOptions{})
			if err == nil || (fault.want != nil && !errors.Is(err, fault.want)) {
				t.Errorf("pull ended with %v", err)
			}
			if !strings.Contains(fmt.Sprint(err), "model.bin") || !strings.Contains(fmt.Sprint(err), ref.Name()) {
				t.Errorf("error does not say where: %v", err)
			}
			nothingLeft(t, parent)
		})
	}
	f.set(nil)
	if err := open(t, ref, Options{}).Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Errorf("pull without a fault: %v", err)
	}
}

func TestManifestRefusesWrongBytes(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	ctx := context.Background()
	const asManifest = "application/vnd.oci.image.manifest.v1+json"
	for name, fault := range map[string]struct {
		body string
		want error
	}{
		"other":    {`{"mediaType":"` + asManifest + `"}`, ErrDigest},
		"no JSON":  {"<html>", ErrDigest},
		"over cap": {strings.Repeat(" ", maxManifest+1), ErrTooLarge},
		"nothing":  {"", ErrDigest},
	} {
		f.set(answer("GET /v2/team/chat/manifests/"+c.ID, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", asManifest)
			_, _ = io.WriteString(w, fault.body)
		}))
		if _, err := open(t, ref, Options{}).Manifest(ctx, c.ID); !errors.Is(err, fault.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.set(answer("GET /v2/team/chat/manifests/v1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = w.Write(c.Manifest)
	}))
	if _, err := open(t, ref, Options{}).Resolve(ctx, ref); err == nil {
		t.Error("a manifest that is served as an index was resolved")
	}
	f.set(nil)
	if _, err := open(t, ref, Options{}).Manifest(ctx, c.ID); err != nil {
		t.Error(err)
	}
}

// Evidence that could not be read completely must never look like evidence that is not there.
func TestBundlesFailRatherThanMissAny(t *testing.T) {
	page := func(links ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			for _, l := range links {
				w.Header().Add("Link", l)
			}
			_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	text := func(mediaType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = io.WriteString(w, body)
		}
	}
	var n atomic.Int64
	endless := func(w http.ResponseWriter, r *http.Request) {
		page(fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, n.Add(1)))(w, r)
	}
	const index = "application/vnd.oci.image.index.v1+json"
	many := `{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(`{"mediaType":"m","digest":"`+someDigest+`","size":1},`, maxReferrers+1), ",") + `]}`
	foreign := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1}]}`, someDigest)
	type row struct {
		name    string
		fault   fault
		want    error
		against string // kind of registry; empty: with the referrers API
	}
	rows := []row{
		{"first page fails", answer("/referrers/", status(500)), nil, ""},
		{"first page forbidden", answer("/referrers/", status(403)), nil, ""},
		{"too many requests", answer("/referrers/", status(429)), nil, ""},
		{"endless pages", answer("/referrers/", endless), ErrTooLarge, ""},
		{"page leads to itself", answer("/referrers/", func(w http.ResponseWriter, r *http.Request) { page(`<`+r.URL.RequestURI()+`>; rel="next"`)(w, r) }), nil, ""},
		{"page leads elsewhere", answer("/referrers/", page(`<https://127.0.0.1:1/x>; rel="next"`)), nil, ""},
		{"page is no index", answer("/referrers/", text("text/html", "<html>")), nil, ""},
		{"page is no JSON", answer("/referrers/", text(index, "<html>")), nil, ""},
		{"page is empty", answer("/referrers/", text(index, "")), nil, ""},
		{"page without a list", answer("/referrers/", text(index, `{"schemaVersion":2}`)), nil, ""},
		{"page with a key twice", answer("/referrers/", text(index, `{"schemaVersion":2,"manifests":[],"manifests":[]}`)), nil, ""},
		{"page over cap", answer("/referrers/", text(index, strings.Repeat(" ", maxManifest+1))), ErrTooLarge, ""},
		{"too many entries", answer("/referrers/", text(index, many)), ErrTooLarge, ""},
		{"listed, but not there", answer("/referrers/", text(index, foreign)), ErrNotFound, ""},
		{"second page fails", func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("page") != "" && answer("/referrers/", status(500))(w, r)
		}, nil, "pages"},
		{"second page not found", func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("page") != "" && answer("/referrers/", status(404))(w, r)
		}, ErrNotFound, "pages"},
		{"fallback index fails", answer("GET /v2/team/chat/manifests/sha256-", status(503)), nil, "fallback"},
		{"fallback index is something else", answer("GET /v2/team/chat/manifests/sha256-", text(index, "[]")), nil, "fallback"},
		{"tags fail", answer("/tags/list", status(503)), nil, "fallback"},
		{"tags are something else", answer("/tags/list", text("application/json", "[]")), nil, "fallback"},
		{"bundle differs", answer("GET /v2/team/chat/blobs/"+sumOf(testBundle(1)), text("x", string(testBundle(2)))), ErrDigest, ""},
		{"bundle gone", answer("GET /v2/team/chat/blobs/"+sumOf(testBundle(1)), status(404)), ErrNotFound, ""},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			inner := quiet(ggcr.WithReferrersSupport(row.against != "fallback"))
			if row.against == "pages" {
				inner = paging(inner)
			}
			f, ref, c := filled(t, inner)
			f.set(row.fault)
			items, err := open(t, ref, Options{}).Bundles(context.Background(), c.ID)
			if err == nil || (row.want != nil && !errors.Is(err, row.want)) {
				t.Errorf("%d bundles and %v", len(items), err)
			}
			f.set(nil)
			if items, err = open(t, ref, Options{}).Bundles(context.Background(), c.ID); err != nil || len(items) != 3 {
				t.Errorf("without the fault %d bundles and %v", len(items), err)
			}
		})
	}
}

// What anybody may attach must not hide the evidence beside it, and not pass for evidence itself.
func TestBundlesShowWhatIsNoBundle(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			ctx := context.Background()
			r := open(t, p.ref(t), Options{})
			c, subject := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
			if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
				t.Fatal(err)
			}
			for _, change := range []func(*bundleManifest){
				func(m *bundleManifest) { m.Layers = append(m.Layers, m.Layers[0]) },
				func(m *bundleManifest) { m.Layers[0].MediaType = "text/plain" },
			} {
				attachRaw(t, r, subject, testBundle(2), change)
			}
			foreign := func(m *bundleManifest) { m.ArtifactType = "application/spdx+json" }
			attachRaw(t, r, subject, testBundle(3), foreign)
			items, err := r.Bundles(ctx, c.ID)
			if err != nil {
				t.Fatal(err)
			}
			good, shown := 0, 0
			for _, i := range items {
				if len(i.Bundle) > 0 {
					good++
				} else if strings.Contains(i.Where, "not a bundle") {
					shown++
				}
			}
			// A writer's own tag is only given to bundles, so the fallback lists what its index lists.
			if good != 1 || shown != 2 || len(items) != 3 {
				t.Errorf("%d bundles, %d shown as none, of %v", good, shown, len(items))
			}
		})
	}
}

// attachRaw attaches a manifest that Attach would not write.
func attachRaw(t *testing.T, r *Repo, subject Descriptor, bundle []byte, change func(*bundleManifest)) {
	t.Helper()
	ctx := context.Background()
	_, m, err := newBundleManifest(subject, bundle, testPredicate)
	if err != nil {
		t.Fatal(err)
	}
	change(m)
	raw := mustJSON(t, m)
	for _, b := range [][]byte{bundle, emptyConfig} {
		if err := r.store.putBlob(ctx, Descriptor{Digest: sumOf(b), Size: int64(len(b))}, opener(b)); err != nil {
			t.Fatal(err)
		}
	}
	noted, err := r.store.putManifest(ctx, raw, m.entry(raw).Descriptor, "")
	if err == nil && !noted {
		err = r.attachFallback(ctx, subject.Digest, raw, m.entry(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestBundlesOfAnotherArtifactDoNotCount(t *testing.T) {
	ctx := context.Background()
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	r := open(t, ref, Options{})
	other := canonical(t, model(t, map[string]string{"b.bin": "b"}))
	// The registry lists another artifact's evidence as this one's.
	f.set(func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, "/referrers/"+other.ID) {
			q.URL.Path = strings.Replace(q.URL.Path, other.ID, c.ID, 1)
		}
		return false
	})
	items, err := r.Bundles(ctx, other.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range items {
		if len(i.Bundle) > 0 || !strings.Contains(i.Where, "refers to another artifact") {
			t.Errorf("taken for evidence: %s", i.Where)
		}
	}
	if len(items) != 3 {
		t.Errorf("%d items", len(items))
	}
}

func TestReadersUniteIndexAndTags(t *testing.T) {
	ctx := context.Background()
	f, ref, c := filled(t, quiet())
	f.set(func(w http.ResponseWriter, r *http.Request) bool { // the index was overwritten by somebody who knew of nothing
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+fallbackTag(c.ID)) {
			w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = io.WriteString(w, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
			return true
		}
		return false
	})
	items, err := open(t, ref, Options{}).Bundles(ctx, c.ID)
	if err != nil || len(items) != 3 {
		t.Errorf("%d bundles are left of 3 (%v)", len(items), err)
	}
	// The next writer brings them back into the index.
	f.set(nil)
	r := open(t, ref, Options{})
	empty := mustJSON(t, newIndex())
	if _, err := r.store.putManifest(ctx, empty, Descriptor{"application/vnd.oci.image.index.v1+json", sumOf(empty), int64(len(empty))}, fallbackTag(c.ID)); err != nil {
		t.Fatal(err)
	}
	d, err := r.Resolve(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	// A bundle's manifest under a tag that is not its own is no other bundle.
	raw, m, err := newBundleManifest(d, testBundle(0), testPredicate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.store.putManifest(ctx, raw, m.entry(raw).Descriptor, bundleTag(c.ID, someDigest)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Attach(ctx, d, testBundle(4), testPredicate); err != nil {
		t.Fatal(err)
	}
	x, err := r.fallbackIndex(ctx, c.ID)
	if err != nil || len(x.Manifests) != 4 {
		t.Errorf("the index lists %d of 4 (%v)", len(x.Manifests), err)
	}
}

func TestAttachNoticesAnUnlistedBundle(t *testing.T) {
	ctx := context.Background()
	f, ref, _ := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	r := open(t, ref, Options{})
	d, err := r.Resolve(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	f.set(answer("/referrers/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
	}))
	if _, err := r.Attach(ctx, d, testBundle(5), testPredicate); err == nil {
		t.Error("attached, and no reader will find it")
	}
	f.set(nil)
	if _, err := r.Attach(ctx, d, testBundle(5), testPredicate); err != nil {
		t.Error(err)
	}
}

func TestStepsThatDoNotMoveTimeOut(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := func(http.ResponseWriter, *http.Request) { <-release }
	stall := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "350000")
		_, _ = io.WriteString(w, strings.Repeat("weights", 1000))
		w.(http.Flusher).Flush()
		<-release
	}
	short := Options{Timeout: 100 * time.Millisecond}
	for name, fault := range map[string]fault{
		"manifest hangs": answer("/manifests/", hang),
		"blob hangs":     answer("/blobs/", hang),
		"blob stalls":    answer("/blobs/"+c.Layers[1].Digest.String(), stall),
	} {
		f.set(fault)
		err := fetchAll(t, open(t, ref, short), c)
		var e *Error
		if !errors.Is(err, ErrTimeout) || !errors.As(err, &e) || e.Reason() != policy.TimedOut {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.set(nil)
	if err := fetchAll(t, open(t, ref, Options{}), c); err != nil {
		t.Error(err)
	}
}

func fetchAll(t *testing.T, r *Repo, c *manifest.Canonical) error {
	t.Helper()
	if _, err := r.Manifest(context.Background(), c.ID); err != nil {
		return err
	}
	return r.Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{})
}

func TestErrorsCarryReasons(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	gone := httptest.NewServer(f)
	gone.Close()
	for name, row := range map[string]struct {
		ref  Ref
		code int
		want policy.Reason
	}{
		"nobody listens": {mustRef(t, strings.TrimPrefix(gone.URL, "http://")+"/a:b"), 0, policy.Unreachable},
		"forbidden":      {ref, 403, policy.Unreadable},
		"not found":      {ref, 404, policy.Unreadable},
	} {
		f.set(answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.code)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no\u001b[31m"}]}`)
		}))
		_, err := open(t, row.ref, Options{}).Manifest(context.Background(), c.ID)
		var e *Error
		if !errors.As(err, &e) || e.Reason() != row.want {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "\x1b") {
			t.Errorf("%s: the registry's words are not quoted: %v", name, err)
		}
	}
}

// distribution lists a tag a moment before it can be read.
func TestReadersWaitForATagThatIsListed(t *testing.T) {
	ctx := context.Background()
	f, ref, c := filled(t, quiet())
	r := open(t, ref, Options{})
	subject, err := r.Resolve(ctx, ref)
	if err != nil {
		t.Fatal(err)
	}
	var late atomic.Int64 // requests for a bundle's own tag that still fail
	hidden := func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodGet && strings.HasSuffix(q.URL.Path, "/manifests/"+fallbackTag(c.ID)) {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		if strings.Contains(q.Method+q.URL.Path, "GET/v2/team/chat/manifests/"+fallbackTag(c.ID)+".") && late.Add(-1) >= 0 {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	}
	f.set(hidden)
	late.Store(2)
	if items, err := r.Bundles(ctx, c.ID); err != nil || len(items) != 3 {
		t.Errorf("%d bundles of 3 (%v)", len(items), err)
	}
	late.Store(1 << 40)
	if items, err := r.Bundles(ctx, c.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("%d bundles and %v, where tags stay unreadable", len(items), err)
	}
	late.Store(3)
	if err := r.attachFallback(ctx, subject.Digest, []byte(`{}`), referrer{Descriptor: Descriptor{"application/vnd.oci.image.manifest.v1+json", sumOf([]byte(`{}`)), 2}}); err == nil {
		t.Error("a writer whose index never shows was not told")
	} else if errors.Is(err, ErrNotFound) {
		t.Errorf("another writer's tag stopped this one: %v", err)
	}
}
