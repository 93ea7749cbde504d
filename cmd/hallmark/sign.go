package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

func newSign(s streams) *cobra.Command {
	var list listFlags
	var hash hashFlags
	var with signFlags
	var out output
	var kind string
	c := &cobra.Command{
		Use:   "sign ARTIFACT",
		Short: "Sign a model, adapter or dataset on disk",
		Long: `Sign a file or a directory as OpenSSF Model Signing v1.0 does: DIR/model.sig, or FILE.sig beside a single file.

The bundle is opened again with full checks before it takes its name. Beside it, claims.sig gets a statement on the
artifact ID for cosign's users. A signature by somebody else is never overwritten: a second signer's goes into
claims.sig too.`,
		Example: `  hallmark sign ./chat --private-key trainer.key
  hallmark sign ./corpus --kind dataset --private-key data.key --ignore-paths cache
  hallmark sign ./chat --private-key leaf.key --signing-certificate leaf.pem --certificate-chain intermediate.pem
  hallmark sign ./chat --identity-token-file token --trusted-root trusted_root.json --signing-config signing_config.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := onDiskOnly(args[0])
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
			by, err := with.load(s)
			if err != nil {
				return err
			}
			return sign(c.Context(), s, path, o, k, by, out)
		},
	}
	list.bind(c.Flags())
	list.bindSignature(c.Flags(), "`FILE` to write the signature to, instead of model.sig or FILE.sig")
	hash.bind(c.Flags())
	with.bind(c.Flags())
	c.Flags().StringVar(&kind, "kind", string(attestations.KindModel), "what it is: `model`, adapter or dataset; recorded, part of no ID")
	out.bind(c.Flags(), "print the artifact ID alone")
	return c
}

func sign(ctx context.Context, s streams, path string, o manifest.Options, kind attestations.Kind, by signer.Signer, out output) error {
	m, err := build(ctx, s, path, o, out)
	if err != nil {
		return err
	}
	id, err := m.ID()
	if err != nil {
		return err
	}
	statement, err := attestations.NewSignature(m, kind)
	if err != nil {
		return err
	}
	forCosign, err := attestations.NewCosignStatement(id)
	if err != nil {
		return err
	}
	signature, opened, err := attestations.Sign(ctx, statement, by)
	if err != nil {
		return err
	}
	claim, _, err := attestations.Sign(ctx, forCosign, by)
	if err != nil {
		return err
	}
	written, err := registry.StoreSignature(ctx, path, o.Signature, signature, [][]byte{claim}, func(old attestations.Bundle) bool {
		before, err := attestations.Open(old, by.Roots())
		return err == nil && before.Signer().String() == opened.Signer().String()
	})
	if err != nil {
		return err
	}
	switch {
	case out.JSON:
		return writeJSON(s.out, struct {
			Schema    string `json:"schema"`
			ID        string `json:"id"`
			Kind      string `json:"kind"`
			Signature string `json:"signature"`
			Signer    any    `json:"signer"`
		}{"hallmark.signed/v1", id, string(kind), written, opened.Signer()})
	case out.Quiet:
		_, err = fmt.Fprintln(s.out, id)
		return err
	}
	fmt.Fprintf(s.out, "signed     %s  %s  %s\n", printable(path), id, kind)
	fmt.Fprintf(s.out, "by         %s\n", opened.Signer())
	_, err = fmt.Fprintf(s.out, "signature  %s\n", printable(written))
	return err
}
