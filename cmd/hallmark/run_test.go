package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
)

func TestExitCodeOfRunIsTheCommandsOrItsOwn(t *testing.T) {
	terminated, cancel := context.WithCancelCause(context.Background())
	cancel(stopped{syscall.SIGTERM})
	for name, c := range map[string]struct {
		ctx  context.Context
		err  error
		want int
	}{
		"done":                            {t.Context(), asRun(nil), 0},
		"the command's":                   {t.Context(), asRun(commandEnded{4}), 4},
		"the command's, by a signal":      {t.Context(), asRun(commandEnded{137}), 137},
		"wrong usage":                     {t.Context(), asRun(usagef("x")), 125},
		"refused":                         {t.Context(), asRun(refusal{errors.New("x")}), 125},
		"refused twice":                   {t.Context(), asRun(asRun(refusal{errors.New("x")})), 125},
		"the command's and no report":     {t.Context(), errors.Join(asRun(commandEnded{4}), asRun(errors.New("x"))), 125},
		"interrupted":                     {terminated, asRun(context.Cause(terminated)), 143},
		"the command's, then interrupted": {terminated, asRun(commandEnded{4}), 4},
	} {
		if got := exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestInterruptsAreSomebodyElsesForAWhile(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	i := &interrupts{end: cancel}
	back := i.leave()
	i.handle(syscall.SIGTERM)
	i.handle(syscall.SIGTERM)
	if ctx.Err() != nil {
		t.Error("a signal that is the command's ended us")
	}
	back()
	i.handle(syscall.SIGTERM)
	var stop stopped
	if !errors.As(context.Cause(ctx), &stop) || stop.signal != syscall.SIGTERM {
		t.Errorf("after it: %v", context.Cause(ctx))
	}
}

func TestParseInputTellsRoleNameAndPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	commit := strings.Repeat("ab", 20)
	snapshot := filepath.Join("models--acme--chat", "snapshots", commit)
	for _, dir := range []string{"corpus", "a=b", snapshot, "models--acme--chat/blobs"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for text, want := range map[string]struct {
		role attestations.Role
		name string
	}{
		"dataset.train=./corpus":                                  {attestations.RoleDatasetTrain, "corpus"},
		"dataset.train=./corpus/":                                 {attestations.RoleDatasetTrain, "corpus"},
		"dataset.train:web=./corpus":                              {attestations.RoleDatasetTrain, "web"},
		"dataset.train=./a=b":                                     {attestations.RoleDatasetTrain, "a=b"},
		"base-model=registry.example/llm/base:v1":                 {attestations.RoleBaseModel, "base"},
		"base-model=oci:corpus:v1":                                {attestations.RoleBaseModel, "corpus"},
		"base-model=./" + snapshot:                                {attestations.RoleBaseModel, "chat"},
		"source=git+https://git.example.com/acme/t.git@" + commit: {attestations.RoleSource, "t.git"},
	} {
		in, err := parseInput(text)
		if err != nil || in.role != want.role || in.name != want.name {
			t.Errorf("%s: %+v, %v", text, in, err)
		}
	}
	for _, text := range []string{"", "corpus", "dataset.train", "dataset.train=", "dataset.train:=./corpus", "dataset=./corpus", "Dataset.train=./corpus",
		"dataset.train=./nowhere", "dataset.train=git+https://git.example.com/acme/t.git@" + commit, "source=git+https://git.example.com/acme/t.git"} {
		if in, err := parseInput(text); err == nil {
			t.Errorf("%s was taken as %+v", text, in)
		}
	}
	if _, err := parseInputs([]string{"dataset.train=./corpus", "dataset.validation=./corpus"}); err == nil {
		t.Error("two inputs have one name")
	}
	if all, err := parseInputs([]string{"dataset.train=./corpus", "dataset.validation:held-out=./corpus"}); err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
}

// TestRunRefusesFlagsThatCannotBeMeant has each wrong flag beside flags that are right, and last of all right ones alone.
func TestRunRefusesFlagsThatCannotBeMeant(t *testing.T) {
	signedModel(t)
	good := []string{"--type", "quantize", "--input", "base-model=./chat", "--output", "out", "--private-key", "trainer.key"}
	command := []string{"--", "sh", "-c", "mkdir out; echo w >out/w"}
	for _, more := range [][]string{
		{"--redact", "("}, {"--redact", ""}, {"--parameter", "seed"}, {"--parameter", "seed=x"}, {"--parameter", "seed=1", "--parameter", "seed=2"}, {"--container", "registry.example/train:v1"},
		{"--container", "registry.example/train@sha256:abc"}, {"--builder", "me"}, {"--env", "HALLMARK_TRUST_DIR"}, {"--kind", "thing"}, {"--report", "chat/ran.json"}, {"--link", "out"},
		{"--unsigned", "draft.json"}, {"--input", "source=git+https://git.example.com/t@short"},
	} {
		code, _, errs := hallmark(t, append(append(append([]string{"run"}, good...), more...), command...)...)
		if code != exitRun {
			t.Errorf("%q: exit code %d, want %d\n%s", more, code, exitRun, errs)
		}
		if _, err := os.Stat("out"); err == nil {
			t.Fatalf("%q: the command ran", more)
		}
	}
	more := []string{"--redact", "o.t", "--parameter", "seed=1", "--parameter", "scheme=int8", "--container", "registry.example/train@sha256:" + strings.Repeat("ab", 32), "--builder", "https://example.com/b", "--env", "HOME"}
	if code, _, errs := hallmark(t, append(append(append([]string{"run"}, good...), more...), command...)...); code != exitDone {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}
