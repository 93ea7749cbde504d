package attestations

import (
	"errors"
	"fmt"
	"time"
)

// PredicateVulnerabilities is in-toto's Vulnerabilities v0.2.
const PredicateVulnerabilities = "https://in-toto.io/attestation/vulns/v0.2"

// Vulnerabilities says which known vulnerabilities a scanner found.
type Vulnerabilities struct {
	Scanner  Scanner      `json:"scanner"`
	Metadata ScanMetadata `json:"metadata"`
}

// Scanner is what looked, in what, and what it found.
type Scanner struct {
	URI     string          `json:"uri"`
	Version string          `json:"version,omitempty"`
	DB      VulnerabilityDB `json:"db"`
	Result  []Vulnerability `json:"result"` // not nil; empty says that none was found
}

// VulnerabilityDB is the scanner's knowledge.
type VulnerabilityDB struct {
	URI        string    `json:"uri,omitempty"`
	Version    string    `json:"version,omitempty"`
	LastUpdate time.Time `json:"lastUpdate"` // not after the scan's end
}

// Vulnerability is one finding.
type Vulnerability struct {
	ID          string              `json:"id"`       // as "CVE-2026-1234"
	Severity    []Severity          `json:"severity"` // one or more
	Annotations []map[string]string `json:"annotations,omitempty"`
}

// Severity is a score by one method.
type Severity struct {
	Method string `json:"method"` // as "cvss_score", "nvd"
	Score  string `json:"score"`
}

// ScanMetadata is when the scan ran.
type ScanMetadata struct {
	ScanStartedOn  time.Time `json:"scanStartedOn"`
	ScanFinishedOn time.Time `json:"scanFinishedOn"`
}

// PredicateType returns PredicateVulnerabilities.
func (Vulnerabilities) PredicateType() string { return PredicateVulnerabilities }

// Check returns why v cannot be stated or believed: no list of findings at all, findings without an ID or a severity,
// times that cannot be, such as a database newer than the scan.
func (v Vulnerabilities) Check() error {
	s := v.Scanner
	if err := checkURI(s.URI); err != nil {
		return fmt.Errorf("scanner: %w", err)
	}
	if s.DB.URI != "" {
		if err := checkURI(s.DB.URI); err != nil {
			return fmt.Errorf("scanner.db: %w", err)
		}
	}
	if err := checkSpan("scanStartedOn", v.Metadata.ScanStartedOn, "scanFinishedOn", v.Metadata.ScanFinishedOn); err != nil {
		return err
	}
	if err := checkSpan("db.lastUpdate", s.DB.LastUpdate, "scanFinishedOn", v.Metadata.ScanFinishedOn); err != nil {
		return err
	}
	if s.Result == nil {
		return errors.New("no result: an empty list says that nothing was found")
	}
	if len(s.Result) > maxItems {
		return fmt.Errorf("%d vulnerabilities, at most %d are read", len(s.Result), maxItems)
	}
	for _, found := range s.Result {
		if err := found.check(); err != nil {
			return fmt.Errorf("vulnerability %q: %w", clip(found.ID), err)
		}
	}
	return nil
}

func (v Vulnerability) check() error {
	if err := checkName(v.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	if len(v.Severity) == 0 {
		return errors.New("no severity")
	}
	for _, s := range v.Severity {
		if err := errors.Join(checkName(s.Method), checkName(s.Score)); err != nil {
			return fmt.Errorf("severity: %w", err)
		}
	}
	for _, a := range v.Annotations {
		if err := checkFacts(a); err != nil {
			return fmt.Errorf("annotations: %w", err)
		}
	}
	return nil
}
