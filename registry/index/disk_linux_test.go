package index

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestFullDiskKeepsWhatWasAcknowledged writes on a file system that has no room left, and again when it has.
func TestFullDiskKeepsWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("this user cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	x := create(t, filepath.Join(dir, "index.db"))
	t.Cleanup(func() { _ = x.Close() })
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 200<<10), 0o644); err != nil {
		t.Fatal(err)
	}
	written, err := 0, error(nil)
	for err == nil {
		if _, err = x.Record(t.Context(), refusal(2*written), refusal(2*written+1)); err == nil {
			written++
		}
	}
	if isDamaged(err) || !strings.Contains(err.Error(), "no space left") && !errors.Is(err, syscall.ENOSPC) || written == 0 {
		t.Fatalf("after %d: %v", written, err)
	}
	if h := mustCheck(t, x); h.Seq != uint64(2*written) {
		t.Errorf("%d events, %d were acknowledged", h.Seq, 2*written)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	mustRecord(t, x, refusal(2*written), refusal(2*written+1))
	if h := mustCheck(t, x); h.Seq != uint64(2*written+2) {
		t.Errorf("%d events after there was room again", h.Seq)
	}
}
