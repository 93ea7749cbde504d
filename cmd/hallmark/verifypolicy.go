package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
)

// policyFlags is what verifying by a policy over a chain takes besides.
type policyFlags struct {
	File     string
	source   policySource
	Evidence []string
	State    string
	Floors   []string
	Warn     bool

	VSA      string
	Verifier string
	Resource string
	with     signFlags // whoever signs the summary
}

func (p *policyFlags) bind(f *pflag.FlagSet) {
	p.bindChain(f)
	p.bindMemory(f, "where is remembered what was seen")
	f.BoolVar(&p.Warn, "warn", false, "exit with 0 whatever is decided; a decision that is no yes is printed as warn")
	f.StringVar(&p.VSA, "vsa", "", "`FILE` to write a signed verification summary to (SLSA), of a yes or a no; takes the flags to sign with")
	f.StringVar(&p.Verifier, "verifier-id", "", "with --vsa: `URI` of who verifies")
	f.StringVar(&p.Resource, "resource-uri", "", "with --vsa: `URI` by which the artifact is asked for; default: its pinned reference, or its name")
	p.with.bindSigner(f)
}

// bindMemory binds what was seen before.
func (p *policyFlags) bindMemory(f *pflag.FlagSet, state string) {
	f.StringVar(&p.State, "state", "", "`DIR` "+state+", so that nobody shows an older world: versions of the policy, lists of what is revoked, releases")
	f.StringArrayVar(&p.Floors, "release-floor", nil, "`CHANNEL=NUMBER`, the lowest release that is taken where nothing is remembered (repeats)")
}

// bindChain binds what says by which policy, and where the inputs are.
func (p *policyFlags) bindChain(f *pflag.FlagSet) {
	f.StringVar(&p.File, "policy", "", "policy `FILE|REF` over the whole chain: what the artifact was made from, by whom, and who says so")
	p.source.bind(f)
	f.StringArrayVar(&p.Evidence, "evidence", nil, "where inputs and what is said of them lie, with --policy: an artifact, layout or exported folder `ARTIFACT|DIR|REF` (repeats)")
}

// alone names the flags that mean nothing without a policy.
func (p *policyFlags) alone() error {
	for name, given := range map[string]bool{"evidence": len(p.Evidence) > 0, "state": p.State != "", "release-floor": len(p.Floors) > 0,
		"policy-digest": p.source.Digest != "", "policy-signer": len(p.source.Signers) > 0, "warn": p.Warn, "vsa": p.VSA != "", "verifier-id": p.Verifier != "", "resource-uri": p.Resource != ""} {
		if given {
			return usagef("--%s needs --policy", name)
		}
	}
	return nil
}

// check refuses flags that contradict each other.
func (p *policyFlags) check(c *cobra.Command, several bool) error {
	for _, name := range []string{"public-key", "certificate-subject", "identity", "identity-provider", "require-log", "log-threshold", "timestamp-threshold", "ignore-unsigned-files"} {
		if f := c.Flags().Lookup(name); f != nil && f.Changed {
			return usagef("--%s and --policy exclude each other: the policy says whom to believe", name)
		}
	}
	switch {
	case p.VSA == "" && (p.Verifier != "" || p.Resource != ""):
		return usagef("--verifier-id and --resource-uri need --vsa")
	case p.VSA == "" && c.Flags().Changed("certificate-chain"):
		return usagef("--certificate-chain and --policy exclude each other, but for signing with --vsa: the policy says whom to believe")
	case p.VSA == "":
		return nil
	case p.Warn:
		return usagef("--warn and --vsa exclude each other: a warning is no verification that others may believe")
	case p.Verifier == "":
		return usagef("--vsa needs --verifier-id: the URI of who verifies")
	case several && p.Resource != "":
		return usagef("--resource-uri is about one artifact")
	}
	return nil
}

// floors reads CHANNEL=NUMBER, each.
func (p *policyFlags) floors() (map[string]uint64, error) {
	floors := map[string]uint64{}
	for _, text := range p.Floors {
		at := strings.LastIndexByte(text, '=')
		if at <= 0 {
			return nil, usagef("--release-floor %q: it is CHANNEL=NUMBER", text)
		}
		n, err := strconv.ParseUint(text[at+1:], 10, 64)
		if err != nil || n == 0 {
			return nil, usagef("--release-floor %q: the number is one from 1 on", text)
		}
		if _, twice := floors[text[:at]]; twice {
			return nil, usagef("--release-floor: channel %q is named twice", text[:at])
		}
		floors[text[:at]] = n
	}
	return floors, nil
}

