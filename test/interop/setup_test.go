package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/hallmark-project/hallmark/test/interop/modelsigning"
	"github.com/hallmark-project/hallmark/test/program"
)

// binary is the hallmark binary that TestMain built; empty where the tests are not asked for.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	if os.Getenv("HALLMARK_E2E") != "1" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hallmark-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = program.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// installed is the reference implementation, installed once for all tests.
var installed = sync.OnceValues(func() (*modelsigning.Client, error) { return modelsigning.Install(context.Background()) })

// reference skips the test where it was not asked for or the reference implementation can't be had.
func reference(t *testing.T) *modelsigning.Client {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("needs the reference implementation: set HALLMARK_E2E=1")
	}
	client, err := installed()
	if err != nil && os.Getenv("HALLMARK_CI") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return client
}

// answer is what a tool said and how it ended.
type answer struct {
	code int
	out  string // of stdout and stderr
}

// ask runs a tool to its end. Working directory is an empty one, so nothing is found by chance.
func ask(t *testing.T, c *exec.Cmd) answer {
	t.Helper()
	var out bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = t.TempDir(), &out, &out
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s: %v", c, err)
	}
	return answer{c.ProcessState.ExitCode(), out.String()}
}

// hallmark is the command line of the project's binary, free of what the caller's environment might add to it.
func hallmark(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.CommandContext(t.Context(), binary, args...)
	c.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	return c
}

// must runs a tool that has to succeed for the test to mean anything.
func must(t *testing.T, c *exec.Cmd) {
	t.Helper()
	if a := ask(t, c); a.code != 0 {
		t.Fatalf("%s: exit %d\n%s", c, a.code, a.out)
	}
}
