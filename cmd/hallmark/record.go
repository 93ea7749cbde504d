package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry/index"
)

// recordFlags is which index hears of decisions.
type recordFlags struct {
	Index string
}

func (r *recordFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&r.Index, "index", "", "also record the decision in the index that is there: a SQLite `FILE`, or postgres://…")
}

// afterwards records decisions that were printed with the result decided.
func (r *recordFlags) afterwards(ctx context.Context, decided error, decisions []policy.Decision, digest string) error {
	err := r.record(ctx, decisions, digest)
	var no undecided
	if err != nil && errors.As(decided, &no) {
		no.after = err
		return no
	}
	return errors.Join(decided, err)
}

// record sends decisions under the policy with this digest to the index, where one is named; empty: the digest of what
// the policy asks, in words. Decisions on what has no artifact ID are not recorded: nothing could be found by them.
func (r *recordFlags) record(ctx context.Context, decisions []policy.Decision, digest string) error {
	if r.Index == "" {
		return nil
	}
	var entries []index.Entry
	for _, d := range decisions {
		if d.Artifact.ID != "" {
			entries = append(entries, index.Verdict{Decision: d, Policy: digest})
		}
	}
	x, err := index.Open(ctx, r.Index, index.Options{})
	if err == nil {
		_, err = x.Record(ctx, entries...)
		err = errors.Join(err, x.Close())
	}
	if err != nil {
		return indexHint(fmt.Errorf("record the decision in %s: %w", index.Redacted(r.Index), err))
	}
	return nil
}
