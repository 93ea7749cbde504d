package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// shell is a tool that runs a line of shell.
func shell(name, line string) *tool {
	return &tool{Name: name, tasks: func(operation, *dataset) *task {
		return &task{args: []string{"sh", "-c", line}}
	}}
}

func needShell(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("needs a shell")
	}
}

func quiet(string, ...any) {}

func TestToolsTakeTurns(t *testing.T) {
	needShell(t)
	log := filepath.Join(t.TempDir(), "log")
	b := &bench{say: quiet, tools: []*tool{shell("a", "echo a >>"+log), shell("b", "echo b >>"+log)}}
	r, err := b.measureRow(context.Background(), &dataset{Name: "one", Files: 1, Size: 1}, hash, 3)
	if err != nil {
		t.Fatal(err)
	}
	if order, _ := os.ReadFile(log); string(order) != "a\nb\na\nb\na\nb\n" {
		t.Errorf("order is %q, want a and b in turn", order)
	}
	for _, e := range r.Entries {
		if len(e.Seconds) != 3 || e.Median <= 0 || e.Reason != "" {
			t.Errorf("%s: got %+v, want three runs", e.Tool, e)
		}
	}
}

func TestAToolThatFailsKeepsItsReason(t *testing.T) {
	needShell(t)
	missing := shell("missing", "exit 0")
	missing.Missing = "not installed"
	b := &bench{say: quiet, tools: []*tool{shell("fails", "echo no such option >&2; exit 7"), missing, shell("works", "exit 0")}}
	r, err := b.measureRow(context.Background(), &dataset{Name: "one", Files: 1, Size: 1}, hash, 2)
	if err != nil {
		t.Fatal(err)
	}
	if e := r.Entries[0]; !strings.Contains(e.Reason, "exit status 7") || !strings.Contains(e.Reason, "no such option") {
		t.Errorf("reason is %q, want the exit status and what the tool said", e.Reason)
	}
	if e := r.Entries[1]; e.Reason != "not installed" || len(e.Seconds) != 0 {
		t.Errorf("missing tool: %+v, want its reason and no run", e)
	}
	if e := r.Entries[2]; e.Reason != "" || len(e.Seconds) != 2 {
		t.Errorf("working tool: %+v, want two runs", e)
	}
}

func TestRowsPrepareOnceAndCleanUpAlways(t *testing.T) {
	needShell(t)
	var prepared, after, cleaned int
	counting := func(line string) *tool {
		return &tool{Name: "t", tasks: func(operation, *dataset) *task {
			return &task{
				args:    []string{"sh", "-c", line},
				prepare: func(context.Context) error { prepared++; return nil },
				after:   func() error { after++; return nil },
				cleanup: func() error { cleaned++; return nil },
			}
		}}
	}
	d := &dataset{Name: "one", Files: 1, Size: 1}
	b := &bench{say: quiet, tools: []*tool{counting("exit 0")}}
	if _, err := b.measureRow(context.Background(), d, sign, 3); err != nil {
		t.Fatal(err)
	}
	if prepared != 1 || after != 3 || cleaned != 1 {
		t.Errorf("prepared %d, after %d, cleaned %d; want 1, 3, 1", prepared, after, cleaned)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	interrupted := errors.New("interrupted")
	cancel(interrupted)
	if _, err := b.measureRow(ctx, d, sign, 3); !errors.Is(err, interrupted) || cleaned != 2 {
		t.Errorf("error %v, cleaned %d; want the interrupt, and 2", err, cleaned)
	}
}

func TestMemoryOfAProcessIsSeen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux says what is anonymous")
	}
	needShell(t)
	// The shell waits for its input, which ends when the test has seen a number: no time is involved.
	c := exec.Command("sh", "-c", "read line")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	watch := watchMemory(c.Process.Pid)
	in.Close()
	c.Wait() // exits 1 at the end of input
	if rss, _ := watch.stop(c.ProcessState); rss <= 0 {
		t.Errorf("peak is %d bytes, want some", rss)
	}
}

func TestEnvironmentIsOnlyWhatADefaultRunHas(t *testing.T) {
	got := cleanEnvironment([]string{"PATH=/bin", "GOMAXPROCS=1", "HALLMARK_HASH=blake3", "GOGC=off", "HOME=/x"})
	if want := []string{"PATH=/bin", "HOME=/x"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var said tail
	fmt.Fprint(&said, strings.Repeat("x", 10*maxTail))
	fmt.Fprint(&said, "the cause\n")
	if got := said.String(); len(got) > maxTail || !strings.HasSuffix(got, "the cause") {
		t.Errorf("kept %d bytes that end in %q", len(got), got[max(0, len(got)-20):])
	}
}

func TestBareLoopHashesEveryFile(t *testing.T) {
	d := &dataset{Name: "few", Files: 3, Size: 2<<20 + 5}
	if err := d.generate(context.Background(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Chdir(d.dir)
	var want strings.Builder
	for _, name := range d.names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(content), name)
	}
	for _, loops := range []string{"1", "2"} {
		var got bytes.Buffer
		if err := bareLoop(context.Background(), []string{loops}, d.list(), &got); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Errorf("%s loops: got\n%s\nwant\n%s", loops, got.String(), want.String())
		}
	}
	if err := bareLoop(context.Background(), []string{"1"}, strings.NewReader("no such file\x00"), &bytes.Buffer{}); err == nil {
		t.Error("a file that isn't there is no error")
	}
}
