package transfer

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// victimEnv names, in a child's environment, the file with its orders.
const victimEnv = "HALLMARK_TRANSFER_VICTIM"

// orders are what a process does until it is killed.
type orders struct {
	Operation string // push, pull or copy
	Ref       string
	Dir       string
	Key       []byte // public, PEM
	Evidence  [][]byte
}

// obey is the whole life of a child process.
func obey(file string) error {
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var o orders
	if err := json.Unmarshal(raw, &o); err != nil {
		return err
	}
	ref, err := registry.ParseRef(o.Ref)
	if err != nil {
		return err
	}
	ctx := context.Background()
	a := &artifact{dir: o.Dir}
	if o.Operation == "push" {
		if a.manifest, err = manifest.Build(ctx, o.Dir, manifest.Options{}); err != nil {
			return err
		}
		for _, e := range o.Evidence {
			a.evidence = append(a.evidence, chain.Item{Where: "orders", Bundle: attestations.Bundle(e)})
		}
		_, err = a.push(ctx, ref, options(long))
		return err
	}
	if o.Operation == "copy" {
		to, err := registry.ParseRef("oci-archive:" + o.Dir + ":" + tag)
		if err != nil {
			return err
		}
		_, err = registry.Copy(ctx, ref, to, registry.CopyOptions{From: options(long)})
		return err
	}
	key, err := trust.LoadKey(o.Key)
	if err != nil {
		return err
	}
	a.roots = trust.Roots{Keys: []trust.Key{key}, Now: func() time.Time { return present }}
	a.policy = policy.Policy{Signers: []trust.Identity{{Key: key.Fingerprint()}}}
	_, err = a.pull(ctx, ref, o.Dir, options(long), 1)
	return err
}

// TestKilledAtAnyRequestItCompletesNextTime kills a process, as kill -9 does, while it waits for an answer: at each
// request, and in the middle of each answer. No name stands for half a thing, and the next one completes it.
func TestKilledAtAnyRequestItCompletesNextTime(t *testing.T) {
	a := newArtifact(t, large())
	for _, operation := range []string{"push", "pull", "copy"} {
		t.Run(operation, func(t *testing.T) {
			stock := lab.New(kinds["referrers API"])
			if operation != "push" {
				stock = a.stock(t, kinds["referrers API"])
			}
			step := 2
			if testing.Short() {
				step = 5
			}
			for n := 1; killedAt(t, a, operation, stock.Clone(), n); n += step {
			}
		})
	}
}

// killedAt kills a child at request n and reports whether it came that far.
func killedAt(t *testing.T, a *artifact, operation string, g *lab.Registry, n int) bool {
	t.Helper()
	proxy := lab.NewProxy(g)
	ref := refAt(t, lab.Serve(t, proxy))
	reached := make(chan struct{})
	proxy.Set(lab.Rule{Fault: lab.Stall(largeSize/2, func() { close(reached) }), At: n})
	dir := filepath.Join(t.TempDir(), "out")
	if operation == "copy" {
		dir += ".tar"
	}
	o := orders{Operation: operation, Ref: ref.String(), Dir: dir, Key: a.public(t)}
	if operation == "push" {
		o.Dir = a.dir
		for _, e := range a.evidence {
			o.Evidence = append(o.Evidence, e.Bundle)
		}
	}
	file := filepath.Join(t.TempDir(), "orders.json")
	write(t, file, string(mustJSON(t, o)))
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), victimEnv+"="+file)
	var said strings.Builder
	child.Stderr = &said
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	select {
	case <-reached:
		_ = child.Process.Kill()
		<-ended
	case err := <-ended:
		if err != nil {
			t.Fatalf("%s, request %d: %v: %s", operation, n, err, said.String())
		}
		return false
	}
	proxy.Set()
	if operation == "push" {
		if len(g.Tags(repository)) > 0 {
			a.mustHaveAll(t, g)
		}
		if _, err := a.push(t.Context(), ref, options(long)); err != nil {
			t.Errorf("push killed at request %d: the next one: %v", n, err)
		}
		a.mustHaveAll(t, g)
		return true
	}
	if _, err := os.Lstat(dir); err == nil {
		t.Errorf("killed at request %d: what it was to make is there", n)
	}
	if operation == "copy" {
		x := &trial{artifact: a, ref: ref, registry: g, timeout: long, dir: strings.TrimSuffix(dir, ".tar"), fault: lab.Fault{Name: "none"}}
		if !runCopyToArchive(t.Context(), t, x) {
			t.Errorf("copy killed at request %d: the next one fails", n)
		}
		return true
	}
	if d, err := a.pull(t.Context(), ref, dir, options(long), 1); err != nil || d.Verdict() != policy.Yes {
		t.Errorf("pull killed at request %d: the next one: %s %v", n, d.Verdict(), err)
	}
	a.checkTarget(t, dir, true)
	return true
}
