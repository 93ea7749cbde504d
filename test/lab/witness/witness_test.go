package witness_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/lab/witness"
)

// TestKeylessIsOpenedByItsOwnWitnessesAlone signs as Ann, and opens that with the roots of two sets of witnesses.
func TestKeylessIsOpenedByItsOwnWitnessesAlone(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var signers [2]*witness.Keyless
	var roots [2]trust.Roots
	for i := range roots {
		w, err := witness.New(now)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Close)
		if signers[i], err = w.Keyless("https://issuer.test", "ann@example.com"); err != nil {
			t.Fatal(err)
		}
		if roots[i].Sigstore, err = trust.LoadSigstore(w.TrustedRoot); err != nil {
			t.Fatal(err)
		}
	}
	bundle, err := signers[0].Sign(t.Context(), attestations.PayloadType, []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"f","digest":{"sha256":"`+
		"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"+`"}}],"predicateType":"https://example.com/p","predicate":{}}`))
	if err != nil {
		t.Fatal(err)
	}
	a, err := attestations.Open(bundle, roots[0])
	if err != nil {
		t.Fatal(err)
	}
	at, source, ok := a.Time()
	if s := a.Signer(); s.Issuer != "https://issuer.test" || s.Subject != "ann@example.com" || len(a.Logs()) != 1 || !ok || source != "timestamped" || !at.Equal(now) {
		t.Errorf("signed by %s, in %q, %s at %s", s, a.Logs(), source, at)
	}
	var refused *attestations.OpenError
	if _, err := attestations.Open(bundle, roots[1]); !errors.As(err, &refused) || refused.Reason != policy.LogUntrusted {
		t.Errorf("by other witnesses: %v", err)
	}
}
