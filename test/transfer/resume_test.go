package transfer

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// worthKeeping is more than registries keep for the next pull at least; below it, it is not worth a folder.
const worthKeeping = 5 << 20

// heavy has a file that is whole when the other one is half done.
func heavy() map[string]string {
	return map[string]string{"config.json": `{"layers": 12}`, "model.safetensors": noise(worthKeeping, 5), "sub/more.safetensors": noise(worthKeeping, 6)}
}

// errSignal stands for what a program says of the signal that ended it.
var errSignal = errors.New("stopped by a signal")

// interrupt pulls until half of the named file has come, and then stops because of cause; nil is a plain cancel.
func (a *artifact) interrupt(t *testing.T, g *lab.Registry, name, dir string, cause error) {
	t.Helper()
	for _, l := range a.canonical.Layers {
		if l.Name != name {
			continue
		}
		proxy := lab.NewProxy(g)
		ref := refAt(t, lab.Serve(t, proxy))
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		// It is cut first: a client that asks for the rest has taken in what came before.
		half := lab.Fault{Name: "half", Do: func(x *lab.Exchange) { x.Cut(x.Ask(), int(l.Size/2), false) }}
		proxy.Set(lab.Rule{Fault: half.At(http.MethodGet, "/blobs/"+l.Digest.String()), At: 1},
			lab.Rule{Fault: lab.Stall(0, func() { cancel(cause) }).At(http.MethodGet, "/blobs/"+l.Digest.String()), At: 2})
		if _, err := a.pull(ctx, ref, dir, options(long), 1); err == nil || ctx.Err() == nil {
			t.Fatalf("interrupted within %q: %v", name, err)
		}
		a.checkTarget(t, dir, false)
		return
	}
	t.Fatalf("there is no %q", name)
}

// TestAnInterruptedPullGoesOnWhereItWas: what came is not fetched again, whatever the interruption is called.
func TestAnInterruptedPullGoesOnWhereItWas(t *testing.T) {
	a := newArtifact(t, heavy())
	for name, cause := range map[string]error{"cancelled": nil, "signal": errSignal} {
		t.Run(name, func(t *testing.T) { a.goesOn(t, cause) })
	}
}

func (a *artifact) goesOn(t *testing.T, cause error) {
	t.Helper()
	proxy := lab.NewProxy(a.stock(t, kinds["referrers API"]))
	dir := filepath.Join(t.TempDir(), "out")
	a.interrupt(t, a.stock(t, kinds["referrers API"]), "sub/more.safetensors", dir, cause)
	ref := refAt(t, lab.Serve(t, proxy)) // another registry that has the same will do
	if d, err := a.pull(t.Context(), ref, dir, options(long), 1); err != nil || d.Verdict() != policy.Yes {
		t.Fatalf("%s %v", d.Verdict(), err)
	}
	a.checkTarget(t, dir, true)
	for _, r := range proxy.Requests() {
		if r.Method != http.MethodGet || !strings.Contains(r.URI, "/blobs/") {
			continue
		}
		switch part := r.Header.Get("Range"); {
		case strings.Contains(r.URI, a.weights()):
			t.Error("a file that was whole is fetched again")
		case strings.Contains(r.URI, a.layer("sub/more.safetensors")) && (part == "" || strings.HasPrefix(part, "bytes=0-")):
			t.Errorf("a file that was half there is fetched from its start (%q)", part)
		}
	}
}

// layer is the digest of a file's layer.
func (a *artifact) layer(name string) string {
	for _, l := range a.canonical.Layers {
		if l.Name == name {
			return l.Digest.String()
		}
	}
	return "no such file"
}

