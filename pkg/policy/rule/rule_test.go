package rule

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// tested is a test result as another tool may have signed it.
func tested(t *testing.T) Input {
	t.Helper()
	var predicate map[string]any
	if err := json.Unmarshal([]byte(`{"result": "PASSED", "passedTests": ["privacy/pii-scan", "bias"], "runs": 3, "rate": 0.5,
		"scope": ["production"], "nothing": null, "configuration": [{"name": "suite", "version": "v2.1"}]}`), &predicate); err != nil {
		t.Fatal(err)
	}
	predicate["long"] = strings.Repeat("a", maxMatched+1)
	return Input{
		Predicate: predicate,
		Metrics:   map[string]float64{"robust_accuracy": 0.61, "top-1": 1},
		Type:      "test-result", Artifact: "sha256:" + strings.Repeat("a", 64), Kind: "model",
		Signer: map[string]string{"principal": "red-team", "subject": "spiffe://acme/red-team"},
		At:     time.Date(2026, 11, 1, 12, 0, 0, 0, time.FixedZone("", 3600)),
		Now:    time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC),
	}
}

func TestHoldsAnswers(t *testing.T) {
	in := tested(t)
	for source, want := range map[string]bool{
		`metric("robust_accuracy") >= 0.6`:                                     true,
		`metric("robust_accuracy") >= 0.62`:                                    false,
		`metric("top-1") == 1.0`:                                               true,
		`metric("top-1") >= 1 && metric("top-1") < 2`:                          true,
		`"privacy/pii-scan" in predicate.passedTests`:                          true,
		`kind in ["model", "adapter"]`:                                         true,
		`["model", "adapter"].exists(k, k == kind)`:                            true,
		`predicate.runs in [1, 2]`:                                             false,
		`"result" in predicate && !("x" in predicate)`:                         true,
		`predicate.configuration == [{"name": "suite", "version": "v2.1"}]`:    true,
		`predicate.scope != ["production"]`:                                    false,
		`"privacy" in predicate.passedTests`:                                   false,
		`predicate.runs == 3 && predicate.runs > 2 && predicate.rate < 1`:      true,
		`predicate["result"] == "PASSED"`:                                      true,
		`predicate.scope == "production"`:                                      false, // a list is no text
		`predicate.nothing == null`:                                            true,
		`has(predicate.absent)`:                                                false,
		`has(predicate.result) && !has(predicate.failedTests)`:                 true,
		`predicate.configuration.exists(c, c.version.matches("^v2\\."))`:       true,
		`predicate.passedTests.filter(p, p.startsWith("privacy/")).size() > 1`: false,
		`type == "test-result" && kind == "model"`:                             true,
		`artifact.startsWith("sha256:")`:                                       true,
		`signer.principal == "red-team" && !("issuer" in signer)`:              true,
		`now - at < duration("720h")`:                                          true,
		`at.getHours() == 11`:                                                  true, // in UTC, whatever zone it was written in
		`now > timestamp("2026-12-01T00:00:00Z")`:                              false,
	} {
		r, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := r.Holds(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", source, got, err)
		}
		if r.String() != source {
			t.Errorf("%s is shown as %s", source, r)
		}
	}
}

