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
	if err := os.WriteFile("policy.yaml", []byte(signedByTrainer), 0o644); err != nil {
		t.Fatal(err)
	}
}

// signedByTrainer is the smallest policy that the signed model satisfies.
const signedByTrainer = `apiVersion: hallmark/v1
kind: Policy
name: prod
version: 1
expires: 2100-01-01
identities:
  trainer: {key: trainer.pub}
target: release
steps:
  release: {kind: model, signature: [trainer]}
`

// dialWatch notices connections: those of the default transport and questions for a name's address, which it refuses, and
// those to a listener of its own, which it ends.
type dialWatch struct {
	dials    atomic.Int32
	address  string                             // of the listener
	announce atomic.Pointer[context.CancelFunc] // called for each connection
}

func watchDials(t *testing.T) *dialWatch {
	t.Helper()
	w := &dialWatch{}
	refuse := func(context.Context, string, string) (net.Conn, error) {
		w.begun()
		return nil, errors.New("this test has no network")
	}
	transport, resolver := http.DefaultTransport, net.DefaultResolver
	http.DefaultTransport, net.DefaultResolver = &http.Transport{DialContext: refuse}, &net.Resolver{PreferGo: true, Dial: refuse}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultTransport, net.DefaultResolver = transport, resolver
		_ = l.Close()
	})
	w.address = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.begun()
			_ = c.Close()
		}
	}()
	return w
}

func (w *dialWatch) begun() {
	w.dials.Add(1)
	if announce := w.announce.Load(); announce != nil {
		(*announce)()
	}
}

// count returns how many connections were begun since it was last called. Those to the listener arrive in order: when one
// that begins now is there, all are.
func (w *dialWatch) count(t *testing.T) int {
	t.Helper()
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // until the listener ends it
	_ = c.Close()
	return int(w.dials.Swap(0)) - 1
}

func TestOfflineNeverDials(t *testing.T) {
	signedModel(t)
	id := strings.TrimSpace(mustRun(t, "digest", "chat", "--quiet"))
	watch := watchDials(t)
	tried := map[string]bool{}
	for _, c := range []struct {
		code int
		args string
	}{
		{exitDone, "verify ./chat --public-key trainer.pub --offline"},
		{exitDone, "verify oci:layout:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "verify registry.test/chat:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "verify LISTENER/chat:v1 --public-key trainer.pub --offline"},
		{exitDone, "pull oci:layout:v1 pulled --public-key trainer.pub --offline"},
		{exitUnknown, "pull registry.test/chat:v1 other --public-key trainer.pub --offline"},
		{exitDone, "inspect ./chat --public-key trainer.pub --offline"},
		{exitDone, "inspect oci:layout:v1 --offline"},
		{exitUnknown, "inspect registry.test/chat:v1 --offline"},
		{exitUnknown, "push ./chat registry.test/chat:v1 --offline"},
		{exitUnknown, "copy oci:layout:v1 registry.test/chat:v1 --offline"},
		{exitUnknown, "copy LISTENER/chat:v1 oci:other:v1 --offline"},
		{exitDone, "copy oci:layout:v1 oci-archive:chat.tar:v1 --offline"},
		{exitDone, "verify oci-archive:chat.tar:v1 --public-key trainer.pub --offline"},
		{exitDone, "push ./chat oci:layout:v2 --offline"},
		{exitDone, "show ./chat --input oci:layout:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "show LISTENER/chat:v1 --public-key trainer.pub --offline"},
		{exitUnknown, "show ./chat --input LISTENER/base:v1 --public-key trainer.pub --offline"},
		{exitDone, "verify ./chat --policy policy.yaml --offline"},
		{exitDone, "verify oci:layout:v1 --policy policy.yaml --offline"},
		{exitUnknown, "verify LISTENER/chat:v1 --policy policy.yaml --offline"},
		{exitUnknown, "verify ./chat --policy policy.yaml --evidence LISTENER/base:v1 --offline"},
		{exitDone, "export ./chat --policy policy.yaml --out exported --offline"},
		{exitDone, "audit oci:layout --policy policy.yaml --offline"},
		{exitUnknown, "audit LISTENER --public-key trainer.pub --offline"},
		{exitDone, "lineage ID --in oci:layout --public-key trainer.pub --offline"},
		{exitUnknown, "lineage ID --in LISTENER/chat --public-key trainer.pub --offline"},
		{exitDone, "impact ID --in oci:layout --public-key trainer.pub --offline"},
		{exitUnknown, "impact ID --in LISTENER/chat --public-key trainer.pub --offline"},
		{exitDone, "audit oci:layout --public-key trainer.pub --offline"},
		{exitUnknown, "audit LISTENER/chat --public-key trainer.pub --offline"},
		{exitUsage, "trust update --offline"},
		{exitUnknown, "trust show"},
		{exitUsage, "verify ./chat --identity a --identity-provider https://b.test --offline"},
		// Without --offline nothing dials either, where no registry is named.
		{exitDone, "verify ./chat --public-key trainer.pub"},
		{exitDone, "verify oci:layout:v1 --public-key trainer.pub"},
		{exitDone, "inspect ./chat"},
		{exitDone, "digest ./chat"},
		{exitDone, "show ./chat"},
		{exitDone, "sign ./chat --private-key trainer.key"},
		{exitDone, "approve ./chat --decision rejected --scope production --private-key trainer.key"},
	} {
		if name, _, _ := strings.Cut(c.args, " "); c.code == exitDone && strings.HasSuffix(c.args, " --offline") {
			tried[name] = true
		}
		if code, out, errs := hallmark(t, strings.Fields(strings.NewReplacer("LISTENER", watch.address, "ID", id).Replace(c.args))...); code != c.code {
			t.Errorf("hallmark %s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
		if n := watch.count(t); n != 0 {
			t.Errorf("hallmark %s: %d connections were begun", c.args, n)
		}
	}
	for _, c := range newRoot(streams{}).Commands() {
		if c.Flags().Lookup("offline") != nil && !tried[c.Name()] {
			t.Errorf("hallmark %s --offline is not tried", c.Name())
		}
	}
	// The same steps with the network allowed do dial: the watch sees them. They end there, to spare the tries that follow.
	for _, args := range []string{
		"verify LISTENER/chat:v1 --public-key trainer.pub", "verify registry.test/chat:v1 --public-key trainer.pub", "inspect LISTENER/chat:v1", "trust update",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		watch.announce.Store(&cancel)
		code := run(ctx, strings.Fields(strings.ReplaceAll(args, "LISTENER", watch.address)), streams{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
		if cancel(); code == exitDone || watch.count(t) == 0 {
			t.Errorf("hallmark %s: exit code %d and no connection was begun", args, code)
		}
	}
}
