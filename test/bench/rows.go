package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// startUp is the row that measures no data: how long a tool takes to start and say its version.
const startUp = "startup"

// startUpRuns is how often start-up is measured: it takes milliseconds, and the machine's noise is as large.
const startUpRuns = 30

// report is everything that was measured: hallmark.bench/v1.
type report struct {
	Schema  string   `json:"schema"`
	Machine machine  `json:"machine"`
	Runs    int      `json:"runs"`
	Scale   int      `json:"scale"`
	Tools   []*tool  `json:"tools"`
	Rows    []*row   `json:"rows"`
	Targets []target `json:"targets"`
	Notes   []string `json:"notes"`
}

// note adds a note, once.
func (r *report) note(words string) {
	if !slices.Contains(r.Notes, words) {
		r.Notes = append(r.Notes, words)
	}
}

// machine is what the numbers hold for.
type machine struct {
	OS     string `json:"os"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"` // bytes; -1: not known
}

func newMachine() machine {
	return machine{OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: "unknown CPU", Cores: runtime.NumCPU(), Memory: -1}
}

// row is one operation on one dataset, by every tool that does such a thing.
type row struct {
	Data      string    `json:"data"`
	Operation operation `json:"operation"`
	Files     int       `json:"files"`
	Bytes     int64     `json:"bytes"` // of all files
	Entries   []*entry  `json:"entries"`
}

// entry is one tool in one row.
type entry struct {
	Tool     string    `json:"tool"`
	Peer     bool      `json:"peer"`
	Seconds  []float64 `json:"seconds"`  // every run's time, in order
	Median   float64   `json:"median"`   // seconds
	Ratio    float64   `json:"ratio"`    // its median to hallmark's: above 1 hallmark is faster; 0: not known
	Cores    float64   `json:"cores"`    // used on average, in the median of the runs
	PeakRSS  int64     `json:"peakRSS"`  // bytes, the highest of all runs; -1: not known
	PeakAnon int64     `json:"peakAnon"` // likewise
	Reason   string    `json:"reason,omitempty"`

	task *task
	wall []time.Duration
	cpu  []time.Duration
}

func (e *entry) median() time.Duration { return median(e.wall) }

// entry returns what was measured of a tool, or nil if it has no number in this row.
func (r *row) entry(tool string) *entry {
	for _, e := range r.Entries {
		if e.Tool == tool && e.Reason == "" {
			return e
		}
	}
	return nil
}

// measure makes one dataset after the other and measures the rows that were asked for.
func (b *bench) measure(ctx context.Context, s settings) (*report, error) {
	r := &report{Schema: "hallmark.bench/v1", Machine: describeMachine(), Runs: s.runs, Scale: s.scale, Tools: b.tools}
	if s.wants(startUp, start) {
		measured, err := b.measureRow(ctx, &dataset{Name: startUp, dir: b.dir}, start, startUpRuns)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, measured)
	}
	for _, d := range datasets(s.scale) {
		if err := b.measureDataset(ctx, s, d, r); err != nil {
			return nil, fmt.Errorf("data %s: %w", d.Name, err)
		}
	}
	return r, nil
}

func (b *bench) measureDataset(ctx context.Context, s settings, d *dataset, r *report) (err error) {
	var wanted []operation
	for _, op := range d.operations {
		if s.wants(d.Name, op) {
			wanted = append(wanted, op)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	b.say("%s: making %s", d.Name, describeData(d.Files, d.bytes()))
	if free := availableMemory(); free >= 0 && !d.sparse && free < d.bytes()+d.bytes()/4 {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: %s of memory are free, too little to keep the data in the page cache: its rows measure the disk too",
			d.Name, formatBytes(free)))
	}
	defer func() { err = errors.Join(err, d.remove()) }()
	if slices.ContainsFunc(wanted, operation.remote) {
		if err := b.far.start(ctx); err != nil {
			return err
		}
		r.note(loopbackNote)
	}
	if err := d.generate(ctx, b.dir); err != nil {
		return err
	}
	if err := d.warm(ctx); err != nil {
		return err
	}
	for _, op := range wanted {
		runs := s.runs
		if op == verifyRef {
			runs = max(runs, startUpRuns)
		}
		measured, err := b.measureRow(ctx, d, op, runs)
		if err != nil {
			return err
		}
		r.Rows = append(r.Rows, measured)
	}
	return nil
}

// measureRow lets the tools take turns. One that is missing or fails stays in the row with the reason; the error is
// for what concerns them all: an interrupt, or data that could not be put back as it was.
func (b *bench) measureRow(ctx context.Context, d *dataset, op operation, runs int) (r *row, err error) {
	r = b.newRow(d, op)
	entries := r.Entries // an error returns no row, and is cleaned up after all the same
	if op.remote() {
		defer func() { err = errors.Join(err, b.far.clear(d)) }()
		if err := b.far.stage(ctx, op, d); err != nil {
			for _, e := range entries {
				e.fail(err)
			}
		}
	}
	defer func() {
		for _, e := range entries {
			if e.task.cleanup != nil {
				err = errors.Join(err, e.task.cleanup())
			}
		}
	}()
	for _, e := range entries {
		if e.Reason == "" && e.task.prepare != nil {
			e.fail(e.task.prepare(ctx))
		}
	}
	b.say("%s: every tool %d times", r.name(), runs)
	for range runs {
		for _, e := range entries {
			if e.Reason == "" {
				e.run(ctx)
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
		}
	}
	r.finish()
	return r, nil
}

// newRow has an entry for every tool that does such a thing, also where it is missing here.
func (b *bench) newRow(d *dataset, op operation) *row {
	r := &row{Data: d.Name, Operation: op, Files: d.Files, Bytes: d.bytes()}
	for _, t := range b.tools {
		if work := t.tasks(op, d); work != nil {
			r.Entries = append(r.Entries, &entry{Tool: t.Name, Peer: t.Peer, Reason: t.Missing, PeakRSS: -1, PeakAnon: -1, task: work})
		}
	}
	return r
}

// run measures once more.
func (e *entry) run(ctx context.Context) {
	s, err := e.task.measure(ctx)
	if err != nil {
		e.fail(err)
		return
	}
	e.wall, e.cpu = append(e.wall, s.wall), append(e.cpu, s.cpu)
	e.Seconds = append(e.Seconds, s.wall.Seconds())
	e.PeakRSS, e.PeakAnon = max(e.PeakRSS, s.peakRSS), max(e.PeakAnon, s.peakAnon)
}

// fail takes the tool out of the row: numbers of a tool that fails now and then compare with nothing.
func (e *entry) fail(err error) {
	if err != nil {
		e.Reason = err.Error()
	}
}

// finish computes medians and ratios.
func (r *row) finish() {
	own := r.entry(hallmarkName)
	for _, e := range r.Entries {
		if e.Reason != "" {
			continue
		}
		e.Median = e.median().Seconds()
		if own != nil {
			e.Ratio = ratio(e.median(), own.median())
		}
		e.Cores = ratio(median(e.cpu), e.median())
	}
}
