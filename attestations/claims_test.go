package attestations

import (
	"slices"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// What a policy may ask of a signer is what a signer can have.
func TestSignerClaimsAreThoseOfSigners(t *testing.T) {
	known := SignerClaims()
	got := claims(certificate.Extensions{Issuer: "https://acme.example", RunnerEnvironment: "github-hosted", SourceRepositoryURI: "https://github.com/acme/train", SourceRepositoryRef: "refs/heads/main", BuildSignerURI: "x"})
	if len(got) != 4 {
		t.Errorf("claims %v", got)
	}
	for name := range got {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not among %v", name, known)
		}
	}
	if slices.Contains(known, "issuer") || !slices.IsSorted(known) || len(known) < 15 {
		t.Errorf("%v", known)
	}
}
