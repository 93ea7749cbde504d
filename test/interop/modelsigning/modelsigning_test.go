package modelsigning

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstallLeavesNothingHalfDone(t *testing.T) {
	for name, broken := range map[string]struct {
		python string
		names  []string
	}{
		"no python":  {"no-such-python-anywhere", packages},
		"no package": {"python3", []string{"--no-index", "model-signing==" + Version}},
	} {
		cache := t.TempDir()
		if c, err := install(context.Background(), cache, broken.python, broken.names); err == nil {
			t.Errorf("%s: got %v, want an error", name, c)
		}
		if left, _ := os.ReadDir(cache); len(left) != 0 {
			t.Errorf("%s: left %v in the cache folder", name, left)
		}
	}
}

func TestInstallRefusesAnEnvironmentThatDoesNotRun(t *testing.T) {
	cache := t.TempDir()
	home := filepath.Join(cache, "model-signing-"+Version)
	python := interpreter(home)
	if err := os.MkdirAll(filepath.Dir(python), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(python, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("#!/bin/sh\necho no module named model_signing >&2\nexit 1\n")
	if _, err := install(context.Background(), cache, "python3", packages); err == nil || !strings.Contains(err.Error(), "no module named") {
		t.Errorf("error is %v, want what Python said", err)
	}
	write("#!/bin/sh\nexit 0\n")
	if _, err := install(context.Background(), cache, "python3", packages); err != nil {
		t.Errorf("an environment that runs: %v", err)
	}
}
