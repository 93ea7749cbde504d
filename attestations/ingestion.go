package attestations

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateIngestion is the SLSA Dependency track's ingestion provenance, a draft (SLSA, Dependency: Provenance).
const PredicateIngestion = "https://slsa.dev/dependency/v1"

// Ingestion says that somebody else's model or dataset was let in: from where, checked how. What the publisher's own
// description says is in Claimed, and nobody vouches for it.
type Ingestion struct {
	Ingestor             Party                `json:"ingestor"`          // the organization
	Platform             Platform             `json:"ingestionPlatform"` // what let it in
	Upstream             Upstream             `json:"upstream"`
	Event                IngestionEvent       `json:"ingestion"`
	ResolvedFrom         *ResolvedFrom        `json:"resolvedFrom,omitzero"` // nil: taken for itself
	Integrity            *Integrity           `json:"integrity,omitzero"`    // nil: nothing is said of it
	PublisherSignature   *PublisherSignature  `json:"publisherSignature,omitzero"`
	PolicyEvaluations    []PolicyEvaluation   `json:"policyEvaluations,omitempty"`
	UpstreamProvenance   *UpstreamProvenance  `json:"upstreamProvenance,omitzero"`
	UpstreamAttestations []UpstreamProvenance `json:"upstreamAttestations,omitempty"` // the draft's other name for it; read, and best not written
	Claimed              Claimed              `json:"https://github.com/hallmark-project/hallmark/attestations/claimed/v1,omitzero"`
}

// Party is an organization.
type Party struct {
	ID   string `json:"id"` // URI
	Name string `json:"name,omitempty"`
}

// Platform is what carried out an ingestion.
type Platform struct {
	ID      string `json:"id"` // URI
	Version string `json:"version,omitempty"`
}

// Upstream is what an artifact is called where it comes from.
type Upstream struct {
	Registry string    `json:"registry"` // URI
	Name     string    `json:"name"`
	Version  string    `json:"version"`          // a commit, where upstream is a repository
	Digest   DigestSet `json:"digest,omitempty"` // as published, where the publisher says one
}

// IngestionEvent is when and by which way an artifact was let in.
type IngestionEvent struct {
	Timestamp time.Time `json:"timestamp"`
	Path      string    `json:"path"` // URI of where it was put
}

// ResolvedFrom is the artifact that wanted this one.
type ResolvedFrom struct {
	Subject      DigestSet `json:"subject"`
	Relationship string    `json:"relationship,omitempty"`
}

// The results of a check at ingestion. One that failed is a refusal, so no statement has it.
const (
	ResultVerified   = "verified"
	ResultUnverified = "unverified" // nobody looked
	Unavailable      = "unavailable"
)

// Integrity is whether the bytes are those that were expected.
type Integrity struct {
	Method   string            `json:"method,omitempty"` // hash or signature
	KeyID    string            `json:"keyId,omitempty"`  // URI; with method signature
	Expected map[string]string `json:"expected,omitempty"`
	Result   string            `json:"result"` // ResultVerified or ResultUnverified
}

// PublisherSignature is whether the publisher's own signature was checked. Either Result or Availability is set.
type PublisherSignature struct {
	Method       string `json:"method,omitempty"`
	KeyID        string `json:"keyId,omitempty"`
	Result       string `json:"result,omitempty"`       // ResultVerified or ResultUnverified
	Availability string `json:"availability,omitempty"` // Unavailable: the publisher signs nothing
}

// PolicyEvaluation is one rule that allowed the ingestion.
type PolicyEvaluation struct {
	Policy struct {
		ID      string `json:"id"` // URI
		Version string `json:"version"`
	} `json:"policy"`
	Timestamp   time.Time `json:"timestamp"`
	Result      string    `json:"result"` // allow
	Description string    `json:"description,omitempty"`
}

// UpstreamProvenance is what is known of the publisher's own provenance. Either Verification or Availability is set.
type UpstreamProvenance struct {
	PredicateType string `json:"predicateType,omitempty"`
	Ref           string `json:"ref,omitempty"`
	Verification  struct {
		Result string `json:"result"` // verified, failed or not-attempted
	} `json:"verification,omitzero"`
	Availability string `json:"availability,omitempty"` // Unavailable: there is none
}

// Claimed is what the publisher's description says. A closed object, under a URI of its own.
type Claimed struct {
	License    string   `json:"license,omitempty"`
	BaseModels []string `json:"baseModels,omitempty"`
	Datasets   []string `json:"datasets,omitempty"`
}

// UnmarshalJSON reads the closed object.
func (c *Claimed) UnmarshalJSON(raw []byte) error {
	type plain Claimed
	return decode(raw, (*plain)(c), json.RejectUnknownMembers(true))
}

