package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that are the command's and not ours.
var passedOn = []os.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2}

// Run runs c and returns how it ended, when it and all processes that it started have ended, also those that turned into
// daemons: until then they are this process's children (PR_SET_CHILD_SUBREAPER). What another service starts on the
// command's behalf, such as a container, is none of them. An error is that it was not started, or ErrUntold.
//
// Signals to this process are passed on to the command, and once it has ended to what is left of it. Those that a terminal
// sends to a whole process group have reached it already. The end of ctx sends SIGTERM. This process becomes one that
// others of the same user cannot read (PR_SET_DUMPABLE), for it may hold keys and tokens.
//
// While Run runs, nobody else in this process may start or wait for processes, nor run it a second time.
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
	for option, value := range map[int]uintptr{unix.PR_SET_CHILD_SUBREAPER: 1, unix.PR_SET_DUMPABLE: 0} {
		if err := unix.Prctl(option, value, 0, 0, 0); err != nil {
			return Result{}, fmt.Errorf("run %s: prctl %d: %w", c.Args[0], option, err)
		}
	}
	f := &family{earlier: children()}
	ended, signals := make(chan os.Signal, 1), make(chan os.Signal, 16)
	signal.Notify(ended, unix.SIGCHLD)
	signal.Notify(signals, slices.DeleteFunc(slices.Clone(passedOn), signal.Ignored)...) // nohup's stays ignored, by both
	defer signal.Stop(ended)
	defer signal.Stop(signals)
	started := time.Now().UTC()
	f.first, err = syscall.ForkExec(path, c.Args, &syscall.ProcAttr{Env: c.Env, Files: []uintptr{in.Fd(), out.Fd(), errs.Fd()}})
	if err != nil {
		return Result{}, fmt.Errorf("run %s: %w", c.Args[0], err)
	}
	f.wait(ctx, ended, signals, c.Waiting)
	r := Result{Started: started, Finished: time.Now().UTC(), Passed: f.passed}
	switch {
	case !f.told:
		return Result{}, fmt.Errorf("run %s: %w", c.Args[0], ErrUntold)
	case f.status.Signaled():
		r.Signal, r.Code = f.status.Signal(), 128+int(f.status.Signal())
	default:
		r.Code = f.status.ExitStatus()
	}
	return r, nil
}

// family is the command and what it started.
type family struct {
	first   int   // the command's process
	earlier []int // children that this process had before
	status  unix.WaitStatus
	told    bool // status is first's
	passed  []string
}

// wait returns when nothing is left of the family.
func (f *family) wait(ctx context.Context, ended, signals <-chan os.Signal, waiting func(int)) {
	var late <-chan time.Time
	over := ctx.Done()
	for {
		if !f.reap() {
			return
		}
		if f.told && late == nil {
			late = time.After(time.Second)
		}
		select {
		case <-ended:
		case s := <-signals:
			f.pass(s.(syscall.Signal))
		case <-over:
			over = nil
			f.pass(unix.SIGTERM)
		case <-late:
			late = make(chan time.Time) // once
			if left := f.left(); waiting != nil && len(left) > 0 {
				waiting(len(left))
			}
		}
	}
}

// reap takes note of all processes that have ended, and reports whether any is left.
func (f *family) reap() bool {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG|unix.WALL, nil)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			return false
		case pid == f.first && !f.told:
			f.status, f.told = status, true
		case pid == 0:
			return !f.told || len(f.earlier) == 0 || len(f.left()) > 0
		}
	}
}

// left are the family's processes that are children of this one. Some may be on their way from a parent that just ended.
func (f *family) left() []int {
	return slices.DeleteFunc(children(), func(pid int) bool { return slices.Contains(f.earlier, pid) })
}

// pass sends s to the command, or to what is left of it.
func (f *family) pass(s syscall.Signal) {
	if name := unix.SignalName(s); !slices.Contains(f.passed, name) {
		f.passed = append(f.passed, name)
	}
	if (s == unix.SIGINT || s == unix.SIGQUIT || s == unix.SIGHUP) && inForeground() {
		return // the terminal sent it to the whole group
	}
	to := []int{f.first}
	if f.told {
		to = f.left()
	}
	for _, pid := range to { // all are unreaped children of ours, so no number stands for another process by now
		_ = unix.Kill(pid, s)
	}
}

// inForeground reports whether keys on the controlling terminal signal this process group, and so the command's.
func inForeground() bool {
	tty, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// children are the processes whose parent this one is, of all its threads, in no order. Where the kernel does not tell, none.
func children() []int {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var all []int
	for _, thread := range threads {
		raw, err := os.ReadFile("/proc/self/task/" + thread.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range strings.Fields(string(raw)) {
			if pid, err := strconv.Atoi(field); err == nil {
				all = append(all, pid)
			}
		}
	}
	return all
}
