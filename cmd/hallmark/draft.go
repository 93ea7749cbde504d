package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// draftFlags is a draft from another machine, and what this one makes of it.
type draftFlags struct {
	Statement string
	As        string
}

func (d *draftFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&d.Statement, "statement", "", "draft `FILE` by hallmark run --unsigned, to be made a statement of this signer's")
	f.StringVar(&d.As, "as", "", "YAML `FILE` that says what is stated of it and which inputs are allowed")
}

// sign states what a draft amounts to on the terms of --as. Where the artifact is at hand, its ID must be the draft's.
func (d *draftFlags) sign(ctx context.Context, s streams, of *artifactFlags, with signFlags, args []string, out output) error {
	switch {
	case d.Statement == "" || d.As == "":
		return usagef("--statement and --as need each other: a draft says nothing by itself")
	case of.hash != hashFlags{Hash: string(hashing.SHA256)}:
		return usagef("flags that hash files are for signatures: a statement is on the artifact ID")
	case len(args) > 1:
		return usagef("--statement is about one artifact, and there are %d", len(args))
	}
	raw, err := readAtMost(d.As, attestations.MaxTerms)
	if err != nil {
		return err
	}
	terms, err := attestations.ParseTerms(raw)
	if err != nil {
		return usagef("--as %s: %w", d.As, err)
	}
	if raw, err = readAtMost(d.Statement, attestations.MaxBundle); err != nil {
		return err
	}
	draft, err := attestations.ParseStatement(raw)
	if err != nil {
		return refusal{fmt.Errorf("%s: %w", d.Statement, err)}
	}
	on, p, err := terms.Restate(draft, now())
	if err != nil {
		return refusal{fmt.Errorf("%s: %w", d.Statement, err)}
	}
	p.RunDetails.Builder.Version = map[string]string{"hallmark": version()}
	f := &claimFlags{list: of.list, net: of.net, with: with, kind: string(terms.Kind()), out: out}
	c := &claimed{on: on, path: filepath.Clean(d.Statement)} // the statement goes beside the draft
	if len(args) == 1 {
		if c, err = f.find(ctx, s, args[0]); err != nil {
			return err
		}
		if c.on.ID != on.ID {
			return errors.Join(refusal{fmt.Errorf("%s is about %s, and %s is %s", d.Statement, on.ID, printable(args[0]), c.on.ID)}, c.close())
		}
	}
	return errors.Join(f.state(ctx, s, c, p), c.close())
}
