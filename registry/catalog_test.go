package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

func mustScope(t *testing.T, s string) Scope {
	t.Helper()
	scope, err := ParseScope(s)
	if err != nil {
		t.Fatal(err)
	}
	if scope.String() != s {
		t.Errorf("%q comes back as %q", s, scope)
	}
	return scope
}

// patient is how tests reach a registry: without logins and without waiting.
func patient() Options {
	return Options{Keychain: anonymous{}, Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }}
}

func repositories(t *testing.T, s string) ([]string, []string, error) {
	t.Helper()
	c, err := Repositories(t.Context(), mustScope(t, s), patient())
	var names []string
	for _, r := range c.Repos {
		names = append(names, strings.TrimPrefix(r.Name(), r.Host()+"/"))
	}
	return names, c.Refused, err
}

func TestParseScopeRefusesWhatIsNotAScope(t *testing.T) {
	for _, s := range []string{"registry.example", "localhost:5000", "registry.example/llm/", "registry.example/llm/chat", "oci:layout", "oci-archive:chat.tar"} {
		mustScope(t, s)
	}
	for _, s := range []string{"", "/", "llm", "llm/chat", "registry.example//", "registry.example/LLM", "registry.example/llm/chat:v1",
		"registry.example/llm@sha256:" + strings.Repeat("0", 64), "registry.example/llm//", "oci:layout:v1", "oci:", "regis try.example", "a.b/" + strings.Repeat("a", 5000)} {
		if scope, err := ParseScope(s); err == nil {
			t.Errorf("%q is the scope %q", s, scope)
		}
	}
}

func TestRepositoriesAreThoseOfTheScope(t *testing.T) {
	for name, o := range map[string]lab.Options{"whole": {}, "in pages": {PageSize: 2}, "with tokens": {Tokens: true, PageSize: 1}} {
		t.Run(name, func(t *testing.T) {
			g := lab.New(o)
			for _, n := range []string{"llm/chat", "llm/base", "llms/other", "data/corpus", "llm", "x\x1b[31m/../y"} {
				g.PutManifest(n, ocispec.MediaTypeImageManifest, []byte("{}"), "v1")
			}
			host := lab.Serve(t, g)
			names, refused, err := repositories(t, host)
			if err != nil || !slices.Equal(names, []string{"data/corpus", "llm", "llm/base", "llm/chat", "llms/other"}) || !slices.Equal(refused, []string{"x\x1b[31m/../y"}) {
				t.Errorf("all: %q, refused %q (%v)", names, refused, err)
			}
			if names, refused, err = repositories(t, host+"/llm/"); err != nil || !slices.Equal(names, []string{"llm/base", "llm/chat"}) || refused != nil {
				t.Errorf("below llm: %q, refused %q (%v)", names, refused, err)
			}
			if names, _, err = repositories(t, host+"/llm"); err != nil || !slices.Equal(names, []string{"llm"}) {
				t.Errorf("llm alone: %q (%v)", names, err)
			}
		})
	}
}

func TestScopeHasItsReferences(t *testing.T) {
	for s, has := range map[string][]string{
		"registry.example":      {"registry.example/llm:v1", "registry.example/llm/chat@sha256:0"},
		"registry.example/llm/": {"registry.example/llm/chat:v1"},
		"registry.example/llm":  {"registry.example/llm:v1", "registry.example/llm@sha256:0"},
		"oci:layout":            {"oci:layout:v1"},
	} {
		scope := mustScope(t, s)
		for _, ref := range has {
			if !scope.Has(ref) {
				t.Errorf("%s has not %s", s, ref)
			}
		}
		for _, ref := range []string{"registry.example.org/llm:v1", "registry.example/llms/chat2", "oci:layout2:v1"} {
			if scope.Has(ref) && !strings.HasPrefix(ref, s+"/") {
				t.Errorf("%s has %s", s, ref)
			}
		}
	}
	if (Scope{}).Has("registry.example/llm:v1") || mustScope(t, "registry.example/llm").Has("registry.example/llm/chat:v1") || mustScope(t, "registry.example/llm/").Has("registry.example/llm:v1") {
		t.Error("a scope has what is beside it")
	}
}

