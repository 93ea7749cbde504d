package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"
)

// validity of the world's own certificates, around its start.
const (
	before = 24 * time.Hour
	after  = 24 * time.Hour
)

// issued is a certificate with its key.
type issued struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// pki is every key of a world but its identity provider's.
type pki struct {
	start          time.Time
	root, fulcio   issued
	tsaCA, tsa     issued
	rekor          ed25519.PrivateKey // as the public instance's log has it
	ctlog, strange *ecdsa.PrivateKey  // strange belongs to no log that anybody trusts
}

// The extended key usage of timestamp authorities, which RFC 3161 §2.3 wants alone and critical.
var (
	oidExtKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
)

// newPKI makes one root for all, with an intermediate for Fulcio and one for timestamps, as the public instance has.
func newPKI(now time.Time) (*pki, error) {
	p := &pki{start: now.Add(-before).Truncate(time.Second)}
	var err error
	for _, key := range []**ecdsa.PrivateKey{&p.root.key, &p.fulcio.key, &p.tsaCA.key, &p.tsa.key, &p.ctlog, &p.strange} {
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make keys: %w", err)
		}
	}
	if _, p.rekor, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	only, err := asn1.Marshal([]asn1.ObjectIdentifier{oidTimeStamping})
	if err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	for _, c := range []struct {
		to, by *issued
		name   string
		as     x509.Certificate
	}{
		{&p.root, &p.root, "lab root", x509.Certificate{IsCA: true}},
		{&p.fulcio, &p.root, "lab fulcio", x509.Certificate{IsCA: true, MaxPathLenZero: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}},
		{&p.tsaCA, &p.root, "lab timestamps", x509.Certificate{IsCA: true, MaxPathLenZero: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}}},
		{&p.tsa, &p.tsaCA, "lab timestamp authority", x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: oidExtKeyUsage, Critical: true, Value: only}}}},
	} {
		if c.to.cert, err = p.issue(c.name, c.as, c.to.key.Public(), c.by); err != nil {
			return nil, fmt.Errorf("make certificate of %s: %w", c.name, err)
		}
	}
	return p, nil
}

func (p *pki) issue(name string, as x509.Certificate, key crypto.PublicKey, by *issued) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	as.SerialNumber = serial
	as.Subject = pkix.Name{Organization: []string{"lab.test"}, CommonName: name}
	as.NotBefore, as.NotAfter = p.start, p.start.Add(before+after)
	as.BasicConstraintsValid = true
	as.KeyUsage = x509.KeyUsageDigitalSignature
	if as.IsCA {
		as.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	parent := by.cert
	if parent == nil { // the root's
		parent = &as
	}
	der, err := x509.CreateCertificate(rand.Reader, &as, parent, key, by.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// writeKey writes a private key as PKCS #8.
func writeKey(path string, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write key %s: %w", path, err)
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// writeChain writes certificates, the leaf first.
func writeChain(path string, chain ...*x509.Certificate) error {
	var text []byte
	for _, c := range chain {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return os.WriteFile(path, text, 0o644)
}
