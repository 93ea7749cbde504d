package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// vectors returns a file of the test vectors, or skips the test where there are none.
func vectors(t *testing.T, name string) []byte {
	t.Helper()
	dir, given := os.LookupEnv("HALLMARK_VECTORS")
	if !given || dir == "" {
		dir = filepath.Join(moduleRoot(t), "..", "shared", "vectors")
		if _, err := os.Stat(dir); err != nil {
			t.Skipf("no test vectors: %v", err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no module root above the test, so no test vectors beside it")
		}
		dir = filepath.Dir(dir)
	}
}

// refused fails the test unless err is there and says so.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("error is %v, want one with %q", err, says)
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func ecKey(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The window of every test certificate that does not set its own.
var (
	begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end   = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	then  = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
)

// issued is a certificate and its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func (i *issued) pem() []byte { return block("CERTIFICATE", i.cert.Raw) }

// issue makes a certificate from template, self-signed where by is nil.
func issue(t *testing.T, by *issued, template x509.Certificate) *issued {
	t.Helper()
	key := ecKey(t, elliptic.P256())
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = begin, end
	}
	parent, parentKey := &template, crypto.Signer(key)
	if by != nil {
		parent, parentKey = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, key}
}

func caTemplate(name string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func leafTemplate(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature}
}

// fulcioExtension is in every certificate that Fulcio issues: the OIDC issuer.
var fulcioExtension = pkix.Extension{Id: []int{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://issuer.test")}

func mustAuthorities(t *testing.T, certs ...*issued) Roots {
	t.Helper()
	var data []byte
	for _, c := range certs {
		data = append(data, c.pem()...)
	}
	authorities, err := LoadAuthorities(data)
	if err != nil {
		t.Fatal(err)
	}
	return Roots{Authorities: authorities}
}

// cross makes a second certificate for a CA's key and name, by another CA.
func cross(t *testing.T, by, ca *issued) *issued {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, ca.cert, by.cert, ca.key.Public(), by.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{cert, ca.key}
}

func certificates(all ...*issued) []*x509.Certificate {
	var out []*x509.Certificate
	for _, i := range all {
		out = append(out, i.cert)
	}
	return out
}
