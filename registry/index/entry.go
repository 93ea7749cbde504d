package index

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Entry is one thing to record: a Named, Listed, Opened, Refused, Verdict or Updated.
type Entry interface {
	// entry returns the kind of event, and what it says. now is what is known so far.
	entry(now *state) (kind string, body any, document []byte, err error)
}

// The kinds of event. They are written into every index: one that has another meaning has another name.
const (
	kindNamed   = "named"
	kindListed  = "listed"
	kindOpened  = "opened"
	kindRefused = "refused"
	kindVerdict = "verdict"
	kindUpdated = "updated"
)

// returning is an entry that may say again what it said before something else was recorded: evidence is refused and opened in
// turn as trust changes. again returns the entry to record after an equal one; nil where that one is the last word.
type returning interface {
	Entry
	again(now *state) Entry
}

// errNothingNew is of an entry that says what is known.
var errNothingNew = errors.New("nothing new")

// Named says what a reference names, as it was just seen. While that does not change, no event is written.
type Named struct {
	Ref      string // HOST/NAME:TAG, oci:DIR:TAG, or a layout's oci:DIR@sha256:…
	Artifact string // digest of the manifest, "sha256:…"; empty: the reference is gone
}

type namedBody struct {
	Ref      string `json:"ref"`
	Artifact string `json:"artifact"`
	Change   int    `json:"change"` // how often the reference changed before
}

func (n Named) entry(now *state) (string, any, []byte, error) {
	if n.Ref == "" {
		return "", nil, nil, errors.New("a name without a reference")
	}
	if n.Artifact != "" {
		if _, err := hashing.ParseSum(n.Artifact); err != nil {
			return "", nil, nil, fmt.Errorf("%q: %w", n.Ref, err)
		}
	}
	history := now.names[n.Ref]
	switch {
	case len(history) > 0 && history[len(history)-1].Artifact == n.Artifact, len(history) == 0 && n.Artifact == "":
		return "", nil, nil, errNothingNew
	}
	return kindNamed, namedBody{n.Ref, n.Artifact, len(history)}, nil, nil
}

// Listed says which evidence lay with an artifact when all of it was read. While that does not change, no event is written.
type Listed struct {
	Repo      string   // HOST/NAME or oci:DIR
	Artifact  string   // digest of the manifest
	Holds     []string // where it is an index: the manifests below it
	Referrers []string // digests of the bundles' manifests, sorted
	Trust     string   // whom the bundles were opened against: any text that changes when that does
}

type listedBody struct {
	Repo     string   `json:"repo"`
	Artifact string   `json:"artifact"`
	Holds    []string `json:"holds,omitempty"`
	Evidence string   `json:"evidence"` // SHA-256 of the referrers and the trust
	Bundles  int      `json:"bundles"`
	Change   int      `json:"change"`
}

// fingerprint tells whether anything changed since a Listed was recorded.
func (l Listed) fingerprint() string {
	return sumOf([]byte(strings.Join(l.Referrers, "\n") + "\n\n" + l.Trust)).String()
}

func (l Listed) entry(now *state) (string, any, []byte, error) {
	if _, err := hashing.ParseSum(l.Artifact); err != nil {
		return "", nil, nil, err
	}
	print := l.fingerprint()
	before := now.listed[place{l.Repo, l.Artifact}]
	if before.evidence == print {
		return "", nil, nil, errNothingNew
	}
	return kindListed, listedBody{l.Repo, l.Artifact, l.Holds, print, len(l.Referrers), before.changes}, nil, nil
}

// Opened is an attestation with the place where its bundle lay. NewOpened makes it.
type Opened struct{ body openedBody }

type openedBody struct {
	About      string       `json:"about"` // artifact that the bundle lies with
	Where      string       `json:"where"`
	Bundle     string       `json:"bundle"` // own name
	Type       string       `json:"type"`
	Signer     trust.Signer `json:"signer"`
	Time       time.Time    `json:"time,omitzero"`
	TimeSource string       `json:"timeSource,omitempty"`
	Name       string       `json:"name,omitempty"`
	Kind       string       `json:"kind,omitempty"`
	SaysNo     bool         `json:"saysNo,omitzero"`
	Links      []linkBody   `json:"links,omitempty"`

	Change int `json:"change,omitzero"` // how often it was recorded otherwise before, where it is recorded as once before

	Deployment  deploymentBody            `json:"deployment,omitzero"`
	Revocations *attestations.Revocations `json:"revocations,omitempty"`
}

