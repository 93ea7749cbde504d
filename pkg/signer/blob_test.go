package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"testing"
)

// TestSignBlobSignsTheBytes goes through both kinds of log; what is returned was verified against the trusted root.
func TestSignBlobSignsTheBytes(t *testing.T) {
	for _, rekor := range []int{1, 2} {
		w := newWorld(t)
		by := w.signer(w.options(rekor)).(BlobSigner)
		data := []byte("a file")
		raw, err := by.SignBlob(t.Context(), data)
		if err != nil {
			t.Fatalf("rekor v%d: %v", rekor, err)
		}
		var b struct {
			Envelope json.RawMessage `json:"dsseEnvelope"`
			Message  struct {
				Digest struct {
					Algorithm string `json:"algorithm"`
					Digest    []byte `json:"digest"`
				} `json:"messageDigest"`
				Signature []byte `json:"signature"`
			} `json:"messageSignature"`
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		if b.Envelope != nil || b.Message.Digest.Algorithm != "SHA2_256" || !bytes.Equal(b.Message.Digest.Digest, sum[:]) || len(b.Message.Signature) == 0 {
			t.Errorf("rekor v%d: bundle is %s", rekor, raw)
		}
	}
}

func TestSignBlobRefuses(t *testing.T) {
	w := newWorld(t)
	for _, by := range []Signer{w.signer(w.options(2)), w.keySigner(ECDSAP256), w.witnessed(w.keySigner(ECDSAP256), w.witnesses(2))} {
		if _, err := by.(BlobSigner).SignBlob(t.Context(), nil); !errors.Is(err, errNoBlob) {
			t.Errorf("%T signed nothing: %v", by, err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := by.(BlobSigner).SignBlob(ended, []byte("a file")); !errors.Is(err, context.Canceled) {
			t.Errorf("%T, ended context: %v", by, err)
		}
	}
	for _, a := range []Algorithm{ECDSAP384, ECDSAP521, Ed25519} {
		_, err := w.keySigner(a).(BlobSigner).SignBlob(t.Context(), []byte("a file"))
		refused(t, err, "the key does not sign by SHA-256")
	}
	ca := issue(t, nil, newKeyPair(t, ECDSAP256), authority("ca"))
	leaf := issue(t, ca, newKeyPair(t, ECDSAP256), leafFor("ann"))
	by, err := NewCertificate(leaf.key, leaf.cert, []*x509.Certificate{ca.cert})
	if err != nil {
		t.Fatal(err)
	}
	_, err = by.(BlobSigner).SignBlob(t.Context(), []byte("a file"))
	refused(t, err, "a bundle with a certificate chain is for statements")
	if w.asked("fulcio")+w.asked("tsa")+w.asked("rekor2") != 0 {
		t.Error("a server was asked in vain")
	}
}
