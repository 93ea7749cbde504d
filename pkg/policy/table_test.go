package policy

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

const goodTable = `apiVersion: hallmark/v1
kind: PolicyTest
now: 2026-11-20
cases:
  - {name: good, artifact: fixtures/chat, evidence: [fixtures/base, ../more], expect: yes}
  - name: old
    artifact: [fixtures/chat, fixtures/lora]
    revocations: fixtures/lists.sig
    state: fixtures/state
    floors: {prod: 3}
    now: 2027-01-20T12:00:00Z
    expect: "no"
    reasons: [stale, evidence-missing]
`

func TestLoadTableReadsCases(t *testing.T) {
	got, err := LoadTable([]byte(strings.Replace(goodTable, "expect: yes", `expect: "yes"`, 1)), "prod.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := []Case{
		{Name: "good", Artifacts: []string{"fixtures/chat"}, Evidence: []string{"fixtures/base", "../more"}, Now: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Expect: Yes},
		{Name: "old", Artifacts: []string{"fixtures/chat", "fixtures/lora"}, Revocations: "fixtures/lists.sig", State: "fixtures/state", Floors: map[string]uint64{"prod": 3},
			Now: time.Date(2027, 1, 20, 12, 0, 0, 0, time.UTC), Expect: No, Reasons: []Reason{EvidenceMissing, Stale}},
	}
	if !reflect.DeepEqual(got.Cases, want) {
		t.Errorf("%+v", got.Cases)
	}
}

func TestLoadTableRefuses(t *testing.T) {
	if _, err := LoadTable([]byte(goodTable), "t.yaml"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, text, message string }{
		"no cases":               {goodTable[strings.Index(goodTable, "cases:"):], "cases: []\n", "cases is empty"},
		"an unknown key":         {"expect: yes", "expected: yes", "did you mean expect?"},
		"no expectation":         {", expect: yes", "", "a case has no expect"},
		"a verdict that is none": {"expect: yes", "expect: maybe", `there is no verdict "maybe"`},
		"a no of any reason":     {"    reasons: [stale, evidence-missing]\n", "", "expects no for any reason"},
		"a yes with reasons":     {"expect: yes", "expect: yes, reasons: [stale]", "which has no reasons"},
		"a name twice":           {"name: old", "name: good", "there twice"},
		"no time":                {"now: 2026-11-20\n", "", "a case has no now"},
		"a path from the root":   {"fixtures/chat, evidence", "/fixtures/chat, evidence", "no path"},
		"another kind":           {"kind: PolicyTest", "kind: Policy", "reads PolicyTest"},
		"floor 0":                {"{prod: 3}", "{prod: 0}", "from 1"},
	} {
		if strings.Count(goodTable, c.old) != 1 {
			t.Fatalf("%s: %q", name, c.old)
		}
		_, err := LoadTable([]byte(strings.Replace(goodTable, c.old, c.text, 1)), "t.yaml")
		var refused *LoadError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.message) || refused.Line < 1 || refused.URI != "t.yaml" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
