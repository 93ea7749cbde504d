package signer

import (
	"bytes"
	"context"
	"crypto"
	//lint:ignore SA1019 a key of this kind has to be refused
	"crypto/dsa" //nolint:staticcheck // to see it refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

const inToto = "application/vnd.in-toto+json"

// decoded is a bundle as encoding/json reads it, which shares no code with the writer.
type decoded struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey *struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
		Chain *struct {
			Certificates []struct {
				RawBytes []byte `json:"rawBytes"`
			} `json:"certificates"`
		} `json:"x509CertificateChain"`
		LogEntries []json.RawMessage `json:"tlogEntries"`
	} `json:"verificationMaterial"`
	Envelope struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig   []byte `json:"sig"`
			KeyID string `json:"keyid"`
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
}

func decode(t *testing.T, raw []byte) decoded {
	t.Helper()
	var d decoded
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatalf("bundle is not JSON: %v\n%s", err, raw)
	}
	if len(d.Envelope.Signatures) != 1 {
		t.Fatalf("bundle has %d signatures", len(d.Envelope.Signatures))
	}
	return d
}

// verifies checks a signature over DSSE's encoding with the standard library alone. The hashes are written out by kind
// of key, so that a wrong choice in the package shows.
func verifies(public crypto.PublicKey, d decoded) bool {
	pae := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(d.Envelope.PayloadType), d.Envelope.PayloadType, len(d.Envelope.Payload), d.Envelope.Payload)
	sig := d.Envelope.Signatures[0].Sig
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		s256, s384, s512 := sha256.Sum256(pae), sha512.Sum384(pae), sha512.Sum512(pae)
		switch k.Curve.Params().BitSize {
		case 256:
			return ecdsa.VerifyASN1(k, s256[:], sig)
		case 384:
			return ecdsa.VerifyASN1(k, s384[:], sig)
		case 521:
			return ecdsa.VerifyASN1(k, s512[:], sig)
		}
	case *rsa.PublicKey:
		s256 := sha256.Sum256(pae)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, s256[:], sig) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(k, pae, sig)
	}
	return false
}

// newKeyPair makes a key as a user does: generated, written as PEM and read again.
func newKeyPair(t *testing.T, a Algorithm) crypto.Signer {
	t.Helper()
	private, _, err := GenerateKey(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func mustSign(t *testing.T, s Signer, payload string) []byte {
	t.Helper()
	raw, err := s.Sign(t.Context(), inToto, []byte(payload))
	if err != nil {
		t.Fatalf("sign: %v", err)
	}
	return raw
}

// refused fails the test unless err is there and says so.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Errorf("error is %v, want one with %q", err, says)
	}
}

func TestKeySignsWithEveryKindOfKey(t *testing.T) {
	for _, a := range Algorithms() {
		if a == RSA4096 {
			continue // takes seconds to make, and differs from RSA3072 in nothing that is tested here
		}
		t.Run(string(a), func(t *testing.T) {
			key := newKeyPair(t, a)
			s, err := NewKey(key)
			if err != nil {
				t.Fatal(err)
			}
			d := decode(t, mustSign(t, s, `{"a":"<ü>"}`))
			if !verifies(key.Public(), d) {
				t.Error("signature does not verify")
			}
			if string(d.Envelope.Payload) != `{"a":"<ü>"}` || d.Envelope.PayloadType != inToto {
				t.Errorf("envelope holds %q of type %q", d.Envelope.Payload, d.Envelope.PayloadType)
			}
			d.Envelope.Payload = []byte(`{"a":"<u>"}`)
			if verifies(key.Public(), d) {
				t.Error("signature verifies over another payload")
			}
		})
	}
}

