package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// login is a keychain with one login.
type login struct{ user, password string }

func (l login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: l.user, Password: l.password}, nil
}

// guarded demands tokens, which it gives to alice alone; each is good for a few requests only.
type guarded struct {
	inner  http.Handler
	realm  func(r *http.Request) string
	left   atomic.Int64
	serial atomic.Int64
	given  atomic.Int64
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		user, password, ok := r.BasicAuth()
		if !ok || user != "alice" || password != "secret" || !strings.HasPrefix(r.URL.Query().Get("scope"), "repository:team/chat:pull") {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		g.given.Add(1)
		g.left.Store(3)
		_, _ = fmt.Fprintf(w, `{"token":"t%d","expires_in":60}`, g.serial.Add(1))
		return
	}
	if r.Header.Get("Authorization") == fmt.Sprintf("Bearer t%d", g.serial.Load()) && g.left.Add(-1) >= 0 {
		g.inner.ServeHTTP(w, r)
		return
	}
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="test",scope="repository:team/chat:pull"`, g.realm(r)))
	w.WriteHeader(http.StatusUnauthorized)
}

func TestTokensAreFetchedAndRenewed(t *testing.T) {
	g := &guarded{inner: quiet(ggcr.WithReferrersSupport(true)), realm: func(r *http.Request) string { return "http://" + r.Host + "/token" }}
	ref := serve(t, g)
	ctx := context.Background()
	r := open(t, ref, Options{Keychain: login{"alice", "secret"}})
	dir := model(t, nil)
	c, subject := pushed1(t, r, dir)
	if _, err := r.Attach(ctx, subject, testBundle(1), testPredicate); err != nil {
		t.Fatal(err)
	}
	if err := r.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{Workers: 1}); err != nil {
		t.Fatal(err)
	}
	if g.given.Load() < 3 {
		t.Errorf("only %d tokens were asked for: none was renewed", g.given.Load())
	}
	var refused *StatusError
	for _, k := range []authn.Keychain{anonymous{}, login{"alice", "wrong"}} {
		if _, err := open(t, ref, Options{Keychain: k}).Manifest(ctx, c.ID); !errors.As(err, &refused) || refused.Code != http.StatusUnauthorized {
			t.Errorf("read with %v: %v", k, err)
		}
	}
}

func TestBasicLoginsAreSentWhenAskedFor(t *testing.T) {
	var without atomic.Int64
	inner := quiet()
	ref := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, ok := r.BasicAuth()
		if !ok {
			without.Add(1)
		}
		if user != "alice" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Negotiate, Basic realm="a, b"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	r := open(t, ref, Options{Keychain: login{"alice", "secret"}})
	pushed1(t, r, model(t, map[string]string{"a.bin": "a"}))
	if without.Load() == 0 {
		t.Error("the login was sent before it was asked for")
	}
	if _, err := open(t, ref, Options{Keychain: login{"alice", "wrong"}}).Resolve(context.Background(), ref); err == nil {
		t.Error("read with a wrong login")
	}
}

// Credentials are for the registry: a token service of another domain does not get them.
func TestTokenServicesElsewhereGetNothing(t *testing.T) {
	var asked atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(thief.Close)
	elsewhere := strings.Replace(thief.URL, "127.0.0.1", "localhost", 1)
	g := &guarded{inner: quiet(), realm: func(*http.Request) string { return elsewhere + "/token" }}
	ref := serve(t, g)
	_, err := open(t, ref, Options{Keychain: login{"alice", "secret"}}).Resolve(context.Background(), ref)
	if err == nil || !strings.Contains(err.Error(), "nothing sent") {
		t.Errorf("resolve ended with %v", err)
	}
	if asked.Load() != 0 {
		t.Error("the other host was asked")
	}
}

func TestRealmsOfTheRegistrysDomain(t *testing.T) {
	c := &client{}
	for realm, allowed := range map[string]bool{
		"https://auth.docker.io/token": true, "https://index.docker.io/token": true, "https://index.docker.io:8443/token": true,
		"http://index.docker.io/token": false, "https://docker.io.evil.example/token": false, "https://evil.example/token": false,
		"https://127.0.0.1/token": false, "ftp://index.docker.io/token": false, "https://io/token": false,
	} {
		u, err := url.Parse(realm)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.checkRealm(&url.URL{Scheme: "https", Host: "index.docker.io"}, u); (err == nil) != allowed {
			t.Errorf("%s: %v", realm, err)
		}
	}
	// Whoever shares a public suffix shares no domain.
	u := &url.URL{Scheme: "https", Host: "b.co.uk"}
	if err := c.checkRealm(&url.URL{Scheme: "https", Host: "a.co.uk"}, u); err == nil {
		t.Error("a.co.uk trusts b.co.uk")
	}
}

func TestRedirectsGetNoCredentials(t *testing.T) {
	var asked, credentials atomic.Int64
	g := &guarded{inner: quiet(ggcr.WithReferrersSupport(true)), realm: func(r *http.Request) string { return "http://" + r.Host + "/token" }}
	f := &faulty{inner: g}
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Header.Get("Authorization") != "" {
			credentials.Add(1)
		}
		g.inner.ServeHTTP(w, r)
	}))
	t.Cleanup(storage.Close)
	ref := serve(t, f)
	ctx := context.Background()
	keys := Options{Keychain: login{"alice", "secret"}}
	c, _ := pushed1(t, open(t, ref, keys), model(t, nil))
	toStorage := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, storage.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}

	f.set(answer("GET /v2/team/chat/blobs/", toStorage))
	reader := open(t, ref, keys)
	if _, err := reader.Resolve(ctx, ref); err != nil || reader.store.(*remote).client.auth.header(access{}) == "" {
		t.Fatalf("no token that could leak (%v)", err)
	}
	if err := reader.Pull(ctx, c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Errorf("blobs may lie elsewhere: %v", err)
	}
	if asked.Load() == 0 || credentials.Load() != 0 {
		t.Errorf("of %d requests elsewhere %d had credentials", asked.Load(), credentials.Load())
	}
	asked.Store(0)
	for _, kind := range []string{"GET /v2/team/chat/manifests/", "GET /v2/team/chat/referrers/", "GET /v2/team/chat/tags/", "PUT /v2/team/chat/manifests/", "POST /v2/team/chat/blobs/uploads/"} {
		f.set(answer(kind, toStorage))
		r := open(t, ref, keys)
		_, read := r.Manifest(ctx, c.ID)
		_, listed := r.Bundles(ctx, c.ID)
		_, tags := r.store.tags(ctx, "")
		_, put := r.store.putManifest(ctx, c.Manifest, Descriptor{"application/vnd.oci.image.manifest.v1+json", c.ID, int64(len(c.Manifest))}, "")
		up := r.store.putBlob(ctx, Descriptor{Digest: sumOf([]byte("x")), Size: 1}, opener([]byte("x")))
		failed := 0
		for _, err := range []error{read, listed, tags, put, up} {
			if err != nil {
				failed++
			}
		}
		if failed == 0 {
			t.Errorf("%s: nothing failed", kind)
		}
	}
	f.set(answer("POST /v2/team/chat/blobs/uploads/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", storage.URL+"/v2/team/chat/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	}))
	if err := open(t, ref, keys).store.putBlob(ctx, Descriptor{Digest: sumOf([]byte("x")), Size: 1}, opener([]byte("x"))); err == nil {
		t.Error("uploaded to another host")
	}
	if asked.Load() != 0 {
		t.Errorf("%d requests other than for blobs went elsewhere", asked.Load())
	}
}

func TestRedirectsThatAreNotFollowed(t *testing.T) {
	c := &client{}
	base := &url.URL{Scheme: "https", Host: "registry.example"}
	for location, allowed := range map[string]bool{
		"https://storage.example/x": true, "/other": true, "https://registry.example/y": true, "https://10.0.0.1/x": true,
		"http://storage.example/x": false, "https://127.0.0.1/x": false, "https://localhost/x": false, "https://169.254.169.254/x": false,
		"https://[::1]/x": false, "https://[::ffff:127.0.0.1]/x": false, "https://LOCALHOST/x": false, "https://a.localhost./x": false, "https://127.1/x": false,
		"https://2130706433/x": false, "https://0x7f.0.0.1/x": false, "https://0177.0.0.1./x": false, "https://1.2.3.4./x": true, "https://u:p@storage.example/x": false, "": false, "ftp://storage.example/x": false, "https://0.0.0.0/": false,
	} {
		if _, err := c.follow(base, base, location); (err == nil) != allowed {
			t.Errorf("%s: %v", location, err)
		}
	}
}

func TestPlainHTTPNeedsPermission(t *testing.T) {
	seen := ""
	transport := roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.URL.Scheme == "https" {
			return nil, http.ErrSchemeMismatch
		}
		seen = r.URL.String()
		return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	ref := mustRef(t, "registry.example/a:b")
	if _, err := open(t, ref, Options{Transport: transport}).Resolve(context.Background(), ref); err == nil || seen != "" {
		t.Errorf("%v after %q", err, seen)
	}
	if _, err := open(t, ref, Options{Transport: transport, InsecureHTTP: true}).Resolve(context.Background(), ref); !errors.Is(err, ErrNotFound) || seen == "" {
		t.Errorf("%v after %q", err, seen)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestParseChallengesReadsHeaders(t *testing.T) {
	for header, want := range map[string]string{
		`Bearer realm="https://a/t",service="s",scope="x:y:pull,push"`: "[{bearer map[realm:https://a/t scope:x:y:pull,push service:s]}]",
		`Negotiate, Basic realm="a, b"`:                                "[{negotiate map[]} {basic map[realm:a, b]}]",
		`BASIC`:                                                        "[{basic map[]}]",
		`Bearer realm="a\"b", realm=c`:                                 `[{bearer map[realm:a"b]}]`,
		`Bearer realm = token`:                                         "[{bearer map[realm:token]}]",
		`Bearer realm="open`:                                           "[{bearer map[]}]",
		`="x"`:                                                         "[]",
		``:                                                             "[]",
	} {
		if got := fmt.Sprint(parseChallenges(header)); got != want {
			t.Errorf("%s: %s, want %s", header, got, want)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/t",service="s"`)
	f.Add(`Negotiate, Basic realm="a\"b`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range parseChallenges(s) {
			if c.scheme == "" {
				t.Errorf("%q has a challenge without a scheme", s)
			}
		}
	})
}
