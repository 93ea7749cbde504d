package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// claimFlags is what the commands that state something have in common: which files the artifact is, who signs, and where
// the statement goes.
type claimFlags struct {
	list           listFlags
	net            networkFlags
	with           signFlags
	kind           string
	attachRefusals bool
	out            output
}

func (f *claimFlags) bind(c *cobra.Command) {
	f.list.bind(c.Flags())
	f.list.bindSignature(c.Flags(), "signature `FILE`, instead of model.sig or FILE.sig")
	f.with.bind(c.Flags())
	f.net.bindRegistry(c.Flags())
	c.Flags().StringVar(&f.kind, "kind", "", "what the artifact is: `model`, adapter or dataset; default: what its signature on disk says, else model")
	bindAttachRefusals(c.Flags().BoolVar, &f.attachRefusals)
	f.out.bind(c.Flags(), "print the bundle's own name alone")
}

// bindAttachRefusals binds the flag that lets a no into a registry.
func bindAttachRefusals(bind func(*bool, string, bool, string), to *bool) {
	bind(to, "attach-refusals", false, "also attach what says no (a rejection, a failed test or verification) in a registry, where cosign verify takes any statement by its key for a yes")
}

// claimed is an artifact that something is to be stated about.
type claimed struct {
	on       attestations.Artifact
	evidence []chain.Item // the bundles that it has
	path     string       // on disk
	files    []manifest.File
	ref      registry.Ref // in a registry or layout
	stored   *registry.Stored
}

func (c *claimed) close() error {
	if c.stored == nil {
		return nil
	}
	return c.stored.Close()
}

