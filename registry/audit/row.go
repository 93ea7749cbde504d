package audit

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Class is what a Row is about.
type Class string

// The classes of rows.
const (
	ClassArtifact Class = "artifact" // a model, adapter or dataset, or what calls itself one
	ClassOther    Class = "other"    // an image, a chart: nothing that is decided on here
	ClassUnread   Class = "unread"   // a registry, a repository or a tag that could not be read
)

// Row is one manifest in one repository, under all tags that lead to it there, or what could not be read. All text in it
// is from outside.
type Row struct {
	Class      Class    `json:"class"`
	Repository string   `json:"repository"`       // HOST/NAME or oci:DIR; of ClassUnread also what was to be listed
	Tags       []string `json:"tags"`             // sorted
	Digest     string   `json:"digest,omitempty"` // of the manifest
	ID         string   `json:"id,omitempty"`     // artifact ID; empty where the manifest is not canonical
	Kind       string   `json:"kind,omitempty"`   // model, adapter or dataset, as the signature that counted says
	MediaType  string   `json:"mediaType,omitempty"`

	Verdict policy.Verdict  `json:"verdict"` // of ClassOther no, with the reason wrong-artifact alone
	Reasons []policy.Reason `json:"reasons"`
	Detail  string          `json:"detail,omitempty"` // the first thing that stood in the way, in words

	Signers    []string   `json:"signers"`          // of the evidence that opened, sorted
	Strangers  []string   `json:"strangers"`        // of evidence by nobody whom the Judge trusts: what it says of itself, sorted
	Predicates []string   `json:"predicates"`       // types of the evidence that opened, sorted
	Evidence   int        `json:"evidence"`         // bundles
	Opened     int        `json:"opened"`           // of them those that opened
	Signatures int        `json:"signatures"`       // of them those that are signatures on the artifact, or call themselves so
	Signed     *time.Time `json:"signed,omitempty"` // trusted time of the signature that counted; nil: none, or no such time
	Links      []Link     `json:"links"`            // what opened provenance says that it was made from
	Revoked    []string   `json:"revoked"`          // what is revoked, of it and of what it was made from

	Requirements []Requirement `json:"requirements"` // of the policy, those that are evidence for a control

	Decided   *time.Time `json:"decided,omitempty"` // nil: it was not decided on
	Reused    bool       `json:"reused"`            // the verdict is an earlier audit's
	Soon      *Coming    `json:"soon,omitempty"`    // what the same evidence will amount to next, where that is before the audit's horizon
	Simulated *Outcome   `json:"simulated,omitempty"`
}

// Link is one input of an artifact.
type Link struct {
	Role    string          `json:"role"`
	Name    string          `json:"name"`
	Class   string          `json:"class"` // of digest: artifact, file or gitCommit
	Digest  string          `json:"digest"`
	URI     string          `json:"uri,omitempty"`
	Held    bool            `json:"held"`              // an artifact that the audited repositories hold
	Verdict *policy.Verdict `json:"verdict,omitempty"` // of the Judge on this link; nil: it does not look at it
	Reasons []policy.Reason `json:"reasons"`           // of a verdict that is no yes
	Why     string          `json:"why,omitempty"`
}

// Outcome is a verdict and its reasons.
type Outcome struct {
	Verdict policy.Verdict  `json:"verdict"`
	Reasons []policy.Reason `json:"reasons"`
}

// Coming is an Outcome from some time on, to the minute.
type Coming struct {
	At      time.Time `json:"at"`
	Outcome `json:",embed"`
}

// Requirement is a statement that a policy asks for as evidence for controls, of the artifact or of what it was made from;
// and the artifact's own provenance, where it asks for that.
type Requirement struct {
	Step     string   `json:"step"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`               // of statement, by the policy's word
	Activity string   `json:"activity,omitempty"` // of a test result
	Artifact string   `json:"artifact"`           // that it is asked of, by ID
	Met      bool     `json:"met"`                // by statements that count; a waiver meets nothing
	Controls []string `json:"controls"`
}

// Pinned returns the reference by digest; without one what could not be read.
func (r *Row) Pinned() string {
	switch {
	case r.Digest != "":
		return r.Repository + "@" + r.Digest
	case len(r.Tags) > 0:
		return r.Repository + ":" + r.Tags[0]
	}
	return r.Repository
}

// Has reports whether reason is among the row's.
func (r *Row) Has(reason policy.Reason) bool { return slices.Contains(r.Reasons, reason) }

// Outcome returns the row's verdict and reasons.
func (r *Row) Outcome() Outcome { return Outcome{r.Verdict, r.Reasons} }

// compareRows orders rows by repository, digest and tags.
func compareRows(a, b *Row) int {
	return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Digest, b.Digest), slices.Compare(a.Tags, b.Tags))
}

// outcome is the verdict and reasons of a decision.
func outcome(d policy.Decision) Outcome {
	return Outcome{d.Verdict(), append([]policy.Reason{}, d.Reasons()...)}
}

// sorted returns values sorted, each once; never nil.
func sorted(values []string) []string {
	out := append([]string{}, values...)
	slices.Sort(out)
	return slices.Compact(out)
}
