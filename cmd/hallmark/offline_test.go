package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// hallmark runs one command line in this process and returns its exit code and what it printed.
func hallmark(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(context.Background(), args, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// mustRun is hallmark for a command that must end well.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errs := hallmark(t, args...)
	if code != exitDone {
		t.Fatalf("hallmark %q: exit code %d\n%s%s", args, code, out, errs)
	}
	return out
}

// signedModel makes a signed model and its key in the current directory, which it moves to a folder of the test's own.
func signedModel(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv("HALLMARK_TRUST_DIR", filepath.Join(t.TempDir(), "store"))
	if err := os.Mkdir("chat", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("chat/model.bin", []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "keygen", "trainer")
	mustRun(t, "sign", "chat", "--private-key", "trainer.key")
	mustRun(t, "push", "chat", "oci:layout:v1")
}

// watchDials has every connection that the process begins counted, announced and refused.
func watchDials(t *testing.T, announce func()) *atomic.Int32 {
	t.Helper()
	var dials atomic.Int32
	before := http.DefaultTransport
	http.DefaultTransport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		announce()
		return nil, errors.New("this test has no network")
	}}
	t.Cleanup(func() { http.DefaultTransport = before })
	return &dials
}

func TestOfflineNeverDials(t *testing.T) {
	signedModel(t)
	onDial := func() {}
	dials := watchDials(t, func() { onDial() })
	for _, c := range []struct {
		code int
		args string
	}{
		{exitDone, "verify ./chat --public-key trainer.pub --offline"},
		{exitDone, "verify oci:layout:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "verify registry.test/chat:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "verify 127.0.0.1:1/chat:v1 --public-key trainer.pub --offline"},
		{exitDone, "pull oci:layout:v1 pulled --public-key trainer.pub --offline"},
		{exitUnknown, "pull registry.test/chat:v1 other --public-key trainer.pub --offline"},
		{exitDone, "inspect ./chat --public-key trainer.pub --offline"},
		{exitDone, "inspect oci:layout:v1 --offline"},
		{exitUnknown, "inspect registry.test/chat:v1 --offline"},
		{exitUnknown, "push ./chat registry.test/chat:v1 --offline"},
		{exitUnknown, "copy oci:layout:v1 registry.test/chat:v1 --offline"},
		{exitUsage, "trust update --offline"},
		{exitUnknown, "trust show"},
		{exitUsage, "verify ./chat --identity a --identity-provider https://b.test --offline"},
		// Without --offline nothing dials either, where no registry is named.
		{exitDone, "verify ./chat --public-key trainer.pub"},
		{exitDone, "verify oci:layout:v1 --public-key trainer.pub"},
		{exitDone, "inspect ./chat"},
		{exitDone, "digest ./chat"},
		{exitDone, "sign ./chat --private-key trainer.key"},
	} {
		if code, out, errs := hallmark(t, strings.Fields(c.args)...); code != c.code {
			t.Errorf("hallmark %s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
		if n := dials.Swap(0); n != 0 {
			t.Errorf("hallmark %s: %d connections were begun", c.args, n)
		}
	}
	// The same steps with the network allowed do dial: the watch sees them. They end there, to spare the tries that follow.
	for _, args := range []string{"verify 127.0.0.1:1/chat:v1 --public-key trainer.pub", "inspect 127.0.0.1:1/chat:v1", "trust update"} {
		ctx, cancel := context.WithCancel(t.Context())
		onDial = cancel
		code := run(ctx, strings.Fields(args), streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
		if cancel(); code == exitDone || dials.Swap(0) == 0 {
			t.Errorf("hallmark %s: exit code %d and no connection was begun", args, code)
		}
	}
}