func TestKeyBundleNamesTheKey(t *testing.T) {
	private, public, err := GenerateKey("", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw := mustSign(t, s, "{}")
	d := decode(t, raw)
	sum := sha256.Sum256(public) // OMS's hint: over the PEM file that OpenSSL and cryptography write
	if d.Material.PublicKey == nil || d.Material.PublicKey.Hint != hex.EncodeToString(sum[:]) {
		t.Errorf("hint is %+v, want %x", d.Material.PublicKey, sum)
	}
	if d.MediaType != "application/vnd.dev.sigstore.bundle.v0.3+json" || d.Material.Chain != nil {
		t.Errorf("media type %q, chain %v", d.MediaType, d.Material.Chain)
	}
	if !strings.Contains(string(raw), `"tlogEntries":[]`) || !strings.Contains(string(raw), `"keyid":""`) {
		t.Errorf("bundle lacks empty tlogEntries or keyid: %s", raw)
	}
	roots := s.Roots()
	if len(roots.Keys) != 1 || roots.Keys[0].Fingerprint() != d.Material.PublicKey.Hint || len(roots.Authorities) != 0 || roots.Sigstore != nil {
		t.Errorf("roots are %+v, want the one key", roots)
	}
}

func TestSignRefusesNothing(t *testing.T) {
	s, err := NewKey(newKeyPair(t, ECDSAP256))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Sign(t.Context(), inToto, nil)
	refused(t, err, "it is empty")
	_, err = s.Sign(t.Context(), "", []byte("{}"))
	refused(t, err, "it has no type")
	ctx, cancel := context.WithCancel(t.Context())
	if _, err = s.Sign(ctx, inToto, []byte("{}")); err != nil {
		t.Errorf("the same without the fault: %v", err)
	}
	cancel()
	if _, err = s.Sign(ctx, inToto, []byte("{}")); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

// brokenKey is a key whose hardware has gone away.
type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, nil
}

func TestKeyRefusesAnEmptySignature(t *testing.T) {
	key := newKeyPair(t, ECDSAP256)
	s, err := NewKey(brokenKey{key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Sign(t.Context(), inToto, []byte("{}"))
	refused(t, err, "empty signature")
	if s, err = NewKey(key); err != nil {
		t.Fatal(err)
	}
	mustSign(t, s, "{}")
}

func TestNewKeyRefusesWeakAndUnknownKeys(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for says, key := range map[string]crypto.Signer{
		"there is no key":   nil,
		"P-224":             p224,
		"1024 bits":         shortRSA(t),
		"*dsa.PublicKey":    foreignKey{&dsa.PublicKey{}},
		"type <nil>":        foreignKey{nil},
		"ed25519 key of 31": foreignKey{make(ed25519.PublicKey, 31)},
	} {
		_, err := NewKey(key)
		refused(t, err, says)
	}
}

type foreignKey struct{ public crypto.PublicKey }

func (k foreignKey) Public() crypto.PublicKey { return k.public }
func (k foreignKey) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("not reached")
}

func shortRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestGenerateKeyWritesMatchingPEM(t *testing.T) {
	private, public, err := GenerateKey(Ed25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(private); b == nil || b.Type != "PRIVATE KEY" {
		t.Errorf("private key is %s", private)
	}
	key, err := ParsePrivateKey(private, nil)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := trust.LoadKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if !sameKey(key.Public(), loaded.Public()) {
		t.Error("public key is another key's")
	}
	_, _, err = GenerateKey("ecdsa-p224", nil)
	refused(t, err, `algorithm "ecdsa-p224" is unknown`)
}

func BenchmarkSignLargePayload(b *testing.B) {
	private, _, err := GenerateKey("", nil)
	if err != nil {
		b.Fatal(err)
	}
	key, err := ParsePrivateKey(private, nil)
	if err != nil {
		b.Fatal(err)
	}
	s, err := NewKey(key)
	if err != nil {
		b.Fatal(err)
	}
	payload := bytes.Repeat([]byte("x"), 15<<20) // a statement on 100,000 files
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Sign(b.Context(), inToto, payload); err != nil {
			b.Fatal(err)
		}
	}
}
