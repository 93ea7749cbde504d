package chain

import (
	"context"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Search is the part of VerifyPolicy that finds out, for tests that look at the facts.
type Search struct{ s *search }

func NewSearch(lib Library, roots trust.Roots, p policy.Policy) Search {
	s := newSearch(lib, &policy.Document{Roots: roots}, PolicyOptions{Sigstore: roots.Sigstore, Now: roots.Now})
	s.trust = p
	return Search{s}
}

func (s Search) Target(ctx context.Context, t Target) policy.Facts { return s.s.target(ctx, t) }

func (s Search) Inputs(ctx context.Context, wants ...policy.Want) []policy.Facts {
	return s.s.inputs(ctx, wants)
}

func (s Search) Revocations(ctx context.Context, sources ...Source) ([]policy.Revocations, []policy.Finding) {
	return s.s.revocations(ctx, sources)
}

func (s Search) Left(n int64) { s.s.left.Store(n) }