// tamperings are what may happen to a thing that an interrupted pull left, before the next one finds it.
func tamperings(outside, victim string) map[string]func(at string) error {
	replaced := func(by func(at string) error) func(string) error {
		return func(at string) error { return errors.Join(os.RemoveAll(at), by(at)) }
	}
	rewritten := func(change func(raw []byte) []byte) func(string) error {
		return func(at string) error {
			raw, err := os.ReadFile(at)
			if err != nil {
				return nil // a folder
			}
			return os.WriteFile(at, change(raw), 0o644)
		}
	}
	return map[string]func(string) error{
		"other bytes": rewritten(func(raw []byte) []byte {
			for i := range raw {
				raw[i] ^= 1
			}
			return raw
		}),
		"one bit": rewritten(func(raw []byte) []byte {
			if len(raw) > 0 {
				raw[0] ^= 1
			}
			return raw
		}),
		"shorter":                 rewritten(func(raw []byte) []byte { return raw[:len(raw)/2] }),
		"longer":                  rewritten(func(raw []byte) []byte { return append(raw, "and more"...) }),
		"empty":                   rewritten(func([]byte) []byte { return nil }),
		"gone":                    os.RemoveAll,
		"a link to a file":        replaced(func(at string) error { return os.Symlink(victim, at) }),
		"a link to a folder":      replaced(func(at string) error { return os.Symlink(outside, at) }),
		"another name of a file":  replaced(func(at string) error { return os.Link(victim, at) }),
		"a device":                replaced(func(at string) error { return os.Symlink("/dev/full", at) }),
		"a FIFO":                  replaced(func(at string) error { return syscall.Mkfifo(at, 0o600) }),
		"a folder":                replaced(func(at string) error { return os.Mkdir(at, 0o755) }),
		"a file":                  replaced(func(at string) error { return os.WriteFile(at, []byte("theirs"), 0o644) }),
		"executable and writable": func(at string) error { return os.Chmod(at, 0o777) },
	}
}

// TestAnInterruptedPullTrustsNothingThatItLeft changes everything that lies in the part, thing by thing and in every
// way. The next pull may succeed or refuse; what it names DIR is the artifact, and nothing outside changes.
func TestAnInterruptedPullTrustsNothingThatItLeft(t *testing.T) {
	a := newArtifact(t, heavy())
	stock := a.stock(t, kinds["referrers API"])
	ref := refAt(t, lab.Serve(t, stock))
	home := t.TempDir()
	outside, origin := filepath.Join(home, "outside"), filepath.Join(home, "origin")
	victim := filepath.Join(outside, "victim")
	if err := os.Mkdir(origin, 0o755); err != nil {
		t.Fatal(err)
	}
	a.interrupt(t, stock.Clone(), "sub/more.safetensors", filepath.Join(origin, "out"), nil)
	things := everything(t, filepath.Join(origin, "out.partial"))
	if len(things) < 3 {
		t.Fatalf("nothing is left: %v", things)
	}
	for name, tamper := range tamperings(outside, victim) {
		for i, thing := range things {
			if stride() > 1 && i%3 != len(name)%3 {
				continue
			}
			write(t, victim, "mine")
			parent, err := os.MkdirTemp(home, "next")
			if err != nil {
				t.Fatal(err)
			}
			partial := filepath.Join(parent, "out.partial")
			if err := os.CopyFS(partial, os.DirFS(filepath.Join(origin, "out.partial"))); err != nil {
				t.Fatal(err)
			}
			if err := tamper(filepath.Join(partial, thing)); err != nil {
				t.Fatal(err)
			}
			a.pullNext(t, ref, filepath.Join(parent, "out"), thing+": "+name)
			raw, err := os.ReadFile(victim)
			if string(raw) != "mine" || len(left(t, outside)) != 1 {
				t.Errorf("%s: %s: outside lies %v, the victim has %d bytes (%v)", thing, name, left(t, outside), len(raw), err)
			}
			_ = os.RemoveAll(parent)
		}
	}
}

// pullNext pulls into what an earlier pull left.
func (a *artifact) pullNext(t *testing.T, ref registry.Ref, dir, story string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	failed := t.Failed()
	_, err := a.pull(ctx, ref, dir, options(long), 1)
	if ctx.Err() != nil {
		t.Error("it does not end")
	}
	if err == nil {
		a.mustBeThere(t, dir)
	} else if _, err := os.Lstat(dir); err == nil {
		t.Error("it fails, and DIR is there")
	}
	if t.Failed() && !failed {
		t.Logf("that was: %s (%v)", story, err)
	}
}

// everything lists what lies below dir: folders and files.
func everything(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(at string, _ fs.DirEntry, err error) error {
		if at != dir {
			name, _ := filepath.Rel(dir, at)
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
