package trust

import (
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Sigstore is a Sigstore instance's trusted root: its Fulcio CAs, transparency logs, CT logs and timestamp authorities.
type Sigstore struct {
	material root.TrustedMaterial
}

// LoadSigstore reads a trusted_root.json. A root without certificate authority or without transparency log could never
// say yes to a keyless bundle and is an error.
func LoadSigstore(data []byte) (*Sigstore, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read trusted root: %d bytes, at most %d are read", len(data), MaxFile)
	}
	r, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("read trusted root: %w", err)
	}
	return NewSigstore(r)
}

// NewSigstore makes a Sigstore of trusted material in memory, as tests and TUF clients have it. nil is an error.
func NewSigstore(m root.TrustedMaterial) (*Sigstore, error) {
	if m == nil {
		return nil, ErrNobody
	}
	if len(m.FulcioCertificateAuthorities()) == 0 || len(m.RekorLogs()) == 0 {
		return nil, fmt.Errorf("read trusted root: %w: it needs a certificate authority and a transparency log", ErrNobody)
	}
	return &Sigstore{material: m}, nil
}

// Material is the root in the form that sigstore-go verifies with.
func (s *Sigstore) Material() root.TrustedMaterial { return s.material }
