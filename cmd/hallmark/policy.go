package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/policy/rule"
)

func newPolicy(s streams) *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check, test and explain policies over a chain",
		Long: `A policy file says who is trusted for what: who may sign, who may say how something was made, which tests and approvals
have to be there, and what each input has to pass itself. pkg/policy/README.md describes every key.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPolicyInit(s), newPolicyLint(s), newPolicyTest(s), newPolicyExplain(s), newPolicyInputs(s))
	return c
}

// lintResult is what policy lint prints as JSON: hallmark.linted/v1.
type lintResult struct {
	Schema   string           `json:"schema"`
	Policy   *lintedPolicy    `json:"policy,omitempty"`
	Refused  *lintRefusal     `json:"refused,omitempty"`
	Warnings []policy.Warning `json:"warnings"`
}

// lintedPolicy is a policy that holds together.
type lintedPolicy struct {
	Name    string     `json:"name"`
	Version uint64     `json:"version"`
	Digest  string     `json:"digest"`
	Expires *time.Time `json:"expires,omitempty"`
}

// lintRefusal is where one does not.
type lintRefusal struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func newPolicyLint(s streams) *cobra.Command {
	var source policySource
	var net networkFlags
	var out output
	var strict bool
	c := &cobra.Command{
		Use:   "lint POLICY",
		Short: "Say whether a policy holds together, and what in it may be a mistake",
		Long: `Read a policy file as verify would, and warn of what holds together and may still be a mistake: patterns, no end or one
that is near, keys without end, waivers that ended, evidence that counts however old it is, no revocations, targets
without release. A policy that is refused is exit code 3, with line, column and what to write instead; warnings alone
are 0, and 1 with --strict.

POLICY is a file, or HOST/NAME:TAG, HOST/NAME@sha256:… or oci:DIR[:TAG] of an artifact that is one.`,
		Example: `  hallmark policy lint prod.yaml
  hallmark policy lint prod.yaml --strict --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := source.load(c.Context(), args[0], net.options())
			if err != nil {
				return showRefused(s, err, out)
			}
			warnings := p.doc.Warnings(time.Now())
			if err := showLint(s, p.doc, warnings, out); err != nil {
				return err
			}
			if strict && len(warnings) > 0 {
				return refusal{fmt.Errorf("%s: %s, and --strict", printable(args[0]), count(len(warnings), "warning", "warnings"))}
			}
			return nil
		},
	}
	source.bind(c.Flags())
	net.bind(c.Flags())
	c.Flags().BoolVar(&strict, "strict", false, "warnings are exit code 1")
	out.bind(c.Flags(), "print warnings alone")
	return c
}

// showRefused prints why a policy is refused where JSON is asked for, and returns err.
func showRefused(s streams, err error, out output) error {
	var refused *policy.LoadError
	if !out.JSON || !errors.As(err, &refused) {
		return err
	}
	message := refused.Message
	if refused.Err != nil {
		message += ": " + refused.Err.Error()
	}
	r := lintResult{Schema: "hallmark.linted/v1", Refused: &lintRefusal{refused.Line, refused.Column, message, refused.Hint}, Warnings: []policy.Warning{}}
	return errors.Join(err, writeJSON(s.out, r))
}

func showLint(s streams, d *policy.Document, warnings []policy.Warning, out output) error {
	if out.JSON {
		r := lintResult{Schema: "hallmark.linted/v1", Policy: &lintedPolicy{Name: d.Name, Version: d.Version, Digest: d.Digest}, Warnings: warnings}
		if !d.Expires.IsZero() {
			r.Policy.Expires = &d.Expires
		}
		if warnings == nil {
			r.Warnings = []policy.Warning{}
		}
		return writeJSON(s.out, r)
	}
	for _, w := range warnings {
		where := ""
		if w.Where != "" {
			where = w.Where + ": "
		}
		if _, err := fmt.Fprintf(s.out, "warning  %-14s  %s%s\n", w.Code, printable(where), printable(w.Message)); err != nil {
			return err
		}
	}
	if out.Quiet {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "ok       %s version %d  %s\n", d.Name, d.Version, d.Digest)
	return err
}

func newPolicyExplain(s streams) *cobra.Command {
	var source policySource
	var net networkFlags
	c := &cobra.Command{
		Use:   "explain POLICY",
		Short: "Say a policy in words",
		Long: `Say in words what a policy asks: who is who, where lists of what is revoked and evidence are found, and for each step
what must hold.`,
		Example: `  hallmark policy explain prod.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := source.load(c.Context(), args[0], net.options())
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(s.out, p.doc.Explain())
			return err
		},
	}
	source.bind(c.Flags())
	net.bind(c.Flags())
	return c
}

func newPolicyInputs(s streams) *cobra.Command {
	return &cobra.Command{
		Use:     "inputs",
		Short:   "Print the JSON Schema of what a policy's rules see",
		Example: `  hallmark policy inputs`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := s.out.Write(rule.InputSchema)
			return err
		},
	}
}
