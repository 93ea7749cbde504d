package manifest

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// TestWeakStatComparesSizeAndTime swaps a file for one of the same size and time. Where the file system has stable
// inodes that is found; where it has not, only other sizes and times are.
func TestWeakStatComparesSizeAndTime(t *testing.T) {
	for _, weak := range []bool{false, true} {
		dir := t.TempDir()
		past := time.Unix(1_000_000_000, 0)
		write := func(name, data string, at time.Time) {
			path := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(path+".new", []byte(data), 0o644), os.Chtimes(path+".new", at, at), os.Rename(path+".new", path)); err != nil {
				t.Fatal(err)
			}
		}
		write("a", "one", past)
		l, err := List(t.Context(), dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.weak = weak
		m, err := l.Hash(t.Context(), HashOptions{})
		if err != nil || m.WeakStat != weak {
			t.Fatalf("weak %t: manifest says %t, %v", weak, m.WeakStat, err)
		}
		write("a", "two", past)
		if _, err := l.Hash(t.Context(), HashOptions{}); errors.Is(err, hashing.ErrChanged) == weak {
			t.Errorf("weak %t, another inode: %v", weak, err)
		}
		write("a", "two", past.Add(time.Second))
		if _, err := l.Hash(t.Context(), HashOptions{}); !errors.Is(err, hashing.ErrChanged) {
			t.Errorf("weak %t, another time: %v", weak, err)
		}
		write("a", "three", past)
		if _, err := l.Hash(t.Context(), HashOptions{}); !errors.Is(err, hashing.ErrChanged) {
			t.Errorf("weak %t, another size: %v", weak, err)
		}
	}
}

func TestWeakFileSystems(t *testing.T) {
	for _, magic := range []uint32{unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC} {
		if !weakMagic(magic) {
			t.Errorf("magic %#x is taken for strong", magic)
		}
	}
	for _, magic := range []uint32{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.NFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if weakMagic(magic) {
			t.Errorf("magic %#x is taken for weak", magic)
		}
	}
}

// TestChangeTimeTells writes other bytes of the same number and puts the modification time back.
func TestChangeTimeTells(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	past := time.Unix(1_000_000_000, 0)
	put := func(data string) stamp {
		if err := errors.Join(os.WriteFile(path, []byte(data), 0o644), os.Chtimes(path, past, past)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return stampOf(info)
	}
	was := put("one")
	l, err := List(t.Context(), filepath.Dir(path), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Hash(t.Context(), HashOptions{}); err != nil {
		t.Fatal(err)
	}
	for put("two").ctime == was.ctime { // the clock that stamps files ticks a few hundred times a second
	}
	if _, err := l.Hash(t.Context(), HashOptions{}); !errors.Is(err, hashing.ErrChanged) {
		t.Errorf("other bytes under the old time: %v", err)
	}
}