// linkBody is an edge. Without Made it is the artifact that the statement is about that was made.
type linkBody struct {
	Role  string `json:"role"`
	Made  string `json:"made,omitempty"`  // artifact ID
	Class string `json:"class,omitempty"` // of From; empty: artifact
	From  string `json:"from"`            // empty: the artifact that the statement is about
	Name  string `json:"name,omitempty"`  // what From is called
}

type deploymentBody struct {
	Target string    `json:"target"`
	Action string    `json:"action"`
	At     time.Time `json:"at"`
}

// RoleUpstream is the role of a commit that an artifact was let in from, and RoleResolved of an artifact that was let in
// because another one wanted it. Both are from ingestions; all other roles are attestations.Role's.
const (
	RoleUpstream = "upstream"
	RoleResolved = "resolved"
)

// NewOpened returns a as it was found at where with the artifact whose manifest has the digest about. It errs where a is no
// evidence of that artifact: a claim about another one, a signature by somebody who wrote another ID into it, a statement
// that breaks its own rules.
func NewOpened(about, where string, a *attestations.Attestation) (Opened, error) {
	b := openedBody{About: about, Where: where, Bundle: a.Name(), Type: a.PredicateType(), Signer: a.Signer()}
	if t, source, ok := a.Time(); ok {
		b.Time, b.TimeSource = t.UTC(), source
	}
	var err error
	switch b.Type {
	case attestations.PredicateOMS, attestations.PredicateOMSLegacy:
		err = b.signature(a)
	case attestations.PredicateCosign:
		if all := a.Subjects(); len(all) != 1 || "sha256:"+all[0].Digest["sha256"] != about {
			err = errors.New("it is about another artifact")
		}
	default:
		err = b.claim(a)
	}
	if err != nil {
		return Opened{}, fmt.Errorf("bundle %s: %w", a.Name(), err)
	}
	return Opened{b}, nil
}

func (b *openedBody) signature(a *attestations.Attestation) error {
	s, err := attestations.ReadSignature(a)
	if err != nil {
		return err
	}
	if s.ArtifactID != "" && s.ArtifactID != b.About {
		return fmt.Errorf("it is on another artifact: %s", s.ArtifactID)
	}
	b.Name, b.Kind = s.Name, string(s.Kind)
	return nil
}

func (b *openedBody) claim(a *attestations.Attestation) error {
	c, err := attestations.ReadClaim(a)
	if err != nil {
		return err
	}
	b.SaysNo = attestations.SaysNo(c.Predicate)
	if list, ok := c.Predicate.(attestations.Revocations); ok {
		b.Revocations = &list
		return nil
	}
	if c.On.ID != b.About {
		return fmt.Errorf("it is about another artifact: %s", c.On.ID)
	}
	b.Name, b.Kind = c.On.Name, string(c.On.Kind)
	switch p := c.Predicate.(type) {
	case attestations.Provenance:
		for _, d := range p.BuildDefinition.ResolvedDependencies {
			l := linkBody{Role: string(d.Role), From: d.Digest.String(), Name: d.Name}
			if d.Digest.Class != attestations.ClassArtifact {
				l.Class = string(d.Digest.Class)
			}
			b.Links = append(b.Links, l)
		}
	case attestations.Ingestion:
		b.Links = ingested(p)
	case attestations.Deployment:
		b.Deployment = deploymentBody{p.Target, string(p.Action), p.Time.UTC()}
	}
	return nil
}

// ingested returns what an ingestion says of lineage. Upstream's other digests do not say what they are of.
func ingested(p attestations.Ingestion) []linkBody {
	var out []linkBody
	if commit := p.Upstream.Digest[string(attestations.ClassGitCommit)]; commit != "" {
		d := attestations.Digest{Class: attestations.ClassGitCommit, Hex: commit}
		out = append(out, linkBody{Role: RoleUpstream, Class: string(d.Class), From: d.String(), Name: p.Upstream.Name})
	}
	if p.ResolvedFrom != nil {
		if digits := p.ResolvedFrom.Subject[string(hashing.SHA256)]; digits != "" {
			out = append(out, linkBody{Role: RoleResolved, Made: "sha256:" + digits})
		}
	}
	return out
}

