package signer

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Windows that hold at every time that the machine's clock may show, and at none.
var (
	always = [2]time.Time{time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	past   = [2]time.Time{time.Unix(0, 0), time.Unix(1, 0)}
)

// issued is a certificate and its key.
type issued struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// issue makes a certificate from template, by its own key where by is nil.
func issue(t *testing.T, by *issued, key crypto.Signer, template x509.Certificate) *issued {
	t.Helper()
	if template.SerialNumber == nil {
		template.SerialNumber = big.NewInt(1)
	}
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = always[0], always[1]
	}
	parent, parentKey := &template, key
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

func authority(name string) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

func leafFor(name string) x509.Certificate {
	return x509.Certificate{Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature}
}

func TestCertificateBundleHoldsTheChain(t *testing.T) {
	root := issue(t, nil, newKeyPair(t, ECDSAP256), authority("root"))
	middle := issue(t, root, newKeyPair(t, ECDSAP256), authority("middle"))
	leaf := issue(t, middle, newKeyPair(t, ECDSAP384), leafFor("ann"))
	s, err := NewCertificate(leaf.key, leaf.cert, []*x509.Certificate{middle.cert, root.cert})
	if err != nil {
		t.Fatal(err)
	}
	d := decode(t, mustSign(t, s, "{}"))
	if !verifies(leaf.cert.PublicKey, d) {
		t.Error("signature does not verify with the leaf")
	}
	if d.Material.PublicKey != nil || d.Material.Chain == nil || len(d.Material.Chain.Certificates) != 3 {
		t.Fatalf("material is %+v, want a chain of three", d.Material)
	}
	for i, want := range []*issued{leaf, middle, root} {
		if string(d.Material.Chain.Certificates[i].RawBytes) != string(want.cert.Raw) {
			t.Errorf("certificate %d is not %s", i, want.cert.Subject)
		}
	}
	who, err := s.Roots().VerifyChain(leaf.cert, []*x509.Certificate{middle.cert}, time.Unix(100, 0))
	if err != nil || who.Subject != "CN=ann" {
		t.Errorf("roots open the own chain with %+v, %v", who, err)
	}
	other := issue(t, nil, newKeyPair(t, ECDSAP256), leafFor("eve"))
	if _, err := s.Roots().VerifyChain(other.cert, nil, time.Unix(100, 0)); err == nil {
		t.Error("roots open a foreign certificate")
	}
}

func TestCertificateAloneIsItsOwnAuthority(t *testing.T) {
	leaf := issue(t, nil, newKeyPair(t, ECDSAP256), leafFor("ann"))
	for _, chain := range [][]*x509.Certificate{nil, {leaf.cert}} {
		s, err := NewCertificate(leaf.key, leaf.cert, chain)
		if err != nil {
			t.Fatal(err)
		}
		if d := decode(t, mustSign(t, s, "{}")); len(d.Material.Chain.Certificates) != 1+len(chain) {
			t.Errorf("%d certificates, want %d", len(d.Material.Chain.Certificates), 1+len(chain))
		}
	}
}

func TestNewCertificateRefuses(t *testing.T) {
	root := issue(t, nil, newKeyPair(t, ECDSAP256), authority("root"))
	other := issue(t, nil, newKeyPair(t, ECDSAP256), authority("other"))
	key := newKeyPair(t, ECDSAP256)
	good := issue(t, root, key, leafFor("ann"))
	noUsage := leafFor("ann")
	noUsage.KeyUsage = x509.KeyUsageKeyEncipherment
	codeSigning := leafFor("ann")
	codeSigning.KeyUsage, codeSigning.ExtKeyUsage = 0, []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
	expired := leafFor("ann")
	expired.NotBefore, expired.NotAfter = past[0], past[1]
	fulcio := leafFor("ann")
	fulcio.ExtraExtensions = []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://issuer.test")}}
	chain := []*x509.Certificate{root.cert}

	for _, c := range []*x509.Certificate{good.cert, issue(t, root, key, codeSigning).cert} {
		if _, err := NewCertificate(key, c, chain); err != nil {
			t.Errorf("certificate without a fault: %v", err)
		}
	}
	tests := []struct {
		says  string
		key   crypto.Signer
		leaf  *x509.Certificate
		chain []*x509.Certificate
	}{
		{"missing", nil, good.cert, chain},
		{"missing", key, nil, chain},
		{"another key", newKeyPair(t, ECDSAP256), good.cert, chain},
		{"not for signing", key, issue(t, root, key, noUsage).cert, chain},
		{"expired", key, issue(t, root, key, expired).cert, chain},
		{"identity provider", key, issue(t, root, key, fulcio).cert, chain},
		{"unknown authority", key, good.cert, []*x509.Certificate{other.cert}},
		{"certificate 2 of its chain is missing", key, good.cert, []*x509.Certificate{root.cert, nil}},
		{"at most 16", key, good.cert, make([]*x509.Certificate, MaxChain)},
		{"1024 bits", shortRSA(t), good.cert, chain},
	}
	for _, test := range tests {
		_, err := NewCertificate(test.key, test.leaf, test.chain)
		refused(t, err, test.says)
	}
	_, err := NewCertificate(key, issue(t, root, key, expired).cert, chain)
	if !errors.Is(err, trust.ErrExpired) {
		t.Errorf("expired certificate: %v does not wrap ErrExpired", err)
	}
}
