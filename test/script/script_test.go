// Package script runs the command line end to end: each file under testdata is a story that a person could type.
package script

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-project/hallmark/test/program"
)

var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "hallmark-script")
	if err != nil {
		log.Fatal(err)
	}
	if binary, err = program.Build(dir); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			s := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
			e.Defer(s.Close)
			e.Setenv("REGISTRY", strings.TrimPrefix(s.URL, "http://"))
			plain := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			e.Defer(plain.Close)
			e.Setenv("PLAIN_REGISTRY", strings.TrimPrefix(plain.URL, "http://"))
			e.Setenv("VECTORS", vectors())
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "vectors" {
				return vectors() != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "flip": flip, "certs": certs, "signalled": signalled, "until": until, "tuf-server": tufServer(t)},
	})
}

// vectors is the folder with other people's test data; empty where there is none.
func vectors() string {
	if dir := os.Getenv("HALLMARK_VECTORS"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "vectors"))
	if err != nil {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// exits runs a command that must end with exactly this exit code: exits CODE COMMAND ARG…
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG ...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// until runs a command again and again, for a while, until it says that a number of files were not read: until COUNT
// COMMAND ARG… A file's digest is remembered once nobody has touched it for two seconds.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until COUNT COMMAND [ARG ...]")
	}
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if strings.Contains(ts.ReadFile("stderr"), args[0]+" files were not read") {
			return
		}
	}
	ts.Fatalf("never were %s files known", args[0])
}

// flip changes one bit of a file: flip FILE
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip FILE")
	}
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(path, data, 0o644))
}