// PredicateType returns PredicateIngestion.
func (Ingestion) PredicateType() string { return PredicateIngestion }

// Check returns why n cannot be stated or believed: something required is missing, or a check failed, which is a reason
// to refuse an artifact and not to state that it came in.
func (n Ingestion) Check() error {
	for _, f := range []struct {
		what, value string
		check       func(string) error
	}{
		{"ingestor.id", n.Ingestor.ID, checkURI},
		{"ingestionPlatform.id", n.Platform.ID, checkURI},
		{"upstream.registry", n.Upstream.Registry, checkURI},
		{"upstream.name", n.Upstream.Name, checkName},
		{"upstream.version", n.Upstream.Version, checkName},
		{"ingestion.path", n.Event.Path, checkURI},
	} {
		if err := f.check(f.value); err != nil {
			return fmt.Errorf("%s: %w", f.what, err)
		}
	}
	if n.Upstream.Digest != nil {
		if err := n.Upstream.Digest.check(); err != nil {
			return fmt.Errorf("upstream.digest: %w", err)
		}
	}
	if n.ResolvedFrom != nil {
		if err := n.ResolvedFrom.Subject.check(); err != nil {
			return fmt.Errorf("resolvedFrom.subject: %w", err)
		}
	}
	if err := checkTime("ingestion.timestamp", n.Event.Timestamp); err != nil {
		return err
	}
	if err := n.checkVerdicts(); err != nil {
		return err
	}
	if n.Claimed.License != "" {
		if err := checkName(n.Claimed.License); err != nil {
			return fmt.Errorf("claimed license: %w", err)
		}
	}
	return errors.Join(checkNames(n.Claimed.BaseModels), checkNames(n.Claimed.Datasets))
}

func (n Ingestion) checkVerdicts() error {
	if v := n.Integrity; v != nil {
		if err := v.check(); err != nil {
			return fmt.Errorf("integrity: %w", err)
		}
	}
	if s := n.PublisherSignature; s != nil {
		switch {
		case s.Availability == Unavailable && s.Result == "":
		case s.Availability != "", s.Result != ResultVerified && s.Result != ResultUnverified:
			return fmt.Errorf("publisherSignature: result %q with availability %q", clip(s.Result), clip(s.Availability))
		case s.Result == ResultVerified && (s.Method == "" || s.KeyID == ""):
			return errors.New("publisherSignature: verified, without method and keyId")
		}
	}
	for i, e := range n.PolicyEvaluations {
		if err := checkURI(e.Policy.ID); err != nil {
			return fmt.Errorf("policyEvaluations %d: %w", i+1, err)
		}
		if err := checkTime("timestamp", e.Timestamp); err != nil || e.Policy.Version == "" || e.Result != "allow" {
			return fmt.Errorf("policyEvaluations %d: result %q, or no version or time", i+1, clip(e.Result))
		}
	}
	all := n.UpstreamAttestations
	if n.UpstreamProvenance != nil {
		all = append(slices.Clone(all), *n.UpstreamProvenance)
	}
	for _, p := range all {
		if err := p.check(); err != nil {
			return fmt.Errorf("upstreamProvenance: %w", err)
		}
	}
	return nil
}

func (v Integrity) check() error {
	switch {
	case v.Result == ResultUnverified:
		return nil
	case v.Result != ResultVerified:
		return fmt.Errorf("result %q: it is verified or unverified; what failed is not let in", clip(v.Result))
	case v.Method != "hash" && v.Method != "signature":
		return fmt.Errorf("verified by method %q, neither hash nor signature", clip(v.Method))
	case v.Method == "signature" && v.KeyID == "":
		return errors.New("verified by a signature, without keyId")
	case len(v.Expected) == 0:
		return errors.New("verified against nothing")
	case v.Method == "hash":
		return DigestSet(v.Expected).check()
	}
	return checkFacts(v.Expected)
}

func (p UpstreamProvenance) check() error {
	switch r := p.Verification.Result; {
	case p.Availability == Unavailable && r == "":
	case p.Availability != "":
		return fmt.Errorf("result %q with availability %q", clip(r), clip(p.Availability))
	case (r == ResultVerified || r == "failed") && (p.PredicateType == "" || p.Ref == ""):
		return fmt.Errorf("%s, without predicateType and ref", r)
	case r != ResultVerified && r != "failed" && r != "not-attempted":
		return fmt.Errorf("result %q: it is verified, failed or not-attempted", clip(r))
	}
	return nil
}

func (n Ingestion) checkOn(on Artifact) error {
	if n.ResolvedFrom != nil && "sha256:"+n.ResolvedFrom.Subject["sha256"] == on.ID {
		return errors.New("resolvedFrom: the artifact itself")
	}
	return nil
}
