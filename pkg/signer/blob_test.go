package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
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
	by := w.signer(w.options(2)).(BlobSigner)
	if _, err := by.SignBlob(t.Context(), nil); err == nil {
		t.Error("nothing was signed")
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := by.SignBlob(ended, []byte("a file")); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: %v", err)
	}
	if w.asked("fulcio") != 0 {
		t.Error("a certificate was asked for in vain")
	}
}
