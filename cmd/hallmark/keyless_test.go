package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/token"
)

// instance is a Sigstore whose certificate authority turns everybody away: enough to see who was asked, in which order.
type instance struct {
	t          *testing.T
	server     *httptest.Server
	root       string // files
	config     string
	asked      []string // "token" and "certificate"
	authorized string   // what the certificate authority was shown
}

// farFuture is the expiry of tokens here, so that the tests need no clock.
const farFuture = 4102444800

func identityToken(name string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part(fmt.Appendf(nil, `{"iss":"https://issuer.test","sub":%q,"aud":"sigstore","exp":%d}`, name, farFuture)) + "." + part([]byte("the secret part"))
}

func newInstance(t *testing.T) *instance {
	t.Helper()
	i := &instance{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, _ *http.Request) {
		i.asked = append(i.asked, "token")
		fmt.Fprintf(w, `{"value":%q}`, identityToken("repo:acme/train"))
	})
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.asked = append(i.asked, "login")
		http.Error(w, "nobody logs in here", http.StatusForbidden)
	})
	mux.HandleFunc("POST /fulcio/api/v2/signingCert", func(w http.ResponseWriter, r *http.Request) {
		i.asked = append(i.asked, "certificate")
		i.authorized = r.Header.Get("Authorization")
		http.Error(w, "not today", http.StatusForbidden)
	})
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	dir := t.TempDir()
	i.root, i.config = filepath.Join(dir, "root.json"), filepath.Join(dir, "config.json")
	i.write(i.root, trustedRoot(t))
	i.configure(i.server.URL + "/rekor")
	for _, name := range []string{"GITHUB_ACTIONS", "GITLAB_CI", "SIGSTORE_ID_TOKEN", "BUILDKITE", "KUBERNETES_ID_TOKEN_FILE", "SPIFFE_JWT_SVID_FILE", "GCE_METADATA_HOST"} {
		t.Setenv(name, "")
	}
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", i.server.URL+"/token")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job")
	return i
}

