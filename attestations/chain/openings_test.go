package chain

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func byKey(t *testing.T) signer.Signer {
	t.Helper()
	by, err := signer.NewKey(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// byCertificate signs with a certificate of an authority of its own; nobody vouches for the time.
func byCertificate(t *testing.T) signer.Signer {
	t.Helper()
	key := newKey(t)
	issue := func(template, parent *x509.Certificate) *x509.Certificate {
		template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca = issue(ca, ca)
	leaf := issue(&x509.Certificate{Subject: pkix.Name{CommonName: "trainer"}, KeyUsage: x509.KeyUsageDigitalSignature}, ca)
	by, err := signer.NewCertificate(key, leaf, []*x509.Certificate{ca})
	if err != nil {
		t.Fatal(err)
	}
	return by
}

// scanned is a bundle, in a place.
func scanned(t *testing.T, by signer.Signer) Item {
	t.Helper()
	st, err := attestations.NewStatement(attestations.Artifact{ID: "sha256:" + strings.Repeat("1", 64), Name: "chat", Kind: attestations.KindModel}, attestations.SVR{
		Verifier: attestations.SVRVerifier{ID: "https://v.example", Policies: []attestations.Resource{}}, TimeCreated: time.Unix(0, 0).UTC(), Properties: []string{"scanned"}})
	if err != nil {
		t.Fatal(err)
	}
	bundle, _, err := attestations.Sign(context.Background(), st, by)
	if err != nil {
		t.Fatal(err)
	}
	return Item{Where: "claims.sig", Bundle: bundle}
}

func TestOpeningsRememberNothingThatFailed(t *testing.T) {
	var o Openings
	item := Item{Where: "here", Bundle: []byte("no bundle")}
	for range 2 {
		if b := o.open(item, trust.Roots{}, true); len(b.evidence.Findings) != 1 || b.attestation != nil {
			t.Errorf("opened %+v", b)
		}
	}
	if len(o.kept) != 0 {
		t.Errorf("%d are remembered", len(o.kept))
	}
}

func TestOpeningsRememberABundleInItsPlace(t *testing.T) {
	var o Openings
	by := byKey(t)
	item := scanned(t, by)
	first := o.open(item, by.Roots(), true)
	if first.attestation == nil || first.evidence.Claim == nil || len(o.kept) != 1 || o.bytes != len(item.Bundle) {
		t.Fatalf("%d of %d bytes are remembered: %+v", len(o.kept), o.bytes, first)
	}
	first.evidence.Findings = append(first.evidence.Findings, policy.Finding{Code: policy.WrongSubject}) // its user's own
	again := o.open(item, by.Roots(), true)
	if again.attestation != first.attestation || len(again.evidence.Findings) != 0 {
		t.Errorf("opened anew, or with what somebody else found: %+v", again)
	}
	bare := o.open(item, by.Roots(), false)
	if bare.attestation == nil || bare.attestation == first.attestation || bare.evidence.Claim != nil {
		t.Errorf("without claims: %+v", bare)
	}
	item.Where = "oci:store"
	if b := o.open(item, by.Roots(), true); b.evidence.Where != "oci:store" || len(o.kept) != 3 {
		t.Errorf("elsewhere: at %s, and %d are remembered", b.evidence.Where, len(o.kept))
	}
}

// TestOpeningsForgetAllUnderAnotherTrust: what opened by a key that is trusted no longer must not be taken for opened.
func TestOpeningsForgetAllUnderAnotherTrust(t *testing.T) {
	var o Openings
	by, other := byKey(t), byKey(t)
	item := scanned(t, by)
	o.open(item, by.Roots(), true)
	if b := o.open(item, other.Roots(), true); b.attestation != nil || len(b.evidence.Findings) != 1 || b.evidence.Findings[0].Code != policy.UntrustedSigner {
		t.Errorf("opened by a stranger: %+v", b)
	}
	if len(o.kept) != 0 || o.bytes != 0 {
		t.Errorf("%d of %d bytes are remembered", len(o.kept), o.bytes)
	}
	if b := o.open(item, by.Roots(), true); b.attestation == nil || len(o.kept) != 1 {
		t.Errorf("trusted again: %+v", b)
	}
}

func TestEveryRootMakesAnotherTrust(t *testing.T) {
	var one, other trust.Sigstore
	key, certificate := byKey(t).Roots(), byCertificate(t).Roots()
	all := []trust.Roots{{}, key, certificate, {Sigstore: &one}, {Sigstore: &other}, {Keys: key.Keys, Authorities: certificate.Authorities},
		{Keys: key.Keys, Authorities: certificate.Authorities, Sigstore: &one}}
	seen := map[string]int{}
	for i, r := range all {
		if before, twice := seen[trustOf(r)]; twice {
			t.Errorf("roots %d and %d are one trust", before, i)
		}
		seen[trustOf(r)] = i
	}
	if trustOf(trust.Roots{Keys: key.Keys}) != trustOf(key) || trustOf(trust.Roots{}) != "" {
		t.Error("the same roots are two trusts, or nobody is somebody")
	}
}

// TestOpeningsRememberNothingThatTheClockDecides: a certificate whose time nobody vouches for is judged at now, each time.
func TestOpeningsRememberNothingThatTheClockDecides(t *testing.T) {
	var o Openings
	by := byCertificate(t)
	item := scanned(t, by)
	if b := o.open(item, by.Roots(), true); b.attestation == nil || b.evidence.Signer.Method != trust.MethodCertificate || b.evidence.Time != nil {
		t.Fatalf("%+v", b.evidence)
	}
	if len(o.kept) != 0 {
		t.Error("it is remembered")
	}
}

func TestOpeningsRememberNoMoreThanTheirCap(t *testing.T) {
	var o Openings
	by := byKey(t)
	one, two := scanned(t, by), scanned(t, by)
	o.open(one, by.Roots(), true)
	o.bytes = MaxOpenings - len(two.Bundle)
	if o.open(two, by.Roots(), true); len(o.kept) != 2 || o.bytes != MaxOpenings {
		t.Errorf("just enough: %d of %d bytes are remembered", len(o.kept), o.bytes)
	}
	three := scanned(t, by)
	if o.open(three, by.Roots(), true); len(o.kept) != 1 || o.bytes != len(three.Bundle) {
		t.Errorf("one more: %d of %d bytes are remembered", len(o.kept), o.bytes)
	}
	padded := func(n int) Item {
		return Item{Where: "model.sig", Bundle: slices.Concat(one.Bundle, bytes.Repeat([]byte(" "), n-len(one.Bundle)))}
	}
	if b := o.open(padded(MaxOpenings), by.Roots(), true); b.attestation == nil || len(o.kept) != 1 || o.bytes != MaxOpenings {
		t.Errorf("as long as may be: %d of %d bytes are remembered: %+v", len(o.kept), o.bytes, b.evidence)
	}
}
