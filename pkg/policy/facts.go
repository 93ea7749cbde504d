package policy

import (
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Facts is what was found out about an artifact, in plain terms. Nothing in it is an opinion.
type Facts struct {
	Artifact Artifact
	Evidence []Evidence // every bundle that was found, whether it opened or not
	Problems []Finding  // what stands in the way whoever signed: failed sources, caps that were hit, refused files
	Notes    []string   // what a reader of the decision should know besides
	Files    []string   // "sha256:…" of every file of the artifact; nil: not known

	TrustedRoot *trust.Origin // which Sigstore trusted root opened keyless bundles; nil: none was given
}

// Artifact is what is decided on.
type Artifact struct {
	Ref       string   `json:"ref"`                 // as the caller named it
	Pinned    string   `json:"pinned,omitempty"`    // the reference to deploy: by digest, never by tag; empty for files on disk
	Tag       string   `json:"tag,omitempty"`       // the tag that was resolved, once
	ID        string   `json:"id,omitempty"`        // artifact ID; empty where it was not computed
	Kind      string   `json:"kind,omitempty"`      // model, adapter or dataset, as the counted signature says
	Bytes     Bytes    `json:"bytes"`               // whether the files themselves were read
	Files     int      `json:"files"`               // number of files
	Size      int64    `json:"size"`                // sum of their sizes, in bytes
	Uncovered []string `json:"uncovered,omitempty"` // files that the signature leaves out on purpose
}

// Bytes says what was looked at.
type Bytes string

// A directory's files are read; a registry's manifest names them by digest, unread.
const (
	BytesRead   Bytes = "read"
	BytesUnread Bytes = "unread"
)

// Evidence is one bundle.
type Evidence struct {
	Where         string        `json:"where"`                   // where it lay
	Digest        string        `json:"digest,omitempty"`        // its name: SHA-256 of what was signed and the signature
	Twin          string        `json:"-"`                       // the name that anybody can give it besides; empty: none
	PredicateType string        `json:"predicateType,omitempty"` // what it claims; empty if it did not open
	Signature     bool          `json:"signature"`               // it is a signature on an artifact (an OMS statement)
	Signer        *trust.Signer `json:"signer,omitempty"`        // nil if it did not open
	Principal     string        `json:"principal,omitempty"`     // who Signer is to the Document; set by Decide; empty: nobody that it knows
	Time          *time.Time    `json:"time,omitempty"`          // trusted time by which it was signed, if there is one
	TimeSource    string        `json:"timeSource,omitempty"`    // who vouches for Time
	LoggedBy      []string      `json:"loggedBy,omitempty"`      // the distinct parties whose logs hold the signature
	TimedBy       []string      `json:"timedBy,omitempty"`       // the distinct parties that vouch for a time of signing
	NotBefore     *time.Time    `json:"notBefore,omitempty"`     // trusted time before which it was not signed, if there is one
	Kind          string        `json:"kind,omitempty"`          // what the signer calls the artifact
	Claim         *Claim        `json:"claim,omitempty"`         // what another statement than a signature says; nil if it could not be read
	Compared      bool          `json:"compared"`                // its file list was compared with the artifact's
	Findings      []Finding     `json:"findings,omitempty"`      // why it does not hold for this artifact; empty: it holds
	Counted       bool          `json:"counted"`                 // set by Decide
}

// Finding is one thing that stood in the way.
type Finding struct {
	Code   Reason `json:"code"`
	Where  string `json:"where,omitempty"`  // the bundle, registry or source concerned
	File   string `json:"file,omitempty"`   // the file concerned
	Want   string `json:"want,omitempty"`   // what was signed
	Got    string `json:"got,omitempty"`    // what was found
	Detail string `json:"detail,omitempty"` // for people
}
