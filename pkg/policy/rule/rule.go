// Package rule compiles and evaluates the rules of a policy: boolean CEL expressions over one statement.
package rule

import "time"

// Rule is a compiled rule. It is read-only and may be used by several goroutines.
type Rule struct {
	source string
	check  func(Input) (bool, error)
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

// String is the rule as it was written.
func (r *Rule) String() string { return r.source }

// Holds reports whether the rule is true of in.
func (r *Rule) Holds(in Input) (bool, error) { return r.check(in) }

// Of returns a rule of a function, as tests have it.
func Of(source string, check func(Input) (bool, error)) *Rule { return &Rule{source, check} }
