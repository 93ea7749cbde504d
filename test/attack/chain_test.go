package attack

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// attack is one thing that is done to a scene, beside the same steps without the fault.
type attack struct {
	name    string
	sound   func(*scene) // nil: the scene as it is
	fault   func(*scene)
	reasons []policy.Reason
}

// families are all attacks on chains that go through the command as they are. Those that need more have tests of their own.
func families() map[string][]attack {
	return map[string][]attack{
		"evidence":    evidenceAttacks(),
		"links":       linkAttacks(),
		"summaries":   summaryAttacks(),
		"revocations": revocationAttacks(),
		"time":        timeAttacks(),
		"sets":        setAttacks(),
	}
}

// TestChainAttacks takes each attack three times: without the fault, which is a yes; with it, decided in this process; and
// with it through the command, for the exit code.
func TestChainAttacks(t *testing.T) {
	for family, attacks := range families() {
		for _, a := range attacks {
			t.Run(family+"/"+a.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, present)
				if a.sound != nil {
					a.sound(s)
				}
				mustHold(t, s.decide())
				s = newScene(t, present)
				a.fault(s)
				d := s.decide()
				if want := verdictOf(a.reasons); d.Verdict() != want || !slices.Equal(d.Reasons(), a.reasons) {
					t.Errorf("%s because of %v, want %s because of %v\n%s", d.Verdict(), d.Reasons(), want, a.reasons, details(d))
				}

				s = newScene(t, time.Now())
				a.fault(s)
				code := exitNo
				if verdictOf(a.reasons) == policy.Unknown {
					code = exitUnknown
				}
				s.command().mustExit(t, code).mustDecide(t, a.reasons...)
			})
		}
	}
}

// TestChainCommandSaysYesToTheScene is the twin of what the command refuses above.
func TestChainCommandSaysYesToTheScene(t *testing.T) {
	newScene(t, time.Now()).command().mustExit(t, exitYes).mustDecide(t)
}

// verdictOf is the verdict that follows from reasons. One that could not be established is the only one, or comes last: of
// several ways that do not hold it is the one that might.
func verdictOf(reasons []policy.Reason) policy.Verdict { return reasons[len(reasons)-1].Verdict() }

// mustDecide wants the first of the decisions that were printed to have exactly these reasons.
func (r ran) mustDecide(t *testing.T, reasons ...policy.Reason) {
	t.Helper()
	first := json.NewDecoder(strings.NewReader(r.stdout))
	var one json.RawMessage
	if err := first.Decode(&one); err != nil {
		t.Fatalf("the output is no decision: %v\n%.2000s\n%.2000s", err, r.stdout, r.stderr)
	}
	r.stdout = string(one)
	r.mustBecause(t, reasons...)
}

// TestEveryReasonOfAChainIsAttacked fails where a reason was added without an attack that leads to it.
func TestEveryReasonOfAChainIsAttacked(t *testing.T) {
	attacked := map[policy.Reason]bool{}
	for _, attacks := range families() {
		for _, a := range attacks {
			for _, r := range a.reasons {
				attacked[r] = true
			}
		}
	}
	codes := chainReasons(t)
	if len(codes) < 30 {
		t.Fatalf("found %d reasons: %v", len(codes), codes)
	}
	for _, code := range codes {
		if !attacked[code] {
			t.Errorf("no attack leads to %s", code)
		}
	}
}

// chainReasons reads the reasons that a chain alone has from where they are declared.
func chainReasons(t *testing.T) []policy.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/policy/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []policy.Reason
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, spec := range g.Specs {
			code, err := strconv.Unquote(spec.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, policy.Reason(code))
		}
	}
	between := func(first, last policy.Reason) []policy.Reason {
		a, b := slices.Index(all, first), slices.Index(all, last)
		if a < 0 || b < a {
			t.Fatalf("%s to %s are at %d and %d of %v", first, last, a, b, all)
		}
		return all[a : b+1]
	}
	return slices.Concat(between(policy.EvidenceMissing, policy.BaseMismatch), between(policy.PolicyExpired, policy.FilesUnknown))
}
