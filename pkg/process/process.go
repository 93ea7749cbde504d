package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Command is what to run, in the working directory of this process.
type Command struct {
	Args []string // the program, found in PATH as a shell would, and its arguments
	Env  []string // NAME=VALUE; nil: none

	// In, Out and Err are the command's streams themselves: nothing is copied, so a command that closes them or leaves
	// them to a daemon holds nobody up. nil: the null device.
	In, Out, Err *os.File

	// Waiting is told, once, how many processes are left a second after the command itself ended. nil: nobody.
	Waiting func(left int)
}

// Result is how a command ended.
type Result struct {
	Code     int       // exit code; 128 and the signal's number where a signal ended it, as shells have it
	Signal   os.Signal // that ended it; nil: it ended by itself
	Passed   []string  // names of the signals that were passed on, each once
	Started  time.Time // in UTC
	Finished time.Time // when the last of the processes that it started was gone
}

// Succeeded reports whether the command ended by itself with exit code 0.
func (r Result) Succeeded() bool { return r.Code == 0 && r.Signal == nil }

// ErrUntold is that nobody knows how the command ended: somebody else in this process waited for it.
var ErrUntold = errors.New("how it ended is not known")

// find returns the file of the program that args name.
func find(args []string) (string, error) {
	if len(args) == 0 || args[0] == "" {
		return "", errors.New("run: there is no command")
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return "", fmt.Errorf("run: %w", err)
	}
	return path, nil
}

// files are c's streams, with the null device for what is not there.
func (c Command) files() (in, out, err *os.File, closeNull func(), failed error) {
	null, failed := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if failed != nil {
		return nil, nil, nil, nil, fmt.Errorf("run %s: %w", c.Args[0], failed)
	}
	or := func(f *os.File) *os.File {
		if f == nil {
			return null
		}
		return f
	}
	return or(c.In), or(c.Out), or(c.Err), func() { _ = null.Close() }, nil
}

// Without returns environ, NAME=VALUE each, without the variables that drop names.
func Without(environ []string, drop func(name string) bool) []string {
	kept := make([]string, 0, len(environ))
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); !drop(name) {
			kept = append(kept, v)
		}
	}
	return kept
}
