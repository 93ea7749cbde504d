package signer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestIsKeyURI(t *testing.T) {
	for s, want := range map[string]bool{
		"hashivault://trainer": true, "awskms:///alias/trainer": true, "my-hsm://slot": true,
		"pkcs11:token=t;object=k": true, "PKCS11:object=k": true,
		"trainer.key": false, "./pkcs11:x": false, "/keys/a://b": false, "../x://y": false, "": false, "://x": false, "C:\\keys\\a": false,
	} {
		if IsKeyURI(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestOpenKeyURISaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for uri, says := range map[string]string{
		"other://key": `key service "other" is not known here, and there is no plugin sigstore-kms-other in PATH`,
		"other://":    "a key service's URI is SCHEME://KEY",
		"../up://key": "a key service's URI is SCHEME://KEY",
		"trainer.key": "a key service's URI is SCHEME://KEY",
	} {
		_, err := OpenKeyURI(t.Context(), uri, KeyURIOptions{})
		refused(t, err, says)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenKeyURI(ctx, "other://key", KeyURIOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// plugin builds the tests' key service as sigstore-kms-lab and puts it into PATH.
func plugin(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "build", "-o", filepath.Join(dir, "sigstore-kms-lab"), "github.com/hallmark-project/hallmark/test/lab/keyplugin")
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build plugin: %v\n%s", err, out)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestOpenKeyURISignsByPlugin(t *testing.T) {
	plugin(t)
	for _, a := range []Algorithm{ECDSAP256, ECDSAP384, ECDSAP521, Ed25519, RSA2048} {
		private, public, err := GenerateKey(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "trainer.key")
		if err := os.WriteFile(path, private, 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := OpenKeyURI(t.Context(), "lab://"+path, KeyURIOptions{})
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		s, err := NewKey(key)
		if err != nil {
			t.Fatal(err)
		}
		d := decode(t, mustSign(t, s, statement))
		if !verifies(key.Public(), d) {
			t.Errorf("%s: the signature does not verify", a)
		}
		if l, err := s.(*local).verifierPEM(); err != nil || !bytes.Equal(l, public) {
			t.Errorf("%s: public key is %s, want %s", a, l, public)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := key.(contextSigner).SignContext(ctx, make([]byte, 32), trust.SignatureHash(key.Public())); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: signs after the end: %v", a, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		_, err = s.Sign(t.Context(), inToto, []byte(statement))
		refused(t, err, "no such file")
	}
	_, err := OpenKeyURI(t.Context(), "lab:///no/such/key", KeyURIOptions{})
	refused(t, err, `open key "lab:///no/such/key"`)
}

func TestParsePKCS11(t *testing.T) {
	u, err := parsePKCS11("pkcs11:token=the%20token;object=trainer;id=%01%ff;type=private?module-path=/usr/lib/p11.so&pin-source=file:/run/pin")
	if err != nil {
		t.Fatal(err)
	}
	if u.token != "the token" || u.object != "trainer" || !bytes.Equal(u.id, []byte{1, 0xff}) || u.module != "/usr/lib/p11.so" || u.pinSource != "file:/run/pin" {
		t.Errorf("read %+v", u)
	}
	if got := u.String(); got != "pkcs11:token=the token;object=trainer;id=01ff" {
		t.Errorf("it calls itself %s", got)
	}
	if u, err = parsePKCS11("pkcs11:slot-id=7;object=k?module-path=m&pin-value=12%2034"); err != nil || *u.slot != 7 || string(u.pin) != "12 34" {
		t.Errorf("read %+v: %v", u, err)
	}
	if strings.Contains(u.String(), "12 34") {
		t.Error("the PIN is in the key's name")
	}
}

func TestParsePKCS11Refuses(t *testing.T) {
	for uri, says := range map[string]string{
		"pkcs11:":                                                        "names no library",
		"pkcs11:token=t;object=k":                                        "names no library",
		"pkcs11:object=k?module-path=m":                                  "names no token",
		"pkcs11:token=t?module-path=m":                                   "names no key",
		"pkcs11:token=t;token=u;object=k":                                "comes twice",
		"pkcs11:token=;object=k":                                         "is empty",
		"pkcs11:token=%zz;object=k":                                      "is not percent-encoded",
		"pkcs11:token=t%00;object=k":                                     "zero byte",
		"pkcs11:token=t;object=k;x-own=1":                                `"x-own" is not understood`,
		"pkcs11:module-path=m;object=k":                                  "is not understood",
		"pkcs11:object=k?token=t":                                        "is not understood",
		"pkcs11:token=t;object=k;type=cert":                              "is no private key",
		"pkcs11:slot-id=-1;object=k":                                     "is no number",
		"pkcs11:token=t;object=k?module-path=m&pin-value=1&pin-source=f": "one PIN twice",
		"pkcs11:" + strings.Repeat("a", maxURI):                          "at most",
	} {
		_, err := parsePKCS11(uri)
		refused(t, err, says)
	}
	_, err := parsePKCS11("pkcs11:token=t;object=k?pin-value=secret%zz")
	if refused(t, err, "not percent-encoded"); strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the PIN: %v", err)
	}
}
