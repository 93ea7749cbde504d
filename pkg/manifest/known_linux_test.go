package manifest_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// later is a clock by which everything that was just written has been left alone for an hour.
func later() time.Time { return time.Now().Add(time.Hour) }

func openCache(t *testing.T, now func() time.Time) *cache.Cache {
	t.Helper()
	c, err := cache.Open(filepath.Join(t.TempDir(), "cache"), cache.Options{Now: now})
	must(t, err)
	return c
}

// poison makes what the cache says of a file visible: another digest than the file has.
func poison(t *testing.T, c *cache.Cache, path string, sum hashing.Sum) {
	t.Helper()
	c.AddFile(manifest.KeyOf(path), sum, later())
}

func TestBuildReadsNoFileThatTheCacheKnows(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	must(t, os.WriteFile(a, []byte("one"), 0o644))
	must(t, os.WriteFile(b, []byte("two"), 0o644))
	c := openCache(t, later)
	o := manifest.Options{Cache: c}
	first := build(t, dir, o)
	second := build(t, dir, o)
	if first.Cached != 0 || second.Cached != 2 || idOf(t, first) != idOf(t, second) || idOf(t, first) != idOf(t, build(t, dir, manifest.Options{})) {
		t.Errorf("%d, then %d files were known; IDs %s and %s", first.Cached, second.Cached, idOf(t, first), idOf(t, second))
	}
	lie := hashing.Sum{1}
	poison(t, c, a, lie)
	if m := build(t, dir, o); m.Files[0].SHA256 != lie || m.Files[1].SHA256 != sha256.Sum256([]byte("two")) {
		t.Errorf("the cache was not used: %+v", m.Files)
	}
	if m := build(t, dir, manifest.Options{}); m.Files[0].SHA256 != sha256.Sum256([]byte("one")) || m.Cached != 0 {
		t.Errorf("the cache was used where none was asked for: %+v", m.Files)
	}
	vouched := manifest.Options{Cache: c, Vouched: func(name string, sum hashing.Sum) bool { return name == "b" && sum != lie }}
	if m := build(t, dir, vouched); m.Files[0].SHA256 != sha256.Sum256([]byte("one")) || m.Cached != 1 {
		t.Errorf("a digest that nobody vouches for was used: %+v", m.Files)
	}
}

// TestBuildReadsWhatChanged changes a file in every way that leaves its size as it is.
func TestBuildReadsWhatChanged(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string){
		"written to": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("two"), 0o644)) },
		"written to, with its old time": func(t *testing.T, path string) {
			info, err := os.Stat(path)
			must(t, err)
			must(t, os.WriteFile(path, []byte("two"), 0o644))
			must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		},
		"replaced": func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", []byte("two"), 0o644))
			must(t, os.Rename(path+".new", path))
		},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "a")
		must(t, os.WriteFile(path, []byte("one"), 0o644))
		o := manifest.Options{Cache: openCache(t, later)}
		build(t, dir, o)
		if m := build(t, dir, o); m.Cached != 1 {
			t.Fatalf("%s: not known before", name)
		}
		before := manifest.KeyOf(path)
		for manifest.KeyOf(path) == before { // a write within one tick of the kernel's clock changes no time: that is what the two seconds are for
			change(t, path)
		}
		if m := build(t, dir, o); m.Cached != 0 || m.Files[0].SHA256 != sha256.Sum256([]byte("two")) {
			t.Errorf("%s: %+v, %d known", name, m.Files, m.Cached)
		}
	}
}

// TestBuildRemembersNothingThatWasJustTouched is git's rule for files that are racily clean.
func TestBuildRemembersNothingThatWasJustTouched(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	must(t, os.WriteFile(path, []byte("one"), 0o644))
	changed := time.Unix(0, manifest.KeyOf(path).Changed)
	for age, known := range map[time.Duration]int{
		-time.Second: 0, 0: 0, 2*time.Second - 1: 0, 2 * time.Second: 1, time.Minute: 1,
	} {
		o := manifest.Options{Cache: openCache(t, func() time.Time { return changed.Add(age) })}
		build(t, dir, o)
		if m := build(t, dir, o); m.Cached != known {
			t.Errorf("touched %v before: %d known, want %d", age, m.Cached, known)
		}
	}
}

func TestCacheIsNotUsedForOtherDigests(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	must(t, os.WriteFile(path, []byte("one"), 0o644))
	c := openCache(t, later)
	poison(t, c, path, hashing.Sum{1})
	for name, o := range map[string]manifest.Options{
		"shards": {Method: manifest.Shards, ShardSize: 2}, "blake3": {Algorithm: hashing.BLAKE3}, "blake2b": {Algorithm: hashing.BLAKE2b}, "no ID": {NoID: true},
	} {
		want := build(t, dir, o)
		o.Cache = c
		if got := build(t, dir, o); got.Cached != 0 || got.RootDigest() != want.RootDigest() {
			t.Errorf("%s: %d known, root digest %s, want %s", name, got.Cached, got.RootDigest(), want.RootDigest())
		}
	}
	if m := build(t, dir, manifest.Options{Cache: c}); m.Cached != 1 {
		t.Error("not used for the SHA-256 of whole files either")
	}
}

// TestPackIsKnownWithItsMembers has an artifact that is packed, of which one file changes.
func TestPackIsKnownWithItsMembers(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("n", 180)
	for i := range 8000 {
		if i%1000 == 0 {
			must(t, os.Mkdir(filepath.Join(dir, fmt.Sprint(i/1000)), 0o755))
		}
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i/1000), fmt.Sprint(long, i)), []byte("text"), 0o644))
	}
	c := openCache(t, later)
	o := manifest.Options{Cache: c}
	want := build(t, dir, manifest.Options{})
	if oci, err := want.OCI(); err != nil || len(oci.Layers) != 1 || !oci.Layers[0].Pack {
		t.Fatalf("not packed: %v", err)
	}
	for try, known := range []int{0, 8000, 8000} {
		if m := build(t, dir, o); m.Cached != known || idOf(t, m) != idOf(t, want) {
			t.Errorf("try %d: %d known, ID %s, want %s", try, m.Cached, idOf(t, m), idOf(t, want))
		}
	}
	vouched := manifest.Options{Cache: c, Vouched: func(string, hashing.Sum) bool { return true }}
	if m := build(t, dir, vouched); m.Cached != 0 || idOf(t, m) != idOf(t, want) {
		t.Errorf("%d known of a pack that nobody vouches for, ID %s, want %s", m.Cached, idOf(t, m), idOf(t, want))
	}
	must(t, os.WriteFile(filepath.Join(dir, "0", fmt.Sprint(long, 0)), []byte("texts"), 0o644))
	changed := build(t, dir, manifest.Options{})
	if m := build(t, dir, o); m.Cached != 0 || idOf(t, m) != idOf(t, changed) || idOf(t, m) == idOf(t, want) {
		t.Errorf("a member changed: %d known, ID %s, want %s", m.Cached, idOf(t, m), idOf(t, changed))
	}
	if m := build(t, dir, o); m.Cached != 8000 || idOf(t, m) != idOf(t, changed) {
		t.Errorf("afterwards: %d known, ID %s, want %s", m.Cached, idOf(t, m), idOf(t, changed))
	}
}

func idOf(t *testing.T, m *manifest.Manifest) string {
	t.Helper()
	id, err := m.ID()
	must(t, err)
	return id
}
