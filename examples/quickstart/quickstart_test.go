// Package quickstart runs the example as its README says.
package quickstart

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickstartRuns runs the script as make quickstart does, in an environment that has the tree's binary.
func TestQuickstartRuns(t *testing.T) {
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("no make on this machine")
	}
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("make", "-s", "quickstart")
	c.Dir = top
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("make quickstart: %v\n%s", err, out)
	}
	for _, want := range []string{
		"$ hallmark keygen trainer", "$ hallmark sign model", "digest-mismatch\n", "exit code 1\n", "untrusted-signer\n",
		"bytes unread\n", "@sha256:", "$ hallmark pull 127.0.0.1:", "$ diff -r model pulled", "\ndone\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("its output lacks %q", want)
		}
	}
	if n := strings.Count(string(out), "\nyes "); n != 5 {
		t.Errorf("%d times yes, want 5\n%s", n, out)
	}
}

// TestReadmeTypesWhatTheScriptRuns holds the README's short list to the script.
func TestReadmeTypesWhatTheScriptRuns(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("run.sh")
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, line := range strings.Split(string(readme), "\n") {
		command, _, _ := strings.Cut(line, " #")
		command = strings.TrimSpace(command)
		if !strings.HasPrefix(command, "hallmark ") {
			continue
		}
		commands++
		if strings.HasPrefix(command, "hallmark pull oci:") { // the script pulls from the registry
			continue
		}
		if !strings.Contains(string(script), "run "+command) {
			t.Errorf("the script does not run %q", command)
		}
	}
	if commands < 6 {
		t.Errorf("the README has %d commands", commands)
	}
}
