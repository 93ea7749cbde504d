package policy

import (
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy/rule"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Document is a policy over a whole chain, as its file says it. Load makes it and refuses what does not hold together, so
// a Document that Load did not make is not sound. It is read-only and may be used by several goroutines.
type Document struct {
	Name    string
	Version uint64
	Expires time.Time // the last instant at which it decides; zero: for ever
	Digest  string    // "sha256:…" of the file's bytes
	URI     string    // where it was read from

	Identities map[string]Principal
	Builders   []Builder
	Lists      *RevocationSource // nil: the policy asks for no revocations
	Sources    []Source          // where evidence of inputs may be fetched from; none: only what the caller names
	Targets    map[string]string // step by kind of artifact; "" is the step for every kind
	Steps      map[string]*Step
	Waivers    []Waiver

	Roots trust.Roots // opens what Identities signed: their keys and authorities. Sigstore is the caller's to add
}

// Principal is one person or machine, in the forms in which it signs. However many of them sign, it counts once.
type Principal []trust.Identity

// Builder is a builder that provenance may name, and who may say that it built something.
type Builder struct {
	ID      string
	Signers []string // names of identities
	Level   int      // SLSA build level that its operator vouches for; 0: none
}

// RevocationSource says where the list of what is revoked is found, and whose list counts.
type RevocationSource struct {
	From    string // a file, or a reference to a registry or layout
	Signers []string
	MaxAge  time.Duration // since it was issued; 0: until it expires
}

// Source is a place that evidence of inputs may be fetched from.
type Source struct {
	Prefix      string // "HOST/" or "HOST/PATH/"
	Credentials bool   // the caller's login may be sent there
}

// Step says what must hold of an artifact in one place of a chain.
type Step struct {
	Name       string
	Kind       string             // model, adapter or dataset; empty: any
	Signature  *Quorum            // on the artifact's files; nil: none is asked
	Uncovered  []string           // paths that the signature may leave out
	Provenance *Provenance        // how it was made; nil: not asked
	Inputs     map[string]*Inputs // by role: what it was made from
	Evidence   []*Requirement
	Release    *Release // its place in a channel; nil: not asked
	AnyOf      []*Alternative
}

// Quorum is how many of which principals must have signed.
type Quorum struct {
	Signers  []string // names of identities
	Distinct int      // principals, at least 1
}

// Provenance says whose account of an artifact's making counts, and what it may say.
type Provenance struct {
	Types   []string // build types, by their short words
	Signers []string
	Level   int           // that the builder must have; 0: none
	Rule    *rule.Rule    // on the statement; nil: none
	MaxAge  time.Duration // 0: of any age
}

// Inputs says what inputs of one role must be. At least one of Step, URIs, Patterns and Pinned is set.
type Inputs struct {
	Step       string           // that they must pass; empty: they are not followed
	Min, Max   int              // inclusive; Max 0 is no bound
	URIs       []string         // one of which each must have, exactly
	Patterns   []*trust.Pattern // or match
	Pinned     []string         // digests, one of which each must have
	AllowDirty bool             // a working tree that differed from its commit is no reason to refuse
}

// Requirement is a statement that must be there.
type Requirement struct {
	Name     string
	Type     string // of statement
	Subtype  string // a test result's activity; empty: any
	Signers  []string
	Distinct int           // principals, at least 1
	MaxAge   time.Duration // 0: of any age
	Latest   bool          // each principal's newest statement alone counts; needs MaxAge
	OwnWork  bool          // whoever made the artifact may sign it too; matters for approvals
	Rule     *rule.Rule    // nil: none
	Controls []string      // what it is evidence for, by ID of a control

	scope string // that an approval must be for; empty: the rule says
}

// Release says what place in which channel an artifact must have.
type Release struct {
	Channel  string
	Signers  []string
	Rollback *Quorum // whose approval, of scope "rollback", lets an older release pass; nil: nobody's
}

// Alternative is one way to satisfy a step's anyOf: exactly one member is set.
type Alternative struct {
	Ingested *Ingested
	VSA      *VSA
	Pinned   []string // artifact IDs
	Step     string
}

// Ingested accepts what was let in from outside.
type Ingested struct {
	Signers   []string
	Upstreams []string // registry and name, "https://huggingface.co acme/base"; none: any
	MaxAge    time.Duration
}

// VSA accepts what a verifier has verified, in place of the subtree below. Signer and verifier are a pair.
type VSA struct {
	Verifiers []string
	Signers   []string
	Resources []string      // resource URIs; none: the URI by which the input is named
	Policies  []string      // digests of policies; none: this policy's own
	MaxAge    time.Duration // since the oldest evidence that it rests on; at least 1
}

// Waiver excuses one finding on one artifact for a while: staleness, or a test that is missing. It never excuses a
// signature, a link or a revocation.
type Waiver struct {
	Finding  Reason // Stale or EvidenceMissing
	Subject  string // artifact ID
	Step     string
	Evidence string // name of the requirement
	Until    time.Time
	Reason   string
}
