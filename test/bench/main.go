// Command bench measures Hallmark against other tools that do the same, in one run on one machine: hashing, signing and
// verifying of large files and of many small ones, pushing to a registry and pulling from it, memory, and start-up. `make
// bench` runs it.
//
//	go run ./test/bench                           everything; about an hour and 15 GB of disk
//	go run ./test/bench --scale 16 --runs 3       a quick look
//	go run ./test/bench --rows one/hash,startup   some rows
//	go run ./test/bench --rows two,repo,ten,tiny  the registry's rows, with one/push and one/pull
//	go run ./test/bench audit --artifacts 10000   audits of a registry, cold and warm
//	go run ./test/bench index --nodes 1000000     a large index: begun with, asked, filled; minutes, and 2 GB of disk
//
// The tools take turns (A B C A B C …), so that a machine that slows down slows them all; every number is a median.
// The data is made anew, read once so that it lies in the page cache, and removed at the end. Peers that aren't on the
// machine are installed into the user's cache folder; those that can't be had stand in the table with the reason.
//
// Start with run here, then measureRow in rows.go. What is wanted of Hallmark stands in targets.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case bareLoopCommand:
			return bareLoop(ctx, args[1:], os.Stdin, os.Stdout)
		case bareLanesCommand:
			return bareLanes(ctx, args[1:], os.Stdin)
		case libraryCommand:
			return library(ctx, args[1:])
		case bareDownloadCommand:
			return bareDownload(ctx, args[1:])
		case bareUploadCommand:
			return bareUpload(ctx, args[1:], os.Stdin)
		case auditCommand:
			return runAudit(ctx, args[1:], os.Stdout, os.Stderr)
		case indexCommand:
			return runIndex(ctx, args[1:], os.Stdout, os.Stderr)
		case indexAskCommand:
			return indexAsk(ctx, args[1:])
		}
	}
	return run(ctx, args, os.Stdout, os.Stderr)
}

// settings are the flags.
type settings struct {
	dir   string
	runs  int
	scale int
	rows  string
	json  bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&s.dir, "dir", "", "`folder` to make the data in; a new one in the system's temporary folder if empty")
	f.IntVar(&s.runs, "runs", 5, "how often each tool is measured in a row")
	f.IntVar(&s.scale, "scale", 1, "divide the amount of data by this")
	f.StringVar(&s.rows, "rows", "", "rows to measure, separated by commas: `DATA or DATA/OPERATION`, or startup; all if empty")
	f.BoolVar(&s.json, "json", false, "print one JSON object instead of tables")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	switch {
	case f.NArg() > 0:
		return s, fmt.Errorf("argument %q: there are only flags", f.Arg(0))
	case s.runs < 1:
		return s, fmt.Errorf("--runs %d: it is at least 1", s.runs)
	case s.scale < 1:
		return s, fmt.Errorf("--scale %d: it is at least 1", s.scale)
	}
	return s, checkRows(s.rows)
}

// checkRows refuses names that select nothing: a typing error must not look like a finished run.
func checkRows(rows string) error {
	for _, name := range splitRows(rows) {
		known := name == startUp
		for _, d := range datasets(1) {
			known = known || name == d.Name
			for _, op := range d.operations {
				known = known || name == d.Name+"/"+string(op)
			}
		}
		if !known {
			return fmt.Errorf("--rows %q: no such row", name)
		}
	}
	return nil
}

func splitRows(rows string) []string {
	return strings.FieldsFunc(rows, func(r rune) bool { return r == ',' || r == ' ' })
}

// wants reports whether a row was asked for, by its whole name or by its data's.
func (s settings) wants(data string, op operation) bool {
	asked := splitRows(s.rows)
	for _, name := range asked {
		if name == data || name == data+"/"+string(op) {
			return true
		}
	}
	return len(asked) == 0
}

// run measures what args ask for and prints the report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if s.dir != "" {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return fmt.Errorf("make the data's folder: %w", err)
		}
	}
	dir, err := os.MkdirTemp(s.dir, "hallmark-bench-")
	if err != nil {
		return fmt.Errorf("make the data's folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if dir, err = filepath.Abs(dir); err != nil { // tools run elsewhere
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "bench: "+format+"\n", args...) }
	b, err := prepare(ctx, dir, say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.far.close()) }()
	r, err := b.measure(ctx, s)
	if err != nil {
		return err
	}
	r.Targets = judge(r.Rows, r.Machine.Cores)
	if s.json {
		return writeJSON(stdout, r)
	}
	return writeText(stdout, r)
}
