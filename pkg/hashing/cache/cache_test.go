package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

var noon = time.Unix(1_800_000_000, 0)

func fileKey(inode uint64) Key {
	old := noon.Add(-time.Hour).UnixNano()
	return Key{Device: 1, Inode: inode, Size: 100, Modified: old, Changed: old}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// saved returns a folder with a cache of one file and one pack.
func saved(t *testing.T) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "digests")
	c, err := Open(dir, Options{})
	must(t, err)
	c.AddFile(fileKey(1), hashing.Sum{1}, noon)
	c.AddPack(hashing.Sum{2}, Pack{hashing.Sum{3}, 4096})
	must(t, c.Save())
	return dir
}

func knows(c *Cache) (file, pack bool) {
	sum, file := c.File(fileKey(1))
	p, pack := c.Pack(hashing.Sum{2})
	return file && sum == hashing.Sum{1}, pack && p == Pack{hashing.Sum{3}, 4096}
}

func TestOpenFindsWhatWasSaved(t *testing.T) {
	c, err := Open(saved(t), Options{})
	must(t, err)
	if file, pack := knows(c); !file || !pack {
		t.Errorf("file %v, pack %v", file, pack)
	}
	for name, k := range map[string]func(*Key){
		"device": func(k *Key) { k.Device++ }, "inode": func(k *Key) { k.Inode++ }, "size": func(k *Key) { k.Size++ },
		"modified": func(k *Key) { k.Modified++ }, "changed": func(k *Key) { k.Changed++ },
	} {
		other := fileKey(1)
		k(&other)
		if _, ok := c.File(other); ok {
			t.Errorf("known by another %s", name)
		}
	}
}

// TestParseNoticesEveryFlippedByteAndEveryCut is what Open leans on.
func TestParseNoticesEveryFlippedByteAndEveryCut(t *testing.T) {
	good := render([]entry{{file: fileKey(1), sum: hashing.Sum{1}}, {pack: hashing.Sum{2}, sum: hashing.Sum{3}, size: 4096}})
	for i := range good {
		flipped := bytes.Clone(good)
		flipped[i] ^= 1
		for _, raw := range [][]byte{flipped, good[:i]} {
			if entries, err := parse(raw); !errors.Is(err, errForm) || entries != nil {
				t.Errorf("%q: %v, %v", raw, entries, err)
			}
		}
	}
	if entries, err := parse(good); err != nil || len(entries) != 2 {
		t.Errorf("undamaged: %v, %v", entries, err)
	}
}

// TestOpenIgnoresWhatIsDamaged has each kind of damage noticed, and Save mend it.
func TestOpenIgnoresWhatIsDamaged(t *testing.T) {
	dir := saved(t)
	path := filepath.Join(dir, name)
	good, err := os.ReadFile(path)
	must(t, err)
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for _, raw := range [][]byte{flipped, good[:len(good)/2], nil, append(bytes.Clone(good), '\n'), append(bytes.Clone(good), good...)} {
		must(t, os.WriteFile(path, raw, 0o600))
		c, err := Open(dir, Options{})
		if file, pack := knows(c); err == nil || file || pack {
			t.Fatalf("believed: %q", raw)
		}
		must(t, c.Save())
		if c, err := Open(dir, Options{}); err != nil || len(c.old) != 0 {
			t.Fatalf("not mended: %v", err)
		}
	}
	must(t, os.WriteFile(path, good, 0o600))
	if c, err := Open(dir, Options{}); err != nil || len(c.old) != 2 {
		t.Errorf("undamaged: %v", err)
	}
}

