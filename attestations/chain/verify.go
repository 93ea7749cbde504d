package chain

import (
	"context"
	"fmt"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// MaxBundles caps how many bundles are opened for one artifact. More is a don't know, not a selection.
const MaxBundles = 256

// Item is one bundle and where it lay.
type Item struct {
	Where  string
	Bundle attestations.Bundle
}

// Source is a place where evidence lies.
type Source interface {
	// Evidence returns every bundle that there is for the artifact; none is no error. An error means that the source
	// could not be read completely: the decision is then a don't know. A *MalformedError is a no instead.
	Evidence(ctx context.Context) ([]Item, error)
}

// MalformedError says that a place reserved for evidence holds something else.
type MalformedError struct {
	Where string
	Err   error
}

func (e *MalformedError) Error() string { return fmt.Sprintf("%s: %v", e.Where, e.Err) }

// Unwrap returns the cause.
func (e *MalformedError) Unwrap() error { return e.Err }

// Artifact is what is decided on.
type Artifact interface {
	// Describe returns what is known before anything was compared, and what stands in the way whoever signed it.
	Describe() (policy.Artifact, []policy.Finding)
	// Compare compares what is there with what s lists. A difference is a finding, never an error; an error means that
	// the comparison could not be made: a *manifest.ChangedError, a failed read, or a context that ended.
	Compare(ctx context.Context, s *attestations.Signature) (Comparison, error)
}

// Comparison is what Compare found.
type Comparison struct {
	Artifact policy.Artifact  // Describe's, completed by what was read
	Findings []policy.Finding // empty: exactly what was signed is there
	Files    []string         // "sha256:…" of every file that is there, where there are no findings; nil: not known
	Notes    []string
}

// Options is whom to believe and what must hold. The zero Options trusts nobody, and Verify then says so.
type Options struct {
	Roots  trust.Roots   // opens bundles
	Policy policy.Policy // decides

	Openings *Openings // remembers opened bundles; nil: nothing is remembered
}

// Verify decides on a by the evidence of sources. The error is not nil only if ctx ended; every other trouble is in the
// Decision. The bytes of an artifact are not read before a trusted signature says what they should be.
func Verify(ctx context.Context, a Artifact, sources []Source, o Options) (policy.Decision, error) {
	var facts policy.Facts
	facts.Artifact, facts.Problems = a.Describe()
	facts.TrustedRoot = o.Roots.Origin()
	items := collect(ctx, sources, &facts)
	signatures := make([]*attestations.Signature, len(items))
	for i, item := range items {
		b := o.Openings.open(item, o.Roots, false)
		facts.Evidence, facts.Notes = append(facts.Evidence, b.evidence), append(facts.Notes, b.notes...)
		if b.signature != nil && o.Policy.Accepts(b.evidence) {
			signatures[i] = b.signature
		}
	}
	for i, s := range signatures {
		if s == nil || ctx.Err() != nil {
			continue
		}
		if holds := compare(ctx, a, s, &facts, &facts.Evidence[i]); holds {
			break // any one trusted signature that holds is enough; the bytes are read once
		}
	}
	if err := ctx.Err(); err != nil {
		return policy.Decision{}, context.Cause(ctx)
	}
	return policy.Decide(o.Policy, facts, o.Roots.Time()), nil
}

func collect(ctx context.Context, sources []Source, facts *policy.Facts) []Item {
	var items []Item
	for _, s := range sources {
		found, err := s.Evidence(ctx)
		items = append(items, found...)
		if err != nil {
			facts.Problems = append(facts.Problems, Problem(err))
		}
	}
	return capped(items, facts)
}

// capped drops what is beyond MaxBundles, and says so.
func capped(items []Item, facts *policy.Facts) []Item {
	have := len(facts.Evidence)
	if have+len(items) > MaxBundles {
		facts.Problems = append(facts.Problems, policy.Finding{Code: policy.CapReached,
			Detail: fmt.Sprintf("%d bundles, at most %d are opened for one artifact", have+len(items), MaxBundles)})
		items = items[:MaxBundles-have]
	}
	return items
}

// compare has a compared with s and reports whether it holds.
func compare(ctx context.Context, a Artifact, s *attestations.Signature, facts *policy.Facts, e *policy.Evidence) bool {
	c, err := a.Compare(ctx, s)
	if err != nil {
		facts.Problems = append(facts.Problems, Problem(err))
		return false
	}
	e.Compared, e.Findings = true, c.Findings
	facts.Artifact = c.Artifact
	facts.Notes = append(facts.Notes, c.Notes...)
	return len(c.Findings) == 0
}

// Lost is an artifact that could not be found, with the reason. No decision on it is a yes.
type Lost struct {
	Ref string
	Err error
}

// Describe returns the reference, and what stands in the way.
func (l Lost) Describe() (policy.Artifact, []policy.Finding) {
	return policy.Artifact{Ref: l.Ref, Bytes: policy.BytesUnread}, []policy.Finding{Problem(l.Err)}
}

// Compare returns the error.
func (l Lost) Compare(context.Context, *attestations.Signature) (Comparison, error) {
	a, _ := l.Describe()
	return Comparison{Artifact: a}, l.Err
}
