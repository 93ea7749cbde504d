package importer

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
)

// good has one sound report of each format.
var good = map[Format]string{
	JUnit: `<testsuites><testsuite name="s" tests="3" failures="1" timestamp="2026-11-01T10:00:00" time="2">
		<testcase classname="a" name="x"/><testcase classname="a" name="x"/><testcase name="y"><failure/></testcase></testsuite></testsuites>`,
	SARIF: `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"picklescan","rules":[{"id":"P1"},{"id":"P2"},{"id":"P3"}]}},
		"results":[{"ruleId":"P2","level":"error"},{"ruleId":"P3","level":"error","suppressions":[{"kind":"external"}]}]}]}`,
	LMEval: `{"results":{"arc":{"alias":"arc","acc,none":0.81,"f1":"N/A"}},"configs":{},"n-samples":{"arc":{"original":9,"effective":7}},"date":1761991200.5}`,
	Garak: `{"entry_type":"start_run setup","garak_version":"0.13.1"}
{"entry_type":"init","start_time":"2026-11-01T10:00:00"}
{"entry_type":"attempt","outputs":["anything"]}
{"entry_type":"eval","probe":"dan.A","detector":"d","passed":5,"fails":0,"nones":0,"total_evaluated":5}
{"entry_type":"eval","probe":"dan.B","detector":"d","passed":3,"total":4}
{"entry_type":"eval","probe":"dan.C","detector":"d","passed":4,"fails":0,"nones":1,"total_evaluated":5}
{"entry_type":"completion","end_time":"2026-11-01T11:00:00"}
`,
	OSV: `{"results":[{"packages":[{"package":{"name":"torch","version":"2.0","ecosystem":"PyPI"},
		"vulnerabilities":[{"id":"GHSA-1","database_specific":{"severity":"HIGH"}}],"groups":[{"ids":["GHSA-1"],"max_severity":"7.5"}]}]}]}`,
	Grype: `{"matches":[{"vulnerability":{"id":"CVE-1","severity":"High"},"artifact":{"name":"torch","version":"2.0"}}],
		"source":{"type":"directory"},"descriptor":{"name":"grype","version":"0.90","timestamp":"2026-11-01T10:00:00Z","db":{"status":{"built":"2026-10-31T00:00:00Z"}}}}`,
	CycloneDX: `{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"timestamp":"2026-11-01T10:00:00Z","component":{"type":"machine-learning-model","name":"chat"}}}`,
}

var importedAt = Context{Now: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)}

