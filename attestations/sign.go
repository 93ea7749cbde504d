package attestations

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
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

// Signed is what SignArtifact made.
type Signed struct {
	ID        string       // artifact ID
	Signer    trust.Signer // who signed, as opening the new bundle showed
	Signature Bundle       // the OMS bundle
	ForCosign Bundle       // the statement on the artifact ID that cosign looks for; never counted here
}

// SignArtifact makes the two bundles that a signed artifact has: the signature, and what cosign's users look for. Either
// both are returned, each opened as Sign does it, or none.
func SignArtifact(ctx context.Context, m *manifest.Manifest, kind Kind, by signer.Signer) (Signed, error) {
	id, err := m.ID()
	if err != nil {
		return Signed{}, err
	}
	statement, err := NewSignature(m, kind)
	if err != nil {
		return Signed{}, err
	}
	forCosign, err := NewCosignStatement(id)
	if err != nil {
		return Signed{}, err
	}
	signature, opened, err := Sign(ctx, statement, by)
	if err != nil {
		return Signed{}, err
	}
	claim, _, err := Sign(ctx, forCosign, by)
	if err != nil {
		return Signed{}, err
	}
	return Signed{ID: id, Signer: opened.Signer(), Signature: signature, ForCosign: claim}, nil
}

// subjectDigest is an artifact ID as a statement's subject has it.
func subjectDigest(id string) (map[string]string, error) {
	sum, err := hashing.ParseSum(id)
	if err != nil {
		return nil, fmt.Errorf("artifact ID %q: %w", id, err)
	}
	return map[string]string{"sha256": sum.Hex()}, nil
}
