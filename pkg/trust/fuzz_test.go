package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"testing"
)

// FuzzLoadKey wants that a key that was read is one that signatures are checked with, and that its PEM form reads as the
// same key again.
func FuzzLoadKey(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := LoadKey(data)
		if err != nil {
			if k.Public() != nil || k.Fingerprint() != "" {
				t.Error("an error, and a key beside it")
			}
			return
		}
		if err := CheckPublicKey(k.Public()); err != nil {
			t.Errorf("a key that nothing is checked with was read: %v", err)
		}
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadKey(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		if err != nil || again.Fingerprint() != k.Fingerprint() {
			t.Errorf("written anew it is another key: %v", err)
		}
		if match, known := k.MatchesHint(k.Fingerprint()); !match || !known {
			t.Error("its own fingerprint is not its hint")
		}
	})
}

// FuzzLoadAuthorities wants that every certificate that was read is one of the file's, and that no file reads as nobody.
func FuzzLoadAuthorities(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		authorities, err := LoadAuthorities(data)
		if err != nil {
			if len(authorities) > 0 {
				t.Error("an error, and authorities beside it")
			}
			return
		}
		if len(authorities) == 0 || len(authorities) != bytes.Count(data, []byte("-----BEGIN ")) {
			t.Errorf("%d authorities of a file with %d blocks", len(authorities), bytes.Count(data, []byte("-----BEGIN ")))
		}
		for _, a := range authorities {
			if hasFulcioExtension(a.Certificate()) {
				t.Error("a Fulcio CA was read as an authority for every leaf")
			}
			_ = CertificateSubject(a.Certificate())
		}
		// Whatever it is, it does not vouch for somebody whom it never certified.
		stranger := issue(t, nil, leafTemplate("stranger"))
		if _, err := (Roots{Authorities: authorities}).VerifyChain(stranger.cert, nil, stranger.cert.NotBefore); err == nil {
			t.Error("it vouches for a stranger")
		}
	})
}
