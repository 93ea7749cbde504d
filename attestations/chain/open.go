package chain

import (
	"context"
	"errors"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// opened is one bundle after it was opened, or was refused.
type opened struct {
	evidence    policy.Evidence
	attestation *attestations.Attestation // nil if it did not open
	signature   *attestations.Signature   // of a signature on an artifact that can be compared
	notes       []string
}

// open opens one bundle and reads it if it is a signature on an artifact.
func open(item Item, roots trust.Roots) opened {
	b := opened{evidence: policy.Evidence{Where: item.Where}}
	e := &b.evidence
	a, err := attestations.Open(item.Bundle, roots)
	if err != nil {
		e.Findings = []policy.Finding{finding(err)}
		return b
	}
	b.attestation = a
	signer := a.Signer()
	e.Digest, e.Twin, e.PredicateType, e.Signer = a.Name(), a.Twin(), a.PredicateType(), &signer
	if t, source, ok := a.Time(); ok {
		e.Time, e.TimeSource = &t, source
	}
	e.LoggedBy, e.TimedBy = a.Logs(), a.Clocks()
	e.Signature = a.PredicateType() == attestations.PredicateOMS || a.PredicateType() == attestations.PredicateOMSLegacy
	if !e.Signature {
		return b
	}
	s, err := attestations.ReadSignature(a)
	if err != nil {
		code := policy.StatementMalformed
		if errors.Is(err, attestations.ErrUnsupported) {
			code = policy.Unsupported
		}
		e.Findings = []policy.Finding{{Code: code, Detail: err.Error()}}
		return b
	}
	e.Kind = string(s.Kind)
	if f := bound(e, s, roots); f != nil {
		e.Findings = []policy.Finding{*f}
		return b
	}
	for _, n := range s.Notes {
		b.notes = append(b.notes, item.Where+": "+n)
	}
	b.signature = s
	return b
}

// openClaim is open, and reads what other statements than signatures say.
func openClaim(item Item, roots trust.Roots) opened {
	b := open(item, roots)
	if b.attestation == nil || b.evidence.Signature {
		return b
	}
	kind, known := readable[b.attestation.PredicateType()]
	if !known {
		return b
	}
	e := &b.evidence
	read, err := attestations.ReadClaim(b.attestation)
	if err == nil {
		e.Claim, err = plainly(kind, read, b.attestation.Predicate())
	}
	if err != nil {
		e.Findings = []policy.Finding{{Code: policy.StatementMalformed, Detail: err.Error()}}
		return b
	}
	if f := bound(e, read, roots); f != nil {
		e.Claim, e.Findings = nil, []policy.Finding{*f}
	}
	return b
}

// stamped is a statement that may hold a timestamp.
type stamped interface {
	// NotBefore is the time before which the statement was not signed, by a timestamp inside.
	NotBefore(roots trust.Roots) (t time.Time, ok bool, err error)
}

// bound fills in what a timestamp inside s proves. The finding says why it does not hold.
func bound(e *policy.Evidence, s stamped, roots trust.Roots) *policy.Finding {
	t, ok, err := s.NotBefore(roots)
	if err != nil {
		f := finding(err)
		return &f
	}
	if ok {
		e.NotBefore = &t
	}
	return nil
}

// finding turns what refused a bundle into its reason.
func finding(err error) policy.Finding {
	var refused *attestations.OpenError
	if errors.As(err, &refused) {
		return policy.Finding{Code: refused.Reason, Detail: err.Error()}
	}
	return policy.Finding{Code: policy.BundleMalformed, Detail: err.Error()}
}

// timeout is what network errors and contexts say of themselves.
type timeout interface{ Timeout() bool }

// coded is an error that knows its reason.
type coded interface{ Reason() policy.Reason }

// Problem turns what kept something from being established into its reason.
func Problem(err error) policy.Finding {
	var malformed *MalformedError
	var slow timeout
	var own coded
	switch {
	case errors.As(err, &malformed):
		return policy.Finding{Code: policy.EvidenceMalformed, Where: malformed.Where, Detail: err.Error()}
	case errors.As(err, &own):
		return policy.Finding{Code: own.Reason(), Detail: err.Error()}
	case errors.Is(err, hashing.ErrChanged):
		return policy.Finding{Code: policy.Changed, Detail: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return policy.Finding{Code: policy.TimedOut, Detail: err.Error()}
	}
	return policy.Finding{Code: policy.Unreadable, Detail: err.Error()}
}
