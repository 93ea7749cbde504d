package token

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// issuer is a server that notes what it was asked, and answers in turn; the last answer stays.
type issuer struct {
	*httptest.Server
	asked   []*http.Request
	answers []http.HandlerFunc
}

func newIssuer(t *testing.T, answers ...http.HandlerFunc) *issuer {
	t.Helper()
	i := &issuer{answers: answers}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked = append(i.asked, r) // one client, one request at a time
		a := i.answers[0]
		if len(i.answers) > 1 {
			i.answers = i.answers[1:]
		}
		a(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func github(i *issuer) map[string]string {
	return map[string]string{
		"GITHUB_ACTIONS": "true", "ACTIONS_ID_TOKEN_REQUEST_URL": i.URL + "/token?api-version=2.0", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-secret",
	}
}

func TestGitHubAsksForTheJobsToken(t *testing.T) {
	i := newIssuer(t, says(http.StatusServiceUnavailable, "bearer-secret"), says(http.StatusOK, `{"count":1,"value":"`+made(t, nil)+`"}`))
	s, err := Ambient(options(t, github(i)))
	if err != nil {
		t.Fatal(err)
	}
	if len(i.asked) != 0 {
		t.Error("finding the provider dials")
	}
	got, err := s.Token(t.Context())
	if err != nil || got.Name() != "workload" || s.Name() != "GitHub Actions" {
		t.Fatalf("%v from %s: %v", got, s.Name(), err)
	}
	if len(i.asked) != 2 {
		t.Fatalf("asked %d times, not again after a 503", len(i.asked))
	}
	r := i.asked[1]
	if r.Header.Get("Authorization") != "Bearer bearer-secret" || r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("api-version") != "2.0" {
		t.Errorf("asked for %s", r.URL)
	}
}

func TestGitHubRefuses(t *testing.T) {
	elsewhere := newIssuer(t, says(http.StatusOK, `{"value":"`+made(t, nil)+`"}`))
	for _, c := range []struct {
		says    string
		asked   int
		answers []http.HandlerFunc
	}{
		{"503 Service Unavailable", 3, []http.HandlerFunc{says(http.StatusServiceUnavailable, "")}},
		{"429 Too Many Requests", 3, []http.HandlerFunc{says(http.StatusTooManyRequests, "")}},
		{"401 Unauthorized", 1, []http.HandlerFunc{says(http.StatusUnauthorized, "you sent bearer-secret")}},
		{"holds no token", 1, []http.HandlerFunc{says(http.StatusOK, `{}`)}},
		{"holds no token", 1, []http.HandlerFunc{says(http.StatusOK, made(t, nil))}},
		{"not an identity token", 1, []http.HandlerFunc{says(http.StatusOK, `{"value":"x"}`)}},
		{"longer than", 1, []http.HandlerFunc{says(http.StatusOK, strings.Repeat(" ", maxAnswer+1))}},
		{"redirects are not followed", 1, []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}}},
	} {
		i := newIssuer(t, c.answers...)
		s, err := Ambient(options(t, github(i)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Token(t.Context())
		refused(t, err, "get an identity token from GitHub Actions: ")
		refused(t, err, c.says)
		if len(i.asked) != c.asked {
			t.Errorf("%s: asked %d times, want %d", c.says, len(i.asked), c.asked)
		}
	}
	if len(elsewhere.asked) != 0 {
		t.Error("a redirect was followed")
	}
	for url, says := range map[string]string{
		"http://issuer.example/token":   "https is needed",
		"ftp://issuer.example":          "no https URL",
		"https://ann:pw@issuer.example": "with user or fragment",
		"https://issuer.example/\x7f":   "no URL",
	} {
		vars := map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer-secret"}
		s, err := Ambient(options(t, vars))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Token(t.Context())
		refused(t, err, says)
	}
}

func TestGoogleAsksTheMetadataServer(t *testing.T) {
	google := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		fmt.Fprint(w, made(t, map[string]any{"email": "robot@example.iam"}))
	}
	i := newIssuer(t, google)
	host := strings.TrimPrefix(i.URL, "http://")
	vars := map[string]string{"GCE_METADATA_HOST": host, "HTTP_PROXY": "http://127.0.0.1:1"}
	s, err := Ambient(options(t, vars))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Token(t.Context()); err != nil || got.Name() != "robot@example.iam" || s.Name() != "Google Cloud" {
		t.Fatalf("%v from %s: %v", got, s.Name(), err)
	}
	r := i.asked[0]
	if r.Header.Get("Metadata-Flavor") != "Google" || r.URL.Path != googlePath || r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("format") != "full" {
		t.Errorf("asked for %s with %v", r.URL, r.Header)
	}
	i.answers = []http.HandlerFunc{says(http.StatusOK, made(t, nil))}
	_, err = s.Token(t.Context())
	refused(t, err, "no metadata server of Google's")
	vars["GCE_METADATA_HOST"] = "evil.example/path?"
	_, err = s.Token(t.Context())
	refused(t, err, "it is no host")
}

func TestGoogleIsKnownByItsFirmware(t *testing.T) {
	o := options(t, nil)
	o.files.product = filepath.Join(t.TempDir(), "product_name")
	write(t, o.files.product, "Google Compute Engine\n")
	if s, err := Ambient(o); err != nil || s.Name() != "Google Cloud" {
		t.Errorf("%v, %v", s, err)
	}
	write(t, o.files.product, "Standard PC\n")
	if _, err := Ambient(o); !errors.Is(err, ErrNone) {
		t.Errorf("another machine: %v", err)
	}
}

func TestGitLabHasItInTheEnvironment(t *testing.T) {
	s, err := Ambient(options(t, map[string]string{"GITLAB_CI": "true", "SIGSTORE_ID_TOKEN": made(t, nil)}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Token(t.Context()); err != nil || got.Name() != "workload" || s.Name() != "GitLab" {
		t.Errorf("%v from %s: %v", got, s.Name(), err)
	}
}

func TestKubernetesReadsTheProjectedToken(t *testing.T) {
	o := options(t, nil)
	o.files.kubernetes = filepath.Join(t.TempDir(), "oidc-token")
	if _, err := Ambient(o); !errors.Is(err, ErrNone) {
		t.Errorf("without a file: %v", err)
	}
	write(t, o.files.kubernetes, made(t, map[string]any{"sub": "system:serviceaccount:train:job"}))
	s, err := Ambient(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Token(t.Context()); err != nil || got.Name() != "system:serviceaccount:train:job" || s.Name() != "Kubernetes" {
		t.Errorf("%v from %s: %v", got, s.Name(), err)
	}
	// The token for the cluster's own API is a key to the cluster: it never leaves.
	write(t, o.files.kubernetes, made(t, map[string]any{"aud": []string{"https://kubernetes.default.svc.cluster.local"}}))
	_, err = s.Token(t.Context())
	refused(t, err, "and is not sent")
	// A file that was named has to be there.
	o.Getenv = at(map[string]string{"KUBERNETES_ID_TOKEN_FILE": filepath.Join(t.TempDir(), "missing")})
	if s, err = Ambient(o); err != nil {
		t.Fatal(err)
	}
	if _, err = s.Token(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a named file that is missing: %v", err)
	}
}

func TestSPIFFEReadsTheJWTSVID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwt")
	write(t, path, made(t, map[string]any{"sub": "spiffe://acme.example/train"}))
	s, err := Ambient(options(t, map[string]string{"SPIFFE_JWT_SVID_FILE": path}))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Token(t.Context()); err != nil || got.Name() != "spiffe://acme.example/train" || s.Name() != "SPIFFE" {
		t.Errorf("%v from %s: %v", got, s.Name(), err)
	}
	write(t, path, made(t, nil))
	_, err = s.Token(t.Context())
	refused(t, err, "is no SPIFFE ID")
}

func TestBuildkiteRunsItsAgent(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell to write a stand-in for the agent in")
	}
	dir := t.TempDir()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	agent := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "buildkite-agent"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	o := options(t, map[string]string{"BUILDKITE": "true"})
	_, err := Ambient(o)
	refused(t, err, "Buildkite: ") // the job says that it is Buildkite's, and has no agent
	agent(`[ "$*" = "oidc request-token --audience sigstore" ] || exit 9
echo "` + made(t, map[string]any{"sub": "organization:acme:pipeline:train"}) + `"`)
	s, err := Ambient(o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Token(t.Context()); err != nil || got.Name() != "organization:acme:pipeline:train" || s.Name() != "Buildkite" {
		t.Errorf("%v from %s: %v", got, s.Name(), err)
	}
	for script, says := range map[string]string{
		"echo no permission >&2; exit 3": `exit status 3: "no permission"`,
		"exit 0":                         "it printed nothing",
		"head -c 100000 /dev/zero":       "at most 16384",
	} {
		agent(script)
		_, err := s.Token(t.Context())
		refused(t, err, says)
	}
}

func TestAmbientOrder(t *testing.T) {
	if want := []string{"github", "gitlab", "kubernetes", "spiffe", "buildkite", "google"}; !slices.Equal(Providers(), want) {
		t.Errorf("tried in the order %v, documented as %v", Providers(), want)
	}
	file := filepath.Join(t.TempDir(), "token")
	everything := []struct{ name, variable, value string }{
		{"GitHub Actions", "ACTIONS_ID_TOKEN_REQUEST_URL", "https://issuer.example"},
		{"GitLab", "SIGSTORE_ID_TOKEN", "x.y.z"},
		{"Kubernetes", "KUBERNETES_ID_TOKEN_FILE", file},
		{"SPIFFE", "SPIFFE_JWT_SVID_FILE", file},
		{"Google Cloud", "GCE_METADATA_HOST", "127.0.0.1:1"},
	}
	for first := range everything {
		vars := map[string]string{}
		for _, e := range everything[first:] {
			vars[e.variable] = e.value
		}
		if first == 0 {
			vars["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "bearer-secret"
		}
		s, err := Ambient(options(t, vars))
		if err != nil || s.Name() != everything[first].name {
			t.Errorf("offered %v: %v, %v", vars, s, err)
		}
	}
	if _, err := Ambient(options(t, nil)); !errors.Is(err, ErrNone) {
		t.Errorf("offered nothing: %v", err)
	}
}

// TestAmbientDoesNotFallThrough: a job that lacks a permission must not sign as the machine that it runs on.
func TestAmbientDoesNotFallThrough(t *testing.T) {
	machine := map[string]string{"GCE_METADATA_HOST": "127.0.0.1:1"}
	for says, vars := range map[string]map[string]string{
		"id-token: write": {"GITHUB_ACTIONS": "true"},
		"only one is set": {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://issuer.example"},
		"under id_tokens": {"GITLAB_CI": "true"},
	} {
		vars["GCE_METADATA_HOST"] = machine["GCE_METADATA_HOST"]
		_, err := Ambient(options(t, vars))
		refused(t, err, says)
		if errors.Is(err, ErrNone) {
			t.Errorf("%s: taken for nothing", says)
		}
		// Who wants the machine's identity says so.
		if s, err := Named("google", options(t, vars)); err != nil || s.Name() != "Google Cloud" {
			t.Errorf("%s: the machine's own: %v", says, err)
		}
	}
}

func TestNamedRefuses(t *testing.T) {
	_, err := Named("gitlab", options(t, nil))
	if !errors.Is(err, ErrNone) {
		t.Errorf("what is not offered: %v", err)
	}
	_, err = Named("gitlap", options(t, nil))
	refused(t, err, `no provider "gitlap", only github, gitlab`)
}
