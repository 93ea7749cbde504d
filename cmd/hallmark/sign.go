package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

// artifactFlags is what sign is told about the artifacts.
type artifactFlags struct {
	list listFlags
	hash hashFlags
	net  networkFlags
	kind string

	remembered cacheFlags
	reuse      reuseFlags
}

func newSign(s streams) *cobra.Command {
	var of artifactFlags
	var elsewhere digestsFlags
	var draft draftFlags
	var with signFlags
	var out output
	c := &cobra.Command{
		Use:   "sign ARTIFACT|REF… | --digests FILE | --statement FILE --as FILE [ARTIFACT|REF]",
		Short: "Sign models, adapters or datasets on disk or in a registry",
		Long: `Sign a file or a directory as OpenSSF Model Signing v1.0 does: DIR/model.sig, or FILE.sig beside a single file.
What lies in a registry is signed where it lies, from its canonical manifest alone: no file is read or fetched, so its
publisher does this, who knows what was pushed.

The bundle is opened again with full checks before it takes its name. Beside it, claims.sig gets a statement on the
artifact ID for cosign's users. A signature by somebody else is never overwritten: a second signer's goes into
claims.sig too.

Several artifacts are hashed and signed at the same time, with one certificate. Each has a result of its own, in the
order given; one that fails costs the others nothing, and the exit code is the worst.

--digests signs what lies on another machine, by the names, sizes and digests that hallmark digest --output wrote there;
no byte is read, and kind and exclusions are what is typed here. The signature goes beside the digests file, to FILE.sig,
and belongs into the artifact as model.sig. Where thousands of small files are packed, the artifact ID stands on digests
that do not follow from those of the files; the result says so.

--shard-size makes checks of one large file use every core; 67108864 suits files of some gigabytes. Signing itself gets no
faster, and other tools may not read such a bundle.

--cache does not read files whose SHA-256 was made before and whose inode, size and times have not changed since; small
files that are packed for the ID are read together where one of them changed. --reuse takes such a digest only where a
signature by the same key lists it under the same name: then nobody who can write to the cache alone gets anything signed.
Times alone would not do: a signature says when it was there, not since when the files are what they are.

--statement makes a draft that hallmark run --unsigned left on another machine a statement of this signer's. --as says all
that is stated: type, builder, kind, and which inputs and sources are allowed. From the draft come the artifact's ID and the
inputs' digests alone; a draft of anything but provenance is refused. With ARTIFACT the ID is held to what lies there, and
the statement goes there; else to FILE.claims.sig, whose lines belong into the artifact's claims.sig.

Without a key, an identity token gets a certificate: --identity-token or its file; else the first that is offered by
GitHub Actions, GitLab, Kubernetes, SPIFFE, Buildkite or Google Cloud; else, on a terminal, a login. It is fetched after
hashing. The servers are those of --signing-config, else those that came with the imported trusted root (hallmark trust).
Before a public log holds a name for ever, a terminal is asked; --yes, and any place without a terminal, agree.`,
		Example: `  hallmark sign ./chat --private-key trainer.key
  hallmark sign ./chat ./adapters/* --private-key trainer.key
  hallmark sign ./chat --private-key trainer.key --reuse ./chat/model.sig
  hallmark sign ./corpus --kind dataset --private-key data.key --ignore-paths cache
  hallmark sign ./chat --private-key leaf.key --signing-certificate leaf.pem --certificate-chain intermediate.pem
  hallmark sign registry.example/llm/chat@sha256:… --private-key trainer.key
  hallmark sign ./chat --private-key hashivault://trainer --tsa-url https://tsa.example --trusted-root trusted_root.json
  hallmark sign ./chat --trusted-root trusted_root.json --signing-config signing_config.json
  hallmark trust update && hallmark sign ./chat
  hallmark sign --digests digests.json --expect-name chat --private-key trainer.key
  hallmark sign --statement draft.json --as trainer.yaml ./chat --private-key trainer.key`,
		Args: cobra.ArbitraryArgs, // none with --digests, which the environment may hold
		RunE: func(c *cobra.Command, args []string) error {
			of.net.Timeout = with.Timeout
			if draft != (draftFlags{}) {
				if len(elsewhere.Digests) > 0 || c.Flags().Changed("kind") {
					return usagef("--statement goes without --digests and --kind: the draft has the digests, --as says the kind")
				}
				return draft.sign(c.Context(), s, &of, with, args, out)
			}
			if len(args)+len(elsewhere.Digests) == 0 {
				return withUsage(c, errors.New("no artifact is named"))
			}
			return of.sign(c.Context(), s, args, &elsewhere, with, out)
		},
	}
	of.list.bind(c.Flags())
	of.list.bindSignature(c.Flags(), "`FILE` to write the signature to, instead of model.sig or FILE.sig")
	of.hash.bind(c.Flags())
	of.remembered.bind(c.Flags())
	of.reuse.bind(c.Flags())
	elsewhere.bind(c.Flags())
	draft.bind(c.Flags())
	with.bind(c.Flags())
	of.net.bindRegistry(c.Flags())
	c.Flags().StringVar(&of.kind, "kind", string(attestations.KindModel), "what it is: `model`, adapter or dataset; recorded, part of no ID")
	out.bind(c.Flags(), "print the artifact ID alone")
	return c
}

