package attestations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateVSA is SLSA's Verification Summary Attestation v1 (SLSA v1.2, Verification Summary).
const PredicateVSA = "https://slsa.dev/verification_summary/v1"

// SLSAVersion is the version of SLSA that summaries made here are by.
const SLSAVersion = "1.2"

// LevelFailed is the one level of a summary that says no.
const LevelFailed = "FAILED"

// VSA says what came of verifying an artifact against a policy: a yes or a no.
type VSA struct {
	Verifier           Verifier         `json:"verifier"`
	TimeVerified       time.Time        `json:"timeVerified"`
	ResourceURI        string           `json:"resourceUri"` // the artifact as it was asked for
	Policy             Resource         `json:"policy"`      // URI and digest of the policy
	InputAttestations  []Resource       `json:"inputAttestations,omitempty"`
	VerificationResult Result           `json:"verificationResult"`         // ResultPassed or ResultFailed
	VerifiedLevels     []string         `json:"verifiedLevels"`             // not nil; LevelFailed alone with ResultFailed
	DependencyLevels   map[string]int64 `json:"dependencyLevels,omitempty"` // how many dependencies reached each level
	SLSAVersion        string           `json:"slsaVersion,omitempty"`      // SLSAVersion in what is made here
	Basis              Basis            `json:"https://github.com/hallmark-project/hallmark/attestations/basis/v1,omitzero"`
}

// Basis is what a verification rests on: SLSA's summary has no members for it. Whoever believes a summary in place of the
// evidence holds what it names against revocations, and judges its age by the oldest evidence. A closed object, under a
// URI of its own; missing in other tools' statements.
type Basis struct {
	Ancestors []Digest  `json:"ancestors"`               // the artifact itself, and everything that it was made from, as far as it was followed. Not nil; whoever verifies refuses an empty list
	Oldest    time.Time `json:"oldestEvidence,omitzero"` // time of the oldest evidence that counted; zero: of no known age
}

// UnmarshalJSON reads the closed object.
func (b *Basis) UnmarshalJSON(raw []byte) error {
	type plain Basis
	return decode(raw, (*plain)(b), json.RejectUnknownMembers(true))
}

func (b Basis) check() error {
	if b.Ancestors == nil && b.Oldest.IsZero() {
		return nil // another tool's statement
	}
	if b.Ancestors == nil {
		return errors.New("no ancestors: the artifact itself is the first")
	}
	if len(b.Ancestors) > maxItems {
		return fmt.Errorf("%d ancestors, at most %d are read", len(b.Ancestors), maxItems)
	}
	seen := make(map[Digest]bool, len(b.Ancestors))
	for i, d := range b.Ancestors {
		if err := d.check(); err != nil {
			return fmt.Errorf("ancestor %d: %w", i+1, err)
		}
		if seen[d] {
			return fmt.Errorf("ancestor %s is listed twice", d)
		}
		seen[d] = true
	}
	if b.Oldest.IsZero() {
		return nil
	}
	return checkTime("oldestEvidence", b.Oldest)
}

// Verifier is who verified.
type Verifier struct {
	ID      string            `json:"id"` // URI
	Version map[string]string `json:"version,omitempty"`
}

// PredicateType returns PredicateVSA.
func (VSA) PredicateType() string { return PredicateVSA }

// Check returns why v cannot be stated or believed: levels that contradict the result or name two levels of one track,
// a policy without a URI and a digest, no time.
func (v VSA) Check() error {
	if err := checkURI(v.Verifier.ID); err != nil {
		return fmt.Errorf("verifier.id: %w", err)
	}
	if err := checkFacts(v.Verifier.Version); err != nil {
		return fmt.Errorf("verifier.version: %w", err)
	}
	if err := checkTime("timeVerified", v.TimeVerified); err != nil {
		return err
	}
	if err := checkURI(v.ResourceURI); err != nil {
		return fmt.Errorf("resourceUri: %w", err)
	}
	if err := checkURI(v.Policy.URI); err != nil {
		return fmt.Errorf("policy: %w", err)
	}
	if err := checkResources("policy", []Resource{v.Policy}); err != nil {
		return err
	}
	if err := checkResources("inputAttestations", v.InputAttestations); err != nil {
		return err
	}
	if v.SLSAVersion != "" {
		if err := checkName(v.SLSAVersion); err != nil {
			return fmt.Errorf("slsaVersion: %w", err)
		}
	}
	if err := v.Basis.check(); err != nil {
		return fmt.Errorf("basis: %w", err)
	}
	if v.Basis.Oldest.After(v.TimeVerified) {
		return errors.New("basis: oldestEvidence is after timeVerified")
	}
	return v.checkLevels()
}

func (v VSA) checkLevels() error {
	if v.VerifiedLevels == nil {
		return errors.New("no verifiedLevels: an empty list says that none was looked for")
	}
	failed := slices.Contains(v.VerifiedLevels, LevelFailed)
	switch {
	case v.VerificationResult == ResultPassed && failed:
		return errors.New("PASSED, at level FAILED")
	case v.VerificationResult == ResultFailed && (!failed || len(v.VerifiedLevels) != 1):
		return fmt.Errorf("FAILED, at levels %q: the one level is then FAILED", clip(strings.Join(v.VerifiedLevels, " ")))
	case v.VerificationResult != ResultPassed && v.VerificationResult != ResultFailed:
		return fmt.Errorf("verificationResult %q: it is PASSED or FAILED", clip(string(v.VerificationResult)))
	}
	if err := checkNames(v.VerifiedLevels); err != nil {
		return fmt.Errorf("verifiedLevels: %w", err)
	}
	tracks := map[string]string{}
	for _, level := range v.VerifiedLevels {
		track, _, ok := strings.Cut(level, "_LEVEL_")
		if !ok || !strings.HasPrefix(track, "SLSA_") {
			continue
		}
		if other, twice := tracks[track]; twice {
			return fmt.Errorf("verifiedLevels: %q and %q are of one track", clip(other), clip(level))
		}
		tracks[track] = level
	}
	if len(v.DependencyLevels) > maxItems {
		return fmt.Errorf("%d dependencyLevels, at most %d are read", len(v.DependencyLevels), maxItems)
	}
	for _, level := range sortedKeys(v.DependencyLevels) {
		if n := v.DependencyLevels[level]; level == "" || n < 0 || n > maxExact {
			return fmt.Errorf("dependencyLevels: %d dependencies at level %q", n, clip(level))
		}
	}
	return nil
}