func TestHoldsErrsOnWhatCannotBeAnswered(t *testing.T) {
	in := tested(t)
	for source, want := range map[string]string{
		`metric("accuracy") >= 0.6`:            "no such key: accuracy",
		`predicate.absent == 1`:                "no such key: absent",
		`predicate.result.deeper == 1`:         "no such",
		`predicate.result > 3`:                 "no such overload",
		`predicate.result`:                     ErrNotBoolean.Error(),
		`true ? predicate.runs : true`:         ErrNotBoolean.Error(),
		`signer.issuer == "x"`:                 "no such key: issuer",
		`predicate.runs == 4 || 1 / 0 > 1`:     "division by zero",
		`predicate.passedTests.all(p, p > 3)`:  "no such overload",
		`predicate.result.matches(type + "(")`: "missing closing",
		`predicate.runs.matches("3")`:          "no such overload",
		`predicate.long.matches("a")`:          "at most 65536 bytes",
	} {
		r, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := r.Holds(in); got || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
	var none *Rule
	if got, err := none.Holds(in); got || err == nil {
		t.Errorf("the nil rule: %v, %v", got, err)
	}
	if got, err := new(Rule).Holds(in); got || err == nil {
		t.Errorf("the zero rule: %v, %v", got, err)
	}
}

func TestHoldsOfNothingErrs(t *testing.T) {
	r, err := Compile(`predicate.result == "PASSED"`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Holds(Input{}); got || err == nil {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := r.Holds(tested(t)); !got || err != nil {
		t.Errorf("of a result: %v, %v", got, err)
	}
}

func TestCompileRefusesWithPosition(t *testing.T) {
	for name, c := range map[string]struct {
		source       string
		line, column int
		message      string
	}{
		"nothing":                    {"", 1, 1, "mismatched input"},
		"a number":                   {"metric('a')", 1, 1, "type double"},
		"a text":                     {"kind", 1, 1, "type string"},
		"an unknown variable":        {"kind == 'model' &&\n  metrics['a'] > 1", 2, 3, "undeclared reference to 'metrics'"},
		"an unknown function":        {"kind == 'model' && exec('rm')", 1, 24, "undeclared reference to 'exec'"},
		"two metrics":                {"metric('a', 'b') > 1", 1, 7, "undeclared reference to 'metric'"},
		"the hidden variable":        {"@metrics['a'] > 1.0", 1, 1, "token recognition error"},
		"a wrong type":               {"kind > 1", 1, 6, "no matching overload"},
		"a bad expression":           {"kind.matches('(')", 1, 14, "missing closing"},
		"another":                    {"matches(kind, '(a{50}){19}')", 1, 15, "may have 250"},
		"no end":                     {"kind == 'model", 1, 9, "token recognition error"},
		"a list":                     {"[kind == 'model']", 1, 1, "type list(bool)"},
		"a loop over what it builds": {"[[kind], []].exists(k, k == [])", 1, 1, "not over a list that the rule builds"},
		"a loop over more of it":     {"([kind] + [type]).filter(k, k != '').exists(k, k == '')", 1, 9, "not over a list that the rule builds"},
		"no map":                     {"predicate.l.map(k, k) == []", 1, 16, "undeclared reference"},
		"too long":                   {strings.Repeat(" ", MaxSource) + "true", 1, 1, "at most 4096"},
	} {
		_, err := Compile(c.source)
		var at *Error
		if !errors.As(err, &at) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if at.Line != c.line || at.Column != c.column || !strings.Contains(at.Message, c.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hostile is a predicate with much in it, of the size that a bundle may have.
func hostile() Input {
	list := make([]any, 300_000)
	for i := range list {
		list[i] = float64(i)
	}
	return Input{Predicate: map[string]any{
		"list": list, "text": strings.Repeat("a", 4<<20), "nested": map[string]any{"list": list}, "line": strings.Repeat("a", maxMatched), "digits": strings.Repeat("1", 4<<20), "one": []any{1.0},
	}}
}

func TestHostileRulesEnd(t *testing.T) {
	in := hostile()
	for name, source := range map[string]string{
		"loops in loops":        `predicate.list.all(a, predicate.list.all(b, predicate.list.all(c, true)))`,
		"loops that do nothing": `[1,2,3,4,5,6,7,8,9,10].exists(a, predicate.list.exists(b, predicate.list.exists(c, false)))`,
		"comparing documents":   `predicate.list.all(a, predicate.nested == predicate.nested)`,
		"comparing texts":       `predicate.list.all(a, predicate.text == predicate.text)`,
		"unequal documents":     `predicate.list.all(a, predicate.nested != [predicate.nested][0])`,
		"looking through lists": `predicate.list.all(a, a in predicate.list)`,
		"lists in lists":        `predicate.list.all(a, !([a] in [predicate.list]))`,
		"the length of a text":  `predicate.list.all(a, size(predicate.text) > 0)`,
		"parts of a text":       `predicate.list.all(a, !predicate.text.contains("b"))`,
		"numbers":               `predicate.list.all(a, double(predicate.digits) > 1.0)`,
		"expressions":           `predicate.list.all(a, !predicate.line.matches("(a?){60}b"))`,
		"doubled lists":         `predicate.one + predicate.one` + strings.Repeat(` + predicate.list`, 60) + `== predicate.list`,
		"many documents":        `[` + strings.Repeat(`predicate,`, 150) + `1] == [` + strings.Repeat(`predicate,`, 150) + `1]`,
		"a document in many":    `predicate in [` + strings.Repeat(`predicate,`, 150) + `1]`,
		"long texts":            `predicate.list.all(a, predicate.text + predicate.text != "b")`,
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Compile(source)
			if err != nil {
				var refused *Error
				if !errors.As(err, &refused) {
					t.Fatal(err)
				}
				t.Logf("refused: %v", refused)
				return
			}
			got, err := r.Holds(in) // one that hung would be ended by the tests' own limit
			if err == nil || got {
				t.Errorf("%v, %v", got, err)
			} else if !strings.Contains(err.Error(), "cost limit exceeded") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestHostileSourcesAreRefused(t *testing.T) {
	for name, source := range map[string]string{
		"brackets":       strings.Repeat("(", 2000) + "true" + strings.Repeat(")", 2000),
		"lists":          strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + " == []",
		"choices":        strings.Repeat("true?", 800) + "true" + strings.Repeat(":true", 8),
		"open brackets":  strings.Repeat("(", 4000),
		"open texts":     strings.Repeat(`"a" + `, 600),
		"loops":          strings.Repeat("[1].all(a,", 300) + "true" + strings.Repeat(")", 300),
		"an expression":  `kind.matches("((a{50}){19}){100}")`,
		"a large number": strings.Repeat("9", 4000) + " > 1",
	} {
		_, err := Compile(source)
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, source := range map[string]string{
		"brackets": strings.Repeat("(", 20) + "true" + strings.Repeat(")", 20),
		"sums":     strings.Repeat("1 + ", 20) + "1 == 21",
		"choices":  strings.Repeat("kind == 'm' || ", 100) + "true",
		"loops":    strings.Repeat("[1].all(a,", 5) + "true" + strings.Repeat(")", 5),
	} {
		if r, err := Compile(source); err != nil {
			t.Errorf("%s, fewer: %v", name, err)
		} else if got, err := r.Holds(Input{}); !got || err != nil {
			t.Errorf("%s, fewer: %v, %v", name, got, err)
		}
	}
}

// A rule of ordinary size must not be refused for what a predicate of ordinary size holds.
func TestOrdinaryRulesAreAffordable(t *testing.T) {
	names := make([]any, 5000)
	for i := range names {
		names[i] = map[string]any{"name": strings.Repeat("x", 60), "value": float64(i)}
	}
	in := Input{Predicate: map[string]any{"tests": names, "log": strings.Repeat("a line\n", 9_000)}}
	for _, source := range []string{
		`predicate.tests.all(t, t.value >= 0 && t.name != "")`,
		`!predicate.log.contains("error")`,
		`!predicate.log.matches("fatal|error")`,
		`predicate.tests == predicate.tests`,
		`size(predicate.log) > 0`,
	} {
		r, err := Compile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.Holds(in); !got || err != nil {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}

func TestRuleIsForSeveralGoroutines(t *testing.T) {
	r, err := Compile(`predicate.passedTests.exists(p, p == "bias") && metric("top-1") >= 1`)
	if err != nil {
		t.Fatal(err)
	}
	in := tested(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if got, err := r.Holds(in); !got || err != nil {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

// What the schema says that a rule sees is what there is to see.
func TestInputSchemaNamesWhatRulesSee(t *testing.T) {
	var schema struct {
		Properties map[string]struct {
			Type string `json:"type"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(InputSchema, &schema); err != nil {
		t.Fatal(err)
	}
	for name := range schema.Properties {
		source := "type(" + name + ") == type(" + name + ")"
		if name == "metrics" {
			source = `metric("top-1") == metric("top-1")`
		}
		r, err := Compile(source)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := r.Holds(tested(t)); !got || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range env.Variables() {
		if _, ok := schema.Properties[strings.Replace(v.Name(), metricsVariable, "metrics", 1)]; !ok && !isType(v.Name()) {
			t.Errorf("the schema does not say %s", v.Name())
		}
	}
}

// isType reports whether a variable is one of CEL's own, which name types.
func isType(name string) bool {
	_, err := Compile("type(" + name + ") == type(type(1))")
	return err == nil
}

// Each cap lets in what just fits.
func TestCapsTakeWhatFits(t *testing.T) {
	in := tested(t)
	in.Predicate["long"] = strings.Repeat("a", maxMatched)
	for name, c := range map[string]struct{ fits, exceeds, message string }{
		"source":  {strings.Repeat(" ", MaxSource-4) + "true", strings.Repeat(" ", MaxSource-3) + "true", "4097 bytes, at most 4096 are read"},
		"pattern": {`!kind.matches("a{248}")`, `!kind.matches("a{249}")`, "compiles to 251 steps, and may have 250"},
	} {
		if r, err := Compile(c.fits); err != nil {
			t.Errorf("%s that fits: %v", name, err)
		} else if got, err := r.Holds(in); !got || err != nil {
			t.Errorf("%s that fits: %v, %v", name, got, err)
		}
		if _, err := Compile(c.exceeds); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s that does not: %v", name, err)
		}
	}
	r, err := Compile(`predicate.long.matches("a$")`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Holds(in); !got || err != nil {
		t.Errorf("text that fits: %v, %v", got, err)
	}
	long := strings.Repeat("a", 300)
	for text, want := range map[string]string{long: long, long + "b": long + "…", long[1:] + "é": long[1:] + "…"} {
		if got := clip(text); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// A match costs by its pattern as well as by its text: both are the statement's.
func TestMatchingIsPricedByTextAndPattern(t *testing.T) {
	r, err := Compile(`predicate.list.all(a, predicate.word.matches(predicate.word))`)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Predicate: map[string]any{"word": strings.Repeat("a", 200), "list": make([]any, 100)}}
	if got, err := r.Holds(in); !got || err != nil {
		t.Errorf("a hundred times: %v, %v", got, err)
	}
	in.Predicate["list"] = make([]any, 2000)
	if got, err := r.Holds(in); got || err == nil || !strings.Contains(err.Error(), "cost limit exceeded") {
		t.Errorf("two thousand times: %v, %v", got, err)
	}
}