func (o Opened) entry(*state) (string, any, []byte, error) {
	if o.body.Bundle == "" {
		return "", nil, nil, errors.New("an attestation that nobody opened")
	}
	return kindOpened, o.body, nil, nil
}

func (o Opened) again(now *state) Entry {
	made := now.openedBundle(&o.body)
	old := now.bundleAt(o.body.About, made)
	if old == nil || made.same(*old) {
		return nil
	}
	o.body.Change = int(old.changes)
	return o
}

func (r Refused) again(now *state) Entry {
	made := now.refusedBundle(r.Where, r.Bundle, r.PredicateType, string(r.Reason))
	old := now.bundleAt(r.About, made)
	if old == nil || made.same(*old) {
		return nil
	}
	r.change = int(old.changes)
	return r
}

// Refused is a bundle that was found and is no evidence here. That it is there is worth knowing: what it says is not
// followed, so it may hide lineage.
type Refused struct {
	About         string // artifact that it lies with
	Where         string
	Bundle        string // own name; empty where it cannot be read
	PredicateType string // as the bundle says; empty where it cannot be read
	Reason        policy.Reason
	Why           string

	change int
}

type refusedBody struct {
	About  string `json:"about"`
	Where  string `json:"where"`
	Bundle string `json:"bundle,omitempty"`
	Type   string `json:"type,omitempty"`
	Reason string `json:"reason"`
	Why    string `json:"why"`
	Change int    `json:"change,omitzero"` // as openedBody's
}

func (r Refused) entry(*state) (string, any, []byte, error) {
	if r.Where == "" || r.Reason == "" {
		return "", nil, nil, errors.New("a refused bundle without a place or a reason")
	}
	return kindRefused, refusedBody{r.About, r.Where, r.Bundle, r.PredicateType, string(r.Reason), r.Why, r.change}, nil, nil
}

// Verdict is a decision, and the policy that it was made under. Only decisions that policy.Decide made say yes.
type Verdict struct {
	Decision policy.Decision // on an artifact with an ID
	Policy   string          // digest of the policy's bytes, "sha256:…"; empty: that of what it asks, in the decision's words
}

type verdictBody struct {
	Artifact string         `json:"artifact"`
	Ref      string         `json:"ref,omitempty"`
	Policy   string         `json:"policy"`
	Verdict  policy.Verdict `json:"verdict"`
	Reasons  []string       `json:"reasons,omitempty"`
	At       time.Time      `json:"at"`
	Decision string         `json:"decision"` // digest of the document, hallmark.decision/v1
}

func (v Verdict) entry(*state) (string, any, []byte, error) {
	d := v.Decision
	if _, err := hashing.ParseSum(d.Artifact.ID); err != nil {
		return "", nil, nil, fmt.Errorf("a verdict on no artifact: %w", err)
	}
	b := verdictBody{Artifact: d.Artifact.ID, Ref: d.Artifact.Ref, Policy: v.Policy, Verdict: d.Verdict(), At: d.At.UTC()}
	if b.Policy == "" {
		b.Policy = sumOf([]byte(d.Policy)).String()
	}
	if _, err := hashing.ParseSum(b.Policy); err != nil {
		return "", nil, nil, fmt.Errorf("a verdict under no policy: %w", err)
	}
	for _, r := range d.Reasons() {
		b.Reasons = append(b.Reasons, string(r))
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return "", nil, nil, fmt.Errorf("encode decision: %w", err)
	}
	b.Decision = sumOf(raw).String()
	return kindVerdict, b, raw, nil
}

// Updated says that a scope was looked at, and whether all of it could be read.
type Updated struct {
	Scope     string    `json:"scope"`
	Began     time.Time `json:"began"`
	Artifacts int       `json:"artifacts"`
	Problems  []string  `json:"problems,omitempty"` // what could not be read; none: all of it was
}

func (u Updated) entry(*state) (string, any, []byte, error) {
	if u.Scope == "" {
		return "", nil, nil, errors.New("an update of no scope")
	}
	u.Problems = slices.Clone(u.Problems[:min(len(u.Problems), maxProblems)])
	u.Began = u.Began.UTC()
	return kindUpdated, u, nil, nil
}

// maxProblems is how many problems of an update are kept.
const maxProblems = 100

func marshal(body any) ([]byte, error) { return json.Marshal(body, json.Deterministic(true)) }

func sumOf(raw []byte) sum { return sha256.Sum256(raw) }
