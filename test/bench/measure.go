package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// task is one tool's way of doing a row's work.
type task struct {
	args  []string
	env   []string         // added to the environment
	input func() io.Reader // stdin, made anew for every run; nil: none
	dir   string           // working directory

	prepare func(context.Context) error // once, before the row; nil: nothing to do
	before  func()                      // before every run, not measured; nil: nothing to do
	after   func() error                // after every run, not measured; nil: nothing to do
	cleanup func() error                // once, after the row; nil: nothing to do
}

// sample is what one run took.
type sample struct {
	wall     time.Duration
	cpu      time.Duration // of all cores
	peakRSS  int64         // bytes, page cache that it mapped included; -1: not known
	peakAnon int64         // bytes of memory that no file backs; -1: not known
}

// longest is how long a single run may take: more and something hangs.
const longest = 20 * time.Minute

// measure runs the task once. The error says what the tool said.
func (t *task) measure(ctx context.Context) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	var said tail
	c := exec.CommandContext(ctx, t.args[0], t.args[1:]...)
	c.Dir, c.Stderr, c.Env = t.dir, &said, append(cleanEnvironment(os.Environ()), t.env...)
	c.WaitDelay = 5 * time.Second // a killed xargs leaves children that hold its stderr
	if t.input != nil {
		c.Stdin = t.input()
	}
	if t.before != nil {
		t.before()
	}
	start := time.Now()
	if err := c.Start(); err != nil {
		return sample{}, err
	}
	memory := watchMemory(c.Process.Pid)
	err := c.Wait()
	s := sample{wall: time.Since(start), cpu: c.ProcessState.UserTime() + c.ProcessState.SystemTime()}
	s.peakRSS, s.peakAnon = memory.stop(c.ProcessState)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w: %q", filepath.Base(t.args[0]), err, said.String())
	}
	if t.after != nil {
		err = t.after()
	}
	return s, err
}

// cleanEnvironment leaves out what would make Hallmark or the bare loop behave in another way than it does by default.
func cleanEnvironment(environment []string) []string {
	var kept []string
	for _, e := range environment {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case strings.HasPrefix(name, "HALLMARK_"):
		case name == "GOMAXPROCS", name == "GOGC", name == "GOMEMLIMIT", name == "GODEBUG":
		default:
			kept = append(kept, e)
		}
	}
	return kept
}

// maxTail is how many bytes a tail keeps.
const maxTail = 600

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > maxTail {
		t.kept = bytes.Clone(t.kept[len(t.kept)-maxTail:])
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.kept)) }
