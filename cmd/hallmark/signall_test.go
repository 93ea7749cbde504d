package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// keySigner signs with a fresh key, and calls before each time.
type keySigner struct {
	signer.Signer
	before func(context.Context) error
}

func (k keySigner) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	if err := k.before(ctx); err != nil {
		return nil, err
	}
	return k.Signer.Sign(ctx, payloadType, payload)
}

func newKeySigner(t *testing.T, before func(context.Context) error) signer.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return keySigner{s, before}
}

// files are n artifacts of one file each.
func files(t *testing.T, n int) []string {
	t.Helper()
	dir := t.TempDir()
	paths := make([]string, n)
	for i := range paths {
		paths[i] = filepath.Join(dir, fmt.Sprintf("%02d.bin", i))
		if err := os.WriteFile(paths[i], []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func defaultArtifacts() *artifactFlags {
	return &artifactFlags{hash: hashFlags{Hash: "sha256"}}
}

// TestSignAllSignsAtTheSameTime: a signature is given only when ten are asked for, so ten after another would never end.
func TestSignAllSignsAtTheSameTime(t *testing.T) {
	const n = 10
	var asked atomic.Int32
	all := make(chan struct{})
	by := newKeySigner(t, func(ctx context.Context) error {
		if asked.Add(1) == n {
			close(all)
		}
		select {
		case <-all:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	paths := files(t, n)
	jobs, err := defaultArtifacts().jobs(paths, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, stderr bytes.Buffer
	if err := signAll(ctx, streams{out: &out, err: &stderr}, jobs, attestations.KindModel, by, nil, output{}); err != nil {
		t.Fatalf("%v: %d signatures asked for at the same time, want %d", err, asked.Load(), n)
	}
	at := 0
	for _, p := range paths { // results in the order given
		i := strings.Index(out.String()[at:], "signed     "+p+" ")
		if i < 0 {
			t.Fatalf("no result for %s in its place:\n%s", p, &out)
		}
		at += i
		if _, err := os.Stat(p + ".sig"); err != nil {
			t.Error(err)
		}
	}
}

// TestSignAllAsksAfterHashing: whatever a signature needs, a token above all, is asked for when there is something to
// sign.
func TestSignAllAsksAfterHashing(t *testing.T) {
	var mu sync.Mutex
	var events []string
	note := func(event string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, event)
	}
	by := newKeySigner(t, func(context.Context) error { note("sign"); return nil })
	jobs, err := defaultArtifacts().jobs(files(t, 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := jobs[0].(*diskJob)
	d.options.Progress = func(done, total int64) { note(fmt.Sprintf("hashed %d of %d", done, total)) }
	if err := signAll(t.Context(), streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}, jobs, attestations.KindModel, by, nil, output{}); err != nil {
		t.Fatal(err)
	}
	if len(events) < 3 || events[0] != "hashed 1 of 1" || events[1] != "sign" {
		t.Errorf("in the order %v", events)
	}
}

func TestSignAllLosesNothingToOneFailure(t *testing.T) {
	by := newKeySigner(t, func(context.Context) error { return nil })
	paths := files(t, 3)
	if err := os.Mkdir(paths[1]+".sig", 0o700); err != nil { // no signature can be written there
		t.Fatal(err)
	}
	jobs, err := defaultArtifacts().jobs(append(paths, filepath.Join(filepath.Dir(paths[0]), "missing")), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out, stderr bytes.Buffer
	err = signAll(t.Context(), streams{out: &out, err: &stderr}, jobs, attestations.KindModel, by, nil, output{JSON: true})
	var several severalErrors
	if !errors.As(err, &several) || len(several.errs) != 2 {
		t.Fatalf("came back with %v", err)
	}
	if n := strings.Count(out.String(), `"hallmark.signed/v1"`); n != 2 {
		t.Errorf("%d were signed, want 2:\n%s", n, &out)
	}
	if n := strings.Count(out.String(), `"hallmark.unsigned/v1"`); n != 2 || strings.Count(stderr.String(), "hallmark: sign ") != 2 {
		t.Errorf("%d failures told:\n%s%s", n, &out, &stderr)
	}
	for i, p := range paths {
		info, err := os.Stat(p + ".sig")
		if err != nil || info.IsDir() != (i == 1) {
			t.Errorf("signature of %s: %v", p, err)
		}
	}
}

func TestExitCodeOfSeveralIsTheWorst(t *testing.T) {
	no := &manifest.RefusedError{Err: manifest.ErrEmpty}
	for _, c := range []struct {
		errs []error
		want int
	}{
		{[]error{no}, exitNo},
		{[]error{no, errors.New("unreachable"), no}, exitUnknown},
		{[]error{errors.New("unreachable"), usagef("wrong"), no}, exitUsage},
		{[]error{undecided{verdict: policy.No}}, exitNo},
	} {
		if got := exitCode(t.Context(), severalErrors{c.errs}); got != c.want {
			t.Errorf("%v: exit code %d, want %d", c.errs, got, c.want)
		}
	}
}

func TestSignRefusesWhatCannotBeMeant(t *testing.T) {
	paths := files(t, 2)
	dir := filepath.Dir(paths[0])
	link := filepath.Join(dir, "link")
	if err := os.Symlink(paths[0], link); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		signature string
		args      []string
		says      string
	}{
		"one signature file for two": {"one.sig", paths, "--signature names one file"},
		"twice":                      {"", []string{paths[0], paths[0]}, "named twice"},
		"twice, spelled otherwise":   {"", []string{paths[0], filepath.Join(dir, ".", "00.bin") + ""}, "named twice"},
		"twice, by a link":           {"", []string{paths[0], link}, "named twice"},
	} {
		flags := defaultArtifacts()
		flags.list.Signature = c.signature
		_, err := flags.jobs(c.args, nil)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := defaultArtifacts().jobs(paths, nil); err != nil {
		t.Errorf("two artifacts: %v", err)
	}
}

func TestShareKeepsCoresBusyAndNoMore(t *testing.T) {
	if s := newShare(1); s.workers != 0 || cap(s.slots) != 1 {
		t.Errorf("one artifact: %d at once with %d workers each, want all cores for it", cap(s.slots), s.workers)
	}
	s := newShare(1000)
	if busy := s.workers * cap(s.slots); busy < cap(s.slots) || cap(s.slots) > 1 && busy > 4*cap(s.slots) {
		t.Errorf("a thousand artifacts: %d at once with %d workers each", cap(s.slots), s.workers)
	}
}

func TestProgressOfSeveralIsTheirSum(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(streams{err: &out}, "hashed", output{})
	p.began, p.last = p.began.Add(-20*time.Second), p.last.Add(-20*time.Second)
	next := p.together()
	a, b := next(), next()
	p.held++
	a(4e9, 5e9)
	a(3e9, 5e9) // late
	p.held--
	b(6e9, 7e9)
	if want := "hallmark: hashed 10.0 GB of 12.0 GB"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
