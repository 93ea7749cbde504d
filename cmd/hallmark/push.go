package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/registry"
)

func newPush(s streams) *cobra.Command {
	var list listFlags
	var net networkFlags
	var out output
	var mountFrom []string
	var attachRefusals bool
	c := &cobra.Command{
		Use:   "push ARTIFACT REF",
		Short: "Put an artifact and its evidence into a registry or OCI layout",
		Long: `Put a file or directory under its canonical manifest, whose digest is the artifact ID, and its evidence as
referrers. The tag moves last. Exclusions that model.sig records are kept. Statements that say no stay behind unless
--attach-refusals is given.`,
		Example: `  hallmark push ./chat registry.example/llm/chat:v1
  hallmark push ./chat oci:./layout:v1`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := onDiskOnly(args[0])
			if err != nil {
				return err
			}
			ref, err := registry.ParseRef(args[1])
			if err != nil {
				return usageError{err}
			}
			var o manifest.Options
			if err := recorded(s, path, list, &o); err != nil {
				return err
			}
			evidence, err := registry.Beside{Path: path, Options: registry.EvidenceOptions{Signature: list.Signature}}.Evidence(c.Context())
			if err != nil {
				return err
			}
			if !attachRefusals {
				var refusals []chain.Item
				if evidence, refusals = registry.SplitRefusals(evidence); len(refusals) > 0 {
					fmt.Fprintf(s.err, "hallmark: not attached: %s, for other tools take any statement by a trusted key for a yes (--attach-refusals)\n",
						count(len(refusals), "statement that says no", "statements that say no"))
				}
			}
			hashed, sent := newProgress(s, "hashed", out), newProgress(s, "pushed", out)
			defer sent.stop()
			defer hashed.stop()
			o.Progress = hashed.update
			pushed, err := registry.PublishFiles(c.Context(), path, o, evidence, ref, registry.PublishOptions{Options: net.options(), PushOptions: registry.PushOptions{
				Progress: func(done, total int64) {
					hashed.stop()
					sent.update(done, total)
				},
				Events: events(s, out), MountFrom: mountFrom,
			}})
			hashed.stop()
			sent.stop()
			if err != nil {
				return err
			}
			return showPushed(s, pushed, out)
		},
	}
	list.bind(c.Flags())
	list.bindSignature(c.Flags(), "signature `FILE`, instead of model.sig or FILE.sig")
	c.Flags().StringArrayVar(&mountFrom, "mount-from", nil, "repository `NAME` of the same registry that may have the blobs already (repeats)")
	bindAttachRefusals(c.Flags().BoolVar, &attachRefusals)
	net.bind(c.Flags())
	out.bind(c.Flags(), "print the pinned reference alone")
	return c
}

func showPushed(s streams, p registry.Published, out output) error {
	switch {
	case out.JSON:
		return writeJSON(s.out, struct {
			Schema   string `json:"schema"`
			Pinned   string `json:"pinned"`
			ID       string `json:"id"`
			Tag      string `json:"tag,omitempty"`
			Evidence int    `json:"evidence"`
		}{"hallmark.pushed/v1", p.Pinned, p.ID, p.Tag, p.Evidence})
	case out.Quiet:
		_, err := fmt.Fprintln(s.out, p.Pinned)
		return err
	}
	fmt.Fprintf(s.out, "pushed    %s\n", p.Pinned)
	if p.Tag != "" {
		fmt.Fprintf(s.out, "tag       %s\n", p.Tag)
	}
	_, err := fmt.Fprintf(s.out, "evidence  %s attached\n", count(p.Evidence, "bundle", "bundles"))
	if p.Evidence == 0 {
		hint(s.err, "nobody who verifies it will say yes: sign it with hallmark sign, then push again")
	}
	return err
}
