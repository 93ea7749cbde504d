package attestations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Sign signs s and returns its bundle together with what opening it showed. The bundle is opened with full checks
// against by's own roots before it is returned, so a bundle that would not verify never leaves this function.
//
// Where by knows a timestamp authority, a statement by NewStatement or NewRevocations is signed with a timestamp inside that
// was got first, beside the one that is on the signature: its time is then known from both sides (Claim.NotBefore).
func Sign(ctx context.Context, s Statement, by signer.Signer) (Bundle, *Attestation, error) {
	if len(s.payload) == 0 {
		return nil, nil, errors.New("sign statement: it is empty")
	}
	s, err := s.stamped(ctx, by)
	if err != nil {
		return nil, nil, fmt.Errorf("sign statement: %w", err)
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

// stamper is a signer that knows a timestamp authority.
type stamper interface {
	// Stamp returns an RFC 3161 response on message, and nothing without an error where no authority is known. What is
	// signed with the response inside was not signed before it: nobody could have known it.
	Stamp(ctx context.Context, message []byte) ([]byte, error)
}

// stamp gets a timestamp on a digest to be signed along; nil where by knows no authority.
func stamp(ctx context.Context, on string, by signer.Signer) ([]byte, error) {
	if s, ok := by.(stamper); ok {
		return s.Stamp(ctx, []byte(on))
	}
	return nil, nil
}

// stamped is s with a timestamp on its first subject's digest inside, where by knows an authority and s has room for one.
// What the timestamp is on proves nothing: that it is inside does, since nobody can know it earlier. Hence the digest that is
// there anyway, and no second name for what is signed.
func (s Statement) stamped(ctx context.Context, by signer.Signer) (Statement, error) {
	if s.claim == nil {
		return s, nil
	}
	response, err := stamp(ctx, s.claim.Subject[0].stampOn(), by)
	if err != nil || response == nil {
		return s, err
	}
	with := *s.claim
	with.Subject = slices.Clone(with.Subject)
	with.Subject[0].Annotations.Stamp = response
	return with.encode()
}

// identifier is a signer that has to find out who it is before it signs.
type identifier interface {
	// Identify does so for the calls of Sign that follow, or errs as they would.
	Identify(ctx context.Context) error
}

// SignArtifact makes the two bundles that a signed artifact has: the signature, and what cosign's users look for. They are
// made at the same time, since a log takes about a second for each. Either both are returned, each opened as Sign does
// it, or none. Where by knows a timestamp authority, the signature holds a timestamp on the artifact ID that was got
// first, beside the one that is on it: its time is then known from both sides.
func SignArtifact(ctx context.Context, m *manifest.Manifest, kind Kind, by signer.Signer) (Signed, error) {
	id, err := m.ID()
	if err != nil {
		return Signed{}, err
	}
	before, err := stamp(ctx, id, by)
	if err != nil {
		return Signed{}, fmt.Errorf("sign statement: %w", err)
	}
	statement, err := newSignature(m, kind, before)
	if err != nil {
		return Signed{}, err
	}
	forCosign, err := NewCosignStatement(id)
	if err != nil {
		return Signed{}, err
	}
	if i, ok := by.(identifier); ok {
		if err := i.Identify(ctx); err != nil {
			return Signed{}, fmt.Errorf("sign statement: %w", err)
		}
	}
	made := Signed{ID: id}
	both, ctx := errgroup.WithContext(ctx) // the first to fail ends the other
	both.Go(func() error {
		bundle, opened, err := Sign(ctx, statement, by)
		if err == nil {
			made.Signature, made.Signer = bundle, opened.Signer()
		}
		return err
	})
	both.Go(func() (err error) {
		made.ForCosign, _, err = Sign(ctx, forCosign, by)
		return err
	})
	if err := both.Wait(); err != nil {
		return Signed{}, err
	}
	return made, nil
}

// subjectDigest is an artifact ID as a statement's subject has it.
func subjectDigest(id string) (map[string]string, error) {
	sum, err := hashing.ParseSum(id)
	if err != nil {
		return nil, fmt.Errorf("artifact ID %q: %w", id, err)
	}
	return map[string]string{"sha256": sum.Hex()}, nil
}
