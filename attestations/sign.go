package attestations

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// Sign signs s and returns its bundle together with what opening it showed. The bundle is opened with full checks
// against by's own roots before it is returned, so a bundle that would not verify never leaves this function.
func Sign(ctx context.Context, s Statement, by signer.Signer) (Bundle, *Attestation, error) {
	if len(s.payload) == 0 {
		return nil, nil, errors.New("sign statement: it is empty")
	}
	raw, err := by.Sign(ctx, PayloadType, s.payload)
	if err != nil {
		return nil, nil, fmt.Errorf("sign statement: %w", err)
	}
	a, err := Open(raw, by.Roots())
	if err != nil {
		return nil, nil, fmt.Errorf("open the new bundle: %w", err)
	}
	if !bytes.Equal(a.payload, s.payload) {
		return nil, nil, errors.New("open the new bundle: it holds another statement")
	}
	return raw, a, nil
}

// subjectDigest is an artifact ID as a statement's subject has it.
func subjectDigest(id string) (map[string]string, error) {
	sum, err := hashing.ParseSum(id)
	if err != nil {
		return nil, fmt.Errorf("artifact ID %q: %w", id, err)
	}
	return map[string]string{"sha256": sum.Hex()}, nil
}
