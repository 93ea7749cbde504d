package importer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
)

// Context is what a report does not say and whoever imports it does.
type Context struct {
	Activity   attestations.Activity // what was done to the artifact; empty: Attacked for garak, Evaluated for lm-evaluation-harness, else Tested
	Thresholds []Threshold           // what metrics had to reach; without one, a metric passes nothing
	Dataset    attestations.Digest   // what every metric was measured on; zero: not said
	Now        time.Time             // stands in for times that the report does not have; must not be zero
}

// Predicate returns what r comes to: a TestResult, Vulnerabilities or a BOM. It errs where the report measured and nobody
// says what was to be reached, and where c cannot be said of such a report.
func (r *Report) Predicate(c Context) (attestations.Predicate, error) {
	tests := r.Format != OSV && r.Format != Grype && r.Format != CycloneDX
	switch {
	case c.Now.IsZero():
		return nil, errors.New("import report: no time")
	case !tests && (len(c.Thresholds) > 0 || c.Activity != "" || c.Dataset != attestations.Digest{}):
		return nil, fmt.Errorf("import %s: thresholds, activity and dataset are for reports of tests", r.Format)
	}
	r, err := r.until(c.Now)
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", r.Format, err)
	}
	var p attestations.Predicate
	switch r.Format {
	case CycloneDX:
		p, err = attestations.DecodePredicate(attestations.PredicateBOM, r.Document)
	case OSV, Grype:
		p, err = r.vulnerabilities(c)
	default:
		p, err = r.testResult(c)
	}
	if err != nil {
		return nil, fmt.Errorf("import %s: %w", r.Format, err)
	}
	return p, nil
}

// until returns r with its times in whole seconds, as now is, and refuses a run that ended after now. JUnit's timestamp is
// when a suite began; there are writers (gotestsum) whose is when it ended, which its duration on top would put into the
// future.
func (r *Report) until(now time.Time) (*Report, error) {
	timed := *r
	timed.Started, timed.Finished = r.Started.Truncate(time.Second), r.Finished.Truncate(time.Second)
	switch {
	case !timed.Finished.After(now):
	case r.Format == JUnit && !timed.Started.After(now):
		timed.Finished = now
	default:
		return r, fmt.Errorf("it finished at %s, which is yet to come", timed.Finished.Format(time.RFC3339))
	}
	return &timed, nil
}

func (r *Report) testResult(c Context) (attestations.Predicate, error) {
	judged := *r
	judged.Passed, judged.Warned, judged.Failed = slices.Clone(r.Passed), slices.Clone(r.Warned), slices.Clone(r.Failed)
	if err := judged.Judge(c.Thresholds); err != nil {
		return nil, err
	}
	if len(judged.Passed)+len(judged.Warned)+len(judged.Failed) == 0 {
		return nil, errors.New("it measures and passes nothing: a threshold says what was to be reached")
	}
	t := attestations.TestResult{
		Result: attestations.ResultPassed, PassedTests: judged.Passed, WarnedTests: judged.Warned, FailedTests: judged.Failed,
		Configuration: []attestations.Resource{{Name: "report", Digest: attestations.DigestSet{"sha256": r.Digest}}},
		Evaluation:    attestations.Evaluation{Activity: c.Activity, FinishedOn: either(r.Finished, c.Now)},
	}
	switch {
	case len(judged.Failed) > 0:
		t.Result = attestations.ResultFailed
	case len(judged.Warned) > 0:
		t.Result = attestations.ResultWarned
	}
	if t.Evaluation.Activity == "" {
		t.Evaluation.Activity = r.activity()
	}
	for _, m := range r.Metrics {
		t.Evaluation.Metrics = append(t.Evaluation.Metrics, attestations.Metric{Name: m.Name, Value: m.Value, Dataset: c.Dataset, Samples: m.Samples})
	}
	return t, t.Check()
}

func (r *Report) activity() attestations.Activity {
	switch r.Format {
	case Garak:
		return attestations.Attacked
	case LMEval:
		return attestations.Evaluated
	}
	return attestations.Tested
}

// scanners are the URIs of those whose reports are read.
var scanners = map[Format]string{OSV: "https://github.com/google/osv-scanner", Grype: "https://github.com/anchore/grype"}

func (r *Report) vulnerabilities(c Context) (attestations.Predicate, error) {
	finished := either(r.Finished, c.Now)
	v := attestations.Vulnerabilities{
		Scanner: attestations.Scanner{URI: scanners[r.Format], Version: r.Version, Result: []attestations.Vulnerability{},
			DB: attestations.VulnerabilityDB{LastUpdate: finished}},
		Metadata: attestations.ScanMetadata{ScanStartedOn: either(r.Started, finished), ScanFinishedOn: finished},
	}
	if r.Database != "" { // else the scanner asked its database while it ran
		built, err := parseTime(r.Database)
		if err != nil {
			return nil, fmt.Errorf("database: %w", err)
		}
		v.Scanner.DB.LastUpdate = built
	}
	for _, found := range r.Vulnerabilities {
		out := attestations.Vulnerability{ID: found.ID, Annotations: []map[string]string{{"package": found.Package, "version": found.Version}}}
		if found.Severity != "" {
			out.Severity = append(out.Severity, attestations.Severity{Method: "severity", Score: found.Severity})
		}
		if found.Score != "" {
			out.Severity = append(out.Severity, attestations.Severity{Method: "cvss_score", Score: found.Score})
		}
		if out.Severity == nil {
			out.Severity = []attestations.Severity{{Method: "severity", Score: "unknown"}}
		}
		v.Scanner.Result = append(v.Scanner.Result, out)
	}
	return v, v.Check()
}

func either(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
