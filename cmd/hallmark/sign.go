package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

func newSign(s streams) *cobra.Command {
	var list listFlags
	var hash hashFlags
	var with signFlags
	var net networkFlags
	var out output
	var kind string
	c := &cobra.Command{
		Use:   "sign ARTIFACT|REF",
		Short: "Sign a model, adapter or dataset on disk or in a registry",
		Long: `Sign a file or a directory as OpenSSF Model Signing v1.0 does: DIR/model.sig, or FILE.sig beside a single file.
What lies in a registry is signed where it lies, from its canonical manifest alone: no file is read or fetched, so its
publisher does this, who knows what was pushed.

The bundle is opened again with full checks before it takes its name. Beside it, claims.sig gets a statement on the
artifact ID for cosign's users. A signature by somebody else is never overwritten: a second signer's goes into
claims.sig too.`,
		Example: `  hallmark sign ./chat --private-key trainer.key
  hallmark sign ./corpus --kind dataset --private-key data.key --ignore-paths cache
  hallmark sign ./chat --private-key leaf.key --signing-certificate leaf.pem --certificate-chain intermediate.pem
  hallmark sign registry.example/llm/chat@sha256:… --private-key trainer.key
  hallmark sign ./chat --identity-token-file token --trusted-root trusted_root.json --signing-config signing_config.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := findPlace(args[0])
			if err != nil {
				return err
			}
			k, err := attestations.ParseKind(kind)
			if err != nil {
				return usagef("--kind: %w", err)
			}
			o := manifest.Options{IgnorePaths: list.IgnorePaths, AllowSymlinks: list.AllowSymlinks, Signature: list.Signature}
			if err := hash.apply(&o); err != nil {
				return err
			}
			if !at.onDisk() && (hash != hashFlags{Hash: string(hashing.SHA256)} || list.AllowSymlinks || len(list.IgnorePaths) > 0 || list.Signature != "") {
				return usagef("flags that choose or hash files are for files on disk: in a registry the manifest says it all")
			}
			by, err := with.load(s)
			if err != nil {
				return err
			}
			if at.onDisk() {
				return sign(c.Context(), s, at.path, o, k, by, out)
			}
			net.Timeout = with.Timeout
			return signReference(c.Context(), s, at.ref, net.options(), k, by, out)
		},
	}
	list.bind(c.Flags())
	list.bindSignature(c.Flags(), "`FILE` to write the signature to, instead of model.sig or FILE.sig")
	hash.bind(c.Flags())
	with.bind(c.Flags())
	net.bindRegistry(c.Flags())
	c.Flags().StringVar(&kind, "kind", string(attestations.KindModel), "what it is: `model`, adapter or dataset; recorded, part of no ID")
	out.bind(c.Flags(), "print the artifact ID alone")
	return c
}

func sign(ctx context.Context, s streams, path string, o manifest.Options, kind attestations.Kind, by signer.Signer, out output) error {
	if err := registry.RemoveLeftovers(ctx, path); err != nil {
		return err
	}
	m, err := build(ctx, s, path, o, out)
	if err != nil {
		return err
	}
	made, err := attestations.SignArtifact(ctx, m, kind, by)
	if err != nil {
		return err
	}
	written, err := registry.StoreSignature(ctx, path, o.Signature, made.Signature, [][]byte{made.ForCosign}, func(old attestations.Bundle) bool {
		before, err := attestations.Open(old, by.Roots())
		return err == nil && before.Signer().String() == made.Signer.String()
	})
	if err != nil {
		return err
	}
	return showSigned(s, path, written, made, kind, out)
}

// signReference signs what lies in a registry or layout, and attaches the evidence there.
func signReference(ctx context.Context, s streams, ref registry.Ref, o registry.Options, kind attestations.Kind, by signer.Signer, out output) error {
	stored, err := registry.Find(ctx, ref, o)
	if err != nil {
		return err
	}
	defer stored.Close()
	m, err := stored.List()
	if err != nil {
		return hintError{err, "hallmark copy --canonical republishes a ModelPack artifact of single files; else hallmark push puts the files there"}
	}
	made, err := attestations.SignArtifact(ctx, m, kind, by)
	if err != nil {
		return err
	}
	if err := stored.Attach(ctx, made.Signature, made.ForCosign); err != nil {
		return err
	}
	return showSigned(s, ref.String(), ref.Pinned(made.ID), made, kind, out)
}

func showSigned(s streams, what, where string, made attestations.Signed, kind attestations.Kind, out output) error {
	switch {
	case out.JSON:
		return writeJSON(s.out, struct {
			Schema    string `json:"schema"`
			ID        string `json:"id"`
			Kind      string `json:"kind"`
			Signature string `json:"signature"`
			Signer    any    `json:"signer"`
		}{"hallmark.signed/v1", made.ID, string(kind), where, made.Signer})
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, made.ID)
		return err
	}
	fmt.Fprintf(s.out, "signed     %s  %s  %s\n", printable(what), made.ID, kind)
	fmt.Fprintf(s.out, "by         %s\n", made.Signer)
	_, err := fmt.Fprintf(s.out, "signature  %s\n", printable(where))
	return err
}
