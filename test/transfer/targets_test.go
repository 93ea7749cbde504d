package transfer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

// obstacle is something that lies in a pull's way.
type obstacle struct {
	plant   func(parent string) error
	refused bool // DIR is taken: nothing may be pulled
}

// obstacles lead to the victim, a file in the folder outside, or into a device.
func obstacles(outside, victim string) map[string]obstacle {
	link := func(to, at string) func(string) error {
		return func(parent string) error {
			return errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(parent, at)), 0o755), os.Symlink(to, filepath.Join(parent, at)))
		}
	}
	return map[string]obstacle{
		"an empty DIR":           {func(p string) error { return os.Mkdir(filepath.Join(p, "out"), 0o755) }, false},
		"a full DIR":             {link("x", "out/mine"), true},
		"a link for DIR":         {link(outside, "out"), true},
		"a link to nowhere":      {link("nowhere", "out"), true},
		"a device for DIR":       {link("/dev/null", "out"), true},
		"a file for DIR":         {func(p string) error { return os.WriteFile(filepath.Join(p, "out"), []byte("mine"), 0o600) }, true},
		"a FIFO for DIR":         {func(p string) error { return syscall.Mkfifo(filepath.Join(p, "out"), 0o600) }, true},
		"a link for the part":    {link(outside, "out.partial"), false},
		"a link in the part":     {link(outside, "out.partial/sub"), false},
		"a link for a file":      {link(victim, "out.partial/model.safetensors"), false},
		"a device for a file":    {link("/dev/full", "out.partial/model.safetensors"), false},
		"a file for the part":    {func(p string) error { return os.WriteFile(filepath.Join(p, "out.partial"), nil, 0o600) }, false},
		"a file that is foreign": {link("x", "out.partial/foreign.py"), false},
		"a FIFO for a file": {func(p string) error {
			return errors.Join(os.Mkdir(filepath.Join(p, "out.partial"), 0o755), syscall.Mkfifo(filepath.Join(p, "out.partial/model.safetensors"), 0o600))
		}, false},
		"another name of a file": {func(p string) error {
			return errors.Join(os.Mkdir(filepath.Join(p, "out.partial"), 0o755), os.Link(victim, filepath.Join(p, "out.partial/model.safetensors")))
		}, false},
	}
}

// TestPullGoesThroughNothingThatLiesInItsWay: links, devices and files where DIR is to be, or where an interrupted pull
// would have left its part, lead nowhere else, and lose nothing.
func TestPullGoesThroughNothingThatLiesInItsWay(t *testing.T) {
	a := newArtifact(t, small())
	ref := refAt(t, lab.Serve(t, a.stock(t, kinds["referrers API"])))
	outside := t.TempDir()
	victim := filepath.Join(outside, "model.safetensors")
	for name, row := range obstacles(outside, victim) {
		t.Run(name, func(t *testing.T) {
			write(t, victim, "mine")
			parent, err := os.MkdirTemp(filepath.Dir(outside), "parent") // hard links need one file system
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(parent)
			if err := row.plant(parent); err != nil {
				t.Skipf("cannot be made here: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			dir := filepath.Join(parent, "out")
			d, err := a.pull(ctx, ref, dir, options(long), 0)
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			if row.refused && err == nil {
				t.Error("pulled to what was there")
			}
			if name == "an empty DIR" && err != nil {
				t.Error(err)
			}
			if raw, err := os.ReadFile(victim); string(raw) != "mine" || len(left(t, outside)) != 1 {
				t.Errorf("outside lies %v; the victim has %d bytes (%v)", left(t, outside), len(raw), err)
			}
			if err == nil && d.Verdict() == policy.Yes {
				a.mustBeThere(t, dir)
			} else if !row.refused {
				if info, err := os.Lstat(dir); err == nil && len(left(t, dir)) > 0 {
					t.Errorf("it fails, and %v is there", info.Mode())
				}
			}
		})
	}
}

// mustBeThere fails unless DIR is the artifact, whatever lies beside it.
func (a *artifact) mustBeThere(t *testing.T, dir string) {
	t.Helper()
	alone := filepath.Join(t.TempDir(), "out")
	if err := os.Rename(dir, alone); err != nil {
		t.Fatal(err)
	}
	a.checkTarget(t, alone, true)
}
