package policy

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
)

// MaxFile is the cap on a policy file, in bytes.
const MaxFile = 1 << 20

// FileSchema is the JSON Schema of a policy file, for editors. What it lets through, Load may still refuse.
//
//go:embed policy.schema.json
var FileSchema []byte

// LoadOptions says how a policy file is read. The zero value reads no other file, and takes any word for a kind, a role, a
// build type, an activity and a claim.
type LoadOptions struct {
	URI  string                            // where it was read from
	Read func(name string) ([]byte, error) // reads key and certificate files, whose names are relative to the policy; nil: none can be read

	// The words that a policy may use for what this package knows nothing of; nil: not checked.
	Kinds      []string // of artifacts
	Roles      []string // of inputs
	BuildTypes []string // their short words
	Activities []string // of test results
	Claims     []string // that an identity provider makes of a signer, by Fulcio's names
}

// LoadError is why a policy file is refused: the first thing in it that does not hold. Line and Column count from 1; both
// are 0 where it is the file as a whole.
type LoadError struct {
	URI          string
	Line, Column int
	Message      string
	Hint         string // what to write instead; empty: nothing comes to mind
	Err          error  // the cause, where there is one
}

// Error says where, what and what to write instead, in one line.
func (e *LoadError) Error() string {
	where := e.URI
	if where == "" {
		where = "file"
	}
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", where, e.Line, e.Column)
	}
	words := fmt.Sprintf("read policy %s: %s", where, e.Message)
	if e.Err != nil {
		words += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		words += " (" + e.Hint + ")"
	}
	return words
}

// Unwrap returns the cause.
func (e *LoadError) Unwrap() error { return e.Err }

// Load reads a policy file: YAML, strictly, as this package's README describes it. What does not hold together is refused
// with a *LoadError, so that whatever a Document asks can be met by somebody, and nothing that it names is missing.
func Load(raw []byte, o LoadOptions) (*Document, error) {
	sum := sha256.Sum256(raw)
	r := &reader{o: o, doc: &Document{URI: o.URI, Digest: "sha256:" + hex.EncodeToString(sum[:])}}
	root := r.parse(raw)
	if r.err == nil {
		r.document(root)
	}
	for _, check := range r.after {
		if r.err != nil {
			break
		}
		check()
	}
	if r.err != nil {
		r.err.URI = o.URI
		return nil, r.err
	}
	return r.doc, nil
}

// NeedsSigstore reports whether somebody of d can be known only by a Sigstore trusted root: who signs keyless, or with a
// key that has a window.
func (d *Document) NeedsSigstore() bool {
	for _, p := range d.Identities {
		for _, id := range p {
			if id.Issuer != "" || !id.Window.IsZero() {
				return true
			}
		}
	}
	return false
}
