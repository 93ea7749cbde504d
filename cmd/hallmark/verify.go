package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// networkFlags is how registries are spoken to.
type networkFlags struct {
	Offline             bool
	InsecureHTTP        bool
	Timeout             time.Duration
	RegistryCA          string
	ClientCertificate   string
	ClientKey           string
	RequireReferrersAPI bool
}

func (n *networkFlags) bind(f *pflag.FlagSet) {
	f.BoolVar(&n.Offline, "offline", false, "never dial")
	n.bindRegistry(f)
	f.DurationVar(&n.Timeout, "timeout", 2*time.Minute, "longest `TIME` of one network step; hashing has no limit")
}

func (n *networkFlags) bindRegistry(f *pflag.FlagSet) {
	f.StringVar(&n.RegistryCA, "registry-ca", "", "PEM `FILE` of CAs that the registry's TLS certificate may be from, besides the machine's")
	f.StringVar(&n.ClientCertificate, "client-certificate", "", "PEM `FILE` of a certificate to show the registry")
	f.StringVar(&n.ClientKey, "client-key", "", "PEM `FILE` of that certificate's private key")
	f.BoolVar(&n.RequireReferrersAPI, "require-referrers-api", false, "refuse a registry that keeps evidence under fallback tags")
	f.BoolVar(&n.InsecureHTTP, "insecure-http", false, "speak plain HTTP to a registry that is not on loopback")
}

func (n *networkFlags) options() registry.Options {
	return registry.Options{
		Offline: n.Offline, InsecureHTTP: n.InsecureHTTP, Timeout: n.Timeout, RequireReferrersAPI: n.RequireReferrersAPI,
		RegistryCA: n.RegistryCA, ClientCertificate: n.ClientCertificate, ClientKey: n.ClientKey,
	}
}

// verifyFlags is everything that verify takes.
type verifyFlags struct {
	whom       trustFlags
	thresholds thresholdFlags
	net        networkFlags
	out        shownAs
	list       listFlags
	remembered cacheFlags
	over       policyFlags
	to         recordFlags
	by         layoutFlags
}

func newVerify(s streams) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify ARTIFACT|REF",
		Short: "Decide whether an artifact is what somebody trusted signed",
		Long: `Decide whether a file, a directory, or an artifact in a registry or OCI layout is, byte for byte, what somebody
trusted signed. Say whom to believe: there is no "any signer".

On disk every file is read. In a registry nothing is downloaded: the manifest must be the canonical one of exactly the
files that were signed. With --quiet a yes prints the reference pinned by digest: deploy exactly that.

With --policy FILE the policy says whom to believe, for the artifact and for everything that it was made from: the chain is
followed from its provenance to every input, as far as the policy asks. Inputs and what is said of them are looked for
where --evidence says, and where trusted statements say that they lie, on hosts that the policy lists; nothing else is
dialled. Several artifacts are a set that is used together, as an adapter and its base. --state remembers what was seen, so
that an older policy, release or list of what is revoked is noticed.

With --layout FILE an artifact on disk is held to an in-toto layout and its links: every key of --layout-key must have signed the
layout. No command that a layout names is run; one whose inspections run commands is not verified.

REF is HOST/NAME:TAG, HOST/NAME@sha256:… or oci:DIR[:TAG].`,
		Example: `  hallmark verify ./chat --public-key trainer.pub
  hallmark verify registry.example/llm/chat:prod --public-key trainer.pub --quiet
  hallmark verify ./chat --certificate-chain ca.pem --certificate-subject spiffe://acme/trainer
  hallmark verify ./chat --identity trainer@example.com --identity-provider https://accounts.example.com
  hallmark verify registry.example/llm/chat:prod --policy prod.yaml --state /var/lib/hallmark --quiet
  hallmark verify ./adapter ./base --policy prod.yaml --evidence ./corpus --format mermaid`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, s, args) },
	}
	f.bind(c.Flags())
	return c
}

func (f *verifyFlags) bind(flags *pflag.FlagSet) {
	f.whom.bind(flags)
	f.thresholds.bind(flags)
	f.net.bind(flags)
	flags.BoolVar(&f.whom.IgnoreUnsignedFiles, "ignore-unsigned-files", false, "files beside the signed ones do not matter; the decision says so")
	flags.StringArrayVar(&f.list.IgnorePaths, "ignore-paths", nil, "`PATH` that need not be signed, relative to the artifact or absolute inside it (repeats)")
	flags.BoolVar(&f.remembered.Cache, "insecure-cache", false, "do not read files whose digests are remembered (see sign --cache); the decision says so: for development, not for what may run")
	f.list.bindSignature(flags, "signature `FILE`, instead of model.sig or FILE.sig")
	f.over.bind(flags)
	f.to.bind(flags)
	f.by.bind(flags)
	f.out.bind(flags, "print the pinned reference alone, and only on a yes")
}

