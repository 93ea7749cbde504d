package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// place is somewhere that a Repo can be.
type place struct {
	name string
	ref  func(t *testing.T) Ref // with tag v1
}

// places are the kinds of store that must look the same to callers.
func places() []place {
	return []place{
		{"layout", func(t *testing.T) Ref { return mustRef(t, "oci:"+filepath.Join(t.TempDir(), "layout")+":v1") }},
		{"referrers API", func(t *testing.T) Ref { return serve(t, quiet(ggcr.WithReferrersSupport(true))) }},
		{"referrers API with pages", func(t *testing.T) Ref { return serve(t, paging(quiet(ggcr.WithReferrersSupport(true)))) }},
		{"fallback tag", func(t *testing.T) Ref { return serve(t, quiet()) }},
	}
}

func quiet(o ...ggcr.Option) http.Handler {
	return ggcr.New(append(o, ggcr.Logger(silent()))...)
}

func silent() *log.Logger { return log.New(io.Discard, "", 0) }

// serve runs a registry on loopback and returns a reference into it.
func serve(t *testing.T, h http.Handler) Ref {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return mustRef(t, strings.TrimPrefix(s.URL, "http://")+"/team/chat:v1")
}

// paging answers as a registry does that knows subjects and gives one referrer a page.
func paging(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			raw, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(raw))
			if subject, err := subjectOf(raw); err == nil && subject != "" {
				w.Header().Set("OCI-Subject", subject)
			}
		}
		if !strings.Contains(r.URL.Path, "/referrers/") {
			inner.ServeHTTP(w, r)
			return
		}
		rec := httptest.NewRecorder()
		inner.ServeHTTP(rec, r)
		x, err := parseIndex(rec.Body.Bytes())
		if err != nil {
			w.WriteHeader(rec.Code)
			return
		}
		slices.SortFunc(x.Manifests, func(a, b referrer) int { return strings.Compare(a.Digest, b.Digest) })
		at, _ := strconv.Atoi(r.URL.Query().Get("page"))
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		if at+1 < len(x.Manifests) {
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, at+1))
		}
		if len(x.Manifests) > 0 {
			x.Manifests = x.Manifests[at : at+1]
		}
		raw, _ := x.marshal()
		_, _ = w.Write(raw)
	})
}

// fault lets a handler be interfered with: it returns true if it has answered.
type fault func(w http.ResponseWriter, r *http.Request) bool

// faulty is a handler whose fault is set, changed and removed while it runs.
type faulty struct {
	inner http.Handler
	fault atomic.Pointer[fault]
}

// set makes every request go through a fault; nil removes it.
func (f *faulty) set(x fault) { f.fault.Store(&x) }

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if x := f.fault.Load(); x == nil || *x == nil || !(*x)(w, r) {
		f.inner.ServeHTTP(w, r)
	}
}

func mustRef(t *testing.T, s string) Ref {
	t.Helper()
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// anonymous has no logins, whatever the machine has.
type anonymous struct{}

func (anonymous) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }

func open(t *testing.T, ref Ref, o Options) *Repo {
	t.Helper()
	if o.Keychain == nil {
		o.Keychain = anonymous{}
	}
	if o.Wait == nil {
		o.Wait = func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }
	}
	r, err := Open(ref, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// model writes files into a new directory.
func model(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if len(files) == 0 {
		files = map[string]string{
			"model.safetensors":     strings.Repeat("weights", 100_000),
			"twin.safetensors":      strings.Repeat("weights", 100_000),
			"config.json":           `{"a": 1}`,
			"empty.txt":             "",
			"tokenizer/vocab.txt":   "a\nb\n",
			"tokenizer/ü/日本語 \".md": "deep",
		}
	}
	for name, content := range files {
		at := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func canonical(t *testing.T, dir string) *manifest.Canonical {
	t.Helper()
	m, err := manifest.Build(context.Background(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := m.OCI()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pushed pushes a model and tags it.
func pushed(t *testing.T, r *Repo, dir string) (*manifest.Canonical, Descriptor) {
	t.Helper()
	return pushedBy(t, r, dir, 0)
}

// pushed1 pushes one request after the other.
func pushed1(t *testing.T, r *Repo, dir string) (*manifest.Canonical, Descriptor) {
	t.Helper()
	return pushedBy(t, r, dir, 1)
}

func pushedBy(t *testing.T, r *Repo, dir string, workers int) (*manifest.Canonical, Descriptor) {
	t.Helper()
	ctx := context.Background()
	c := canonical(t, dir)
	digest, err := r.Push(ctx, c, Files{dir}, PushOptions{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	if digest != c.ID {
		t.Fatalf("pushed as %s, the ID is %s", digest, c.ID)
	}
	if err := r.Tag(ctx, digest, "v1"); err != nil {
		t.Fatal(err)
	}
	d, err := r.Resolve(ctx, r.ref)
	if err != nil {
		t.Fatal(err)
	}
	return c, d
}

// testBundle is a well-formed bundle that no key signed; n tells bundles apart.
func testBundle(n int) []byte {
	b, err := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "none"}},
		"dsseEnvelope":         map[string]any{"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": []any{map[string]any{"sig": fmt.Sprintf("AAA%d", n%10), "keyid": strconv.Itoa(n)}}},
	})
	if err != nil {
		panic(err)
	}
	return b
}

const testPredicate = "https://example.com/predicate/v1"

// tree reads a directory: names and contents.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(at)
		name, _ := filepath.Rel(dir, at)
		found[filepath.ToSlash(name)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// nothingLeft fails if anything but what is named lies in dir.
func nothingLeft(t *testing.T, dir string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, n := range names {
		allowed[n] = true
	}
	for _, e := range entries {
		if !allowed[e.Name()] {
			t.Errorf("%q was left behind", e.Name())
		}
	}
}

func bundlesOf(items []chain.Item) map[string]bool {
	found := map[string]bool{}
	for _, i := range items {
		found[string(i.Bundle)] = true
	}
	return found
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := jsonv2.Marshal(v, jsonv2.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
