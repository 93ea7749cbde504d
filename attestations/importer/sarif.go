package importer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// sarifLog is a SARIF 2.1.0 log (OASIS Standard, §3.13), as far as it is read.
type sarifLog struct {
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver     sarifComponent   `json:"driver"`
		Extensions []sarifComponent `json:"extensions"`
	} `json:"tool"`
	Results     *[]sarifResult    `json:"results"` // §3.14.23: absent where the run failed to produce any
	Invocations []sarifInvocation `json:"invocations"`
	Artifacts   []struct {
		Roles []string `json:"roles"` // §3.24.6
	} `json:"artifacts"`
	Properties jsontext.Value `json:"properties"` // the tool's own
}

type sarifInvocation struct {
	Successful    *bool               `json:"executionSuccessful"`
	Start         string              `json:"startTimeUtc"`
	End           string              `json:"endTimeUtc"`
	Execution     []sarifNotification `json:"toolExecutionNotifications"`
	Configuration []sarifNotification `json:"toolConfigurationNotifications"`
}

// sarifNotification is about the tool, not about what it looked at (§3.58).
type sarifNotification struct {
	Level   string `json:"level"`
	Message struct {
		Text string `json:"text"`
	} `json:"message"`
}

type sarifComponent struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Semver  string      `json:"semanticVersion"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID            string `json:"id"`
	Configuration struct {
		Level string `json:"level"`
	} `json:"defaultConfiguration"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Rule      struct {
		ID string `json:"id"`
	} `json:"rule"`
	Kind         string `json:"kind"`
	Level        string `json:"level"`
	Suppressions []struct {
		Status string `json:"status"`
	} `json:"suppressions"`
}

// standing is what is said of one rule, in rising order.
type standing int

const (
	passed standing = iota
	warned
	failed
)

// readSARIF makes one test of each rule that a run lists or found something by. A result of level error makes its rule
// fail; a warning, and an error that somebody suppressed, make it warn; a rule without results passed, and so did one whose
// results are notes. A result by none of the rules that the run lists, and without a level, is no finding of a rule, such
// as code that does not compile, and fails. A run that lists no rules, found nothing and says what it looked at is one test,
// by the tool's name.
//
// A run that did not succeed, ran into an error of its own (Appendix I, Detecting incomplete result sets), or has no list
// of results, says nothing, and is refused.
func readSARIF(raw []byte) (*Report, error) {
	var log sarifLog
	if err := decode(raw, &log); err != nil {
		return nil, err
	}
	if log.Version != "2.1.0" {
		return nil, fmt.Errorf("version %q, and only 2.1.0 is read", clip(log.Version))
	}
	if len(log.Runs) == 0 {
		return nil, errNothing
	}
	r := &Report{}
	var tools []string
	for i, run := range log.Runs {
		if err := run.read(r, len(log.Runs) > 1); err != nil {
			return nil, fmt.Errorf("run %d: %w", i+1, err)
		}
		tools = append(tools, run.Tool.Driver.Name)
	}
	slices.Sort(tools)
	if tools = slices.Compact(tools); len(tools) == 1 {
		d := log.Runs[0].Tool.Driver
		r.Tool, r.Version = d.Name, d.version()
	} else {
		r.Tool = strings.Join(tools, ", ")
	}
	return r, nil
}

func (c sarifComponent) version() string {
	if c.Semver != "" {
		return c.Semver
	}
	return c.Version
}

// read adds a run's rules to r, under the tool's name where there are several runs.
func (run *sarifRun) read(r *Report, several bool) error {
	switch {
	case run.Tool.Driver.Name == "":
		return errors.New("its tool has no name")
	case run.Results == nil:
		return errors.New("no list of results: the run did not get so far")
	}
	for _, in := range run.Invocations {
		if in.Successful != nil && !*in.Successful {
			return errors.New("it was not successful, and says nothing")
		}
		if err := in.complete(); err != nil {
			return err
		}
		if err := r.span(in.Start, in.End); err != nil {
			return err
		}
	}
	rules := map[string]standing{}
	levels := map[string]string{}
	for _, c := range append([]sarifComponent{run.Tool.Driver}, run.Tool.Extensions...) {
		for _, rule := range c.Rules {
			rules[rule.ID] = passed
			levels[rule.ID] = rule.Configuration.Level
		}
	}
	for i, result := range *run.Results {
		id, err := result.rule(run.Tool.Driver.Rules)
		if err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
		s, err := result.standing(ruleLevel(id, levels))
		if err != nil {
			return fmt.Errorf("result %d: %w", i+1, err)
		}
		rules[id] = max(rules[id], s)
	}
	prefix := ""
	if several {
		prefix = run.Tool.Driver.Name + "/"
	}
	for _, id := range sortedKeys(rules) {
		r.test(prefix+id, rules[id])
	}
	if len(rules) == 0 && run.looked() {
		r.test(run.Tool.Driver.Name, passed)
	}
	return nil
}

// complete returns why the results cannot be all: what the tool ran into kept it from looking at everything. What a level is
// that this does not know is taken for an error.
func (in sarifInvocation) complete() error {
	for _, n := range slices.Concat(in.Execution, in.Configuration) {
		if !slices.Contains([]string{"", "none", "note", "warning"}, n.Level) {
			return fmt.Errorf("it did not look at everything: %q", clip(n.Message.Text))
		}
	}
	return nil
}

// looked reports whether a run says that it ended well and looked at something: an empty list of results alone is what a
// tool writes about an empty folder too. SARIF has the artifacts for it, with their roles; bandit counts the lines.
func (run *sarifRun) looked() bool {
	if !slices.ContainsFunc(run.Invocations, func(in sarifInvocation) bool { return in.Successful != nil && *in.Successful }) {
		return false
	}
	for _, a := range run.Artifacts {
		if slices.Contains(a.Roles, "analysisTarget") {
			return true
		}
	}
	var bandit struct {
		Metrics struct {
			Totals struct {
				Lines int64 `json:"loc"`
			} `json:"_totals"`
		} `json:"metrics"`
	}
	return run.Tool.Driver.Name == "Bandit" && json.Unmarshal(run.Properties, &bandit) == nil && bandit.Metrics.Totals.Lines > 0
}

// ruleLevel is the level of results by a rule that do not state their own: that of the rule, which a result may name with
// further parts behind slashes (§3.27.5); empty: the rule has none. Where there are rules and id is none of them, it is error.
func ruleLevel(id string, levels map[string]string) string {
	for name := id; ; {
		if level, listed := levels[name]; listed || len(levels) == 0 {
			return level
		}
		at := strings.LastIndexByte(name, '/')
		if at < 0 {
			return "error"
		}
		name = name[:at]
	}
}

// rule is the ID of the rule that the result is by (§3.27.5 to §3.27.7).
func (s sarifResult) rule(driver []sarifRule) (string, error) {
	switch {
	case s.RuleID != "":
		return s.RuleID, nil
	case s.Rule.ID != "":
		return s.Rule.ID, nil
	case s.RuleIndex != nil && *s.RuleIndex >= 0 && *s.RuleIndex < len(driver):
		return driver[*s.RuleIndex].ID, nil
	}
	return "", errors.New("by no rule")
}

// standing reads kind and level with their defaults (§3.27.9, §3.27.10). What this does not know is an error, never a
// pass.
func (s sarifResult) standing(ruleLevel string) (standing, error) {
	switch s.Kind {
	case "", "fail":
	case "pass", "notApplicable", "informational":
		return passed, nil
	case "open", "review":
		return warned, nil
	default:
		return failed, fmt.Errorf("kind %q is unknown", clip(s.Kind))
	}
	level := s.Level
	for _, fallback := range []string{ruleLevel, "warning"} {
		if level == "" {
			level = fallback
		}
	}
	switch level {
	case "none", "note":
		return passed, nil
	case "warning":
		return warned, nil
	case "error":
		if s.suppressed() {
			return warned, nil
		}
		return failed, nil
	}
	return failed, fmt.Errorf("level %q is unknown", clip(level))
}

// suppressed reports whether somebody accepted the result: all of its suppressions hold (§3.35.3).
func (s sarifResult) suppressed() bool {
	for _, p := range s.Suppressions {
		if p.Status != "" && p.Status != "accepted" {
			return false
		}
	}
	return len(s.Suppressions) > 0
}

// test adds one test.
func (r *Report) test(name string, s standing) {
	switch s {
	case passed:
		r.Passed = append(r.Passed, name)
	case warned:
		r.Warned = append(r.Warned, name)
	default:
		r.Failed = append(r.Failed, name)
	}
}

// span widens the report's times.
func (r *Report) span(start, end string) error {
	from, err := optionalTime(start)
	if err != nil {
		return fmt.Errorf("start: %w", err)
	}
	to, err := optionalTime(end)
	if err != nil {
		return fmt.Errorf("end: %w", err)
	}
	r.widen(from, to)
	return nil
}

func (r *Report) widen(from, to time.Time) {
	if !from.IsZero() && (r.Started.IsZero() || from.Before(r.Started)) {
		r.Started = from
	}
	if to.After(r.Finished) {
		r.Finished = to
	}
}
