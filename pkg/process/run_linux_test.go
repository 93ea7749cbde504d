package process_test

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hallmark-project/hallmark/pkg/process"
)

// shell is a command that runs a script in dir, which stands in $D.
func shell(t *testing.T, script string) (process.Command, string) {
	t.Helper()
	dir := t.TempDir()
	return process.Command{Args: []string{"sh", "-c", script}, Env: []string{"D=" + dir, "PATH=" + os.Getenv("PATH")}}, dir
}

// pipe returns the two ends of a pipe, which the test closes.
func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func run(t *testing.T, c process.Command) process.Result {
	t.Helper()
	r, err := process.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Started.IsZero() || r.Finished.Before(r.Started) {
		t.Errorf("from %v to %v", r.Started, r.Finished)
	}
	return r
}

func TestRunReturnsHowTheCommandEnded(t *testing.T) {
	for script, want := range map[string]process.Result{
		"true":                {},
		"exit 7":              {Code: 7},
		"exit 137":            {Code: 137},
		"kill -KILL $$":       {Code: 137, Signal: syscall.SIGKILL},
		"kill -TERM $$":       {Code: 143, Signal: syscall.SIGTERM},
		"exec <&- >&- 2>&-":   {},
		"false & wait; true":  {},
		"(exit 3) & exit 0":   {},
		"read x; test -z $x":  {}, // nothing to read
		"cd / && test $PWD=/": {},
	} {
		c, _ := shell(t, script)
		r := run(t, c)
		if r.Code != want.Code || r.Signal != want.Signal || r.Succeeded() != (want.Code == 0) {
			t.Errorf("%s: exit code %d, signal %v", script, r.Code, r.Signal)
		}
	}
}

func TestRunPassesStreamsAndEnvironment(t *testing.T) {
	c, dir := shell(t, `read x; echo "out $x $A" ; echo "err" >&2`)
	c.Env = append(c.Env, "A=b")
	in, feed := pipe(t)
	if _, err := feed.WriteString("line\n"); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.Out, err = os.Create(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if c.Err, err = os.Create(filepath.Join(dir, "err")); err != nil {
		t.Fatal(err)
	}
	c.In = in
	if r := run(t, c); !r.Succeeded() {
		t.Fatalf("exit code %d", r.Code)
	}
	for name, want := range map[string]string{"out": "out line b\n", "err": "err\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// daemon leaves a process behind that has nothing to do with the command any more: another session, no stream, its parent gone.
const daemon = `mkfifo $D/go
(setsid sh -c 'trap "echo terminated >$D/late; exit 0" TERM; read x <$D/go; echo done >$D/late' <&- >&- 2>&- &)
exit 3`

// TestRunWaitsForDaemons lets the daemon end once Run says that it waits for it.
func TestRunWaitsForDaemons(t *testing.T) {
	c, dir := shell(t, daemon)
	asked := 0
	c.Waiting = func(left int) {
		asked += left
		go func() { _ = os.WriteFile(filepath.Join(dir, "go"), []byte("x\n"), 0) }()
	}
	if r := run(t, c); r.Code != 3 {
		t.Errorf("exit code %d, want the command's 3", r.Code)
	}
	if late, err := os.ReadFile(filepath.Join(dir, "late")); err != nil || string(late) != "done\n" || asked != 1 {
		t.Errorf("it was waited for %d processes, which wrote %q: %v", asked, late, err)
	}
}

func TestRunPassesSignalsOn(t *testing.T) {
	c, dir := shell(t, `trap 'kill $!; exit 9' USR1; sleep 1000 & echo ready; wait; echo over >$D/late`)
	var ready *os.File
	ready, c.Out = pipe(t)
	go func() {
		if line, err := bufio.NewReader(ready).ReadString('\n'); err != nil || line != "ready\n" {
			t.Errorf("%q, %v", line, err)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	}()
	r := run(t, c)
	if r.Code != 9 || r.Signal != nil || strings.Join(r.Passed, " ") != "SIGUSR1" {
		t.Errorf("exit code %d, passed %q", r.Code, r.Passed)
	}
	if _, err := os.Stat(filepath.Join(dir, "late")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it went on: %v", err)
	}
}

// TestRunPassesSignalsToWhatIsLeft signals after the command ended and its daemon did not.
func TestRunPassesSignalsToWhatIsLeft(t *testing.T) {
	c, dir := shell(t, strings.NewReplacer("read x <$D/go", "sleep 1000 & wait", `"echo`, `"kill \$!; echo`).Replace(daemon))
	c.Waiting = func(int) { _ = syscall.Kill(os.Getpid(), syscall.SIGTERM) }
	if r := run(t, c); r.Code != 3 {
		t.Errorf("exit code %d", r.Code)
	}
	if late, err := os.ReadFile(filepath.Join(dir, "late")); err != nil || string(late) != "terminated\n" {
		t.Errorf("it wrote %q: %v", late, err)
	}
}

func TestRunEndsTheCommandWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := shell(t, `echo ready; exec sleep 1000`)
	var ready *os.File
	ready, c.Out = pipe(t)
	go func() {
		if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
			t.Error(err)
		}
		cancel()
	}()
	r, err := process.Run(ctx, c)
	if err != nil || r.Code != 143 || r.Signal != syscall.SIGTERM {
		t.Errorf("exit code %d, signal %v: %v", r.Code, r.Signal, err)
	}
}

// TestRunLeavesOtherChildrenAlone has a child from before, for which nobody is to wait.
func TestRunLeavesOtherChildrenAlone(t *testing.T) {
	before := exec.Command("sleep", "1000")
	if err := before.Start(); err != nil {
		t.Fatal(err)
	}
	c, _ := shell(t, "exit 5")
	if r := run(t, c); r.Code != 5 {
		t.Errorf("exit code %d", r.Code)
	}
	if err := before.Process.Kill(); err != nil {
		t.Errorf("the other child is gone: %v", err)
	}
	_ = before.Wait()
}

func TestRunErrsOnWhatDoesNotStart(t *testing.T) {
	for name, args := range map[string][]string{"nothing": nil, "an empty name": {""}, "no such program": {"no-such-program-here"}, "a directory": {t.TempDir()}} {
		if r, err := process.Run(t.Context(), process.Command{Args: args}); err == nil {
			t.Errorf("%s: ended with %+v", name, r)
		}
	}
	if r, err := process.Run(t.Context(), process.Command{Args: []string{"true"}}); err != nil || !r.Succeeded() {
		t.Errorf("a program: %+v, %v", r, err)
	}
}

// TestRunKeepsItsMemoryToItself: the command is of the same user, and could otherwise read keys and tokens out of it.
func TestRunKeepsItsMemoryToItself(t *testing.T) {
	c, _ := shell(t, "true")
	run(t, c)
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || dumpable != 0 {
		t.Errorf("dumpable %d: %v", dumpable, err)
	}
}