// TestParseTakesOnlyWhatRenderWrites has the right sum and another spelling.
func TestParseTakesOnlyWhatRenderWrites(t *testing.T) {
	zero := strings.Repeat("0", 64)
	if _, err := parse(sealed(head + "file 1 2 3 4 5 " + zero + "\n")); err != nil {
		t.Errorf("the form: %v", err)
	}
	for _, body := range []string{
		"file 01 2 3 4 5 " + zero + "\n", "file 1 2 3 4 +5 " + zero + "\n", "file 1 2 3 4 5  " + zero + "\n", "file 1 2 3 4 5 " + zero + " \n",
		"file 1 2 -3 4 5 " + zero + "\n", "file 1 2 3 4 5 " + strings.Repeat("A", 64) + "\n", "file 1 2 3 4 5 " + zero[1:] + "\n",
		"file 1 2 3 4 5 " + zero + "\nfile 1 2 3 4 5 " + zero + "\n", "file 1 2 3 4 " + zero + "\n", "link 1 2 3 4 5 " + zero + "\n", "\n",
		"file 1 99999999999999999999 3 4 5 " + zero + "\n", "pack " + zero + " 0 " + zero + "\n", "file 1 2 3 4 5 " + zero,
	} {
		if _, err := parse(sealed(head + body)); !errors.Is(err, errForm) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// TestOpenUsesNothingThatOthersMayWrite: nothing is believed, and nothing is written either.
func TestOpenUsesNothingThatOthersMayWrite(t *testing.T) {
	for what, spoil := range map[string]func(dir string) error{
		"folder open to all":   func(dir string) error { return os.Chmod(dir, 0o755) },
		"file open to all":     func(dir string) error { return os.Chmod(filepath.Join(dir, name), 0o644) },
		"file with two names":  func(dir string) error { return os.Link(filepath.Join(dir, name), filepath.Join(dir, "other")) },
		"link in its place":    func(dir string) error { return relink(filepath.Join(dir, name)) },
		"link to the folder":   relink,
		"folder for the file":  func(dir string) error { return refolder(filepath.Join(dir, name)) },
		"a file as the folder": func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		dir := saved(t)
		must(t, spoil(dir))
		c, err := Open(dir, Options{})
		if file, pack := knows(c); err == nil || file || pack {
			t.Errorf("%s: believed (%v)", what, err)
		}
		before, _ := os.Lstat(filepath.Join(dir, name))
		c.AddFile(fileKey(9), hashing.Sum{9}, noon)
		must(t, c.Save())
		if after, _ := os.Lstat(filepath.Join(dir, name)); before != nil && !os.SameFile(before, after) {
			t.Errorf("%s: written to", what)
		}
		if _, ok := c.File(fileKey(9)); !ok {
			t.Errorf("%s: forgets within one run", what)
		}
	}
}

func relink(path string) error {
	return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
}

func refolder(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) }

func TestSaveIsTheUsersAlone(t *testing.T) {
	dir := saved(t)
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, name): 0o600} {
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("more is left than the cache: %v %v", entries, err)
	}
}

// TestSaveKeepsWhatWasUsedLast drops what was not used for longest where there is too much.
func TestSaveKeepsWhatWasUsedLast(t *testing.T) {
	dir := saved(t)
	c, err := Open(dir, Options{})
	must(t, err)
	c.Pack(hashing.Sum{2}) // used, the file is not
	for i := range MaxEntries - 1 {
		c.AddFile(fileKey(uint64(i)+10), hashing.Sum{}, noon)
	}
	must(t, c.Save())
	c, err = Open(dir, Options{})
	must(t, err)
	if file, pack := knows(c); file || !pack || len(c.old) != MaxEntries {
		t.Errorf("file %v, pack %v, %d entries", file, pack, len(c.old))
	}
}

func TestAddFileRefusesWhatWasJustTouched(t *testing.T) {
	c, err := Open(t.TempDir(), Options{})
	if err == nil { // the test's own folder is open to all
		t.Error("a folder that is open to all is used")
	}
	for age, ok := range map[time.Duration]bool{-time.Hour: false, 0: false, settled - 1: false, settled: true} {
		for _, changed := range []bool{true, false} {
			k := fileKey(uint64(age) + 2)
			if k.Modified = noon.Add(-age).UnixNano(); changed {
				k.Modified, k.Changed = k.Changed, k.Modified
			}
			c.AddFile(k, hashing.Sum{7}, noon)
			if _, got := c.File(k); got != ok {
				t.Errorf("touched %v before, changed %v: known %v, want %v", age, changed, got, ok)
			}
		}
	}
}

func TestNilCacheKnowsNothing(t *testing.T) {
	var c *Cache
	c.AddFile(fileKey(1), hashing.Sum{1}, noon)
	c.AddPack(hashing.Sum{2}, Pack{hashing.Sum{3}, 4096})
	if file, pack := knows(c); file || pack || c.Save() != nil {
		t.Error("it knows something")
	}
}

func TestMembersDiffer(t *testing.T) {
	type file struct {
		name string
		size int64
		sum  hashing.Sum
	}
	seen := map[hashing.Sum]int{}
	for i, files := range [][]file{
		nil, {{"a", 1, hashing.Sum{1}}}, {{"b", 1, hashing.Sum{1}}}, {{"a", 2, hashing.Sum{1}}}, {{"a", 1, hashing.Sum{2}}},
		{{"a", 1, hashing.Sum{1}}, {"b", 1, hashing.Sum{1}}}, {{"b", 1, hashing.Sum{1}}, {"a", 1, hashing.Sum{1}}},
	} {
		sum := Members(len(files), func(i int) (string, int64, hashing.Sum) { return files[i].name, files[i].size, files[i].sum })
		if before, ok := seen[sum]; ok {
			t.Errorf("lists %d and %d have the same digest", before, i)
		}
		seen[sum] = i
	}
}

func FuzzParse(f *testing.F) {
	f.Add(render([]entry{{file: fileKey(1), sum: hashing.Sum{1}}, {pack: hashing.Sum{2}, sum: hashing.Sum{3}, size: 4096}}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, b := range [][]byte{raw, sealed(head + string(raw))} {
			if entries, err := parse(b); err == nil && !bytes.Equal(render(entries), b) {
				t.Errorf("read from another form than is written: %q", b)
			}
		}
	})
}
