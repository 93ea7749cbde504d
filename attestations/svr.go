package attestations

import (
	"errors"
	"fmt"
	"time"
)

// PredicateSVR is in-toto's Simple Verification Result v0.2.
const PredicateSVR = "https://in-toto.io/attestation/svr/v0.2"

// SVR says which properties of an artifact were verified. It has no form for a no: state a VSA for that.
type SVR struct {
	Verifier    SVRVerifier `json:"verifier"`
	TimeCreated time.Time   `json:"timeCreated"` // when it was verified
	Properties  []string    `json:"properties"`  // one or more
}

// SVRVerifier is who verified, against what.
type SVRVerifier struct {
	ID       string     `json:"id"`       // URI
	Policies []Resource `json:"policies"` // not nil; empty says that the verifier has its rules built in
}

// PredicateType returns PredicateSVR.
func (SVR) PredicateType() string { return PredicateSVR }

// Check returns why s cannot be stated or believed: no verifier, no list of policies, no time, or no property.
func (s SVR) Check() error {
	if err := checkURI(s.Verifier.ID); err != nil {
		return fmt.Errorf("verifier.id: %w", err)
	}
	if s.Verifier.Policies == nil {
		return errors.New("no verifier.policies: an empty list says that there are none")
	}
	if err := checkResources("verifier.policies", s.Verifier.Policies); err != nil {
		return err
	}
	if len(s.Properties) == 0 {
		return errors.New("no properties: nothing was verified")
	}
	if err := checkNames(s.Properties); err != nil {
		return fmt.Errorf("properties: %w", err)
	}
	return checkTime("timeCreated", s.TimeCreated)
}
