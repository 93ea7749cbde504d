// Package rule compiles and evaluates the rules of a policy: boolean CEL expressions over one statement.
//
// A rule is pure: it does no I/O, knows no other time than the one that it is given, and ends after a bounded number of
// steps whatever it and the statement say. Start with [Compile] and [Rule.Holds]. What a rule sees is [Input], as
// inputs.schema.json beside this file says ([InputSchema]).
package rule

import (
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
)

// Rule is a compiled rule. It is read-only and may be used by several goroutines. The nil and the zero Rule hold for
// nothing.
type Rule struct {
	source  string
	program cel.Program
}

// Input is what a rule sees: one statement, who signed it, and the artifact that it is about.
type Input struct {
	Predicate map[string]any     // the statement's predicate, in JSON's own types
	Metrics   map[string]float64 // measured values by name; one that was measured on several datasets is left out
	Type      string             // of statement, as "test-result"
	Artifact  string             // artifact ID
	Kind      string
	Signer    map[string]string // principal, subject, issuer, and Fulcio's claims
	At        time.Time         // when the statement was made
	Now       time.Time
}

// InputSchema is the JSON Schema of what a rule sees, by the names that it says.
//
//go:embed inputs.schema.json
var InputSchema []byte

// Error is why a rule does not compile. Line and Column count from 1, in characters of the rule's own text.
type Error struct {
	Line, Column int
	Message      string
}

// Error says where and why.
func (e *Error) Error() string {
	return fmt.Sprintf("at %d:%d of the rule: %s", e.Line, e.Column, e.Message)
}

// ErrNotBoolean is in the error of Holds where a rule came out as something else than true or false, which only values of
// the statement itself can bring about.
var ErrNotBoolean = errors.New("the rule is neither true nor false")

// Compile compiles source, at most MaxSource bytes. A rule that does not parse, names a variable or function that there
// is not, or cannot be boolean is an *Error.
func Compile(source string) (*Rule, error) {
	if len(source) > MaxSource {
		return nil, &Error{1, 1, fmt.Sprintf("%d bytes, at most %d are read", len(source), MaxSource)}
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(source)
	if all := issues.Errors(); len(all) > 0 {
		e := all[0]
		return nil, &Error{max(e.Location.Line(), 1), max(e.Location.Column()+1, 1), clip(e.Message)}
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, &Error{1, 1, fmt.Sprintf("it is of type %s and has to be boolean", t)}
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.CostTracking(costs{}))
	if err != nil {
		return nil, &Error{1, 1, err.Error()}
	}
	return &Rule{source, program}, nil
}

// Holds reports whether r is true of in. Whatever cannot be answered is an error, and so a no: a member that is not there,
// values of types that do not go together, a result that is not boolean, more work than a rule may cause. The same input
// has the same answer always.
func (r *Rule) Holds(in Input) (bool, error) {
	if r == nil || r.program == nil {
		return false, errors.New("no rule")
	}
	predicate, metrics, signer := in.Predicate, in.Metrics, in.Signer
	if predicate == nil {
		predicate = map[string]any{}
	}
	if metrics == nil {
		metrics = map[string]float64{}
	}
	if signer == nil {
		signer = map[string]string{}
	}
	out, _, err := r.program.Eval(map[string]any{
		"predicate": predicate, metricsVariable: metrics, "type": in.Type, "artifact": in.Artifact, "kind": in.Kind,
		"signer": signer, "at": in.At, "now": in.Now,
	})
	if err != nil {
		return false, fmt.Errorf("rule %s: %s", r.source, clip(err.Error()))
	}
	holds, boolean := out.Value().(bool)
	if !boolean {
		return false, fmt.Errorf("rule %s: %w but %s", r.source, ErrNotBoolean, out.Type().TypeName())
	}
	return holds, nil
}

// String is the rule as it was written.
func (r *Rule) String() string { return r.source }

// clip shortens a message that repeats what somebody else wrote.
func clip(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
