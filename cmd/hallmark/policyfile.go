package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// policyFile is a policy as it was read, and the files that it names.
type policyFile struct {
	doc   *policy.Document
	raw   []byte
	dir   string            // where files beside it lie; empty: it is kept in a registry or layout
	files map[string][]byte // by the names that the policy has for them
}

// policySource is what a policy is held to before anything in it is believed. The zero policySource takes the file as it
// lies there.
type policySource struct {
	Digest  string
	Signers []string
}

func (p *policySource) bind(f *pflag.FlagSet) {
	f.StringVar(&p.Digest, "policy-digest", "", "`DIGEST` that the policy file must have, sha256:…")
	f.StringArrayVar(&p.Signers, "policy-signer", nil, "PEM `FILE` with a public key that must have signed the policy file (repeats: any one of them)")
}

// held reports whether the policy is held to anything. Then nothing beside it is read: a digest or signature on the file
// says nothing about other files.
func (p *policySource) held() bool { return p.Digest != "" || len(p.Signers) > 0 }

// load reads the policy that name names: a file, or an artifact of one file in a registry or layout.
func (p *policySource) load(ctx context.Context, name string, o registry.Options) (*policyFile, error) {
	read, err := readPolicy(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer read.close()
	if err := p.check(ctx, read); err != nil {
		return nil, err
	}
	f := &policyFile{raw: read.raw, dir: read.dir, files: map[string][]byte{}}
	words := vocabulary()
	words.URI = read.name
	if f.dir != "" && !p.held() {
		words.Read = f.read
	}
	f.doc, err = policy.Load(f.raw, words)
	return f, err
}

// read reads a file that the policy names, and keeps it.
func (p *policyFile) read(name string) ([]byte, error) {
	data, err := readSmall(filepath.Join(p.dir, filepath.FromSlash(name)))
	if err == nil {
		p.files[name] = data
	}
	return data, err
}

// policyBytes is a policy file as it was read, as an artifact of one file.
type policyBytes struct {
	name     string // for people
	dir      string // where files beside it lie; empty: nowhere
	raw      []byte
	artifact chain.Artifact
	evidence chain.Source
	close    func() error
}

// check holds the bytes that were read to what p asks.
func (p *policySource) check(ctx context.Context, read policyBytes) error {
	if p.Digest != "" {
		want, err := hashing.ParseSum(p.Digest)
		if err != nil {
			return usagef("--policy-digest %q: %w", p.Digest, err)
		}
		if got := sumOf(read.raw); got != want {
			return fmt.Errorf("read policy %s: it is %s, not %s", read.name, got, want)
		}
	}
	if len(p.Signers) == 0 {
		return nil
	}
	whom := trustFlags{PublicKeys: p.Signers}
	roots, asked, err := whom.load(policy.Policy{})
	if err != nil {
		return err
	}
	asked.AllowUncovered = false
	d, err := chain.Verify(ctx, read.artifact, []chain.Source{read.evidence}, chain.Options{Roots: roots, Policy: asked})
	if err != nil {
		return err
	}
	if d.Verdict() != policy.Yes {
		return fmt.Errorf("read policy %s: not signed by --policy-signer: %s %v", read.name, d.Verdict(), d.Reasons())
	}
	return nil
}

func readPolicy(ctx context.Context, name string, o registry.Options) (policyBytes, error) {
	at, err := findPlace(name)
	if err != nil {
		return policyBytes{}, err
	}
	if !at.onDisk() {
		stored, err := registry.Find(ctx, at.ref, o)
		if err != nil {
			return policyBytes{}, fmt.Errorf("read policy: %w", err)
		}
		_, raw, err := stored.Single(ctx, policy.MaxFile)
		if err != nil {
			_ = stored.Close()
			return policyBytes{}, fmt.Errorf("read policy: %w", err)
		}
		return policyBytes{name: at.ref.Pinned(stored.Digest), raw: raw, artifact: stored.Artifact, evidence: stored, close: stored.Close}, nil
	}
	raw, err := readAtMost(at.path, policy.MaxFile)
	if err != nil {
		return policyBytes{}, fmt.Errorf("read policy: %w", err)
	}
	read := policyBytes{name: at.path, dir: filepath.Dir(at.path), raw: raw, evidence: registry.Beside{Path: at.path}, close: func() error { return nil }}
	read.artifact, err = asArtifact(at.path, raw)
	return read, err
}

// asArtifact is the artifact of one file that raw would be, so that a signature is held against the bytes that were read
// and not against what lies there by now.
func asArtifact(path string, raw []byte) (chain.Artifact, error) {
	base := filepath.Base(path)
	m := manifest.Manifest{Name: base, Single: true, Files: []manifest.File{{Name: base, Size: int64(len(raw)), SHA256: sumOf(raw)}}}
	canonical, err := m.OCI()
	if err != nil {
		return nil, fmt.Errorf("read policy %s: %w", path, err)
	}
	return chain.NewManifest(canonical.Manifest, path, "", ""), nil
}

func sumOf(raw []byte) hashing.Sum {
	s := hashing.NewStream()
	_, _ = s.Write(raw) // it never errs
	return s.Sum()
}

// vocabulary is the words that a policy may use, which are the statements'.
func vocabulary() policy.LoadOptions {
	o := policy.LoadOptions{
		Kinds:  []string{string(attestations.KindModel), string(attestations.KindAdapter), string(attestations.KindDataset)},
		Claims: attestations.SignerClaims(),
	}
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
// can tell.
func (p *policyFile) sigstore(whom *trustFlags) (*trust.Sigstore, error) {
	if whom.TrustedRoot == "" && !p.doc.NeedsSigstore() {
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
