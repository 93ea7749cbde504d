package attestations_test

import (
	"crypto/sha256"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// TestOpenBlobOpensWhatAKeySigned signs a file's bytes with a key, alone and seen by others.
func TestOpenBlobOpensWhatAKeySigned(t *testing.T) {
	w, root := witnesses(t)
	by, stranger := newSigner(t), newSigner(t)
	data := []byte("a file")
	file, other := sha256.Sum256(data), sha256.Sum256([]byte("another file"))
	for name, as := range map[string]signer.Signer{"alone": by, "witnessed": witnessed(t, by, w, root)} {
		t.Run(name, func(t *testing.T) {
			raw, err := as.(signer.BlobSigner).SignBlob(ctx, data)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := attestations.OpenBlob(raw, file, as.Roots())
			if err != nil {
				t.Fatal(err)
			}
			at, source, ok := signed.Time()
			if signed.Signer().Key != by.Roots().Keys[0].Fingerprint() || signed.PredicateType() != "" || ok != (name == "witnessed") {
				t.Errorf("signed by %s, %q, %s at %s", signed.Signer(), signed.PredicateType(), source, at)
			}
			if ok && (source != "timestamped" || !at.Equal(signedAt)) {
				t.Errorf("%s at %s", source, at)
			}
			if _, err := attestations.OpenBlob(raw, other, as.Roots()); reason(err) != policy.DigestMismatch {
				t.Errorf("another file: %v", err)
			}
			strangers := trust.Roots{Keys: stranger.Roots().Keys, Sigstore: root}
			if _, err := attestations.OpenBlob(raw, file, strangers); reason(err) != policy.UntrustedSigner {
				t.Errorf("another key: %v", err)
			}
			if _, err := attestations.Open(raw, as.Roots()); reason(err) != policy.BundleMalformed {
				t.Errorf("opened as a statement: %v", err)
			}
		})
	}
}