func TestRepositoriesRefusesHalfAList(t *testing.T) {
	at := func(do func(x *lab.Exchange)) lab.Fault { return lab.Fault{Do: do}.At(http.MethodGet, "/_catalog") }
	body := func(text string) lab.Fault {
		return at(func(x *lab.Exchange) { x.Give(&lab.Answer{Status: 200, Header: http.Header{}, Body: []byte(text)}) })
	}
	next := 0
	for name, c := range map[string]struct {
		fault  lab.Fault
		reason policy.Reason
	}{
		"no list":        {lab.Status(http.StatusNotFound, ""), policy.Unreadable},
		"an error":       {lab.Status(http.StatusInternalServerError, ""), policy.Unreadable},
		"another object": {body(`{"names":["llm"]}`), policy.Unreadable},
		"a page of HTML": {body(`<html>`), policy.Unreadable},
		"a key twice":    {body(`{"repositories":[],"repositories":["llm"]}`), policy.Unreadable},
		"too many names": {body(`{"repositories":[` + strings.Repeat(`"a",`, maxRepositories) + `"a"]}`), policy.CapReached},
		"too many bytes": {body(`{"repositories":["` + strings.Repeat("a", maxManifest) + `"]}`), policy.CapReached},
		"itself as next": {at(func(x *lab.Exchange) {
			a := x.Ask()
			a.Header.Set("Link", "<"+x.Request.URL.RequestURI()+`>; rel="next"`)
			x.Give(a)
		}), policy.Unreadable},
		"pages for ever": {at(func(x *lab.Exchange) {
			next++
			a := x.Ask()
			a.Header.Set("Link", fmt.Sprintf(`</v2/_catalog?last=%d>; rel="next"`, next))
			x.Give(a)
		}), policy.CapReached},
		"another address": {at(func(x *lab.Exchange) {
			a := x.Ask()
			a.Header.Set("Link", `<http://registry.example/v2/_catalog>; rel="next"`)
			x.Give(a)
		}), policy.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			g := lab.New(lab.Options{})
			g.PutManifest("llm", ocispec.MediaTypeImageManifest, []byte("{}"), "v1")
			p := lab.NewProxy(g)
			host := lab.Serve(t, p)
			if names, _, err := repositories(t, host); err != nil || !slices.Equal(names, []string{"llm"}) {
				t.Fatalf("without the fault: %q (%v)", names, err)
			}
			p.Set(lab.Rule{Fault: c.fault})
			names, _, err := repositories(t, host)
			var e *Error
			if names != nil || !errors.As(err, &e) || e.Reason() != c.reason {
				t.Errorf("%q, %v", names, err)
			}
		})
	}
}

// TestRefsAreWhatARepositoryNames has a tag, evidence of what it names, and in a layout an artifact without a tag.
func TestRefsAreWhatARepositoryNames(t *testing.T) {
	for _, p := range places() {
		t.Run(p.name, func(t *testing.T) {
			r := open(t, p.ref(t), Options{})
			if refs, err := r.Refs(t.Context()); !errors.Is(err, ErrNotFound) {
				t.Errorf("nothing is there: %v (%v)", refs, err)
			}
			c, subject := pushed(t, r, model(t, nil))
			before, err := r.Referrers(t.Context(), c.ID)
			if err != nil || len(before) != 0 {
				t.Errorf("referrers of what has none: %q (%v)", before, err)
			}
			attached, err := r.Attach(t.Context(), subject, testBundle(1), testPredicate)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := r.Referrers(t.Context(), c.ID); err != nil || !slices.Equal(got, []string{attached}) {
				t.Errorf("referrers %q (%v)", got, err)
			}
			other := canonical(t, model(t, map[string]string{"a.txt": "a"}))
			if _, err := r.Push(t.Context(), other, Files{model(t, map[string]string{"a.txt": "a"})}, PushOptions{}); err != nil {
				t.Fatal(err)
			}
			want := []string{r.Name() + ":v1"}
			if r.ref.dir != "" {
				want = append(want, r.ref.Pinned(other.ID))
			}
			refs, err := r.Refs(t.Context())
			var got []string
			for _, ref := range refs {
				got = append(got, ref.String())
			}
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("refs %q, want %q (%v)", got, want, err)
			}
			if digest, err := r.Digest(t.Context(), refs[0]); err != nil || digest != c.ID {
				t.Errorf("%s is %s (%v)", refs[0], digest, err)
			}
			gone := r.ref
			gone.tag = "gone"
			if digest, err := r.Digest(t.Context(), gone); !errors.Is(err, ErrNotFound) {
				t.Errorf("%s is %s (%v)", gone, digest, err)
			}
			if all, err := r.Below(t.Context(), c.ID); err != nil || len(all) != 1 || all[0] != subject {
				t.Errorf("below a manifest: %v (%v)", all, err)
			}
		})
	}
}