// find reads the artifact: its bytes on disk, or its canonical manifest in a registry. The ID is from there, never from
// what a signer wrote.
func (f *claimFlags) find(ctx context.Context, s streams, arg string) (*claimed, error) {
	f.net.Timeout = f.with.Timeout
	if f.kind != "" {
		if _, err := attestations.ParseKind(f.kind); err != nil {
			return nil, usagef("--kind: %w", err)
		}
	}
	at, err := findPlace(arg)
	if err != nil {
		return nil, err
	}
	if at.onDisk() {
		return f.findFiles(ctx, s, at.path)
	}
	if err := f.list.refuseForReference(false); err != nil {
		return nil, err
	}
	stored, err := registry.Find(ctx, at.ref, f.net.options())
	if err != nil {
		return nil, err
	}
	c := &claimed{ref: at.ref, stored: stored}
	canonical, err := stored.Artifact.Canonical()
	if err != nil {
		return nil, errors.Join(hintError{err, "hallmark push publishes the files under their canonical manifest"}, c.close())
	}
	if c.evidence, err = stored.Evidence(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.on = attestations.Artifact{ID: canonical.ID, Name: stored.Name(), Kind: attestations.KindModel}
	if f.kind != "" {
		c.on.Kind = attestations.Kind(f.kind)
	}
	return c, nil
}

func (f *claimFlags) findFiles(ctx context.Context, s streams, path string) (*claimed, error) {
	var o manifest.Options
	if err := recorded(s, path, f.list, &o); err != nil {
		return nil, err
	}
	if err := registry.RemoveLeftovers(ctx, path); err != nil {
		return nil, err
	}
	c := &claimed{path: path}
	var err error
	beside := registry.Beside{Path: path, Options: registry.EvidenceOptions{Signature: f.list.Signature}}
	if c.evidence, err = beside.Evidence(ctx); err != nil {
		return nil, err
	}
	c.on.Kind, err = f.kindOf(path)
	if err != nil {
		return nil, err
	}
	m, err := build(ctx, s, path, o, f.out)
	if err != nil {
		return nil, err
	}
	c.on.Name, c.files = m.Name, m.Files
	c.on.ID, err = m.ID()
	return c, err
}

// kindOf is what --kind says, or the artifact's signature. That the two differ is wrong usage: one of them is mistaken.
func (f *claimFlags) kindOf(path string) (attestations.Kind, error) {
	signed := attestations.Kind("")
	if raw, err := registry.ReadSignature(path, f.list.Signature); err != nil {
		return "", err
	} else if raw != nil {
		u, err := raw.Peek()
		if err != nil {
			return "", fmt.Errorf("read the signature of %s: %w", path, err)
		}
		signed = u.Kind
	}
	switch {
	case f.kind != "" && signed != "" && f.kind != string(signed):
		return "", usagef("--kind %s: the signature of %s says %s", f.kind, printable(path), signed)
	case f.kind != "":
		return attestations.Kind(f.kind), nil
	case signed != "":
		return signed, nil
	}
	return attestations.KindModel, nil
}

// state signs what is claimed about c, stores it and shows what was done. What says no goes into no registry unless that was asked for.
func (f *claimFlags) state(ctx context.Context, s streams, c *claimed, p attestations.Predicate) error {
	if c.stored != nil && attestations.SaysNo(p) && !f.attachRefusals {
		return usagef("what says no is not attached in a registry, where other tools take any statement by a trusted key for a yes: state it on the files, or name --attach-refusals")
	}
	statement, err := attestations.NewStatement(c.on, p)
	if err != nil {
		return refusal{err}
	}
	bar := newProgress(s, "signed", f.out)
	defer bar.stop()
	f.with.identity.silent, f.with.identity.hold = f.out.JSON || f.out.Quiet, bar.hold
	by, err := f.with.load(ctx, s)
	if err != nil {
		return err
	}
	opened, where, err := c.sign(ctx, f.list.Signature, statement, by)
	if err != nil {
		return err
	}
	bar.stop()
	return showClaim(s, c, p, opened, where, f.out)
}

// sign signs a statement about c, opens the bundle again, reads the claim back from it, and stores it with c's signature
// file, which may have another name. It returns where it is.
func (c *claimed) sign(ctx context.Context, signature string, statement attestations.Statement, by signer.Signer) (*attestations.Attestation, string, error) {
	bundle, opened, err := attestations.Sign(ctx, statement, by)
	if err != nil {
		return nil, "", err
	}
	if _, err := attestations.ReadClaim(opened); err != nil {
		return nil, "", fmt.Errorf("read the new bundle: %w", err)
	}
	where, err := c.store(ctx, signature, bundle)
	return opened, where, err
}

func (c *claimed) store(ctx context.Context, signature string, bundle attestations.Bundle) (string, error) {
	if c.stored != nil {
		return c.ref.Pinned(c.on.ID), c.stored.Attach(ctx, bundle)
	}
	return registry.StoreClaims(ctx, c.path, signature, bundle)
}

// has reports whether a bundle with this name of its own lies with the artifact.
func (c *claimed) has(name string) bool {
	for _, item := range c.evidence {
		if u, err := item.Bundle.Peek(); err == nil && u.Name == name {
			return true
		}
	}
	return false
}

// statedResult is what the commands that state something print as JSON: hallmark.stated/v1.
type statedResult struct {
	Schema        string       `json:"schema"`
	Artifact      string       `json:"artifact"`
	ID            string       `json:"id"`
	Kind          string       `json:"kind"`
	PredicateType string       `json:"predicateType"`
	SaysNo        bool         `json:"saysNo"`
	Bundle        string       `json:"bundle"` // its own name
	Where         string       `json:"where"`
	Signer        trust.Signer `json:"signer"`
}

func showClaim(s streams, c *claimed, p attestations.Predicate, a *attestations.Attestation, where string, out output) error {
	what := c.path
	if c.stored != nil {
		what = c.ref.String()
	}
	r := statedResult{"hallmark.stated/v1", what, c.on.ID, string(c.on.Kind), p.PredicateType(), attestations.SaysNo(p), a.Name(), where, a.Signer()}
	switch {
	case out.JSON:
		return writeJSON(s.out, r)
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, r.Bundle)
		return err
	}
	said := ""
	if r.SaysNo {
		said = "  (says no)"
	}
	fmt.Fprintf(s.out, "stated  %s%s\n", r.PredicateType, said)
	fmt.Fprintf(s.out, "about   %s  %s  %s\n", printable(r.Artifact), r.ID, r.Kind)
	fmt.Fprintf(s.out, "by      %s\n", r.Signer)
	fmt.Fprintf(s.out, "bundle  %s\n", r.Bundle)
	_, err := fmt.Fprintf(s.out, "in      %s\n", printable(r.Where))
	return err
}

// now is when something is stated, to the second.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }
