package keyless

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// holder is somebody who signs with a key of their own, and what a verifier has to be told of them.
type holder struct{ sign, verify []string }

// holders are the two ways to have a key: alone, and with a certificate that holds for an hour.
func (w *world) holders() map[string]holder {
	w.t.Helper()
	key := filepath.Join(w.t.TempDir(), "trainer")
	if a := w.hallmark("keygen", key); a.code != 0 {
		w.t.Fatalf("keygen: exit %d\n%s", a.code, a.err)
	}
	ca, caKey := w.certify("ca", nil, nil)
	leaf, leafKey := w.certify("leaf", ca, caKey)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	at := func(name, kind string, der []byte) string {
		write(w.t, filepath.Join(dir, name), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
		return filepath.Join(dir, name)
	}
	authority := at("ca.pem", "CERTIFICATE", ca.Raw)
	return map[string]holder{
		"key": {[]string{"--private-key", key + ".key"}, []string{"--public-key", key + ".pub"}},
		"certificate": {
			[]string{"--private-key", at("leaf.key", "PRIVATE KEY", pkcs8), "--signing-certificate", at("leaf.pem", "CERTIFICATE", leaf.Raw), "--certificate-chain", authority},
			[]string{"--certificate-chain", authority, "--certificate-subject", "CN=leaf"},
		},
	}
}

// certify makes a certificate that holds for an hour, by a parent or by itself.
func (w *world) certify(name string, parent *x509.Certificate, by crypto.Signer) (*x509.Certificate, crypto.Signer) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
	}
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		w.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		w.t.Fatal(err)
	}
	return cert, key
}

// byKey runs sign or verify for a holder.
func (w *world) byKey(verb string, who []string, flags ...string) answer {
	w.t.Helper()
	return w.hallmark(slices.Concat([]string{verb, w.model}, who, flags)...)
}

// forget removes what was said of the model.
func (w *world) forget() {
	w.t.Helper()
	for _, name := range []string{"model.sig", "claims.sig"} {
		if err := os.Remove(filepath.Join(w.model, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Fatal(err)
		}
	}
}

// stampURL is where the world's timestamp authority issues timestamps.
func (w *world) stampURL() string { return w.URL(sigstore.TSA) + "/api/v1/timestamp" }

// TestKeysAreWitnessedByRealServers has a key and a certificate timestamped, then logged too, and verifies what each shows.
func TestKeysAreWitnessedByRealServers(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t, sigstore.Options{}), newWorld(t, sigstore.Options{})
	for name, by := range w.holders() {
		says := func(a answer, code int, text string) {
			t.Helper()
			if a.code != code || !strings.Contains(a.out, text) {
				t.Errorf("%s: exit %d, want %d and %q\n%s%s", name, a.code, code, text, a.out, a.err)
			}
		}
		for _, how := range []struct {
			flags   []string
			logged  int
			require int // exit code with --require-log
			text    string
		}{
			{nil, 0, 1, "log-entry-missing"},
			{[]string{"--trusted-root", w.TrustedRoot, "--tsa-url", w.stampURL()}, 0, 1, "log-entry-missing"},
			{[]string{"--trusted-root", w.TrustedRoot, "--signing-config", w.SigningConfig}, 2, 0, "yes "},
		} {
			w.clearFaults()
			w.forget()
			if a := w.byKey("sign", by.sign, how.flags...); a.code != 0 {
				t.Fatalf("%s, sign %v: exit %d\n%s", name, how.flags, a.code, a.err)
			}
			stamps := 3 // on each bundle's signature, and one inside of what is signed
			if how.flags == nil {
				stamps = 0
			}
			if got := [3]int{w.asked(sigstore.Fulcio), w.asked(sigstore.TSA), w.asked(sigstore.Rekor)}; got != [3]int{0, stamps, how.logged} {
				t.Errorf("%s, %v: asked for %v certificates, timestamps and entries", name, how.flags, got)
			}
			said := "timestamped 2"
			if how.flags == nil {
				said = "yes "
			}
			says(w.byKey("verify", by.verify, "--trusted-root", w.TrustedRoot, "--offline"), 0, said)
			says(w.byKey("verify", by.verify, "--trusted-root", w.TrustedRoot, "--require-log"), how.require, how.text)
			says(w.byKey("verify", by.verify), 0, "yes ")
			if how.flags != nil { // to somebody who trusts another instance, its witnesses say nothing
				says(w.byKey("verify", by.verify, "--trusted-root", other.TrustedRoot), 1, "timestamp-invalid")
			}
		}
	}
}

