package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const signature = "the-signature-is-the-secret-part-of-it"

// made is a token that claims these members.
func made(t *testing.T, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": "https://issuer.test", "sub": "workload", "aud": "sigstore", "exp": 2e9}
	for key, value := range claims {
		all[key] = value
		if value == nil {
			delete(all, key)
		}
	}
	payload, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"ES256"}`)) + "." + part(payload) + "." + part([]byte(signature))
}

// refused fails the test unless err says so much, and shows nothing of a token.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %q", says)
		return
	}
	if !strings.Contains(err.Error(), says) {
		t.Errorf("error %q does not say %q", err, says)
	}
	if strings.Contains(err.Error(), base64.RawURLEncoding.EncodeToString([]byte(signature))[:12]) || strings.Contains(err.Error(), "bearer-") {
		t.Errorf("error shows a secret: %q", err)
	}
}

// at is an environment.
func at(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

// options are for an environment in which nothing else is found, and make no pauses.
func options(t *testing.T, vars map[string]string) Options {
	t.Helper()
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	return Options{
		Getenv: at(vars), files: files{kubernetes: nowhere, product: nowhere},
		pause: func(ctx context.Context, _ time.Duration) error { return ctx.Err() },
	}
}

func TestParseReadsWhatATokenSays(t *testing.T) {
	raw := made(t, map[string]any{"email": "ann@example.com", "aud": []string{"other", "sigstore"}, "nonce": "n", "exp": 1.5e9})
	got, err := Parse(" " + raw + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Secret() != raw || got.Name() != "ann@example.com" || got.Subject != "workload" || got.Issuer != "https://issuer.test" ||
		len(got.Audience) != 2 || got.Nonce != "n" || !got.Expires.Equal(time.Unix(1.5e9, 0)) {
		t.Errorf("read %+v", got)
	}
	if got, err = Parse(made(t, nil)); err != nil || got.Name() != "workload" || got.isFor("sigstore") != nil {
		t.Errorf("a token without e-mail address: %v, %v", got, err)
	}
}

func TestParseRefuses(t *testing.T) {
	good := made(t, nil)
	parts := strings.Split(good, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct{ says, raw string }{
		{"not an identity token", ""},
		{"not an identity token", parts[0] + "." + parts[1]},
		{"not an identity token", good + ".x"},
		{"not an identity token", parts[0] + ".{}." + parts[2]},
		{"not an identity token", parts[0] + "." + parts[1] + "\n." + parts[2]},
		{"not an identity token", parts[0] + "." + encode(`{"exp":1,"exp":2}`) + "." + parts[2]},
		{"not an identity token", parts[0] + "." + encode(`{"exp":2,"aud":7}`) + "." + parts[2]},
		{"not an identity token", parts[0] + "." + encode(`{"exp":2,"aud":{"a":"b"}}`) + "." + parts[2]},
		{"when it expires", made(t, map[string]any{"exp": nil})},
		{"when it expires", made(t, map[string]any{"exp": -1})},
		{"at most 16384", good + strings.Repeat("A", MaxSize)},
	} {
		_, err := Parse(c.raw)
		refused(t, err, c.says)
	}
}

func TestTokenIsNeverPrinted(t *testing.T) {
	got, err := Parse(made(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{got, &got, []Token{got}} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, got.Secret()[:10]) || strings.Contains(text, got.Secret()[len(got.Secret())-10:]) {
				t.Errorf("%s of %T shows the token", verb, value)
			}
		}
	}
	if text := fmt.Sprint(got); text != `identity token of "workload"` {
		t.Errorf("printed as %q", text)
	}
	if raw, err := json.Marshal(got); err != nil || strings.Contains(string(raw), got.Secret()) {
		t.Errorf("JSON shows the token: %v", err)
	}
}

func TestSourceHoldsTheTokenToItsAudience(t *testing.T) {
	o := options(t, nil)
	if _, err := Static(made(t, nil), o).Token(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := Static(made(t, map[string]any{"aud": "https://kubernetes.default.svc"}), o).Token(t.Context())
	refused(t, err, `for the audience "https://kubernetes.default.svc", not "sigstore"`)
	_, err = Static(made(t, map[string]any{"aud": nil}), o).Token(t.Context())
	refused(t, err, "for the audience")
	_, err = Static(made(t, map[string]any{"sub": nil}), o).Token(t.Context())
	refused(t, err, "names nobody")
	o.Audience = "acme"
	_, err = Static(made(t, nil), o).Token(t.Context())
	refused(t, err, `not "acme"`)
	if _, err := Static(made(t, map[string]any{"aud": []string{"x", "acme"}}), o).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFileIsReadWhenTheTokenIsNeeded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s := File(path, options(t, nil))
	if _, err := s.Token(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, who := range []string{"first", "renewed"} {
		write(t, path, made(t, map[string]any{"sub": who})+"\n")
		if got, err := s.Token(t.Context()); err != nil || got.Name() != who {
			t.Errorf("read %v, %v; want %s", got, err, who)
		}
	}
	write(t, path, strings.Repeat("A", MaxSize+1))
	_, err := s.Token(t.Context())
	refused(t, err, "larger than 16384 bytes")
	_, err = File(t.TempDir(), options(t, nil)).Token(t.Context())
	refused(t, err, "is a directory")
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTokenEndsWithItsContext(t *testing.T) {
	o := options(t, nil)
	s := newSource("nobody", o, func(ctx context.Context) (string, error) {
		<-ctx.Done()
		return "", errors.New("cut off")
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by interrupt")
	cancel(stop)
	if _, err := s.Token(ctx); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
	s.timeout = 1
	_, err := s.Token(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timed out: %v", err)
	}
	refused(t, err, "get an identity token from nobody: no answer within")
}
