package policy

import "time"

// Claim is what a statement says of an artifact, in plain terms. Package chain makes one of each statement that it opened
// and read. It is as good as the Evidence around it: whether its signer may say so is decided here.
type Claim struct {
	Type    string    `json:"type"`              // what kind of statement: one of the Type constants
	Subject string    `json:"subject"`           // the artifact ID that it is about
	Kind    string    `json:"kind,omitempty"`    // model, adapter or dataset, where it says so
	At      time.Time `json:"at,omitzero"`       // when it was made, by its own word; zero: not said
	Expires time.Time `json:"expires,omitzero"`  // of an approval; zero: not said
	SaysNo  bool      `json:"saysNo"`            // a rejection, or a test or verification that failed
	Subtype string    `json:"subtype,omitempty"` // a test result's activity
	Summary string    `json:"summary,omitempty"` // one line for people

	Making   *Making        `json:"making,omitempty"`   // of TypeProvenance
	Upstream string         `json:"upstream,omitempty"` // of TypeIngestion: "REGISTRY NAME@VERSION"
	Release  *ReleaseClaim  `json:"release,omitempty"`  // of TypeRelease, where it has an order
	VSA      *VSAClaim      `json:"vsa,omitempty"`      // of TypeVSA
	Metrics  []Metric       `json:"metrics,omitempty"`  // of TypeTestResult
	Fields   map[string]any `json:"-"`                  // the predicate as rules see it: JSON's own types
}

// The types of statement, by the words that a policy names them with.
const (
	TypeProvenance      = "provenance"
	TypeIngestion       = "ingestion"
	TypeTestResult      = "test-result"
	TypeVulnerabilities = "vulns"
	TypeBOM             = "bom"
	TypeRelease         = "release"
	TypeVSA             = "vsa"
	TypeSVR             = "svr"
	TypeApproval        = "approval"
	TypeDeployment      = "deployment"
)

// Making is how provenance says that an artifact was made.
type Making struct {
	BuildType string    `json:"buildType"` // the short word, such as "finetune"
	Builder   string    `json:"builder"`   // builder ID
	Began     time.Time `json:"began,omitzero"`
	Inputs    []Input   `json:"inputs,omitempty"`
}

// Input is one thing that an artifact was made from.
type Input struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	Class   string `json:"class"`  // of digest: artifact, file or gitCommit
	Digest  string `json:"digest"` // "sha256:…" or "gitCommit:…"
	URI     string `json:"uri,omitempty"`
	Dirty   bool   `json:"dirty,omitempty"`   // a working tree that differed from its commit
	Content bool   `json:"content,omitempty"` // it becomes part of what is made: a base, an adapter, a dataset
}

// Classes of digest: of artifacts, which have a history of their own, of single files, and of bundles, by their own names.
const (
	classArtifact    = "artifact"
	classFile        = "file"
	classAttestation = "attestation"
)

// ReleaseClaim is where a release stands in its channel.
type ReleaseClaim struct {
	Channel  string `json:"channel"`
	Sequence uint64 `json:"sequence"`
}

// VSAClaim is what a verification summary says.
type VSAClaim struct {
	Verifier  string     `json:"verifier"` // its ID
	Resource  string     `json:"resource"` // what was asked for, a URI
	Policy    string     `json:"policy"`   // digest of the policy, "sha256:…"
	Levels    []string   `json:"levels,omitempty"`
	Ancestors []Ancestor `json:"ancestors,omitempty"` // all that it stands for; none: it does not say
	Oldest    time.Time  `json:"oldest,omitzero"`     // of the evidence that it rests on; zero: not said
	Inputs    []string   `json:"inputs,omitempty"`    // names of the bundles that it rests on, "sha256:…", as far as it says
}

// Ancestor is one thing that an artifact was made from, directly or by way of others.
type Ancestor struct {
	Class  string `json:"class"`  // of digest: artifact, file or gitCommit
	Digest string `json:"digest"` // "sha256:…" or "gitCommit:…"
}

// Metric is one number that was measured.
type Metric struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Dataset string  `json:"dataset,omitempty"` // digest of what it was measured on
}

// Revocations is one list of what is no longer to be trusted, and who signed it.
type Revocations struct {
	Evidence Evidence // without a Claim
	Sequence uint64
	Issued   time.Time
	Expires  time.Time
	Entries  []Revocation
}

// Revocation is one entry: exactly one of Digest, Identity, Builder and Source is set.
type Revocation struct {
	Class       string         `json:"class,omitempty"`  // of Digest: artifact, file, gitCommit or attestation
	Digest      string         `json:"digest,omitempty"` // "sha256:…" or "gitCommit:…"
	Identity    *RevokedSigner `json:"identity,omitempty"`
	Builder     string         `json:"builder,omitempty"`
	Source      string         `json:"source,omitempty"`
	Descendants bool           `json:"descendants"` // and all that was made from it
	Reason      string         `json:"reason"`
	Since       time.Time      `json:"since"` // what was signed or built from then on is no longer trusted; a digest never is
}

// RevokedSigner is a signer that is revoked: a key, a certificate authority with or without a subject, or a subject and who
// vouches for it.
type RevokedSigner struct {
	Key     string `json:"key,omitempty"`
	CA      string `json:"ca,omitempty"`
	Issuer  string `json:"issuer,omitempty"`
	Subject string `json:"subject,omitempty"`
}

// State is what a verifier remembers between runs, so that nobody can show it an older world than it has seen. The zero
// State remembers nothing. It is kept per policy name.
type State struct {
	PolicyVersion uint64            `json:"policyVersion"`           // the highest that was used
	Sequence      uint64            `json:"revocations"`             // the highest sequence of a revocation list
	Revoked       []string          `json:"revoked,omitempty"`       // what that list revoked, by revocation key; lists are cumulative
	Channels      map[string]uint64 `json:"channels,omitempty"`      // the highest release sequence of each channel, or the floor that the caller gave
	Latest        time.Time         `json:"latestVerified,omitzero"` // the latest trusted time that was seen
}
