package attestations

import (
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// PredicateApproval is Hallmark's own: somebody looked at the evidence and decided.
const PredicateApproval = namespace + "approval/v1"

// Approval says what somebody who may decide has decided, on which evidence, for what, and until when.
type Approval struct {
	Decision  ApprovalDecision `json:"decision"`
	Scope     []string         `json:"scope"`    // what it is for, as "production"; one or more
	Evidence  []string         `json:"evidence"` // own names of the bundles that were reviewed, "sha256:…"
	Reason    string           `json:"reason,omitempty"`
	DecidedOn time.Time        `json:"decidedOn"`
	Expires   time.Time        `json:"expires,omitzero"` // after DecidedOn; an approval has to have it
}

// ApprovalDecision is approved or rejected.
type ApprovalDecision string

// The decisions.
const (
	Approved ApprovalDecision = "approved"
	Rejected ApprovalDecision = "rejected"
)

// PredicateType returns PredicateApproval.
func (Approval) PredicateType() string { return PredicateApproval }

// Check returns why a cannot be stated or believed: an approval without evidence that was reviewed, without an end, or
// for nothing in particular.
func (a Approval) Check() error {
	switch a.Decision {
	case Approved:
		if len(a.Evidence) == 0 {
			return errors.New("approved without evidence that was reviewed")
		}
		if a.Expires.IsZero() {
			return errors.New("approved for ever: no expires")
		}
	case Rejected:
	default:
		return fmt.Errorf("decision %q: it is approved or rejected", clip(string(a.Decision)))
	}
	if len(a.Scope) == 0 {
		return errors.New("no scope")
	}
	if err := checkNames(a.Scope); err != nil {
		return fmt.Errorf("scope: %w", err)
	}
	if err := checkBundleNames(a.Evidence); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	if len(a.Reason) > maxText {
		return fmt.Errorf("reason: %d bytes, at most %d", len(a.Reason), maxText)
	}
	if err := checkTime("decidedOn", a.DecidedOn); err != nil || a.Expires.IsZero() {
		return err
	}
	if !a.Expires.After(a.DecidedOn) {
		return errors.New("expires: not after decidedOn")
	}
	return checkTime("expires", a.Expires)
}

// checkBundleNames takes own names of bundles, each once.
func checkBundleNames(names []string) error {
	for _, n := range names {
		if _, err := hashing.ParseSum(n); err != nil {
			return err
		}
	}
	return checkNames(names)
}
