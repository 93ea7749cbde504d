package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// The exit codes. 2 is never used on purpose: a Go panic exits with it.
const (
	exitDone        = 0
	exitNo          = 1
	exitUnknown     = 3
	exitUsage       = 4
	exitInterrupted = 130
	exitTerminated  = 143
)

// usageError is wrong usage: what was typed cannot be meant.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// hintError carries a line of advice beside an error. A hint never suggests weakening a check.
type hintError struct {
	err  error
	hint string
}

func (e hintError) Error() string { return e.err.Error() }
func (e hintError) Unwrap() error { return e.err }

// refusal is input that was read and refused.
type refusal struct{ err error }

func (r refusal) Error() string { return r.err.Error() }
func (r refusal) Unwrap() error { return r.err }

// severalErrors are what went wrong with some of several artifacts, after each was printed.
type severalErrors struct{ errs []error }

func (e severalErrors) Error() string   { return errors.Join(e.errs...).Error() }
func (e severalErrors) Unwrap() []error { return e.errs }

// undecided is a decision that is not a yes, after it was printed.
type undecided struct {
	verdict policy.Verdict
	after   error // what went wrong since; it changes nothing of the decision
}

func (u undecided) Error() string { return "verdict: " + u.verdict.String() }

// exitCode is the one place where an exit code is made.
func exitCode(ctx context.Context, err error) int {
	var usage usageError
	var verdict undecided
	var refused *manifest.RefusedError
	var malformed *chain.MalformedError
	var stop stopped
	var several severalErrors
	var refusedInput refusal
	var ended commandEnded
	var failed runFailed
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &ended) && !errors.As(err, &failed):
		return ended.code
	case ctx.Err() != nil && errors.As(context.Cause(ctx), &stop):
		if stop.signal == syscall.SIGTERM {
			return exitTerminated
		}
		return exitInterrupted
	case errors.As(err, &failed):
		return exitRun
	case errors.As(err, &several): // the worst, which has the highest number
		worst := exitUnknown
		for i, e := range several.errs {
			if code := exitCode(ctx, e); i == 0 || code > worst {
				worst = code
			}
		}
		return worst
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &verdict) && verdict.verdict == policy.No, errors.As(err, &refused), errors.As(err, &malformed),
		errors.As(err, &refusedInput):
		return exitNo
	}
	return exitUnknown
}
