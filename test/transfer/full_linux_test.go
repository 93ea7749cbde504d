package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// disk mounts a file system that holds little until grow is called.
func disk(t *testing.T) (dir string, grow func()) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func() {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=32m"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskLeavesNothingHalf(t *testing.T) {
	a := newArtifact(t, large())
	ref := refAt(t, lab.Serve(t, a.stock(t, kinds["referrers API"])))
	t.Run("pull", func(t *testing.T) {
		at, grow := disk(t)
		dir := filepath.Join(at, "out")
		if _, err := a.pull(t.Context(), ref, dir, options(long), 0); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("pulled to a full disk: %v", err)
		}
		a.checkTarget(t, dir, false)
		grow()
		if d, err := a.pull(t.Context(), ref, dir, options(long), 0); err != nil || d.Verdict() != policy.Yes {
			t.Errorf("with room: %s %v", d.Verdict(), err)
		}
		a.checkTarget(t, dir, true)
	})
	t.Run("push to a layout", func(t *testing.T) {
		at, grow := disk(t)
		layout := mustRef(t, "oci:"+filepath.Join(at, "layout")+":"+tag)
		if _, err := a.push(t.Context(), layout, registry.Options{}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("pushed to a full disk: %v", err)
		}
		if d, _, err := a.verify(t.Context(), layout, registry.Options{}); err != nil || d.Verdict() == policy.Yes {
			t.Errorf("half an artifact is %s (%v)", d.Verdict(), err)
		}
		if blobs, err := os.ReadDir(filepath.Join(at, "layout/blobs/sha256")); err == nil {
			for _, b := range blobs {
				if raw, err := os.ReadFile(filepath.Join(at, "layout/blobs/sha256", b.Name())); err != nil || lab.Digest(raw) != "sha256:"+b.Name() {
					t.Errorf("%s holds other bytes (%v)", b.Name(), err)
				}
			}
		}
		grow()
		if _, err := a.push(t.Context(), layout, registry.Options{}); err != nil {
			t.Errorf("with room: %v", err)
		}
		if d, _, err := a.verify(t.Context(), layout, registry.Options{}); err != nil || d.Verdict() != policy.Yes {
			t.Errorf("the whole artifact is %s because of %v (%v)", d.Verdict(), d.Reasons(), err)
		}
	})
}
