package attestations_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// FuzzOpenBlob changes bundles over one file, message signatures and statements, and opens them over another: none may
// open, and each refusal has a reason for a no.
func FuzzOpenBlob(f *testing.F) {
	i := newInstance(f, "one.test")
	roots, file := i.roots(), hashing.Sum(sha256.Sum256([]byte("f")))
	f.Add([]byte(i.sign(file, []string{"one.test"}, []string{"one.test"})))
	const digest = `{"algorithm":"SHA2_256","digest":"JS8QyDYQ68oaBZwLroJV66L5W+TR17z6idckioLZ8RE="}` // SHA-256 of "f"
	for _, material := range []string{
		`{"publicKey":{"hint":""}}`,
		`{"certificate":{"rawBytes":"MAA="},"tlogEntries":[{}]}`,
		`{"x509CertificateChain":{"certificates":[{"rawBytes":"MAA="},{"rawBytes":"MAA="}]}}`,
	} {
		for _, version := range []string{"0.1", "0.3"} {
			f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=` + version +
				`","verificationMaterial":` + material + `,"messageSignature":{"messageDigest":` + digest + `,"signature":"MAA="}}`))
		}
	}
	roots.Keys = fixedSigner(f, 2).Roots().Keys
	other := hashing.Sum(sha256.Sum256([]byte("g")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range []trust.Roots{roots, {}} {
			for _, sum := range []hashing.Sum{file, other} {
				s, err := attestations.OpenBlob(b, sum, r)
				if err == nil && sum == file && s.Signer().Subject == "ann@example.com" {
					continue // a change that changed nothing
				}
				var refused *attestations.OpenError
				if err == nil || s != nil {
					t.Fatalf("it opens: %v", s)
				}
				if !errors.As(err, &refused) || refused.Reason == "" || refused.Reason.Verdict() != 0 {
					t.Fatalf("refused without a reason for a no: %v", err)
				}
			}
		}
	})
}
