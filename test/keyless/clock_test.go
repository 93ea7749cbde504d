package keyless

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// TestKeylessClockIsOff signs where the signer's clock differs from the servers'. The time that counts is theirs. Only a
// token that our own clock says is over is not sent: an honest clock would be right.
func TestKeylessClockIsOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	root, err := os.ReadFile(w.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := trust.LoadSigstore(root)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(w.SigningConfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		off   time.Duration
		wants error
	}{
		{0, nil}, {-time.Hour, nil}, {-5 * time.Minute, nil}, {5 * time.Minute, nil}, {time.Hour, signer.ErrTokenExpired},
	} {
		w.clearFaults()
		by, err := signer.NewKeyless(signer.KeylessOptions{
			Token:       func(context.Context) (string, error) { return w.Token(trainer, sigstore.TokenOptions{}) },
			TrustedRoot: trusted, SigningConfig: config,
			Now: func() time.Time { return time.Now().Add(test.off) },
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := by.Sign(t.Context(), "text/plain", []byte("statement")); !errors.Is(err, test.wants) || (err != nil) != (test.wants != nil) {
				t.Errorf("clock off by %s: %v, want %v", test.off, err, test.wants)
			}
		}
		want := 1
		if test.wants != nil {
			want = 0
		}
		if n := w.asked(sigstore.Fulcio); n != want {
			t.Errorf("clock off by %s: %d certificates, want %d", test.off, n, want)
		}
	}
}
