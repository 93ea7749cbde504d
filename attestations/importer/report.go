package importer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Caps on what is read of a report.
const (
	MaxReport = 64 << 20 // bytes of a report; a larger one is refused, not read in part: the rest may have failed
	maxTests  = 1 << 16  // tests, measurements or vulnerabilities in a report
	maxName   = 1 << 10  // bytes of a name in a report
)

// Format is the format of a report.
type Format string

// The formats that are read.
const (
	JUnit     Format = "JUnit XML"
	SARIF     Format = "SARIF"
	LMEval    Format = "lm-evaluation-harness JSON"
	Garak     Format = "garak JSONL"
	OSV       Format = "OSV-scanner JSON"
	Grype     Format = "Grype JSON"
	CycloneDX Format = "CycloneDX JSON"
)

// Report is what a tool wrote, as far as a statement repeats it. Which of the lists are filled depends on the format:
// tests and metrics come from JUnit, SARIF, lm-evaluation-harness and garak, vulnerabilities from OSV-scanner and Grype,
// and CycloneDX is a document of its own.
type Report struct {
	Format   Format
	Digest   string    // SHA-256 of the report's bytes, in hex
	Tool     string    // name of the tool that wrote it
	Version  string    // of the tool; empty where the report does not say
	Database string    // version of a scanner's database; empty where the report does not say
	Started  time.Time // zero where the report does not say
	Finished time.Time // zero where the report does not say

	Passed  []string // tests, each name once in all three lists
	Warned  []string
	Failed  []string
	Metrics []Metric

	Vulnerabilities []Vulnerability
	Packages        int // that a scanner looked at, where it lists them

	Document jsontext.Value // CycloneDX: the document itself
}

// Metric is one measurement.
type Metric struct {
	Name    string // unique in the report, as "arc_easy/acc,none"
	Value   string // decimal, as the report writes it
	Samples int64  // how many samples it was taken over; 0 where the report does not say
}

// Vulnerability is one that a scanner found.
type Vulnerability struct {
	ID       string // as "CVE-2024-3568" or "GHSA-37q5-v5qm-c9v8"
	Package  string // name of the package that has it
	Version  string // of the package
	Severity string // in the scanner's words; empty where it has none
	Score    string // CVSS base score, decimal; empty where there is none
}

// ErrUnknownFormat is about bytes that are no report of a format that is read here.
var ErrUnknownFormat = errors.New("no report of a known format")

// Read recognises a report by its content and reads it. An error is an ErrUnknownFormat where it is none; any other error
// names the format and why it is refused. The result has at least one test, measurement, package or component: a report
// that looked at nothing is refused.
func Read(raw []byte) (*Report, error) {
	if len(raw) > MaxReport {
		return nil, fmt.Errorf("report of %d bytes, at most %d are read", len(raw), MaxReport)
	}
	format, err := Recognise(raw)
	if err != nil {
		return nil, err
	}
	r, err := readers[format](raw)
	if err == nil {
		sum := sha256.Sum256(raw)
		r.Format, r.Digest = format, hex.EncodeToString(sum[:])
		err = r.check()
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", format, err)
	}
	return r, nil
}

var readers = map[Format]func([]byte) (*Report, error){
	JUnit: readJUnit, SARIF: readSARIF, LMEval: readLMEval, Garak: readGarak, OSV: readOSV, Grype: readGrype, CycloneDX: readCycloneDX,
}

// Recognise returns the format of a report by the members that only this format has. Nothing else of it is checked.
func Recognise(raw []byte) (Format, error) {
	text := bytes.TrimLeft(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(text) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrUnknownFormat)
	case text[0] == '<':
		return JUnit, nil
	case text[0] != '{':
		return "", fmt.Errorf("%w: neither XML nor a JSON object", ErrUnknownFormat)
	}
	var top map[string]jsontext.Value
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if err := json.UnmarshalDecode(d, &top); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknownFormat, err)
	}
	has := func(name string, kind jsontext.Kind) bool { return top[name] != nil && top[name].Kind() == kind }
	switch {
	case has("entry_type", '"'):
		return Garak, nil
	case has("bomFormat", '"'):
		return CycloneDX, nil
	case has("runs", '[') && has("version", '"'):
		return SARIF, nil
	case has("matches", '[') && has("descriptor", '{'):
		return Grype, nil
	case has("results", '{') && (top["configs"] != nil || top["versions"] != nil || top["n-samples"] != nil):
		return LMEval, nil
	case has("results", '['):
		return OSV, nil
	}
	return "", fmt.Errorf("%w: a JSON object without the members of any", ErrUnknownFormat)
}

// decode reads one JSON value into v: another tool's, so that members it has besides are ignored; not members that are
// there twice, for readers differ in which one they take.
func decode(raw []byte, v any) error {
	return json.Unmarshal(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), v)
}

// errNothing refuses a report that looked at nothing.
var errNothing = errors.New("nothing was tested: 0 of 0 passed is not passed")

// check holds every report to what all have in common.
func (r *Report) check() error {
	tests := len(r.Passed) + len(r.Warned) + len(r.Failed)
	for _, n := range []int{tests, len(r.Metrics), len(r.Vulnerabilities)} {
		if n > maxTests {
			return fmt.Errorf("%d results, at most %d are read", n, maxTests)
		}
	}
	switch {
	case r.Format == CycloneDX:
		return nil
	case (r.Format == OSV || r.Format == Grype) && r.Packages > 0:
	case tests+len(r.Metrics) == 0:
		return errNothing
	case len(r.Metrics) == 0 && len(r.Passed)+len(r.Failed) == 0:
		return errors.New("no test ran to an end: all were left open")
	}
	if !r.Started.IsZero() && !r.Finished.IsZero() && r.Finished.Before(r.Started) {
		return fmt.Errorf("finished at %s, before it started at %s", r.Finished.Format(time.RFC3339), r.Started.Format(time.RFC3339))
	}
	seen := make(map[string]bool, tests)
	for _, list := range [][]string{r.Passed, r.Warned, r.Failed} {
		if err := checkNames("test", list, seen); err != nil {
			return err
		}
	}
	names := make([]string, len(r.Metrics))
	for i, m := range r.Metrics {
		names[i] = m.Name
		if m.Samples < 0 {
			return fmt.Errorf("metric %q: %d samples", clip(m.Name), m.Samples)
		}
	}
	return checkNames("metric", names, map[string]bool{})
}

func checkNames(what string, names []string, seen map[string]bool) error {
	for _, n := range names {
		switch {
		case n == "":
			return fmt.Errorf("a %s has no name", what)
		case len(n) > maxName:
			return fmt.Errorf("%s %q: name of %d bytes, at most %d", what, clip(n), len(n), maxName)
		case !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl):
			return fmt.Errorf("%s %q: control characters or no UTF-8", what, clip(n))
		case seen[n]:
			return fmt.Errorf("%s %q is there twice", what, clip(n))
		}
		seen[n] = true
	}
	return nil
}

// parseTime reads the times that tools write: RFC 3339, and the same without a zone, which is taken as UTC.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", clip(s))
}

// optionalTime is parseTime for what need not be there.
func optionalTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	return parseTime(s)
}

// clip shortens text from outside for an error.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
