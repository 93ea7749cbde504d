package policy

import (
	"time"
)

// Bounds of a walk. What lies beyond them is a don't know.
const (
	MaxDepth = 64
	MaxNodes = 10_000 // artifacts, each in one step
)

// Walk follows a policy through a chain, artifact by artifact: Start with what is about to be used; while Wants names
// artifacts, find out about them and Add the facts; then Decide. It does no I/O and follows no link that the policy does
// not trust. A Walk is for one goroutine.
type Walk struct {
	doc *Document
	o   WalkOptions
}

// WalkOptions is what a walk knows besides the policy. The zero value remembers nothing and knows of no revocations.
type WalkOptions struct {
	Now      time.Time
	State    *State            // what the verifier remembers; nil: nothing is remembered
	Floors   map[string]uint64 // the lowest release sequence of a channel that the caller takes
	Lists    []Revocations     // the lists that were found where the policy says, opened
	Problems []Finding         // what stands in the way whatever is found, such as a list that could not be read
}

// Want is an artifact whose facts a walk asks for.
type Want struct {
	ID   string
	URIs []string // where trusted statements say that it is, each once
}

// NewWalk begins a walk.
func NewWalk(doc *Document, o WalkOptions) *Walk { return &Walk{doc: doc, o: o} }

// Start adds what is about to be used. Several artifacts are a set that is used together.
func (w *Walk) Start(targets ...Facts) {}

// Wants returns the artifacts that the links trusted so far lead to and that were not added yet, in order of ID. Each is
// named once in a walk.
func (w *Walk) Wants() []Want { return nil }

// Add adds what was found out about the artifact id. Facts without evidence are facts too.
func (w *Walk) Add(id string, f Facts) {}

// Decide decides on each target, in the order of Start.
func (w *Walk) Decide() []Decision { return nil }

// State returns what is to be remembered after this walk: never less than was remembered before, and more only where a
// target got a yes.
func (w *Walk) State() State { return State{} }

// Signers is the policy by which signatures on artifacts are compared with their files: it trusts every identity of d.
// Whether one counts in a place of the chain is Decide's to say.
func (d *Document) Signers() Policy { return Policy{} }