func TestBelowListsWhatAnIndexHolds(t *testing.T) {
	g := lab.New(lab.Options{})
	index := func(digests ...string) string {
		x := newIndex()
		for _, d := range digests {
			x.Manifests = append(x.Manifests, referrer{Descriptor: Descriptor{ocispec.MediaTypeImageManifest, d, 2}})
		}
		raw, err := x.marshal()
		if err != nil {
			t.Fatal(err)
		}
		return g.PutManifest("llm", ocispec.MediaTypeImageIndex, raw, "")
	}
	a := g.PutManifest("llm", ocispec.MediaTypeImageManifest, []byte("{}"), "")
	b := g.PutManifest("llm", ocispec.MediaTypeImageManifest, []byte("{ }"), "")
	var many []string
	for i := range maxNested + 1 {
		many = append(many, lab.Digest(fmt.Append(nil, i)))
	}
	r := open(t, mustRef(t, lab.Serve(t, g)+"/llm:v1"), Options{})
	below := func(digest string) ([]string, error) {
		all, err := r.Below(t.Context(), digest)
		var out []string
		for _, d := range all {
			out = append(out, d.Digest)
		}
		return out, err
	}
	two := index(b, a)
	three := index(index(two, a), a)
	for _, top := range []string{two, three} {
		if got, err := below(top); err != nil || !slices.Equal(got, []string{b, a}) {
			t.Errorf("%q (%v)", got, err)
		}
	}
	for name, top := range map[string]string{"deep": index(index(index(index(a)))), "many": index(many...)} {
		if got, err := below(top); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %q (%v)", name, got, err)
		}
	}
	if got, err := below(index(lab.Digest([]byte("gone")))); !errors.Is(err, ErrNotFound) {
		t.Errorf("listed and not there: %q (%v)", got, err)
	}
}

// TestDigestDoesNotReadTheManifest asks a registry that says where a tag points, one that does not, and offline.
func TestDigestDoesNotReadTheManifest(t *testing.T) {
	g := lab.New(lab.Options{})
	digest := g.PutManifest("llm", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2}`), "v1")
	p := lab.NewProxy(g)
	r := open(t, mustRef(t, lab.Serve(t, p)+"/llm:v1"), Options{})
	if got, err := r.Digest(t.Context(), r.ref); err != nil || got != digest {
		t.Errorf("%q (%v)", got, err)
	}
	for _, q := range g.Requests() {
		if q.Method == http.MethodGet && strings.Contains(q.URI, "/manifests/") {
			t.Errorf("asked for %s", q.URI)
		}
	}
	p.Set(lab.Rule{Fault: lab.Fault{Do: func(x *lab.Exchange) { a := x.Ask(); a.Header.Del("Docker-Content-Digest"); x.Give(a) }}.At(http.MethodHead, "/manifests/")})
	if got, err := r.Digest(t.Context(), r.ref); err != nil || got != digest {
		t.Errorf("where the registry does not say: %q (%v)", got, err)
	}
	if _, err := Repositories(t.Context(), mustScope(t, "registry.example"), Options{Offline: true}); !errors.Is(err, ErrOffline) {
		t.Errorf("offline: %v", err)
	}
	if c, err := Repositories(t.Context(), Scope{}, Options{}); err == nil {
		t.Errorf("of nothing: %v", c)
	}
	if c, err := Repositories(t.Context(), mustScope(t, "oci:"+filepath.Join(t.TempDir(), "none")), Options{}); err != nil || len(c.Repos) != 1 {
		t.Errorf("of a layout: %v (%v)", c, err)
	}
}
