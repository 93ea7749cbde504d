package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// testedResult is what policy test prints as JSON: hallmark.tested/v1.
type testedResult struct {
	Schema string       `json:"schema"`
	Policy string       `json:"policy"` // digest
	Cases  []testedCase `json:"cases"`
}

// testedCase is how one case came out.
type testedCase struct {
	Name    string          `json:"name"`
	Passed  bool            `json:"passed"`
	Expect  policy.Verdict  `json:"expect"`
	Want    []policy.Reason `json:"wantReasons"`
	Verdict policy.Verdict  `json:"verdict"`
	Reasons []policy.Reason `json:"reasons"`

	decisions []policy.Decision
}

func newPolicyTest(s streams) *cobra.Command {
	var whom trustFlags
	var out output
	c := &cobra.Command{
		Use:   "test POLICY [TABLE]",
		Short: "Hold a policy to a table of fixtures and expected decisions",
		Long: `Decide on each case of a table by the policy, at the time that the case says, and compare verdict and reasons with what
is expected. TABLE lies beside the policy by default: prod.test.yaml for prod.yaml. Nothing is dialled and nothing is
remembered. Exit code 0: all as expected; 1: not all.

  apiVersion: hallmark/v1
  kind: PolicyTest
  now: 2026-11-20
  cases:
    - {name: good, artifact: fixtures/chat, evidence: [fixtures/base], expect: yes}
    - {name: old tests, artifact: fixtures/chat, evidence: [fixtures/base], now: 2027-02-20, expect: no, reasons: [stale]}

A case may also have revocations, a file of lists in place of where the policy finds them; state, a folder of what was
remembered; and floors, as {prod: 3}. Reasons are all that the decision has.`,
		Example: `  hallmark policy test prod.yaml
  hallmark policy test prod.yaml cases/nightly.yaml --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := onDiskOnly(args[0])
			if err != nil {
				return err
			}
			p, err := (&policySource{}).load(c.Context(), args[0], registry.Options{Offline: true})
			if err != nil {
				return err
			}
			at := strings.TrimSuffix(path, filepath.Ext(path)) + ".test.yaml"
			if len(args) == 2 {
				at = args[1]
			}
			raw, err := readAtMost(at, policy.MaxFile)
			if err != nil {
				return fmt.Errorf("read table: %w", err)
			}
			table, err := policy.LoadTable(raw, at)
			if err != nil {
				return err
			}
			run := tester{policy: p, dir: filepath.Dir(at)}
			if run.sigstore, err = p.sigstore(&whom); err != nil {
				return err
			}
			r, err := run.all(c.Context(), table)
			if err != nil {
				return err
			}
			return showTested(s, r, out)
		},
	}
	c.Flags().StringVar(&whom.TrustedRoot, "trusted-root", "", "Sigstore trusted_root.json `FILE`, instead of the imported one: where the policy trusts keyless signers, or keys with a window")
	bindTrustDir(c.Flags(), &whom.TrustDir)
	out.bind(c.Flags(), "print failed cases alone")
	return c
}

// tester decides on the cases of a table.
type tester struct {
	policy   *policyFile
	dir      string // of the table
	sigstore *trust.Sigstore
}

func (t *tester) all(ctx context.Context, table *policy.Table) (testedResult, error) {
	r := testedResult{Schema: "hallmark.tested/v1", Policy: t.policy.doc.Digest}
	for _, c := range table.Cases {
		got, err := t.one(ctx, c)
		if err != nil {
			return r, fmt.Errorf("case %q: %w", c.Name, err)
		}
		r.Cases = append(r.Cases, got)
	}
	return r, nil
}

// one decides on a case. Of a set that is used together the worst verdict counts, and every reason.
func (t *tester) one(ctx context.Context, c policy.Case) (testedCase, error) {
	out := testedCase{Name: c.Name, Expect: c.Expect, Want: slices.Clip(append([]policy.Reason{}, c.Reasons...)), Verdict: policy.Yes, Reasons: []policy.Reason{}}
	lib, err := registry.OpenLibrary(registry.LibraryOptions{Paths: t.paths(c.Evidence), Registry: registry.Options{Offline: true}, Sources: t.policy.doc.Sources})
	if err != nil {
		return out, err
	}
	defer lib.Close()
	o := chain.PolicyOptions{Sigstore: t.sigstore, Now: func() time.Time { return c.Now }, Floors: c.Floors}
	if lists := t.policy.lists(registry.Options{Offline: true}); lists != nil {
		o.Revocations = []chain.Source{lib.Lists(*lists)}
		if c.Revocations != "" {
			lists.From, lists.Dir = "./"+filepath.Base(c.Revocations), filepath.Dir(t.path(c.Revocations))
			o.Revocations = []chain.Source{lists}
		}
	}
	if c.State != "" {
		if o.State, err = (registry.States{Dir: t.path(c.State)}).Load(t.policy.doc.Name); err != nil {
			return out, err
		}
	}
	var targets []chain.Target
	for _, path := range t.paths(c.Artifacts) {
		targets = append(targets, chain.Target{Artifact: &chain.Files{Path: path}, Sources: []chain.Source{registry.Beside{Path: path}}})
	}
	if out.decisions, _, err = chain.VerifyPolicy(ctx, targets, lib, t.policy.doc, o); err != nil {
		return out, err
	}
	for _, d := range out.decisions {
		out.Verdict = min(out.Verdict, d.Verdict())
		out.Reasons = append(out.Reasons, d.Reasons()...)
	}
	slices.Sort(out.Reasons)
	out.Reasons = slices.Compact(out.Reasons)
	out.Passed = out.Verdict == c.Expect && slices.Equal(out.Reasons, c.Reasons)
	return out, nil
}

func (t *tester) path(name string) string { return filepath.Join(t.dir, filepath.FromSlash(name)) }

func (t *tester) paths(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = t.path(n)
	}
	return out
}

// showTested prints how the cases came out; one that failed is a no.
func showTested(s streams, r testedResult, out output) error {
	failed := 0
	for _, c := range r.Cases {
		if !c.Passed {
			failed++
		}
	}
	if out.JSON {
		if err := writeJSON(s.out, r); err != nil {
			return err
		}
	} else if err := writeTested(s, r, out); err != nil {
		return err
	}
	if failed > 0 {
		return refusal{fmt.Errorf("%d of %d cases are not decided as expected", failed, len(r.Cases))}
	}
	return nil
}

func writeTested(s streams, r testedResult, out output) error {
	var errs []error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(s.out, format, args...)
		errs = append(errs, err)
	}
	for _, c := range r.Cases {
		switch {
		case !c.Passed:
			say("failed   %s: expected %s, is %s\n", printable(c.Name), came(c.Expect, c.Want), came(c.Verdict, c.Reasons))
			for _, d := range c.decisions {
				writeDecision(s.out, d, false)
			}
		case !out.Quiet:
			say("ok       %s: %s\n", printable(c.Name), came(c.Verdict, c.Reasons))
		}
	}
	return errors.Join(errs...)
}

// came is a verdict with its reasons.
func came(v policy.Verdict, reasons []policy.Reason) string {
	words := v.String()
	for i, r := range reasons {
		if i == 0 {
			words += " because of"
		}
		words += " " + string(r)
	}
	return words
}
