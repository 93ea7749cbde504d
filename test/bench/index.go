package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hallmark-project/hallmark/registry/index"
)

// indexCommand measures an index: how long a large one takes to begin and to answer, its memory, and how fast it is filled.
const indexCommand = "index"

// What is wanted of an index of 1,000,000 nodes and five times as many edges, on two cores.
const (
	indexTarget    = 1_000_000
	maxIndexStart  = 15 * time.Second
	maxRadius      = 300 * time.Millisecond
	maxAncestors   = 50 * time.Millisecond
	maxIndexMemory = 3 << 29 // bytes
	minKeyed       = 2000    // bundles a second, opened and recorded
	minKeyless     = 400
)

// indexFlags is what the command takes.
type indexFlags struct {
	nodes   int
	store   string
	runs    int
	bundles int
}

func parseIndex(args []string, stderr io.Writer) (indexFlags, error) {
	var s indexFlags
	f := flag.NewFlagSet("bench index", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&s.nodes, "nodes", indexTarget, "`number` of artifacts, each made from five others")
	f.StringVar(&s.store, "store", "", "`postgres://…` of a database that is empty; a SQLite file that is removed if empty")
	f.IntVar(&s.runs, "runs", 3, "how often the index is begun with and asked")
	f.IntVar(&s.bundles, "bundles", 2000, "`number` of bundles to open and record, by keys and keyless")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if f.NArg() > 0 || s.nodes <= parents || s.runs < 1 || s.bundles < 1 {
		return s, fmt.Errorf("index: --nodes is above %d, --runs and --bundles are at least 1, and there are only flags", parents)
	}
	return s, nil
}

func runIndex(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parseIndex(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hallmark-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.store == "" {
		s.store = filepath.Join(dir, "index.db")
	}
	say := func(done int) { fmt.Fprintf(stderr, "bench: %d of %d nodes are recorded\n", done, s.nodes) }
	x, err := emptyIndex(ctx, s.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.Close()) }()
	began := time.Now()
	g, err := fillIndex(ctx, x, s.nodes, say)
	if err != nil {
		return fmt.Errorf("fill %s: %w", index.Redacted(s.store), err)
	}
	fmt.Fprintf(stdout, "%d nodes and %d edges in %s, signed and recorded in %.0f s\n\n", g.nodes, g.edges, index.Redacted(s.store), time.Since(began).Seconds())
	m, err := s.ask(ctx, dir, g)
	if err != nil {
		return err
	}
	if m.nodes != g.nodes || m.edges != g.edges || m.reached != g.nodes-1 {
		return fmt.Errorf("the index has %d nodes, %d edges, and %d below the root: not what was recorded", m.nodes, m.edges, m.reached)
	}
	keyed, keyless, err := s.ingest(ctx, x)
	if err != nil {
		return err
	}
	return s.write(stdout, g, m, keyed, keyless)
}

// emptyIndex makes an index where nothing is yet.
func emptyIndex(ctx context.Context, at string) (*index.Index, error) {
	x, err := index.Open(ctx, at, index.Options{Create: true})
	if err != nil {
		return nil, err
	}
	state, err := x.State(ctx)
	if err == nil && state.Head.Seq > 0 {
		err = fmt.Errorf("%s has %d events already: what is measured begins with none", index.Redacted(at), state.Head.Seq)
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// write prints what was measured, beside what is wanted of an index of the target's size.
func (s indexFlags) write(w io.Writer, g graph, m measuredIndex, keyed, keyless rate) error {
	out := &errorWriter{w: w}
	t := table{header: []string{"", "measured", "processor", "wanted", ""}, right: 3}
	large := s.nodes >= indexTarget
	add := func(name, measured, processor, wanted string, met, judged bool) {
		verdict := "met"
		switch {
		case !judged:
			wanted, verdict = "", ""
		case !met:
			verdict = "missed"
		}
		t.add(name, measured, processor, wanted, verdict)
	}
	add("start", formatTime(m.start.Wall), formatTime(m.start.CPU), "at most 15 s", m.start.Wall <= maxIndexStart, large)
	add(fmt.Sprintf("blast radius of a root, %d nodes", m.reached), formatTime(m.root.Wall), formatTime(m.root.CPU), "at most 300 ms", m.root.Wall <= maxRadius, large)
	add(fmt.Sprintf("ancestors of a leaf, %d nodes", m.above), formatTime(m.leaf.Wall), formatTime(m.leaf.CPU), "at most 50 ms", m.leaf.Wall <= maxAncestors, large)
	add("peak memory of those", formatBytes(m.peak), dash, "at most 1.5 GiB", m.peak <= maxIndexMemory && m.peak > 0, large)
	add("events written", g.recorded.perSecond(), formatTime(g.recorded.CPU), "", true, false)
	add(fmt.Sprintf("ingest by keys, %d bundles", keyed.count), keyed.perSecond(), formatTime(keyed.CPU), "at least 2000/s", keyed.value() >= minKeyed, true)
	add(fmt.Sprintf("ingest keyless, %d bundles", keyless.count), keyless.perSecond(), formatTime(keyless.CPU), "at least 400/s", keyless.value() >= minKeyless, true)
	t.write(out)
	fmt.Fprintf(out, "medians of %d runs, each a process of its own; processor is this program's time on all cores, which others on the machine\ndo not lengthen: a database server's is not in it\n", s.runs)
	return out.err
}

// rate is how many things took how long.
type rate struct {
	count int
	spent
}

// spent is time on the clock and on all cores.
type spent struct{ Wall, CPU time.Duration }

// spend adds what do takes.
func (s *spent) spend(do func() error) error {
	began, used := time.Now(), processorTime()
	err := do()
	s.Wall, s.CPU = s.Wall+time.Since(began), s.CPU+processorTime()-used
	return err
}

func (r rate) value() float64 { return float64(r.count) / r.Wall.Seconds() }

func (r rate) perSecond() string { return fmt.Sprintf("%.0f/s", r.value()) }
