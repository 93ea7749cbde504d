package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
)

func newPull(s streams) *cobra.Command {
	var whom trustFlags
	var thresholds thresholdFlags
	var net networkFlags
	var out output
	c := &cobra.Command{
		Use:   "pull REF DIR",
		Short: "Verify an artifact in a registry or OCI layout, then fetch it",
		Long: `Verify first, as hallmark verify REF does, then fetch the files into DIR, which must not exist yet. Every byte is
checked against its digest while it is written, and DIR gets its name only when all is right. Of the evidence, only
what opened against your trust is written.`,
		Example: `  hallmark pull registry.example/llm/chat:prod ./chat --public-key trainer.pub`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			var p policy.Policy
			if err := thresholds.apply(&p); err != nil {
				return err
			}
			roots, p, err := whom.load(p)
			if err != nil {
				return err
			}
			ref, err := registry.ParseRef(args[0])
			if err != nil {
				return usageError{err}
			}
			d, stored, err := verifyReference(c.Context(), ref, roots, p, net.options())
			if err != nil {
				return err
			}
			if d.Verdict() != policy.Yes {
				return showDecision(s, d, shownAs{output: out})
			}
			bar := newProgress(s, "pulled", out)
			defer bar.stop()
			if err := stored.Fetch(c.Context(), d, roots, args[1], registry.FetchOptions{Progress: bar.update, Events: events(s, out)}); err != nil {
				return err
			}
			bar.stop()
			if err := showDecision(s, d, shownAs{output: out}); err != nil {
				return err
			}
			if !out.JSON && !out.Quiet {
				_, err = fmt.Fprintf(s.out, "pulled   %s\n", printable(args[1]))
			}
			return err
		},
	}
	whom.bind(c.Flags())
	thresholds.bind(c.Flags())
	net.bind(c.Flags())
	out.bind(c.Flags(), "print the pinned reference alone")
	return c
}