// TestTimestampedBundleOutlivesItsCertificate signs within a certificate's hour and opens the bundle by the clock of a year
// later, when only a trusted authority can tell that it was made in time.
func TestTimestampedBundleOutlivesItsCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	by := w.holders()["certificate"]
	load := func(path string) []byte {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	authorities, err := trust.LoadAuthorities(load(by.verify[1]))
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.LoadSigstore(load(w.TrustedRoot))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		flags   []string
		trusted *trust.Sigstore
		later   time.Duration
		wants   policy.Reason // "": it opens
	}{
		{"not stamped, today", nil, trusted, 0, ""},
		{"not stamped, in a year", nil, trusted, 365 * 24 * time.Hour, policy.CertificateExpired},
		{"stamped, in a year", []string{"--trusted-root", w.TrustedRoot, "--tsa-url", w.stampURL()}, trusted, 365 * 24 * time.Hour, ""},
		{"stamped and logged, in a year", []string{"--trusted-root", w.TrustedRoot, "--signing-config", w.SigningConfig}, trusted, 365 * 24 * time.Hour, ""},
		{"stamped, in a year, by nobody who is trusted", nil, nil, 365 * 24 * time.Hour, policy.CertificateExpired},
	} {
		if test.flags != nil || test.later == 0 { // the others look at the bundle before
			if a := w.byKey("sign", by.sign, test.flags...); a.code != 0 {
				t.Fatalf("%s: sign: exit %d\n%s", test.name, a.code, a.err)
			}
		}
		now := time.Now().Add(test.later)
		roots := trust.Roots{Authorities: authorities, Sigstore: test.trusted, Now: func() time.Time { return now }}
		_, err := attestations.Open(load(filepath.Join(w.model, "model.sig")), roots)
		var refused *attestations.OpenError
		switch {
		case test.wants == "" && err != nil:
			t.Errorf("%s: %v", test.name, err)
		case test.wants != "" && (!errors.As(err, &refused) || refused.Reason != test.wants):
			t.Errorf("%s: %v, want %s", test.name, err, test.wants)
		}
	}
}

// TestKeyWitnessesThatFail has each server that a key's signatures are shown to fail, lie, or be another's.
func TestKeyWitnessesThatFail(t *testing.T) {
	t.Parallel()
	others := func(s sigstore.Server) func(*testing.T) lab.Fault { // sound answers, of an instance that is not trusted
		return func(t *testing.T) lab.Fault { return of(newWorld(t, sigstore.Options{}).proxies[s]) }
	}
	status := func(code int) func(*testing.T) lab.Fault {
		return func(*testing.T) lab.Fault { return lab.Status(code, "") }
	}
	called := func(name string) func(*testing.T) lab.Fault {
		return func(t *testing.T) lab.Fault { return named(t, name) }
	}
	before := func(*testing.T) lab.Fault { return earlier() }
	for _, test := range []struct {
		server sigstore.Server
		at     int // the request that is struck, and all that follow
		fault  func(t *testing.T) lab.Fault
		says   string
	}{
		{sigstore.TSA, 1, status(http.StatusForbidden), "403 Forbidden"},
		{sigstore.TSA, 3, called("500"), "500 Internal Server Error"},
		{sigstore.TSA, 2, called("login page"), "timestamp"},
		{sigstore.TSA, 1, before, "timestamp does not hold: it is on another message"},
		{sigstore.TSA, 1, others(sigstore.TSA), "timestamp does not hold: it is by no authority"},
		{sigstore.Rekor, 2, status(http.StatusForbidden), "403 Forbidden"},
		{sigstore.Rekor, 1, called("nothing"), "decode log entry"},
		{sigstore.Rekor, 1, before, "log entry does not hold: "},
		{sigstore.Rekor, 1, others(sigstore.Rekor), "log entry does not hold: no log of the trusted root has it"},
	} {
		fault := test.fault(t)
		t.Run(fmt.Sprintf("%s %d %s", test.server, test.at, fault.Name), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sigstore.Options{})
			by := w.holders()["key"]
			flags := []string{"--trusted-root", w.TrustedRoot, "--signing-config", w.SigningConfig}
			w.proxies[test.server].Set(lab.Rule{Fault: fault, At: test.at, On: true})
			w.failed(w.byKey("sign", by.sign, flags...), steps[test.server].says, `"`+w.URL(test.server), test.says)
			w.clearFaults()
			if a := w.byKey("sign", by.sign, flags...); a.code != 0 {
				t.Fatalf("sign without the fault: exit %d\n%s", a.code, a.err)
			}
			if a := w.byKey("verify", by.verify, "--trusted-root", w.TrustedRoot, "--require-log"); a.code != 0 {
				t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
			}
		})
	}
}
