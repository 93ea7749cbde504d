package attestations

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateTestResult is in-toto's Test Result v0.1.
const PredicateTestResult = "https://in-toto.io/attestation/test-result/v0.1"

// TestResult says what came of trying an artifact: evaluations, attacks, scans. Tests that were skipped are in none of
// its lists. What in-toto has no place for is in Evaluation.
type TestResult struct {
	Result        Result     `json:"result"`
	Configuration []Resource `json:"configuration"` // what the run was configured with. Not nil; empty says that there was nothing
	URL           string     `json:"url,omitempty"`
	PassedTests   []string   `json:"passedTests,omitempty"`
	WarnedTests   []string   `json:"warnedTests,omitempty"`
	FailedTests   []string   `json:"failedTests,omitempty"`
	Evaluation    Evaluation `json:"https://github.com/hallmark-project/hallmark/attestations/evaluation/v1,omitzero"`
}

// Result is what came of a run of tests, or of a verification.
type Result string

// The results. A verification never has ResultWarned.
const (
	ResultPassed Result = "PASSED"
	ResultWarned Result = "WARNED"
	ResultFailed Result = "FAILED"
)

// Evaluation is what in-toto's predicate has no member for. A closed object, under a URI of its own; missing, with the
// time of the run, in other tools' statements.
type Evaluation struct {
	Activity   Activity  `json:"activity"`
	FinishedOn time.Time `json:"finishedOn"`
	Metrics    []Metric  `json:"metrics,omitempty"`
}

// Activity is what was done to the artifact.
type Activity string

// The activities.
const (
	Evaluated            Activity = "evaluation"
	Attacked             Activity = "attack"
	ScannedForPII        Activity = "pii-scan"
	ScannedForBias       Activity = "bias-scan"
	ScannedForPoisoning  Activity = "poisoning-scan"
	ScannedForUnsafeCode Activity = "unsafe-code-scan" // pickles and other files that run when they are loaded
	Tested               Activity = "test"             // anything else
)

// Activities returns all activities.
func Activities() []Activity {
	return []Activity{Evaluated, Attacked, ScannedForPII, ScannedForBias, ScannedForPoisoning, ScannedForUnsafeCode, Tested}
}

// Metric is one number that was measured.
type Metric struct {
	Name    string `json:"name"`              // unique within the statement, together with Dataset
	Value   string `json:"value"`             // a JSON number, as text: no reader rounds it
	Unit    string `json:"unit,omitempty"`    // UCUM where there is one; empty for a plain number
	Dataset Digest `json:"dataset,omitzero"`  // what it was measured on, of class artifact or file; zero: not said
	Samples int64  `json:"samples,omitempty"` // how many; 0: not said
}

// maxExact is the largest integer that every reader of JSON keeps: 2^53.
const maxExact = 1 << 53

// number is a JSON number.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// UnmarshalJSON reads the closed object.
func (e *Evaluation) UnmarshalJSON(raw []byte) error {
	type plain Evaluation
	return decode(raw, (*plain)(e), json.RejectUnknownMembers(true))
}

// PredicateType returns PredicateTestResult.
func (TestResult) PredicateType() string { return PredicateTestResult }

// Check returns why t cannot be stated or believed. A result that its own lists contradict is refused, and so is one
// that no test stands behind: nothing at all has not passed.
func (t TestResult) Check() error {
	if t.Configuration == nil {
		return errors.New("no configuration: an empty list says that there was none")
	}
	if err := checkResources("configuration", t.Configuration); err != nil {
		return err
	}
	if t.URL != "" {
		if err := checkURI(t.URL); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	}
	if err := checkNames(slices.Concat(t.PassedTests, t.WarnedTests, t.FailedTests)); err != nil {
		return fmt.Errorf("tests: %w", err)
	}
	switch t.Result {
	case ResultPassed:
		if len(t.WarnedTests)+len(t.FailedTests) > 0 {
			return fmt.Errorf("PASSED, with %d tests warned and %d failed", len(t.WarnedTests), len(t.FailedTests))
		}
		if len(t.PassedTests) == 0 {
			return errors.New("PASSED without a test that passed: no tests are not a pass")
		}
	case ResultWarned:
		if len(t.WarnedTests) == 0 || len(t.FailedTests) > 0 {
			return fmt.Errorf("WARNED, with %d tests warned and %d failed", len(t.WarnedTests), len(t.FailedTests))
		}
	case ResultFailed: // also of a harness that broke before its first test
	default:
		return fmt.Errorf("result %q: it is PASSED, WARNED or FAILED", clip(string(t.Result)))
	}
	return t.Evaluation.check()
}

func (e Evaluation) check() error {
	if e.Activity == "" && e.FinishedOn.IsZero() && e.Metrics == nil {
		return nil // another tool's statement
	}
	if !slices.Contains(Activities(), e.Activity) {
		return fmt.Errorf("activity %q: it is one of %v", clip(string(e.Activity)), Activities())
	}
	if err := checkTime("finishedOn", e.FinishedOn); err != nil {
		return err
	}
	if len(e.Metrics) > maxItems {
		return fmt.Errorf("%d metrics, at most %d are read", len(e.Metrics), maxItems)
	}
	type measured struct {
		name    string
		dataset Digest
	}
	seen := map[measured]bool{}
	for _, m := range e.Metrics {
		if err := m.check(); err != nil {
			return fmt.Errorf("metric %q: %w", clip(m.Name), err)
		}
		if seen[measured{m.Name, m.Dataset}] {
			return fmt.Errorf("metric %q is listed twice for one dataset", clip(m.Name))
		}
		seen[measured{m.Name, m.Dataset}] = true
	}
	return nil
}

func (m Metric) check() error {
	if err := checkName(m.Name); err != nil {
		return err
	}
	if len(m.Value) > maxName || !number.MatchString(m.Value) {
		return fmt.Errorf("value %q is no number", clip(m.Value))
	}
	if m.Unit != "" {
		if err := checkName(m.Unit); err != nil {
			return fmt.Errorf("unit: %w", err)
		}
	}
	if m.Samples < 0 || m.Samples > maxExact {
		return fmt.Errorf("%d samples", m.Samples)
	}
	if m.Dataset == (Digest{}) {
		return nil
	}
	if m.Dataset.Class == ClassGitCommit {
		return errors.New("a git commit is no dataset")
	}
	return m.Dataset.check()
}

// checkOn wants the time of the run in every statement that is made here; kind is how those are known.
func (t TestResult) checkOn(on Artifact) error {
	if on.Kind != "" && t.Evaluation.FinishedOn.IsZero() {
		return errors.New("no time of the run: evaluation.finishedOn")
	}
	return nil
}
