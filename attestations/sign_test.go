package attestations_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// paired is a signer who has to say who it is, and who makes no signature unless another is being made.
type paired struct {
	signer.Signer
	meet       chan struct{}
	identified int
	refused    error // what Identify returns
	fails      error // of one of the two; the other then ends with its context
}

func (p *paired) Identify(context.Context) error {
	p.identified++
	return p.refused
}

func (p *paired) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	select {
	case p.meet <- struct{}{}:
		if p.fails != nil {
			return nil, p.fails
		}
	case <-p.meet:
		if p.fails != nil {
			<-ctx.Done()
		}
	case <-ctx.Done():
	}
	return p.Signer.Sign(ctx, payloadType, payload)
}

// TestSignArtifactMakesBothBundlesAtOnce would wait for ever if it made one after the other; a minute is the end of it.
func TestSignArtifactMakesBothBundlesAtOnce(t *testing.T) {
	m := artifact(t, manifest.Options{})
	broken := errors.New("the log is down")
	for _, test := range []struct {
		name           string
		refused, fails error
	}{
		{"both are made", nil, nil},
		{"one fails and ends the other", nil, broken},
		{"nobody says who signs", broken, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			within, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			by := &paired{Signer: newSigner(t), meet: make(chan struct{}), refused: test.refused, fails: test.fails}
			made, err := attestations.SignArtifact(within, m, attestations.KindModel, by)
			if want := errors.Join(test.refused, test.fails); want != nil {
				if !errors.Is(err, broken) || made.Signature != nil || made.ForCosign != nil || made.ID != "" {
					t.Errorf("made %+v: %v", made, err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else {
				opened, err := attestations.Open(made.Signature, by.Roots())
				if err != nil || opened.Signer().String() != made.Signer.String() || opened.PredicateType() != attestations.PredicateOMS {
					t.Errorf("signature: %v", err)
				}
				if _, err := attestations.Open(made.ForCosign, by.Roots()); err != nil {
					t.Errorf("for cosign: %v", err)
				}
			}
			if by.identified != 1 {
				t.Errorf("asked %d times who signs, want once", by.identified)
			}
		})
	}
}
