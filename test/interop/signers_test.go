package interop

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
	"testing"
	"time"
)

// party is somebody who signs, with the files that each side needs for it. The last half of every flag is the same for
// both tools.
type party struct {
	method string   // key or certificate
	sign   []string // flag and value, in turn
	verify []string
}

// parties are the ways to sign that both tools know.
var parties = map[string]func(*testing.T) party{
	"P-256":       func(t *testing.T) party { return keyed(t, "ecdsa-p256") },
	"P-384":       func(t *testing.T) party { return keyed(t, "ecdsa-p384") },
	"P-521":       func(t *testing.T) party { return keyed(t, "ecdsa-p521") },
	"certificate": certified,
}

// keyed makes a key with `hallmark keygen`: that the reference implementation reads it is part of the test.
func keyed(t *testing.T, algorithm string) party {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "signer")
	must(t, hallmark(t, "keygen", prefix, "--algorithm", algorithm))
	return party{"key", []string{"--private_key", prefix + ".key"}, []string{"--public_key", prefix + ".pub"}}
}

// certified makes a leaf under an intermediate under a root. The signer brings leaf and intermediate, the verifier the root.
func certified(t *testing.T) party {
	t.Helper()
	dir := t.TempDir()
	root := issue(t, "root", nil)
	intermediate := issue(t, "intermediate", &root)
	leaf := issue(t, "leaf", &intermediate)
	at := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		t.Fatal(err)
	}
	return party{"certificate",
		[]string{
			"--private_key", at("leaf.key", "PRIVATE KEY", pkcs8),
			"--signing_certificate", at("leaf.pem", "CERTIFICATE", leaf.cert.Raw),
			"--certificate_chain", at("intermediate.pem", "CERTIFICATE", intermediate.cert.Raw),
		},
		[]string{"--certificate_chain", at("root.pem", "CERTIFICATE", root.cert.Raw)},
	}
}

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate under by, or a self-signed one. Its window is as wide as dates go: the tools judge it by
// the machine's clock, and the tests don't depend on one.
func issue(t *testing.T, name string, by *issued) issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "interop " + name},
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true, IsCA: name != "leaf", KeyUsage: x509.KeyUsageCertSign,
	}
	if !template.IsCA {
		template.KeyUsage = x509.KeyUsageDigitalSignature
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	}
	parent, signer := template, crypto.Signer(key)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issued{cert, key}
}
