package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
)

func newApprove(s streams) *cobra.Command {
	var f claimFlags
	var decision, expires, reason string
	var scope, evidence []string
	c := &cobra.Command{
		Use:   "approve ARTIFACT|REF --decision approved|rejected --scope SCOPE --evidence DIGEST --expires TIME",
		Short: "State that somebody reviewed an artifact's evidence and decided",
		Long: `Sign an approval or a rejection of an artifact: for what, on which evidence, until when. Evidence is named by the bundles'
own names, as hallmark inspect and hallmark show print them, and has to lie with the artifact. A rejection is not attached
in a registry unless --attach-refusals says so.`,
		Example: `  hallmark approve ./chat --decision approved --scope production --evidence sha256:… --expires 2160h --private-key reviewer.key
  hallmark approve ./chat --decision rejected --scope production --reason 'fails on medical advice' --private-key reviewer.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a := attestations.Approval{Decision: attestations.ApprovalDecision(decision), Scope: scope, Evidence: evidence, Reason: reason, DecidedOn: now()}
			if a.Evidence == nil {
				a.Evidence = []string{}
			}
			if expires != "" {
				var err error
				if a.Expires, err = parseUntil(expires, a.DecidedOn); err != nil {
					return usagef("--expires: %w", err)
				}
			}
			if err := a.Check(); err != nil {
				return withUsage(c, err)
			}
			found, err := f.find(c.Context(), s, args[0])
			if err != nil {
				return err
			}
			for _, name := range evidence {
				if !found.has(name) {
					err := refusal{fmt.Errorf("approve %s: no bundle %s lies with it, so nobody reviewed that here", printable(args[0]), name)}
					return errors.Join(hintError{err, "hallmark inspect " + shellWord(args[0]) + " names the bundles"}, found.close())
				}
			}
			return errors.Join(f.state(c.Context(), s, found, a), found.close())
		},
	}
	f.bind(c)
	c.Flags().StringVar(&decision, "decision", "", "`DECISION`: approved or rejected")
	c.Flags().StringArrayVar(&scope, "scope", nil, "what it is for, such as `production` (repeats)")
	c.Flags().StringArrayVar(&evidence, "evidence", nil, "own name of a bundle that was reviewed, `sha256:…` (repeats)")
	c.Flags().StringVar(&expires, "expires", "", "`TIME` until which it holds: RFC 3339, a date, or a duration such as 2160h")
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` for people")
	return c
}

// parseUntil reads a time, a date (its first second, UTC), or a duration from a time on.
func parseUntil(s string, from time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil {
		return from.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time (2027-01-31T00:00:00Z), date (2027-01-31) or duration (2160h)", s)
}
