package audit

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/registry"
)

// Defaults of Options.
const (
	DefaultWorkers = 8
	DefaultWithin  = 30 * 24 * time.Hour
)

// Options says how to audit. The zero Options asks eight at a time, looks 30 days ahead and remembers nothing.
type Options struct {
	Registry  registry.Options
	Elsewhere chain.Library    // finds inputs that the audited repositories do not hold; nil: nothing does
	Simulate  *Judge           // every artifact is decided on by this one too; nil: none
	Workers   int              // artifacts at a time; 0: DefaultWorkers
	Within    time.Duration    // how far to look ahead; 0: DefaultWithin
	Now       func() time.Time // the clock, read once; nil: time.Now
	Program   string           // which program this is: verdicts of another are not used again

	State  *State // what is remembered between audits; nil: nothing
	Resume bool   // go on where an audit with the same State was interrupted

	Row      func(Row) error                     // takes each row as it comes, one at a time; its error ends the audit; nil: nobody
	Progress func(doing string, done, total int) // "listed" or "decided"; one call at a time; nil: nobody
}

// Report is what an audit found.
type Report struct {
	At        time.Time // the time that everything was decided at
	Horizon   time.Time // how far it looked ahead
	Scopes    []string
	Judge     string // what was asked, in words
	Simulated string // what Options.Simulate asks, in words
	Rows      []Row  // by repository, digest and tags
	Totals    Totals

	judge *Judge
}

// audit is one run.
type audit struct {
	o       Options
	judge   *Judge
	now     time.Time
	horizon time.Time
	found   *inventory
	library *shelves
	ground  string // empty: no verdict is used again
	past    *past

	mu   sync.Mutex // of what follows, and of calls to the caller
	rows []Row
}

// Run decides on everything in scopes by j. What cannot be read is a row; the error is that nobody is to be audited, that
// State cannot be read or written, that Options.Row failed, or the end of ctx. What was decided until then is in State, and
// an audit with Resume goes on from there.
func Run(ctx context.Context, scopes []registry.Scope, j Judge, o Options) (*Report, error) {
	if len(scopes) == 0 {
		return nil, errors.New("audit: there is nothing to look at")
	}
	a := &audit{o: o, judge: j.prepare(), now: time.Now()}
	if o.Now != nil {
		a.now = o.Now()
	}
	a.now = a.now.UTC().Round(0)
	within := o.Within
	if within <= 0 {
		within = DefaultWithin
	}
	a.horizon = a.now.Add(within)
	if o.Simulate != nil {
		a.o.Simulate = o.Simulate.prepare()
	}
	var closeAll func()
	a.o.Registry, closeAll = o.Registry.Shared()
	defer closeAll()
	var err error
	if a.ground, err = a.judge.ground(ctx, o.Program, a.now); err != nil {
		return nil, err
	}
	if a.past, err = o.State.open(o.Resume); err != nil {
		return nil, err
	}
	defer a.past.close()
	if err := a.look(ctx, scopes); err != nil {
		a.found.close()
		return nil, err
	}
	defer a.found.close()
	a.library = &shelves{found: a.found, other: o.Elsewhere}
	if err := a.decideAll(ctx); err != nil {
		return nil, err
	}
	return a.report(ctx, scopes)
}

func (a *audit) workers() int {
	if a.o.Workers > 0 {
		return a.o.Workers
	}
	return DefaultWorkers
}

// report makes the report, and has State remember.
func (a *audit) report(ctx context.Context, scopes []registry.Scope) (*Report, error) {
	slices.SortFunc(a.rows, func(x, y Row) int { return compareRows(&x, &y) })
	r := &Report{At: a.now, Horizon: a.horizon, Judge: a.judge.String(), Rows: a.rows, judge: a.judge}
	for _, s := range scopes {
		r.Scopes = append(r.Scopes, s.String())
	}
	if a.o.Simulate != nil {
		r.Simulated = a.o.Simulate.String()
	}
	r.Totals = a.total()
	ends, err := a.judge.listEnds(ctx, a.now, a.horizon)
	if err != nil {
		return nil, err
	}
	if !ends.IsZero() {
		r.Totals.Ending = append(r.Totals.Ending, Ending{"list of what is revoked", ends})
		sortEndings(r.Totals.Ending)
	}
	return r, a.past.finish(a.found.repos)
}

// emit hands out a row.
func (a *audit) emit(row Row) error {
	row.Tags, row.Signers, row.Strangers = sorted(row.Tags), sorted(row.Signers), sorted(row.Strangers)
	row.Predicates, row.Revoked = sorted(row.Predicates), sorted(row.Revoked)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, row)
	if a.o.Row != nil {
		return a.o.Row(row)
	}
	return nil
}

func (a *audit) progress(doing string, done, total int) {
	if a.o.Progress != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.o.Progress(doing, done, total)
	}
}

// judging is how many artifacts are decided on at a time: that is waiting as well as work.
func (a *audit) judging() int { return max(a.workers(), runtime.GOMAXPROCS(0)) }
