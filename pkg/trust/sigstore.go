package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// ErrRoot is what every refusal of a trusted_root.json wraps.
var ErrRoot = errors.New("read trusted root")

// Sigstore is a Sigstore instance's trusted root: its Fulcio CAs, transparency logs, CT logs and timestamp authorities.
// It is immutable.
type Sigstore struct {
	material  root.TrustedMaterial
	witnesses []Witness
	origin    Origin
	raw       []byte // the trusted_root.json; nil where a program made it in memory
}

// JSON is the trusted_root.json that s was read from; nil where a program made it in memory. Do not modify it.
func (s *Sigstore) JSON() []byte { return s.raw }

// Origin says which trusted root was used.
type Origin struct {
	Source string `json:"source,omitempty"` // "file" or "imported"; empty where a program made it in memory
	From   string `json:"from,omitempty"`   // the file, or where the imported root came from
	Digest string `json:"digest,omitempty"` // "sha256:" and hex of the trusted_root.json; empty where there was none
}

// The two places where a trusted root is found.
const (
	FromFile = "file"     // one that the caller named
	Imported = "imported" // the one that was stored before, by import or update
)

// String is the origin for people, in one line.
func (o Origin) String() string {
	text := o.Source
	if o.From != "" {
		text += " " + printable(o.From)
	}
	if o.Digest != "" {
		text += ", " + o.Digest
	}
	return text
}

// LoadSigstore reads a trusted_root.json. A root without certificate authority or without transparency log could never
// say yes to a keyless bundle and is an error. Every error wraps ErrRoot.
func LoadSigstore(data []byte) (*Sigstore, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrRoot, len(data), MaxFile)
	}
	parsed, err := root.NewTrustedRootProtobuf(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	r, err := root.NewTrustedRootFromProtobuf(parsed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRoot, err)
	}
	s, err := newSigstore(r, runBy(parsed))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	s.origin.Digest, s.raw = "sha256:"+hex.EncodeToString(sum[:]), data
	return s, nil
}

// NewSigstore makes a Sigstore of trusted material in memory, as tests have it. nil is an error.
func NewSigstore(m root.TrustedMaterial) (*Sigstore, error) { return newSigstore(m, operators{}) }

func newSigstore(m root.TrustedMaterial, by operators) (*Sigstore, error) {
	if m == nil {
		return nil, ErrNobody
	}
	if len(m.FulcioCertificateAuthorities()) == 0 || len(m.RekorLogs()) == 0 {
		return nil, fmt.Errorf("%w: %w: it needs a certificate authority and a transparency log", ErrRoot, ErrNobody)
	}
	return &Sigstore{material: m, witnesses: findWitnesses(m, by)}, nil
}

func runBy(r *prototrustroot.TrustedRoot) operators {
	by := operators{logs: map[string]string{}}
	for _, l := range r.GetTlogs() {
		by.logs[hex.EncodeToString(l.GetLogId().GetKeyId())] = l.GetOperator()
	}
	for _, a := range r.GetTimestampAuthorities() {
		by.stamps = append(by.stamps, a.GetOperator())
	}
	return by
}

// Material is the root in the form that sigstore-go verifies with.
func (s *Sigstore) Material() root.TrustedMaterial { return s.material }

// Origin says where s came from.
func (s *Sigstore) Origin() Origin { return s.origin }

// WithOrigin is s with where it was found, for whoever reads a decision.
func (s *Sigstore) WithOrigin(source, from string) *Sigstore {
	found := *s
	found.origin.Source, found.origin.From = source, from
	return &found
}