// run decides by a layout, a policy over the chain, or the signers that flags name.
func (f *verifyFlags) run(c *cobra.Command, s streams, args []string) error {
	if err := f.out.check(c.Flags()); err != nil {
		return err
	}
	switch {
	case f.remembered.Cache && (f.by.File != "" || f.over.File != ""):
		return usagef("--insecure-cache is for development: a policy or layout has every file read")
	case f.by.File != "" && f.to.Index != "":
		return usagef("--index is for decisions by a signer or a policy")
	case f.by.File != "":
		return f.by.verify(c, s, args, &f.over, &f.list, f.out)
	case len(f.by.Keys) > 0 || f.by.Links != "":
		return usagef("--layout-key and --links need --layout")
	case f.over.File != "":
		return f.over.verify(c, s, args, &f.whom, &f.net, &f.list, f.to, f.out)
	}
	if err := f.over.alone(); err != nil {
		return err
	}
	if len(args) > 1 {
		return usagef("several artifacts are verified as a set, which needs --policy")
	}
	return f.bySigner(c.Context(), s, args[0])
}

// bySigner decides on one artifact by who signed it.
func (f *verifyFlags) bySigner(ctx context.Context, s streams, arg string) error {
	var p policy.Policy
	if err := f.thresholds.apply(&p); err != nil {
		return err
	}
	roots, p, err := f.whom.load(p)
	if err != nil {
		return err
	}
	at, err := findPlace(arg)
	if err != nil {
		return err
	}
	if at.onDisk() {
		bar := newProgress(s, "hashed", f.out.output)
		defer bar.stop()
		known := f.remembered.open(s)
		defer f.remembered.save(s)
		files := &chain.Files{Path: at.path, Options: chain.FilesOptions{
			IgnorePaths: f.list.IgnorePaths, Signature: f.list.Signature, Progress: bar.update, InsecureCache: known,
		}}
		source := registry.Beside{Path: at.path, Options: registry.EvidenceOptions{Signature: f.list.Signature}}
		d, err := chain.Verify(ctx, files, []chain.Source{source}, chain.Options{Roots: roots, Policy: p})
		bar.stop()
		if err != nil {
			return err
		}
		return f.answer(ctx, s, d)
	}
	if err := f.list.refuseForReference(f.whom.IgnoreUnsignedFiles); err != nil {
		return err
	}
	if f.remembered.Cache {
		return usagef("--insecure-cache is for files on disk: in a registry none is read")
	}
	d, _, err := verifyReference(ctx, at.ref, roots, p, f.net.options())
	if err != nil {
		return err
	}
	return f.answer(ctx, s, d)
}

// answer prints d and has it recorded.
func (f *verifyFlags) answer(ctx context.Context, s streams, d policy.Decision) error {
	return f.to.afterwards(ctx, f.out.decision(s, d), []policy.Decision{d}, "")
}

// refuseForReference refuses flags that say which files are content: in a registry every layer is.
func (l *listFlags) refuseForReference(unsigned bool) error {
	switch {
	case len(l.IgnorePaths) > 0:
		return usagef("--ignore-paths is for files on disk: in a registry every layer counts")
	case unsigned:
		return usagef("--ignore-unsigned-files is for files on disk: in a registry every layer counts")
	case l.Signature != "":
		return usagef("--signature is for files on disk: in a registry evidence is attached to the artifact")
	}
	return nil
}

// verifyReference decides on what a registry or layout holds under ref, and returns the repository for what follows.
func verifyReference(ctx context.Context, ref registry.Ref, roots trust.Roots, p policy.Policy, o registry.Options) (policy.Decision, *registry.Stored, error) {
	stored, err := registry.Find(ctx, ref, o)
	if err != nil {
		return failedToFind(ctx, ref, p, roots, err)
	}
	d, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, chain.Options{Roots: roots, Policy: p})
	if o.InsecureHTTP {
		d.Notes = append(d.Notes, "plain HTTP was allowed: --insecure-http")
	}
	return d, stored, err
}

// failedToFind is the decision where there was nothing to decide on.
func failedToFind(ctx context.Context, ref registry.Ref, p policy.Policy, roots trust.Roots, err error) (policy.Decision, *registry.Stored, error) {
	if ctx.Err() != nil {
		return policy.Decision{}, nil, context.Cause(ctx)
	}
	facts := policy.Facts{
		Artifact: policy.Artifact{Ref: ref.String(), Bytes: policy.BytesUnread},
		Problems: []policy.Finding{chain.Problem(err)},

		TrustedRoot: roots.Origin(),
	}
	return policy.Decide(p, facts, roots.Time()), nil, nil
}
