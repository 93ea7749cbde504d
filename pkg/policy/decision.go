package policy

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// SchemaName is the name and version of a Decision's JSON form.
const SchemaName = "hallmark.decision/v1"

// Schema is the JSON Schema of a Decision's JSON form.
//
//go:embed decision.schema.json
var Schema []byte

// Verdict is an answer. The zero Verdict is No.
type Verdict int

// The three answers.
const (
	No Verdict = iota
	Unknown
	Yes
)

// String is "no", "unknown" or "yes"; anything else reads "no".
func (v Verdict) String() string {
	switch v {
	case Yes:
		return "yes"
	case Unknown:
		return "unknown"
	}
	return "no"
}

// MarshalText writes String.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText writes and nothing else.
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{No, Unknown, Yes} {
		if string(text) == known.String() {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("verdict %q: it is yes, no or unknown", text)
}

// Decision is the answer with everything that led to it. Decide makes it; the zero Decision is a no without reasons.
type Decision struct {
	verdict  Verdict
	Artifact Artifact
	Policy   string     // what the policy asked, in words
	Checks   []Check    // what was looked at, in order
	Evidence []Evidence // every bundle, counted or not
	Notes    []string
	At       time.Time // when it was decided

	TrustedRoot *trust.Origin // which Sigstore trusted root opened keyless bundles; nil: none was given

	Chain []Link // under a Document: every artifact that was looked at, in each place; the first is what was asked about
}

// Check is one thing that was looked at.
type Check struct {
	Name     string    `json:"name"`
	Verdict  Verdict   `json:"verdict"`
	Detail   string    `json:"detail"`
	Findings []Finding `json:"findings,omitempty"`

	denies bool // a trusted signer, or a list of what is revoked, says no: that holds whatever else says yes
}

// Verdict is the answer.
func (d Decision) Verdict() Verdict { return d.verdict }

// Reasons lists the codes of everything that stood in the way, each once, in the order of the checks. It is empty
// exactly if the verdict is Yes, save for the zero Decision.
func (d Decision) Reasons() []Reason {
	if d.verdict == Yes {
		return nil
	}
	var codes []Reason
	seen := map[Reason]bool{}
	for _, c := range d.Checks {
		for _, f := range c.Findings {
			if !seen[f.Code] {
				seen[f.Code] = true
				codes = append(codes, f.Code)
			}
		}
	}
	return codes
}

// MarshalJSON writes hallmark.decision/v1.
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Schema   string     `json:"schema"`
		Verdict  Verdict    `json:"verdict"`
		Reasons  []Reason   `json:"reasons"`
		Artifact Artifact   `json:"artifact"`
		Policy   string     `json:"policy"`
		Checks   []Check    `json:"checks"`
		Evidence []Evidence `json:"evidence"`
		Notes    []string   `json:"notes"`
		At       time.Time  `json:"at"`

		TrustedRoot *trust.Origin `json:"trustedRoot,omitempty"`
		Chain       []Link        `json:"chain,omitempty"`
	}{SchemaName, d.verdict, d.Reasons(), d.Artifact, d.Policy, d.Checks, d.Evidence, d.Notes, d.At.UTC(), d.TrustedRoot, d.Chain},
		json.Deterministic(true), jsontext.AllowInvalidUTF8(true)) // a path on disk may be no UTF-8; it reads with U+FFFD
}

// Link is one artifact in one place of a chain, and what was decided on it there.
type Link struct {
	Step     string     `json:"step"`
	Artifact Artifact   `json:"artifact"`
	Verdict  Verdict    `json:"verdict"`
	Checks   []Check    `json:"checks"`
	Evidence []Evidence `json:"evidence"`
	Edges    []Edge     `json:"edges,omitempty"` // what it was made from, as far as the policy looks at it
}

// Edge is one input of an artifact, and what let it through or did not.
type Edge struct {
	Role    string  `json:"role"`
	Name    string  `json:"name,omitempty"`
	Class   string  `json:"class"`
	Digest  string  `json:"digest"`
	URI     string  `json:"uri,omitempty"`
	Step    string  `json:"step,omitempty"` // that the input must pass; its Link is the one with this step and digest
	Verdict Verdict `json:"verdict"`
	Signer  string  `json:"signer"` // who says so

	Principal string     `json:"principal,omitempty"` // who Signer is to the policy
	Time      *time.Time `json:"time,omitempty"`      // trusted time of that statement
	Why       string     `json:"why"`                 // the rule that let it through, or what it lacks
}