// chainRun is one verification by a policy: everything that it takes, read and opened.
type chainRun struct {
	policy  *policyFile
	targets []chain.Target
	stored  []*registry.Stored // of targets in registries and layouts; nil for those on disk
	library *registry.Library
	options chain.PolicyOptions
}

func (r *chainRun) close() error {
	errs := []error{r.library.Close()}
	for _, s := range r.stored {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(errs...)
}

// prepare reads the policy and finds what args name. What cannot be found is decided on all the same.
func (p *policyFlags) prepare(ctx context.Context, args []string, whom *trustFlags, net *networkFlags, list *listFlags, bar *progress) (*chainRun, error) {
	file, err := p.source.load(ctx, p.File, net.options())
	if err != nil {
		return nil, err
	}
	return p.prepareBy(ctx, file, args, whom, net, list, bar)
}

// prepareBy is prepare by a policy that was read.
func (p *policyFlags) prepareBy(ctx context.Context, file *policyFile, args []string, whom *trustFlags, net *networkFlags, list *listFlags, bar *progress) (*chainRun, error) {
	r := &chainRun{policy: file}
	var err error
	if r.options.Floors, err = p.floors(); err != nil {
		return nil, err
	}
	if p.State != "" {
		if r.options.State, err = (registry.States{Dir: p.State}).Load(file.doc.Name); err != nil {
			r.options.Problems = append(r.options.Problems, policy.Finding{Code: policy.Unreadable, Where: p.State, Detail: err.Error()})
		}
	}
	if r.options.Sigstore, err = file.sigstore(whom); err != nil {
		return nil, err
	}
	sum := bar.together()
	where := registry.LibraryOptions{Registry: net.options(), Sources: file.doc.Sources, Progress: sum}
	for _, arg := range p.Evidence {
		at, err := findPlace(arg)
		switch {
		case err != nil:
			return nil, err
		case at.onDisk():
			where.Paths = append(where.Paths, at.path)
		default:
			where.Refs = append(where.Refs, at.ref)
		}
	}
	if r.library, err = registry.OpenLibrary(where); err != nil {
		return nil, err
	}
	if lists := file.lists(net.options()); lists != nil {
		r.options.Revocations = []chain.Source{r.library.Lists(*lists)}
	}
	if err := r.find(ctx, args, net, list, sum); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *chainRun) find(ctx context.Context, args []string, net *networkFlags, list *listFlags, sum func() func(done, total int64)) error {
	seen := map[string]bool{}
	for _, arg := range args {
		at, err := findPlace(arg)
		if err != nil {
			return err
		}
		if seen[at.identity()] {
			return usagef("%s is named twice", printable(arg))
		}
		seen[at.identity()] = true
		if at.onDisk() {
			files := &chain.Files{Path: at.path, Options: chain.FilesOptions{IgnorePaths: list.IgnorePaths, Signature: list.Signature, Progress: sum()}}
			source := registry.Beside{Path: at.path, Options: registry.EvidenceOptions{Signature: list.Signature}}
			r.targets, r.stored = append(r.targets, chain.Target{Artifact: files, Sources: []chain.Source{source}}), append(r.stored, nil)
			continue
		}
		if err := list.refuseForReference(false); err != nil {
			return err
		}
		stored, err := registry.Find(ctx, at.ref, net.options())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		target := chain.Target{Artifact: chain.Lost{Ref: at.ref.String(), Err: err}}
		if err == nil {
			target = chain.Target{Artifact: stored.Artifact, Sources: []chain.Source{stored}}
		}
		r.targets, r.stored = append(r.targets, target), append(r.stored, stored)
	}
	return nil
}

// verify decides by the policy, and remembers what was seen before anybody hears of it.
func (p *policyFlags) verify(c *cobra.Command, s streams, args []string, whom *trustFlags, net *networkFlags, list *listFlags, to recordFlags, show shownAs) error {
	if err := p.check(c, len(args) > 1); err != nil {
		return err
	}
	if list.Signature != "" && len(args) > 1 {
		return usagef("--signature names one file, and there are %d artifacts", len(args))
	}
	bar := newProgress(s, "hashed", show.output)
	defer bar.stop()
	ctx := c.Context()
	r, err := p.prepare(ctx, args, whom, net, list, bar)
	if err != nil {
		return err
	}
	defer r.close()
	decisions, seen, err := chain.VerifyPolicy(ctx, r.targets, r.library, r.policy.doc, r.options)
	bar.stop()
	if err != nil {
		return err
	}
	if r.options.State != nil {
		if err := (registry.States{Dir: p.State}).Remember(ctx, r.policy.doc.Name, seen); err != nil {
			return err
		}
	}
	for i := range decisions {
		if net.InsecureHTTP {
			decisions[i].Notes = append(decisions[i].Notes, "plain HTTP was allowed: --insecure-http")
		}
		decisions[i].Notes = append(decisions[i].Notes, r.unasked(decisions[i])...)
	}
	if p.VSA != "" {
		if err := p.summarize(ctx, s, r.policy, decisions, whom, net, show); err != nil {
			return err
		}
	}
	return to.afterwards(ctx, p.showAll(s, decisions, show), decisions, r.policy.doc.Digest)
}

// unasked says which artifacts were brought as evidence and are nothing that the chain is made of, where something is
// missing: it may be what one of them was before it was changed.
func (r *chainRun) unasked(d policy.Decision) []string {
	missing := func(code policy.Reason) bool { return code == policy.NoEvidence || code == policy.LinkUnattested }
	if !slices.ContainsFunc(d.Reasons(), missing) {
		return nil
	}
	var out []string
	for path, id := range r.library.Unasked() {
		out = append(out, fmt.Sprintf("%s is %s, which nothing in the chain was made from", path, id))
	}
	return out
}

// showAll prints every decision. What stands for all of them is the worst: of a set that is used together, all have to hold,
// and none is to be deployed where one does not.
func (p *policyFlags) showAll(s streams, decisions []policy.Decision, show shownAs) error {
	worst := policy.Yes
	for _, d := range decisions {
		worst = min(worst, d.Verdict())
	}
	show.warn = p.Warn
	for _, d := range decisions {
		if show.Quiet && worst != policy.Yes && d.Verdict() == policy.Yes {
			continue
		}
		err := show.decision(s, d)
		var verdict undecided
		if err != nil && !errors.As(err, &verdict) {
			return err
		}
	}
	if len(decisions) > 1 && worst != policy.Yes && !show.JSON {
		warn(s.err, "of a set that is used together every one has to hold: "+worst.String())
	}
	if worst == policy.Yes || p.Warn {
		return nil
	}
	return undecided{verdict: worst}
}

// summarize writes a signed verification summary of each decision that is one.
func (p *policyFlags) summarize(ctx context.Context, s streams, file *policyFile, decisions []policy.Decision, whom *trustFlags, net *networkFlags, show shownAs) error {
	p.with.CertificateChain, p.with.TrustedRoot, p.with.TrustDir, p.with.Timeout = whom.CertificateChains, whom.TrustedRoot, whom.TrustDir, net.Timeout
	p.with.identity.silent = show.JSON || show.Quiet
	var statements []attestations.Statement
	for _, d := range decisions {
		o := chain.SummaryOptions{
			Verifier: attestations.Verifier{ID: p.Verifier, Version: map[string]string{"hallmark": version()}},
			Resource: p.Resource, Policy: attestations.LocalURI(filepath.Base(file.doc.URI)),
		}
		if o.Resource == "" {
			o.Resource = resourceURI(d.Artifact)
		}
		on, v, err := chain.Summarize(d, file.doc, o)
		if err != nil {
			warn(s.err, fmt.Sprintf("no summary of %s: %v", printable(d.Artifact.Ref), err))
			continue
		}
		statement, err := attestations.NewStatement(on, v)
		if err != nil {
			return usageError{err}
		}
		statements = append(statements, statement)
	}
	if len(statements) == 0 {
		return nil
	}
	by, err := p.with.load(ctx, s)
	if err != nil {
		return err
	}
	var bundles []attestations.Bundle
	for _, statement := range statements {
		bundle, _, err := attestations.Sign(ctx, statement, by)
		if err != nil {
			return err
		}
		bundles = append(bundles, bundle)
	}
	return registry.WriteBundles(ctx, p.VSA, bundles...)
}

// resourceURI is how an artifact is asked for where nobody says: by digest in its registry, or by its name.
func resourceURI(a policy.Artifact) string {
	if a.Pinned != "" && !slices.ContainsFunc([]string{"oci:", "oci-archive:"}, func(scheme string) bool { return strings.HasPrefix(a.Pinned, scheme) }) {
		return "oci://" + a.Pinned
	}
	return attestations.LocalURI(filepath.Base(a.Ref))
}
