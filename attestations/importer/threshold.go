package importer

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Threshold is what a metric has to reach.
type Threshold struct {
	metric   string
	relation string
	bound    string
	value    *big.Rat
}

// decimal is a number that is compared exactly; its exponent is short enough that it stays a small number of digits.
var decimal = regexp.MustCompile(`^-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,2})?$`)

// ParseThreshold reads NAME>=VALUE, or with <=, > or <. The name is everything before the last such sign.
func ParseThreshold(s string) (Threshold, error) {
	at := strings.LastIndexAny(s, "<>")
	if at <= 0 {
		return Threshold{}, fmt.Errorf("threshold %q: it is NAME>=VALUE, or with <=, > or <", clip(s))
	}
	t := Threshold{metric: strings.TrimSpace(s[:at]), relation: s[at : at+1], bound: s[at+1:]}
	if rest, ok := strings.CutPrefix(t.bound, "="); ok {
		t.relation, t.bound = t.relation+"=", rest
	}
	t.bound = strings.TrimSpace(t.bound)
	var ok bool
	if t.value, ok = number(t.bound); !ok || t.metric == "" {
		return Threshold{}, fmt.Errorf("threshold %q: %q is no decimal number", clip(s), clip(t.bound))
	}
	return t, nil
}

// String returns the threshold as the name of the test that it is: "arc_easy/acc,none >= 0.7".
func (t Threshold) String() string { return t.metric + " " + t.relation + " " + t.bound }

func number(s string) (*big.Rat, bool) {
	if !decimal.MatchString(s) {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// holds reports whether v reaches t.
func (t Threshold) holds(v *big.Rat) bool {
	c := v.Cmp(t.value)
	switch t.relation {
	case ">=":
		return c >= 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	}
	return c < 0
}

// Judge adds a test for each threshold, by its own words. A metric that the report does not have, or that is no decimal
// number, is an error.
func (r *Report) Judge(thresholds []Threshold) error {
	for _, t := range thresholds {
		at := slices.IndexFunc(r.Metrics, func(m Metric) bool { return m.Name == t.metric })
		if at < 0 {
			return fmt.Errorf("threshold %q: the report has no metric %q", t.String(), t.metric)
		}
		v, ok := number(r.Metrics[at].Value)
		if !ok {
			return fmt.Errorf("threshold %q: %q is no decimal number", t.String(), clip(r.Metrics[at].Value))
		}
		name := t.String()
		if slices.Contains(r.Passed, name) || slices.Contains(r.Warned, name) || slices.Contains(r.Failed, name) {
			return fmt.Errorf("threshold %q is there twice", name)
		}
		if t.holds(v) {
			r.Passed = append(r.Passed, name)
		} else {
			r.Failed = append(r.Failed, name)
		}
	}
	return nil
}
