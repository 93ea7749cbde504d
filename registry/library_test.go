package registry

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

const nobodysID = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// library opens a library without the machine's logins.
func library(t *testing.T, o LibraryOptions) *Library {
	t.Helper()
	if o.Registry.Keychain == nil {
		o.Registry.Keychain = anonymous{}
	}
	o.Registry.Retries = -1
	l, err := OpenLibrary(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// foundIn returns the ID of what was found and how many bundles.
func foundIn(t *testing.T, l chain.Library, want policy.Want) (id string, n int) {
	t.Helper()
	found, err := l.Find(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found.Sources {
		items, err := s.Evidence(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n += len(items)
	}
	if found.Artifact != nil {
		a, _ := found.Artifact.Describe()
		id = a.ID
	}
	return id, n
}

func TestLibraryNamesWhatNobodyAskedFor(t *testing.T) {
	dir, m := signedModel(t, newSigner(t), manifest.Options{})
	id, err := m.ID()
	if err != nil {
		t.Fatal(err)
	}
	l := library(t, LibraryOptions{Paths: []string{dir}})
	for _, step := range []struct {
		find string
		want map[string]string
	}{
		{"", map[string]string{}},
		{nobodysID, map[string]string{dir: id}},
		{id, map[string]string{}},
	} {
		if step.find != "" {
			foundIn(t, l, policy.Want{ID: step.find})
		}
		if got := maps.Collect(l.Unasked()); !maps.Equal(got, step.want) {
			t.Errorf("after looking for %q: %v", step.find, got)
		}
	}
}

func TestLibraryFindsInEveryPlaceThatIsNamed(t *testing.T) {
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	id, err := m.ID()
	if err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(t.TempDir(), "layout")
	publish(t, dir, m, mustRef(t, "oci:"+here+":v1"))
	withAPI, without := places()[1].ref(t), places()[3].ref(t)
	publish(t, dir, m, withAPI)
	publish(t, dir, m, without)
	loose := filepath.Join(t.TempDir(), "loose.jsonl")
	if err := AppendClaims(context.Background(), loose, statementOn(t, by, id), statementOn(t, by, nobodysID)); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "export")
	kept := &Recorder{From: library(t, LibraryOptions{Paths: []string{dir}})}
	foundIn(t, kept, policy.Want{ID: id})
	foundIn(t, kept, policy.Want{ID: "sha256:" + strings.Repeat("2", 64)})
	if err := WriteExport(Export{Evidence: kept}, away); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o  LibraryOptions
		id string
		n  int
	}{
		"directory":           {LibraryOptions{Paths: []string{dir}}, id, 2},
		"layout's folder":     {LibraryOptions{Paths: []string{here}}, id, 2},
		"layout":              {LibraryOptions{Refs: []Ref{mustRef(t, "oci:"+here)}}, id, 2},
		"registry":            {LibraryOptions{Refs: []Ref{withAPI}}, id, 2},
		"registry, fallback":  {LibraryOptions{Refs: []Ref{without}}, id, 2},
		"file of bundles":     {LibraryOptions{Paths: []string{loose}}, "", 1},
		"exported folder":     {LibraryOptions{Paths: []string{away}}, id, 2},
		"two places":          {LibraryOptions{Paths: []string{loose, dir}}, id, 3},
		"exported and beside": {LibraryOptions{Paths: []string{away}, Refs: []Ref{without}}, id, 4},
	} {
		l := library(t, c.o)
		if id, n := foundIn(t, l, policy.Want{ID: id}); id != c.id || n != c.n {
			t.Errorf("%s: found %q with %d bundles, want %q with %d", name, id, n, c.id, c.n)
		}
		if id, n := foundIn(t, l, policy.Want{ID: "sha256:" + strings.Repeat("3", 64)}); id != "" || n != 0 {
			t.Errorf("%s: found %q with %d bundles of what is nowhere", name, id, n)
		}
	}
	if _, err := OpenLibrary(LibraryOptions{Paths: []string{filepath.Join(dir, "nowhere")}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing lies there: %v", err)
	}
}

// statementOn is a bundle about the artifact id.
func statementOn(t *testing.T, by signer.Signer, id string) []byte {
	t.Helper()
	st, err := attestations.NewCosignStatement(id)
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := attestations.Sign(context.Background(), st, by)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLibrarySaysWhatItCouldNotLookThrough(t *testing.T) {
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	id, _ := m.ID()
	if err := os.Symlink("model.safetensors", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	f := &faulty{inner: quiet(ggcr.WithReferrersSupport(true))}
	ref := serve(t, f)
	for name, o := range map[string]LibraryOptions{
		"a directory that is no artifact": {Paths: []string{dir}},
		"a registry that fails":           {Refs: []Ref{ref}},
		"a registry, offline":             {Sources: []policy.Source{{Prefix: ref.Host() + "/"}}, Registry: Options{Offline: true}},
	} {
		f.set(func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		})
		found, err := library(t, o).Find(context.Background(), policy.Want{ID: id, URIs: []string{"oci://" + ref.Name()}})
		if err == nil || found.Artifact != nil {
			t.Errorf("%s: found %v, no error", name, found)
		}
	}
	f.set(nil)
	if _, err := library(t, LibraryOptions{Refs: []Ref{ref}}).Find(context.Background(), policy.Want{ID: id}); err != nil {
		t.Errorf("a registry that has nothing of it: %v", err)
	}
}

// TestLibraryGoesOnlyWhereThePolicyLetsIt counts the requests that a registry gets.
func TestLibraryGoesOnlyWhereThePolicyLetsIt(t *testing.T) {
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	id, _ := m.ID()
	var asked atomic.Int64
	f := &faulty{inner: quiet(ggcr.WithReferrersSupport(true))}
	ref := serve(t, f)
	publish(t, dir, m, ref)
	f.set(func(http.ResponseWriter, *http.Request) bool { asked.Add(1); return false })
	host := ref.Host()
	for _, c := range []struct {
		uri, prefix string
		goes        bool
	}{
		{"oci://" + host + "/team/chat@" + id, host + "/", true},
		{host + "/team/chat@" + id, host + "/team/", true},
		{"oci://" + host + "/team/chat", host + "/team/chat/", true},
		{"oci://" + host + "/team/chat:v9", host + "/team/", true}, // a tag moves: the digest is asked for
		{"oci://" + host + "/team/chat@" + nobodysID, host + "/", false},
		{"oci://" + host + "/team/chat", host + "/tea", false},
		{"oci://" + host + "/team/chat", host + "/team/chat/v1/", false},
		{"oci://" + host + "/team/chat", host, false},
		{"oci://" + host + "/team/chat", "registry.example/", false},
		{"oci://" + host + "/team/chat", "", false},
		{"http://" + host + "/team/chat", host + "/", false},
		{"oci://user:pass@" + host + "/team/chat", host + "/", false},
		{"oci:" + dir, host + "/", false},
		{"file:" + dir, "/", false},
	} {
		asked.Store(0)
		l := library(t, LibraryOptions{Sources: []policy.Source{{Prefix: c.prefix}}})
		got, n := foundIn(t, l, policy.Want{ID: id, URIs: []string{c.uri, c.uri}})
		if (got == id && n == 2) != c.goes || (asked.Load() > 0) != c.goes {
			t.Errorf("%s under %q: found %q with %d bundles after %d requests", c.uri, c.prefix, got, n, asked.Load())
		}
		found, _ := l.Find(context.Background(), policy.Want{ID: id, URIs: []string{c.uri}})
		if (len(found.Notes) == 0) != c.goes {
			t.Errorf("%s under %q: notes %q", c.uri, c.prefix, found.Notes)
		}
	}
}

func TestLibrarySendsLoginsOnlyWhereThePolicySays(t *testing.T) {
	dir, m := signedModel(t, newSigner(t), manifest.Options{})
	id, _ := m.ID()
	inner := quiet(ggcr.WithReferrersSupport(true))
	publish(t, dir, m, serve(t, inner)) // the same store, without a guard
	sent := &atomic.Int64{}
	ref := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			sent.Add(1)
			inner.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	want := policy.Want{ID: id, URIs: []string{"oci://" + ref.Name()}}
	logins := Options{Keychain: login{"alice", "secret"}}
	under := func(credentials bool) *Library {
		return library(t, LibraryOptions{Registry: logins, Sources: []policy.Source{{Prefix: ref.Host() + "/", Credentials: !credentials}, {Prefix: ref.Host() + "/team/", Credentials: credentials}}})
	}
	if _, err := under(false).Find(context.Background(), want); err == nil || sent.Load() > 0 {
		t.Errorf("without: %v, after %d requests with a login", err, sent.Load())
	}
	if got, n := foundIn(t, under(true), want); got != id || n != 2 || sent.Load() == 0 {
		t.Errorf("with: found %q with %d bundles", got, n)
	}
}

func TestLibraryIsLedNowhereElse(t *testing.T) {
	dir, m := signedModel(t, newSigner(t), manifest.Options{})
	id, _ := m.ID()
	inner := quiet(ggcr.WithReferrersSupport(true))
	publish(t, dir, m, serve(t, inner))
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(other.Close)
	ref := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	want := policy.Want{ID: id, URIs: []string{"oci://" + ref.Name()}}
	found, err := library(t, LibraryOptions{Sources: []policy.Source{{Prefix: ref.Host() + "/"}}}).Find(context.Background(), want)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := found.Sources[0].Evidence(context.Background()); err == nil || asked.Load() > 0 {
		t.Errorf("from a URI: %v, after %d requests elsewhere", err, asked.Load())
	}
	if _, n := foundIn(t, library(t, LibraryOptions{Refs: []Ref{ref}}), want); n != 2 || asked.Load() == 0 {
		t.Errorf("where the caller named it: %d bundles", n)
	}
}

func TestExportIsMadeOnceAndWhole(t *testing.T) {
	at := filepath.Join(t.TempDir(), "export")
	x := Export{Evidence: &Recorder{}, Files: map[string][]byte{"policy.yaml": []byte("p"), "keys/a.pub": []byte("k")}}
	x.Evidence.Keep(nobodysID, nil, nil)
	if err := WriteExport(x, at); err != nil {
		t.Fatal(err)
	}
	got := tree(t, at)
	if got["policy.yaml"] != "p" || got["keys/a.pub"] != "k" || !strings.Contains(got["export.json"], nobodysID) {
		t.Errorf("wrote %v", got)
	}
	if err := WriteExport(x, at); !errors.Is(err, ErrExists) {
		t.Errorf("a second time: %v", err)
	}
	// That something was looked for and not found is known too: nobody has to be asked again.
	offline := LibraryOptions{Paths: []string{at}, Sources: []policy.Source{{Prefix: "registry.example/"}}, Registry: Options{Offline: true}}
	found, err := library(t, offline).Find(context.Background(), policy.Want{ID: nobodysID, URIs: []string{"oci://registry.example/base"}})
	if err != nil || len(found.Notes) != 1 {
		t.Errorf("known to be nowhere: %v, notes %q", err, found.Notes)
	}
	if _, err := library(t, offline).Find(context.Background(), policy.Want{ID: "sha256:" + strings.Repeat("2", 64), URIs: []string{"oci://registry.example/base"}}); !errors.Is(err, ErrOffline) {
		t.Errorf("not known: %v", err)
	}
	parent := t.TempDir()
	for _, name := range []string{"../key.pub", "/key.pub", "policy.yaml/key.pub"} {
		x.Files = map[string][]byte{"policy.yaml": []byte("p"), name: []byte("k")}
		if err := WriteExport(x, filepath.Join(parent, "x")); err == nil {
			t.Errorf("wrote %q", name)
		}
		nothingLeft(t, parent)
	}
	// What was spoiled on the way is no evidence that lies nowhere.
	line := filepath.Join(at, "evidence", nobodysID[7:], "bundles.jsonl")
	if err := os.WriteFile(line, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var malformed *chain.MalformedError
	if _, err := library(t, offline).Find(context.Background(), policy.Want{ID: nobodysID}); !errors.As(err, &malformed) {
		t.Errorf("spoiled: %v", err)
	}
	if err := os.WriteFile(filepath.Join(at, "export.json"), []byte(`{"schema":"hallmark.export/v2","artifacts":[]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLibrary(offline); err == nil {
		t.Error("another schema is read")
	}
}

func TestListIsKeptUnderItsTag(t *testing.T) {
	ctx := context.Background()
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			by := newSigner(t)
			ref := p.ref(t)
			first, second := statementOn(t, by, nobodysID), statementOn(t, by, "sha256:"+strings.Repeat("2", 64))
			if _, err := FetchBundle(ctx, ref, Options{}); !errors.Is(err, ErrNotFound) {
				t.Fatalf("before: %v", err)
			}
			for _, b := range [][]byte{first, second, second} {
				if err := PublishBundle(ctx, ref, b, Options{}); err != nil {
					t.Fatal(err)
				}
				from := ref.String()
				if ref.Host() != "" {
					from = "oci://" + from
				}
				items, err := Lists{From: from, Dir: "/nowhere"}.Evidence(ctx)
				if err != nil || len(items) != 1 || string(items[0].Bundle) != string(b) {
					t.Fatalf("read back: %v", err)
				}
			}
			// An artifact's evidence is no list, and an artifact is none.
			publishUnsigned(t, ref)
			if _, err := FetchBundle(ctx, ref, Options{}); err == nil {
				t.Error("an artifact is read as a list")
			}
		})
	}
	if err := PublishBundle(ctx, mustRef(t, "oci:"+t.TempDir()+"@"+nobodysID), testBundle(0), Options{}); err == nil {
		t.Error("published without a tag")
	}
}

func TestListIsReadFromBesideThePolicy(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	b := statementOn(t, newSigner(t), nobodysID)
	if err := AppendClaims(ctx, filepath.Join(dir, "revoked.jsonl"), b); err != nil {
		t.Fatal(err)
	}
	if err := PublishBundle(ctx, mustRef(t, "oci:"+filepath.Join(dir, "lists")+":v1"), b, Options{}); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"revoked.jsonl", filepath.Join(dir, "revoked.jsonl"), "oci:lists:v1", "oci:" + filepath.Join(dir, "lists") + ":v1"} {
		if items, err := (Lists{From: from, Dir: dir}).Evidence(ctx); err != nil || len(items) != 1 {
			t.Errorf("%s: %d, %v", from, len(items), err)
		}
	}
	for _, from := range []string{"", "nowhere.jsonl", "oci:nowhere:v1"} {
		if _, err := (Lists{From: from, Dir: dir}).Evidence(ctx); err == nil {
			t.Errorf("%q: nothing there is no error", from)
		}
	}
}

func TestEveryKindOfNoteNamesTheArtifact(t *testing.T) {
	found, err := library(t, LibraryOptions{}).Find(context.Background(), policy.Want{ID: nobodysID, URIs: []string{"git+https://git.example/x"}})
	if err != nil || len(found.Notes) != 1 || !slices.ContainsFunc(found.Notes, func(n string) bool { return strings.Contains(n, nobodysID) }) {
		t.Errorf("notes %q, %v", found.Notes, err)
	}
}