// sign signs the artifacts that args or digests files name.
func (of *artifactFlags) sign(ctx context.Context, s streams, args []string, elsewhere *digestsFlags, with signFlags, out output) error {
	kind, err := attestations.ParseKind(of.kind)
	if err != nil {
		return usagef("--kind: %w", err)
	}
	bar := newProgress(s, "hashed", out)
	defer bar.stop()
	if err := elsewhere.check(args, of); err != nil {
		return err
	}
	wanted, err := of.reuse.check(len(args), of.hash)
	if err != nil {
		return err
	}
	of.remembered.Cache = of.remembered.Cache || wanted
	of.remembered.open(s)
	defer of.remembered.save(s)
	jobs, err := of.jobs(args, bar)
	if len(args) == 0 {
		jobs, err = elsewhere.jobs(of)
	}
	if err != nil {
		return err
	}
	with.identity.silent, with.identity.hold = out.JSON || out.Quiet, bar.hold
	by, err := with.load(ctx, s)
	if err != nil {
		return err
	}
	if err := of.reuse.load(by); err != nil {
		return err
	}
	return signAll(ctx, s, jobs, kind, by, bar, out)
}

// jobs are the artifacts that args name, each once.
func (of *artifactFlags) jobs(args []string, bar *progress) ([]job, error) {
	o := manifest.Options{IgnorePaths: of.list.IgnorePaths, AllowSymlinks: of.list.AllowSymlinks, Signature: of.list.Signature,
		Cache: of.remembered.opened}
	of.reuse.apply(&o)
	if err := of.hash.apply(&o); err != nil {
		return nil, err
	}
	if of.list.Signature != "" && len(args) > 1 {
		return nil, usagef("--signature names one file, and there are %d artifacts", len(args))
	}
	sum, share := bar.together(), newShare(len(args))
	seen := make(map[string]bool, len(args))
	jobs := make([]job, len(args))
	for i, arg := range args {
		at, err := findPlace(arg)
		var usage usageError
		switch {
		case err != nil && (len(args) == 1 || errors.As(err, &usage)):
			return nil, err
		case err != nil:
			jobs[i] = lostJob{arg, err}
			continue
		case seen[at.identity()]:
			return nil, usagef("%s is named twice", printable(arg))
		case at.onDisk():
			jobs[i] = &diskJob{path: at.path, options: share.of(o, sum()), share: share}
		case of.hash != hashFlags{Hash: string(hashing.SHA256)} || of.list.AllowSymlinks || len(of.list.IgnorePaths) > 0 || of.list.Signature != "" || of.reuse.Reuse != "":
			return nil, usagef("flags that choose or hash files are for files on disk: in a registry the manifest says it all")
		default:
			jobs[i] = &referenceJob{ref: at.ref, options: of.net.options()}
		}
		seen[at.identity()] = true
	}
	return jobs, nil
}