func (i *instance) write(path string, data []byte) {
	i.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// configure writes a signing config with this log.
func (i *instance) configure(log string) {
	i.write(i.config, fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
"caUrls":[{"url":"%[1]s/fulcio","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogUrls":[{"url":%[2]q,"majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogConfig":{"selector":"ANY"}}`, i.server.URL, log))
}

// trustedRoot trusts an authority and logs that issue nothing here.
func trustedRoot(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(farFuture, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(spki)
	logs := map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {BaseURL: "https://log.test", ID: id[:], HashFunc: crypto.SHA256,
		SignatureHashFunc: crypto.SHA256, PublicKey: key.Public(), ValidityPeriodStart: time.Unix(1, 0)}}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca, URI: "https://ca.test"}},
		logs, nil, logs)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := tr.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sign runs the command on path, where a person answers so; "" is where nobody is.
func (i *instance) sign(path, answer string, flags ...string) (code int, stderr string) {
	i.t.Helper()
	var out, errs bytes.Buffer
	s := streams{in: strings.NewReader(answer), out: &out, err: &errs, person: func() bool { return answer != "" }}
	code = run(i.t.Context(), append([]string{"sign", path, "--trusted-root", i.root, "--signing-config", i.config}, flags...), s)
	if out.Len() > 0 {
		i.t.Errorf("signed by an authority that turns everybody away: %s", &out)
	}
	if strings.Contains(errs.String(), base64.RawURLEncoding.EncodeToString([]byte("the secret part"))) {
		i.t.Errorf("the token was printed: %s", &errs)
	}
	return code, errs.String()
}

func TestSignTakesTheAmbientToken(t *testing.T) {
	i := newInstance(t)
	code, stderr := i.sign(files(t, 1)[0], "")
	if code != exitUnknown || !strings.Contains(stderr, "hallmark: identity token from GitHub Actions names repo:acme/train (https://issuer.test), which is not verified here\n") ||
		!strings.Contains(stderr, "403 Forbidden") {
		t.Errorf("exit code %d, said %q", code, stderr)
	}
	if fmt.Sprint(i.asked) != "[token certificate]" || i.authorized != "Bearer "+identityToken("repo:acme/train") {
		t.Errorf("asked for %v", i.asked)
	}
	if _, stderr := i.sign(files(t, 1)[0], "", "--quiet"); strings.Contains(stderr, "identity token from") {
		t.Errorf("with --quiet said %q", stderr)
	}
}

// TestSignIsKeylessWithoutFlagsAfterAnImport: a job that has an identity signs unattended, and a key that is named is the
// one that signs.
func TestSignIsKeylessWithoutFlagsAfterAnImport(t *testing.T) {
	i := newInstance(t)
	file := files(t, 1)[0]
	t.Setenv("HALLMARK_TRUST_DIR", filepath.Join(t.TempDir(), "store"))
	if code, _, stderr := hallmark(t, "sign", file); code != exitUsage || !strings.Contains(stderr, "hallmark: nothing to sign with\n") {
		t.Errorf("nothing imported: exit code %d, said %q", code, stderr)
	}
	mustRun(t, "trust", "import", i.root, "--signing-config", i.config)
	if code, _, stderr := hallmark(t, "sign", file); code != exitUnknown || fmt.Sprint(i.asked) != "[token certificate]" {
		t.Errorf("exit code %d, asked for %v, said %q", code, i.asked, stderr)
	}
	i.asked = nil
	t.Chdir(t.TempDir())
	mustRun(t, "keygen", "trainer")
	mustRun(t, "sign", file, "--private-key", "trainer.key")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
	if code, _, stderr := hallmark(t, "sign", file); code != exitUsage || !strings.Contains(stderr, "nothing to sign with: no key is named, and no identity token is offered here") {
		t.Errorf("no token is offered: exit code %d, said %q", code, stderr)
	}
	mustRun(t, "trust", "import", i.root) // the signing config before was another root's
	if code, _, stderr := hallmark(t, "sign", file); code != exitUsage || !strings.Contains(stderr, "hallmark: nothing to sign with\n") {
		t.Errorf("no signing config: exit code %d, said %q", code, stderr)
	}
	if len(i.asked) != 0 {
		t.Errorf("asked for %v", i.asked)
	}
}

// TestWhoHasNoConfigurationHasImportedNothing: a service without a home directory is told what to name, like everybody
// who imported no trusted root. Where one is to be kept, that there is no place stays the error.
func TestWhoHasNoConfigurationHasImportedNothing(t *testing.T) {
	i := newInstance(t)
	file := files(t, 1)[0]
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME", "AppData", "HALLMARK_TRUST_DIR"} {
		t.Setenv(name, "")
	}
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"sign": {exitUsage, "hallmark: nothing to sign with\nhallmark: hint: --private-key FILE"},
		"sign --identity-token x --signing-config " + i.config:           {exitUsage, "no trusted root was imported"},
		"verify --identity a --identity-provider https://issuer.example": {exitUsage, "no trusted root was imported"},
		"trust import " + i.root:                                         {exitUnknown, "hint: --trust-dir DIRECTORY"},
	} {
		given := strings.Fields(args)
		if given[0] != "trust" {
			given = append(given, file)
		}
		if code, _, stderr := hallmark(t, given...); code != want.code || !strings.Contains(stderr, want.says) {
			t.Errorf("%s: exit code %d, said %q", args, code, stderr)
		}
	}
	t.Chdir(t.TempDir())
	mustRun(t, "keygen", "trainer")
	mustRun(t, "sign", file, "--private-key", "trainer.key")
}

func TestSignAsksForNoTokenBeforeHashing(t *testing.T) {
	i := newInstance(t)
	empty := t.TempDir() // nothing to hash, so nothing to sign
	if code, _ := i.sign(empty, ""); code != exitNo || len(i.asked) != 0 {
		t.Errorf("exit code %d, asked for %v", code, i.asked)
	}
	// A token file that is there when it is needed need not be there before.
	if code, stderr := i.sign(empty, "", "--identity-token-file", filepath.Join(empty, "later")); code != exitNo || strings.Contains(stderr, "later") {
		t.Errorf("exit code %d, said %q", code, stderr)
	}
	if code, stderr := i.sign(files(t, 1)[0], "", "--identity-token-file", filepath.Join(empty, "later")); code != exitUnknown || !strings.Contains(stderr, "later") {
		t.Errorf("exit code %d, said %q", code, stderr)
	}
}

func TestSignPrefersTheTokenThatWasGiven(t *testing.T) {
	i := newInstance(t)
	_, stderr := i.sign(files(t, 1)[0], "", "--identity-token", identityToken("ann"))
	if !strings.Contains(stderr, "identity token from the command line names ann ") || fmt.Sprint(i.asked) != "[certificate]" {
		t.Errorf("asked for %v, said %q", i.asked, stderr)
	}
	path := filepath.Join(t.TempDir(), "token")
	i.write(path, []byte(identityToken("file")))
	if _, stderr = i.sign(files(t, 1)[0], "", "--identity-token-file", path); !strings.Contains(stderr, " names file ") {
		t.Errorf("said %q", stderr)
	}
}

func TestSignRefusesTokenFlagsThatContradict(t *testing.T) {
	i := newInstance(t)
	one := files(t, 1)[0]
	for says, flags := range map[string][]string{
		"one token twice":     {"--identity-token", "x", "--identity-token-file", "y"},
		"two ways to come by": {"--identity-token", "x", "--oidc-provider", "github"},
		"no provider":         {"--oidc-provider", "gihtub"},
		"--oidc-issuer":       {"--oidc-provider", "browser"},
		"two ways to sign":    {"--oidc-provider", "github", "--private-key", "k"},
	} {
		if code, stderr := i.sign(one, "", flags...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%v: exit code %d, said %q", flags, code, stderr)
		}
	}
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "")
	if code, stderr := i.sign(one, ""); code != exitUsage || !strings.Contains(stderr, "no terminal to log in from") {
		t.Errorf("nothing offered: exit code %d, said %q", code, stderr)
	}
	t.Setenv("GITHUB_ACTIONS", "true")
	if code, stderr := i.sign(one, ""); code != exitUsage || !strings.Contains(stderr, "id-token: write") {
		t.Errorf("a job without permission: exit code %d, said %q", code, stderr)
	}
}

func TestSignLogsInOnceForAllArtifacts(t *testing.T) {
	i := newInstance(t)
	paths := files(t, 3)
	code, stderr := i.sign(paths[0], "", paths[1], paths[2], "--oidc-provider", "device", "--oidc-issuer", i.server.URL)
	if code != exitUnknown || strings.Count(stderr, "discover the issuer") != 3 || fmt.Sprint(i.asked) != "[login]" {
		t.Errorf("exit code %d, asked for %v, said %q", code, i.asked, stderr)
	}
}

// TestSignAsksBeforeAPublicLog: only a yes lets the name out of the machine.
func TestSignAsksBeforeAPublicLog(t *testing.T) {
	const question = "rekor.sigstore.dev will hold the name repo:acme/train for ever"
	for _, c := range []struct {
		answer string // "" is where nobody is
		flags  []string
		asks   bool
		goesOn bool
	}{
		{"y\n", nil, true, true},
		{"YES\n", nil, true, true},
		{"n\n", nil, true, false},
		{"\n", nil, true, false},
		{"y", nil, true, false}, // cut off
		{"n\n", []string{"--yes"}, false, true},
		{"", nil, false, true},
	} {
		i := newInstance(t)
		i.configure("https://rekor.sigstore.dev")
		code, stderr := i.sign(files(t, 1)[0], c.answer, c.flags...)
		if strings.Contains(stderr, question) != c.asks {
			t.Errorf("%q %v: said %q", c.answer, c.flags, stderr)
		}
		if want := map[bool]string{true: "[token certificate]", false: "[token]"}[c.goesOn]; fmt.Sprint(i.asked) != want || code != exitUnknown {
			t.Errorf("%q %v: exit code %d, asked for %v, want %s", c.answer, c.flags, code, i.asked, want)
		}
	}
	i := newInstance(t) // a private log
	if _, stderr := i.sign(files(t, 1)[0], "n\n"); strings.Contains(stderr, "for ever") || fmt.Sprint(i.asked) != "[token certificate]" {
		t.Errorf("a private log: asked for %v, said %q", i.asked, stderr)
	}
}

func TestConsentIsAskedOnceForAName(t *testing.T) {
	var asked bytes.Buffer
	c := &consent{s: streams{in: strings.NewReader("y\n"), err: &asked}, logs: []string{"log"}, ask: true}
	for range 3 {
		if err := c.give(t.Context(), "ann"); err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(asked.String(), "[y/N]"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if err := c.give(t.Context(), "bob"); err == nil {
		t.Error("a yes to ann went for bob")
	}
	if err := c.give(t.Context(), "ann"); err == nil {
		t.Error("after a no it went on")
	}
	c = &consent{s: streams{in: strings.NewReader("n\ny\n"), err: &asked}, logs: []string{"log"}, ask: true}
	for range 2 { // the second of several artifacts does not ask again
		if err := c.give(t.Context(), "ann"); !errors.Is(err, errDeclined) {
			t.Errorf("a no: %v", err)
		}
	}
}

func TestConsentEndsWithItsContext(t *testing.T) {
	in, typing, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer typing.Close() // ends the read
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped{os.Interrupt})
	c := &consent{s: streams{in: in, err: &bytes.Buffer{}}, logs: []string{"log"}, ask: true}
	if err := c.give(ctx, "ann"); !errors.As(err, new(stopped)) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestAttendedNeedsTerminalsAndNoCI(t *testing.T) {
	if (streams{in: strings.NewReader(""), err: &bytes.Buffer{}}).attended() {
		t.Error("buffers were taken for terminals")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if (streams{in: null, err: null}).attended() {
		t.Error("/dev/null was taken for a terminal")
	}
}

func TestProvidersInTheHelpAreTheOnesThatAre(t *testing.T) {
	c := newSign(streams{})
	usage := c.Flags().Lookup("oidc-provider").Usage
	for _, p := range token.Providers() {
		if !strings.Contains(usage, p) {
			t.Errorf("%s is not in the help: %s", p, usage)
		}
	}
}

// TestRunFetchesTheTokenOnceTheCommandEnded: what runs for days has no token, and where it fails none is asked for. The
// authority turns everybody away, so that the statement is left as a draft.
func TestRunFetchesTheTokenOnceTheCommandEnded(t *testing.T) {
	all, i := schemas(t), newInstance(t)
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("base", 0o755); err != nil {
		t.Fatal(err)
	}
	i.write("base/w", []byte("weights"))
	for _, c := range []struct {
		script string
		code   int
		asked  string
	}{
		{"exit 7", 7, "[]"},
		{"mkdir out; env >out/env", exitRun, "[token certificate]"},
	} {
		code, _, errs := hallmark(t, "run", "--type", "quantize", "--input", "base-model=./base", "--output", "out", "--trusted-root", i.root,
			"--signing-config", i.config, "--report", "ran.json", "--", "sh", "-c", c.script)
		if code != c.code || fmt.Sprint(i.asked) != c.asked {
			t.Errorf("%s: exit code %d, asked for %v\n%s", c.script, code, i.asked, errs)
		}
	}
	env, err := os.ReadFile("out/env")
	if err != nil || !strings.Contains(string(env), "PATH=") || strings.Contains(string(env), "ACTIONS_ID_TOKEN") {
		t.Errorf("the command had %q, %v", env, err)
	}
	draft, err := os.ReadFile("out.draft.json")
	if err != nil {
		t.Fatal(err)
	}
	if claim, err := attestations.ParseStatement(draft); err != nil || claim.On.Name != "out" {
		t.Errorf("the draft is %+v: %v", claim, err)
	}
	report, err := os.ReadFile("ran.json")
	if err != nil || !strings.Contains(string(report), `"draft": "out.draft.json"`) || !strings.Contains(string(report), `"outcome": "refused"`) {
		t.Errorf("%s, %v", report, err)
	}
	check(t, all, map[string]bool{}, string(report))
}
