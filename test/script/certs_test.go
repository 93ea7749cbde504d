package script

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// certs writes a CA, an intermediate and a leaf with its key into a folder: certs DIR SUBJECT-URI
func certs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certs DIR SUBJECT-URI")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	subject, err := url.Parse(args[1])
	ts.Check(err)

	ca := template("test CA", true)
	root, rootKey := issue(ts, ca, nil, nil)
	between, betweenKey := issue(ts, template("test intermediate", true), root, rootKey)
	leafTemplate := template("test signer", false)
	leafTemplate.URIs = []*url.URL{subject}
	leaf, leafKey := issue(ts, leafTemplate, between, betweenKey)

	write := func(name, kind string, der []byte) {
		ts.Check(os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	write("ca.pem", "CERTIFICATE", root.Raw)
	write("intermediate.pem", "CERTIFICATE", between.Raw)
	write("leaf.pem", "CERTIFICATE", leaf.Raw)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	ts.Check(err)
	write("leaf.key", "PRIVATE KEY", der)
}

func template(name string, ca bool) *x509.Certificate {
	t := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		t.KeyUsage = x509.KeyUsageCertSign
	}
	return t
}

// issue makes a key and its certificate, by itself where there is no parent.
func issue(ts *testscript.TestScript, t, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	if parent == nil {
		parent, parentKey = t, key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), parentKey)
	ts.Check(err)
	c, err := x509.ParseCertificate(der)
	ts.Check(err)
	return c, key
}
