package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// spoiled is one fault that keeps evidence from being read completely.
type spoiled struct {
	name    string
	fault   fault
	want    error  // nil: any
	against string // kind of registry; empty: with the referrers API
}

const indexType = "application/vnd.oci.image.index.v1+json"

func page(links ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", indexType)
		for _, l := range links {
			w.Header().Add("Link", l)
		}
		_, _ = io.WriteString(w, `{"schemaVersion":2,"manifests":[]}`)
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func text(mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_, _ = io.WriteString(w, body)
	}
}

// spoiledLists are what a registry may answer where a list of referrers was asked for.
func spoiledLists() []spoiled {
	var n atomic.Int64
	endless := func(w http.ResponseWriter, r *http.Request) {
		page(fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, n.Add(1)))(w, r)
	}
	many := `{"schemaVersion":2,"manifests":[` + strings.TrimSuffix(strings.Repeat(`{"mediaType":"m","digest":"`+someDigest+`","size":1},`, maxReferrers+1), ",") + `]}`
	foreign := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":1}]}`, someDigest)
	return []spoiled{
		{"first page fails", answer("/referrers/", status(500)), nil, ""},
		{"first page forbidden", answer("/referrers/", status(403)), nil, ""},
		{"too many requests", answer("/referrers/", status(429)), nil, ""},
		{"endless pages", answer("/referrers/", endless), ErrTooLarge, ""},
		{"page leads to itself", answer("/referrers/", func(w http.ResponseWriter, r *http.Request) { page(`<`+r.URL.RequestURI()+`>; rel="next"`)(w, r) }), nil, ""},
		{"page leads elsewhere", answer("/referrers/", page(`<https://127.0.0.1:1/x>; rel="next"`)), nil, ""},
		{"page is no index", answer("/referrers/", text("text/html", "<html>")), nil, ""},
		{"page is no JSON", answer("/referrers/", text(indexType, "<html>")), nil, ""},
		{"page is empty", answer("/referrers/", text(indexType, "")), nil, ""},
		{"page without a list", answer("/referrers/", text(indexType, `{"schemaVersion":2}`)), nil, ""},
		{"page with a key twice", answer("/referrers/", text(indexType, `{"schemaVersion":2,"manifests":[],"manifests":[]}`)), nil, ""},
		{"page over cap", answer("/referrers/", text(indexType, strings.Repeat(" ", maxManifest+1))), ErrTooLarge, ""},
		{"too many entries", answer("/referrers/", text(indexType, many)), ErrTooLarge, ""},
		{"listed, but not there", answer("/referrers/", text(indexType, foreign)), ErrNotFound, ""},
	}
}

// spoiledParts are what may go wrong with a part of the evidence only.
func spoiledParts() []spoiled {
	return []spoiled{
		{"second page fails", func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("page") != "" && answer("/referrers/", status(500))(w, r)
		}, nil, "pages"},
		{"second page not found", func(w http.ResponseWriter, r *http.Request) bool {
			return r.URL.Query().Get("page") != "" && answer("/referrers/", status(404))(w, r)
		}, ErrNotFound, "pages"},
		{"fallback index fails", answer("GET /v2/team/chat/manifests/sha256-", status(503)), nil, "fallback"},
		{"fallback index is something else", answer("GET /v2/team/chat/manifests/sha256-", text(indexType, "[]")), nil, "fallback"},
		{"tags fail", answer("/tags/list", status(503)), nil, "fallback"},
		{"tags are something else", answer("/tags/list", text("application/json", "[]")), nil, "fallback"},
		{"bundle differs", answer("GET /v2/team/chat/blobs/"+sumOf(testBundle(1)), text("x", string(testBundle(2)))), ErrDigest, ""},
		{"bundle gone", answer("GET /v2/team/chat/blobs/"+sumOf(testBundle(1)), status(404)), ErrNotFound, ""},
	}
}

// Evidence that could not be read completely must never look like evidence that is not there.
func TestBundlesFailRatherThanMissAny(t *testing.T) {
	for _, row := range append(spoiledLists(), spoiledParts()...) {
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
	_, m, err := newBundleManifest(&subject, bundle, testPredicate)
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
	raw, m, err := newBundleManifest(&d, testBundle(0), testPredicate)
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
