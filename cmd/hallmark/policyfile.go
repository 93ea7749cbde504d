package main

import (
	"fmt"
	"path/filepath"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// policyFile is a policy as it was read, and the files that it names.
type policyFile struct {
	doc   *policy.Document
	raw   []byte
	dir   string
	files map[string][]byte // by the names that the policy has for them
}

// loadPolicy reads a policy file. Files that it names lie relative to it.
func loadPolicy(path string) (*policyFile, error) {
	raw, err := readSmall(path)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	p := &policyFile{raw: raw, dir: filepath.Dir(path), files: map[string][]byte{}}
	p.doc, err = policy.Load(raw, policy.LoadOptions{URI: path, Read: func(name string) ([]byte, error) {
		at := filepath.FromSlash(name)
		if !filepath.IsAbs(at) {
			at = filepath.Join(p.dir, at)
		}
		data, err := readSmall(at)
		if err == nil {
			p.files[name] = data
		}
		return data, err
	}})
	return p, err
}

// sigstore is the trusted root that opens what the policy's identities signed. The imported one is looked for where only it
// can tell: for keyless identities, and when a key was used that has a window.
func (p *policyFile) sigstore(whom *trustFlags) (*trust.Sigstore, error) {
	needed := whom.TrustedRoot != ""
	for _, principal := range p.doc.Identities {
		for _, identity := range principal {
			needed = needed || identity.Issuer != "" || !identity.Window.IsZero()
		}
	}
	if !needed {
		return nil, nil
	}
	return loadSigstore(whom.TrustedRoot, whom.TrustDir)
}

// lists is where the policy says that lists of what is revoked lie; nil where it asks for none.
func (p *policyFile) lists(o registry.Options) *registry.Lists {
	if p.doc.Lists == nil {
		return nil
	}
	return &registry.Lists{From: p.doc.Lists.From, Dir: p.dir, Options: o}
}
