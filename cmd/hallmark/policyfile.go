package main

import (
	"fmt"
	"path/filepath"

	"github.com/hallmark-project/hallmark/attestations"
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
	raw, err := readAtMost(path, policy.MaxFile)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	p := &policyFile{raw: raw, dir: filepath.Dir(path), files: map[string][]byte{}}
	o := vocabulary()
	o.URI, o.Read = path, p.read
	p.doc, err = policy.Load(raw, o)
	return p, err
}

// read reads a file that the policy names, and keeps it.
func (p *policyFile) read(name string) ([]byte, error) {
	at := filepath.FromSlash(name)
	if !filepath.IsAbs(at) {
		at = filepath.Join(p.dir, at)
	}
	data, err := readSmall(at)
	if err == nil {
		p.files[name] = data
	}
	return data, err
}

// vocabulary is the words that a policy may use, which are the statements'.
func vocabulary() policy.LoadOptions {
	o := policy.LoadOptions{Kinds: []string{string(attestations.KindModel), string(attestations.KindAdapter), string(attestations.KindDataset)}}
	for _, r := range attestations.Roles() {
		o.Roles = append(o.Roles, string(r))
	}
	for _, b := range attestations.BuildTypes() {
		o.BuildTypes = append(o.BuildTypes, b.Short())
	}
	for _, a := range attestations.Activities() {
		o.Activities = append(o.Activities, string(a))
	}
	return o
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
