package attestations

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The fixed names of in-toto (Attestation Framework v1, Statement) and of its DSSE envelopes.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PayloadType   = "application/vnd.in-toto+json"
)

// The predicate types that are known here.
const (
	PredicateOMS       = "https://model_signing/signature/v1.0" // OMS §5.1: a signature on an artifact
	PredicateOMSLegacy = "https://model_signing/Digests/v0.1"   // OMS §5.1: its deprecated form, read only
	PredicateCosign    = "https://sigstore.dev/cosign/sign/v1"  // what cosign sign writes; never counted here
)

// Statement is an in-toto Statement v1 that nobody has signed yet, as the bytes that will be signed. The zero Statement
// is empty and cannot be signed.
type Statement struct {
	payload []byte
	claim   *statementIn // what payload was written from, so that Sign can add a timestamp; nil: it takes none
}

// Payload is the statement's JSON, exactly as it is signed where no timestamp authority is known (Sign). Do not modify it.
func (s Statement) Payload() []byte { return s.payload }

// Subject is one thing that a statement is about.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// header is the part of a statement that every predicate shares. Members that in-toto may add are ignored, as it asks.
type header struct {
	Type          string         `json:"_type"`
	Subject       []Subject      `json:"subject"`
	PredicateType string         `json:"predicateType"`
	Predicate     jsontext.Value `json:"predicate"`
}

func parseHeader(payload []byte) (header, error) {
	var h header
	if err := json.Unmarshal(payload, &h); err != nil {
		return h, fmt.Errorf("decode statement: %w", err)
	}
	switch {
	case h.Type != StatementType:
		return h, fmt.Errorf("statement is of type %q, not %s", clip(h.Type), StatementType)
	case h.PredicateType == "":
		return h, errors.New("statement has no predicate type")
	}
	return h, nil
}

// NewCosignStatement returns the statement that cosign's users look for: that the image or artifact with this digest is
// signed, and nothing else. id is an artifact ID, "sha256:" and 64 hex digits.
func NewCosignStatement(id string) (Statement, error) {
	digest, err := subjectDigest(id)
	if err != nil {
		return Statement{}, err
	}
	payload, err := json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []Subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     struct{}  `json:"predicate"`
	}{Type: StatementType, Subject: []Subject{{Digest: digest}}, PredicateType: PredicateCosign})
	if err != nil {
		return Statement{}, fmt.Errorf("encode statement: %w", err)
	}
	return Statement{payload: payload}, nil
}
