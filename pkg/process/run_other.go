//go:build !linux

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// Run runs c and returns how it ended. On this system only the command itself is waited for: what it left running is not
// seen. An error is that it was not started. SIGINT and SIGTERM are passed on, and the end of ctx as the latter.
func Run(ctx context.Context, c Command) (Result, error) {
	path, err := find(c.Args)
	if err != nil {
		return Result{}, err
	}
	in, out, errs, closeNull, err := c.files()
	if err != nil {
		return Result{}, err
	}
	defer closeNull()
	command := &exec.Cmd{Path: path, Args: c.Args, Env: c.Env, Stdin: in, Stdout: out, Stderr: errs}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	r := Result{Started: time.Now().UTC()}
	if err := command.Start(); err != nil {
		return Result{}, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	over := ctx.Done()
	for {
		select {
		case s := <-signals:
			r.Passed = append(r.Passed, s.String())
			_ = command.Process.Signal(s)
		case <-over:
			over = nil
			_ = command.Process.Signal(syscall.SIGTERM)
		case err := <-done:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return Result{}, fmt.Errorf("run %s: %w: %w", c.Args[0], ErrUntold, err)
			}
			r.Finished, r.Code = time.Now().UTC(), command.ProcessState.ExitCode()
			if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				r.Signal, r.Code = status.Signal(), 128+int(status.Signal())
			}
			return r, nil
		}
	}
}
