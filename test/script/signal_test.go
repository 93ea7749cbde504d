package script

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// signalled starts a command, sends it a signal once it has FILE open, and wants this exit code within ten seconds of
// the signal: signalled int|term CODE FILE COMMAND ARG…
func signalled(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: signalled int|term CODE FILE COMMAND [ARG ...]")
	}
	sig := map[string]os.Signal{"int": os.Interrupt, "term": syscall.SIGTERM}[args[0]]
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	var stderr bytes.Buffer
	c := exec.Command(binary, args[4:]...)
	c.Dir, c.Stderr = ts.Getenv("WORK"), &stderr
	ts.Check(c.Start())
	if err := waitOpen(c.Process.Pid, ts.MkAbs(args[2])); err != nil {
		_ = c.Process.Kill()
		ts.Fatalf("%v\n%s", err, stderr.String())
	}
	ts.Check(c.Process.Signal(sig))
	late := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
	defer late.Stop()
	code := 0
	var exit *exec.ExitError
	if err := c.Wait(); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d\n%s", code, want, stderr.String())
	}
	ts.Logf("[stderr]\n%s", stderr.String())
	if !bytes.Contains(stderr.Bytes(), []byte("hallmark: stopped by ")) {
		ts.Fatalf("stderr does not say why it stopped")
	}
}

// waitOpen returns once the process has the file open.
func waitOpen(pid int, path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil || len(fds) == 0 {
			continue
		}
		for _, fd := range fds {
			if target, err := os.Readlink(fd); err == nil && target == real {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d did not open %s", pid, path)
}