// identity is the same for two ways to write one place.
func (p place) identity() string {
	if p.onDisk() {
		return "path " + p.real()
	}
	return "reference " + p.ref.String()
}

// real is the absolute path without links, as far as that can be told.
func (p place) real() string {
	abs, err := filepath.Abs(p.path)
	if err != nil {
		return p.path
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real
	}
	return abs
}

// lostJob is an artifact that is not there, beside others that are.
type lostJob struct {
	name string
	err  error
}

func (j lostJob) what() string { return j.name }

func (j lostJob) prepare(context.Context) (*manifest.Manifest, error) { return nil, j.err }

func (j lostJob) store(context.Context, attestations.Signed, signer.Signer) (string, error) {
	return "", j.err
}

// diskJob signs files on disk.
type diskJob struct {
	path    string
	options manifest.Options
	share   *share
}

func (j *diskJob) what() string { return j.path }

func (j *diskJob) prepare(ctx context.Context) (*manifest.Manifest, error) {
	if err := registry.RemoveLeftovers(ctx, j.path); err != nil {
		return nil, err
	}
	if err := j.share.take(ctx); err != nil {
		return nil, err
	}
	defer j.share.give()
	return manifest.Build(ctx, j.path, j.options)
}

func (j *diskJob) store(ctx context.Context, made attestations.Signed, by signer.Signer) (string, error) {
	return storeBeside(ctx, j.path, j.options.Signature, made, by)
}

// storeBeside writes what was made into or beside the artifact at path.
func storeBeside(ctx context.Context, path, signature string, made attestations.Signed, by signer.Signer) (string, error) {
	return registry.StoreSignature(ctx, path, signature, made.Signature, [][]byte{made.ForCosign}, func(old attestations.Bundle) bool {
		before, err := attestations.Open(old, ownRoots(by))
		return err == nil && before.Signer().String() == made.Signer.String()
	})
}

// referenceJob signs what lies in a registry or layout, and attaches the evidence there.
type referenceJob struct {
	ref     registry.Ref
	options registry.Options
	stored  *registry.Stored
}

func (j *referenceJob) what() string { return j.ref.String() }

func (j *referenceJob) prepare(ctx context.Context) (*manifest.Manifest, error) {
	stored, err := registry.Find(ctx, j.ref, j.options)
	if err != nil {
		return nil, err
	}
	j.stored = stored
	m, err := stored.List()
	if err != nil {
		return nil, hintError{err, "hallmark copy --canonical republishes a ModelPack artifact of single files; else hallmark push puts the files there"}
	}
	return m, nil
}

func (j *referenceJob) store(ctx context.Context, made attestations.Signed, _ signer.Signer) (string, error) {
	return j.ref.Pinned(made.ID), j.stored.Attach(ctx, made.Signature, made.ForCosign)
}

// close ends idle connections.
func (j *referenceJob) close() error {
	if j.stored == nil {
		return nil
	}
	return j.stored.Close()
}

// signedResult is what sign prints as JSON for one artifact: hallmark.signed/v1.
type signedResult struct {
	Schema    string  `json:"schema"`
	Artifact  string  `json:"artifact"`
	ID        string  `json:"id"`
	Kind      string  `json:"kind"`
	Signature string  `json:"signature"`
	Signer    any     `json:"signer"`
	Stated    *stated `json:"stated,omitempty"` // with --digests: what another machine said
}

func (r result) show(s streams, kind attestations.Kind, out output) error {
	sayCached(s, r.cached, r.files)
	switch {
	case out.JSON:
		return writeJSON(s.out, signedResult{"hallmark.signed/v1", r.what, r.made.ID, string(kind), r.where, r.made.Signer, r.stated})
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, r.made.ID)
		return err
	}
	fmt.Fprintf(s.out, "signed     %s  %s  %s\n", printable(r.what), r.made.ID, kind)
	if r.stated != nil {
		r.stated.show(s)
	}
	fmt.Fprintf(s.out, "by         %s\n", r.made.Signer)
	_, err := fmt.Fprintf(s.out, "signature  %s\n", printable(r.where))
	return err
}
