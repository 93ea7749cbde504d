package chain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Bounds of one verification of a chain, beside those of a policy.Walk.
const (
	MaxChainEvidence = 1 << 30          // bytes of all bundles that are opened. More is a don't know
	DefaultSearch    = 10 * time.Minute // longest search for evidence of inputs
)

// Target is an artifact to decide on, and where its evidence lies.
type Target struct {
	Artifact Artifact
	Sources  []Source
}

// Library is where artifacts that others were made from are found, and what is said of them.
type Library interface {
	// Find looks for the artifact with the ID want.ID and for its evidence. want.URIs are where trusted statements say that
	// it lies; whether to go there is for the Library to say. That it lies nowhere is no error: Found is then empty. An
	// error says that a place could not be looked through, and what was found elsewhere is returned beside it; of several
	// errors.Join keeps each. It is called from several goroutines.
	Find(ctx context.Context, want policy.Want) (Found, error)
}

// Found is what a Library has of one artifact.
type Found struct {
	Artifact Artifact // nil: only evidence, if any. One that has another ID than was asked for is not taken
	Sources  []Source
	Notes    []string // what a reader of the decision should know of the search
}

// PolicyOptions is what a verification knows besides the policy. The zero value remembers nothing and opens nothing that
// was signed without a key or authority of the policy.
type PolicyOptions struct {
	Sigstore    *trust.Sigstore   // opens keyless bundles, and judges timestamps and log entries; nil: none
	Now         func() time.Time  // the clock; nil: time.Now
	State       *policy.State     // what was remembered of earlier verifications; nil: nothing is remembered
	Floors      map[string]uint64 // the lowest release sequence of a channel that the caller takes
	Revocations []Source          // where the policy says that lists of what is revoked lie
	Problems    []policy.Finding  // what stands in the way from the outset, such as a state that could not be read
	Search      time.Duration     // longest search for evidence of inputs; 0: DefaultSearch
	Openings    *Openings         // remembers opened bundles; nil: nothing is remembered
}

// VerifyPolicy decides on each target by the policy doc, following what it was made from as far as the policy asks, and
// returns the decisions in the targets' order with what is to be remembered. Several targets are a set that is used
// together. lib finds the inputs; nil finds none. The error is not nil only if ctx ended, or where there is no policy or no
// target; every other trouble is in the decisions.
//
// Each bundle is opened once, on all cores. The bytes of a target are read once for all signatures that list them in one
// way; of an input only what its own name vouches for is believed.
func VerifyPolicy(ctx context.Context, targets []Target, lib Library, doc *policy.Document, o PolicyOptions) ([]policy.Decision, policy.State, error) {
	switch {
	case doc == nil:
		return nil, policy.State{}, errors.New("verify by policy: there is no policy")
	case len(targets) == 0:
		return nil, policy.State{}, errors.New("verify by policy: there is nothing to decide on")
	}
	s := newSearch(lib, doc, o)
	now := s.roots.Time()
	options := policy.WalkOptions{Now: now, State: o.State, Floors: o.Floors, Problems: o.Problems}
	lists, problems := s.revocations(ctx, o.Revocations)
	options.Lists, options.Problems = lists, append(options.Problems[:len(options.Problems):len(options.Problems)], problems...)

	walk := policy.NewWalk(doc, options)
	facts := make([]policy.Facts, len(targets))
	for i, t := range targets {
		facts[i] = s.target(ctx, t)
	}
	walk.Start(facts...)
	if err := s.follow(ctx, walk, o.Search); err != nil {
		return nil, policy.State{}, err
	}
	decisions := walk.Decide()
	if len(decisions) != len(targets) {
		return nil, policy.State{}, fmt.Errorf("verify by policy: %d decisions on %d artifacts", len(decisions), len(targets))
	}
	return decisions, walk.State(), nil
}

// follow finds what walk wants until it wants no more. The search for inputs has an end; what lies behind it is a don't
// know.
func (s *search) follow(ctx context.Context, walk *policy.Walk, limit time.Duration) error {
	if limit <= 0 {
		limit = DefaultSearch
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for ctx.Err() == nil {
		wants := walk.Wants()
		if len(wants) == 0 {
			break
		}
		for i, f := range s.inputs(within, wants) {
			walk.Add(wants[i].ID, f)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}