func TestReadRecognisesEachFormatByItsContent(t *testing.T) {
	for format, text := range good {
		r, err := Read([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if r.Format != format {
			t.Errorf("%s was taken for %s", format, r.Format)
		}
		c := importedAt
		if format == LMEval {
			c.Thresholds = thresholds(t, "arc/acc,none>=0.8")
		}
		if _, err := r.Predicate(c); err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
	for _, text := range []string{"", "hello", "[]", `{"a":1}`, `{"results":1}`, `{"a":1,"a":2}`} {
		if _, err := Read([]byte(text)); !errors.Is(err, ErrUnknownFormat) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func thresholds(t *testing.T, texts ...string) []Threshold {
	t.Helper()
	var out []Threshold
	for _, text := range texts {
		one, err := ParseThreshold(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

func TestReadTellsPassedFromFailed(t *testing.T) {
	for _, c := range []struct {
		format                 Format
		passed, warned, failed []string
	}{
		{JUnit, []string{"a.x", "a.x #2"}, nil, []string{"y"}},
		{SARIF, []string{"P1"}, []string{"P3"}, []string{"P2"}},
		{Garak, []string{"dan.A/d"}, []string{"dan.C/d"}, []string{"dan.B/d"}},
	} {
		r, err := Read([]byte(good[c.format]))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.Passed, c.passed) || !slices.Equal(r.Warned, c.warned) || !slices.Equal(r.Failed, c.failed) {
			t.Errorf("%s: passed %q, warned %q, failed %q", c.format, r.Passed, r.Warned, r.Failed)
		}
		p, err := r.Predicate(importedAt)
		if err != nil || p.(attestations.TestResult).Result != attestations.ResultFailed {
			t.Errorf("%s: %+v, %v", c.format, p, err)
		}
	}
}

// TestSARIFSaysWhatItsRunsFound holds the reading of what a run found to SARIF's levels, and one that found nothing to what it
// says that it looked at.
func TestSARIFSaysWhatItsRunsFound(t *testing.T) {
	run := func(members string) string { return `{"version":"2.1.0","runs":[{` + members + `}]}` }
	const (
		rules  = `"tool":{"driver":{"name":"Check","rules":[{"id":"R1","defaultConfiguration":{"level":"error"}},{"id":"R2"}]}},`
		bare   = `"tool":{"driver":{"name":"Check"}},`
		bandit = `"tool":{"driver":{"name":"Bandit"}},"properties":{"metrics":{"_totals":{"loc":1}}},`
		ended  = `"invocations":[{"executionSuccessful":true}],`
		looked = `"artifacts":[{"roles":["resultFile"]},{"roles":["added","analysisTarget"]}],`
	)
	for name, c := range map[string]struct {
		run                    string
		passed, warned, failed []string // none at all: it is refused
	}{
		"a rule's own level":                      {rules + `"results":[{"ruleId":"R1"},{"ruleId":"R2"}]`, nil, []string{"R2"}, []string{"R1"}},
		"a part of a rule":                        {rules + `"results":[{"ruleId":"R1/a/b"}]`, []string{"R1", "R2"}, nil, []string{"R1/a/b"}},
		"a note":                                  {rules + `"results":[{"ruleId":"R1","level":"note"}]`, []string{"R1", "R2"}, nil, nil},
		"none of the rules":                       {rules + `"results":[{"ruleId":"compile","kind":"fail","suppressions":[]}]`, []string{"R1", "R2"}, nil, []string{"compile"}},
		"none of the rules, a warning":            {rules + `"results":[{"ruleId":"other","level":"warning"}]`, []string{"R1", "R2"}, []string{"other"}, nil},
		"no rules, so by default a warning":       {bare + `"results":[{"ruleId":"R1"},{"ruleId":"R2","level":"note"}]`, []string{"R2"}, []string{"R1"}, nil},
		"nothing, of two rules":                   {rules + `"results":[]`, []string{"R1", "R2"}, nil, nil},
		"nothing, in what was looked at":          {bare + ended + looked + `"results":[]`, []string{"Check"}, nil, nil},
		"nothing, in a line":                      {bandit + ended + `"results":[]`, []string{"Bandit"}, nil, nil},
		"nothing, nowhere":                        {bare + ended + `"results":[]`, nil, nil, nil},
		"nothing, in results alone":               {bare + ended + strings.Replace(looked, "analysisTarget", "modified", 1) + `"results":[]`, nil, nil, nil},
		"nothing, in no line":                     {strings.Replace(bandit, `"loc":1`, `"loc":0`, 1) + ended + `"results":[]`, nil, nil, nil},
		"nothing, in a line of another tool":      {strings.Replace(bandit, "Bandit", "Check", 1) + ended + `"results":[]`, nil, nil, nil},
		"nothing, and nobody says that it ended":  {bare + looked + `"results":[]`, nil, nil, nil},
		"nothing, and it does not say how":        {bare + `"invocations":[{}],` + looked + `"results":[]`, nil, nil, nil},
		"no results, in what was looked at":       {bare + ended + looked + `"results":null`, nil, nil, nil},
		"nothing, in properties of another shape": {`"tool":{"driver":{"name":"Bandit"}},"properties":{"metrics":7},` + ended + `"results":[]`, nil, nil, nil},
	} {
		r, err := Read([]byte(run(c.run)))
		if len(c.passed)+len(c.warned)+len(c.failed) == 0 {
			if err == nil {
				t.Errorf("%s: %+v", name, r)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(r.Passed, c.passed) || !slices.Equal(r.Warned, c.warned) || !slices.Equal(r.Failed, c.failed) {
			t.Errorf("%s: passed %q, warned %q, failed %q", name, r.Passed, r.Warned, r.Failed)
		}
	}
}

// TestReadRefuses spoils a sound report by one replacement each; TestReadRecognisesEachFormatByItsContent reads them whole.
func TestReadRefuses(t *testing.T) {
	for _, c := range []struct {
		format         Format
		old, new, want string
	}{
		{JUnit, good[JUnit], `<testsuites/>`, "0 of 0 passed is not passed"},
		{JUnit, `failures="1"`, `failures="2"`, "says that 2 failed and lists 1"},
		{JUnit, `tests="3"`, `tests="4"`, "says that there are 4 tests and lists 3"},
		{JUnit, `<testsuites>`, `<!DOCTYPE x [<!ENTITY e "e">]><testsuites>`, "document type"},
		{JUnit, `</testsuites>`, ``, "unexpected EOF"},
		{JUnit, `2026-11-01T10`, `yesterday`, "is no time"},
		{SARIF, `"2.1.0"`, `"1.0.0"`, "only 2.1.0"},
		{SARIF, `"rules"`, `"rulez"`, ""},
		{SARIF, `"results":[`, `"invocations":[{"executionSuccessful":false}],"results":[`, "not successful"},
		{SARIF, `"level":"error"}`, `"level":"dire"}`, `level "dire" is unknown`},
		{SARIF, `"results":[`, `"resultz":[`, "no list of results"},
		{SARIF, good[SARIF], `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"t","rules":[{"id":"R"}]}},"results":null}]}`, "no list of results"},
		{SARIF, `"results":[`, `"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"error","message":{"text":"does not compile"}}]}],"results":[`, `it did not look at everything: "does not compile"`},
		{SARIF, `"results":[`, `"invocations":[{"executionSuccessful":true,"toolConfigurationNotifications":[{"level":"error","message":{"text":"No such file"}}]}],"results":[`, `it did not look at everything: "No such file"`},
		{SARIF, `"results":[`, `"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"dire","message":{"text":"what"}}]}],"results":[`, "it did not look at everything"},
		{SARIF, `"results":[`, `"invocations":[{"executionSuccessful":true,"toolExecutionNotifications":[{"level":"warning"},{"level":"note"},{}]}],"results":[`, ""},
		{LMEval, `0.81`, `"N/A"`, "0 of 0 passed is not passed"},
		{LMEval, `1761991200.5`, `-1`, "is no time"},
		{Garak, `"completion"`, `"attempt"`, "did not get to its end"},
		{Garak, `"passed":3`, `"passed":9`, "which cannot be"},
		{Garak, `"passed":5,"fails":0`, `"passed":3,"fails":0`, "which cannot be"},
		{Garak, `"dan.B"`, `"dan.A"`, "is there twice"},
		{OSV, good[OSV], `{"results":[]}`, "no package was looked at"},
		{OSV, `"GHSA-1","data`, `"","data`, "has no name"},
		{Grype, `"source":{"type":"directory"}`, `"distro":{}`, "nothing was looked at"},
		{Grype, `"built"`, `"build"`, "no database"},
		{CycloneDX, `"component"`, `"komponent"`, "describes nothing"},
	} {
		spoilt := strings.Replace(good[c.format], c.old, c.new, 1)
		if spoilt == good[c.format] {
			t.Fatalf("%s has no %q", c.format, c.old)
		}
		_, err := Read([]byte(spoilt))
		if c.want == "" {
			if err != nil {
				t.Errorf("%s with %q: %v", c.format, c.new, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: %v, want %q", c.format, c.new, err, c.want)
		}
	}
}

func TestReadRefusesReportsAboveTheCap(t *testing.T) {
	padded := append([]byte(good[LMEval]), make([]byte, MaxReport)...)
	if _, err := Read(padded); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
}

func TestPredicateWantsThresholdsForMeasurements(t *testing.T) {
	r, err := Read([]byte(good[LMEval]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Predicate(importedAt); err == nil {
		t.Error("a measurement passed by itself")
	}
	for text, want := range map[string]attestations.Result{
		"arc/acc,none>=0.81": attestations.ResultPassed, "arc/acc,none>0.81": attestations.ResultFailed,
		"arc/acc,none<=0.810": attestations.ResultPassed, "arc/acc,none<81e-2": attestations.ResultFailed,
	} {
		c := importedAt
		c.Thresholds = thresholds(t, text)
		p, err := r.Predicate(c)
		if err != nil || p.(attestations.TestResult).Result != want {
			t.Errorf("%s: %+v, %v", text, p, err)
		}
	}
	c := importedAt
	c.Thresholds = thresholds(t, "arc/f1>=0.8")
	if _, err := r.Predicate(c); err == nil {
		t.Error("a metric that is not there reached its threshold")
	}
	for _, text := range []string{"", "x", ">=1", "x>=", "x>=1e999999", "x==1", "x>=NaN"} {
		if _, err := ParseThreshold(text); err == nil {
			t.Errorf("threshold %q was read", text)
		}
	}
}

// TestPredicateRefusesTheFuture imports each report at its last moment, whose fraction of a second does not count, and
// before that. Of JUnit only the beginning is sure.
func TestPredicateRefusesTheFuture(t *testing.T) {
	sarif := strings.Replace(good[SARIF], `"results":[`, `"invocations":[{"startTimeUtc":"2026-11-01T09:00:00Z","endTimeUtc":"2026-11-01T11:00:00.9Z"}],"results":[`, 1)
	for text, moments := range map[string]struct{ first, finished string }{
		sarif:       {"11:00:00", "11:00:00"},
		good[Garak]: {"11:00:00", "11:00:00"},
		good[JUnit]: {"10:00:00", "10:00:00"},
		strings.Replace(good[JUnit], "10:00:00", "10:00:00.9", 1): {"10:00:00", "10:00:00"},
		good[JUnit] + " ": {"10:00:05", "10:00:02"},
	} {
		r, err := Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		at := func(clock string) time.Time {
			at, err := time.Parse(time.RFC3339, "2026-11-01T"+clock+"Z")
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		p, err := r.Predicate(Context{Now: at(moments.first)})
		if err != nil || !p.(attestations.TestResult).Evaluation.FinishedOn.Equal(at(moments.finished)) {
			t.Errorf("%s at %s: %+v, %v", r.Format, moments.first, p, err)
		}
		if moments.first != moments.finished {
			continue
		}
		if _, err := r.Predicate(Context{Now: at(moments.first).Add(-time.Second)}); err == nil || !strings.Contains(err.Error(), "yet to come") {
			t.Errorf("%s before %s: %v", r.Format, moments.first, err)
		}
	}
}

func TestReadCard(t *testing.T) {
	got, err := ReadCard([]byte("---\nlicense: other\nlicense_name: acme\nbase_model: [a/b, c/d]\ndatasets: e/f\n---\ntext"))
	if err != nil || got.License != "acme" || !slices.Equal(got.BaseModels, []string{"a/b", "c/d"}) || !slices.Equal(got.Datasets, []string{"e/f"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ReadCard([]byte("# no front matter")); err != nil || got.License != "" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"---\nlicense: x\n", "---\nlicense: [\n---\n", "---\nbase_model: {a: b}\n---\n", "---\ndatasets: [1]\n---\n",
		"---\na: &a x\nlicense: *a\n---\n", "---\ndatasets: [a, a]\n---\n"} {
		if _, err := ReadCard([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}
