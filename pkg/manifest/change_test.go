package manifest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func wantChanged(t *testing.T, err error, names ...string) {
	t.Helper()
	var changed *manifest.ChangedError
	if !errors.As(err, &changed) || !errors.Is(err, hashing.ErrChanged) || !slices.Contains(names, changed.Name) {
		t.Errorf("error %v, want that one of %q changed", err, names)
	}
}

// past is a time that no write of the test can have.
var past = time.Unix(1_000_000_000, 0)

// changes are what may happen to an artifact of the files a, sub/b and sub/c while it is hashed. Each says whose change
// may be reported.
var changes = []struct {
	title string
	do    func(t *testing.T, dir string)
	names []string
}{
	{"written to", func(t *testing.T, dir string) { must(t, os.WriteFile(filepath.Join(dir, "sub/b"), []byte("B"), 0o644)) }, []string{"sub/b"}},
	{"touched", func(t *testing.T, dir string) {
		must(t, os.Chtimes(filepath.Join(dir, "sub/b"), past.Add(time.Second), past.Add(time.Second)))
	}, []string{"sub/b"}},
	{"grown", func(t *testing.T, dir string) {
		must(t, os.WriteFile(filepath.Join(dir, "sub/b"), []byte("bb"), 0o644))
	}, []string{"sub/b"}},
	{"truncated", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, "sub/b"), 0)) }, []string{"sub/b"}},
	{"removed", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "sub/b"))) }, []string{"sub/b"}},
	{"swapped by renaming", func(t *testing.T, dir string) {
		path := write(t, dir, "../other", []byte("B"))
		must(t, os.Chtimes(path, past, past))
		must(t, os.Rename(path, filepath.Join(dir, "sub/b")))
	}, []string{"sub/b"}},
	{"swapped for a link to its like", func(t *testing.T, dir string) {
		must(t, os.Rename(filepath.Join(dir, "sub/b"), filepath.Join(dir, "../b")))
		link(t, "../../b", dir, "sub/b")
	}, []string{"sub/b"}},
	{"swapped for a link inside", func(t *testing.T, dir string) {
		must(t, os.Remove(filepath.Join(dir, "sub/b")))
		link(t, "c", dir, "sub/b")
	}, []string{"sub/b"}},
	{"swapped for a folder", func(t *testing.T, dir string) {
		must(t, os.Remove(filepath.Join(dir, "sub/b")))
		must(t, os.Mkdir(filepath.Join(dir, "sub/b"), 0o755))
	}, []string{"sub/b"}},
	{"added", func(t *testing.T, dir string) { write(t, dir, "sub/new", nil) }, []string{"sub/new"}},
	{"added at the top", func(t *testing.T, dir string) { write(t, dir, "new", nil) }, []string{"new"}},
	{"folder added", func(t *testing.T, dir string) { write(t, dir, "new/x", nil) }, []string{"new"}},
	{"link added", func(t *testing.T, dir string) { link(t, "a", dir, "z") }, []string{"z"}},
	{"renamed", func(t *testing.T, dir string) {
		must(t, os.Rename(filepath.Join(dir, "a"), filepath.Join(dir, "A")))
	}, []string{"a", "A"}},
	{"empty folder removed", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "void"))) }, []string{"void"}},
	{"folder swapped for a copy", func(t *testing.T, dir string) {
		must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, "../sub")))
		write(t, dir, "sub/b", []byte("b"))
		write(t, dir, "sub/c", []byte("c"))
	}, []string{"sub", "sub/b", "sub/c"}},
	{"folder swapped for a link to itself", func(t *testing.T, dir string) {
		must(t, os.Rename(filepath.Join(dir, "sub"), filepath.Join(dir, ".git")))
		link(t, ".git", dir, "sub")
	}, []string{"sub", "sub/b", "sub/c"}},
	{"artifact swapped", func(t *testing.T, dir string) {
		must(t, os.Rename(dir, dir+".old"))
		write(t, dir, "a", []byte("evil"))
	}, []string{"."}},
	{"artifact removed", func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")) }, []string{"."}},
}

func changeTree(t *testing.T) string {
	t.Helper()
	dir := writeTree(t, map[string][]byte{"a": []byte("a"), "sub/b": []byte("b"), "sub/c": []byte("c")})
	must(t, os.Mkdir(filepath.Join(dir, "void"), 0o755))
	for _, name := range []string{"a", "sub/b", "sub/c"} {
		must(t, os.Chtimes(filepath.Join(dir, name), past, past))
	}
	return dir
}

func TestChangeBetweenListingAndHashing(t *testing.T) {
	for _, c := range changes {
		t.Run(c.title, func(t *testing.T) {
			dir := changeTree(t)
			l := list(t, dir, manifest.Options{})
			if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
				t.Fatalf("without the change: %v", err)
			}
			c.do(t, dir)
			_, err := l.Hash(context.Background(), manifest.HashOptions{})
			wantChanged(t, err, c.names...)
		})
	}
}

// TestChangeAfterHashing makes the change when the last byte of the last file was read, so that only the look at
// everything afterwards can find it.
func TestChangeAfterHashing(t *testing.T) {
	for _, c := range changes {
		t.Run(c.title, func(t *testing.T) {
			dir := changeTree(t)
			var once sync.Once
			_, err := manifest.Build(context.Background(), dir, manifest.Options{Workers: 1, Progress: func(done, total int64) {
				if done == total {
					once.Do(func() { c.do(t, dir) })
				}
			}})
			wantChanged(t, err, c.names...)
		})
	}
}

// TestChangeOfWhatIsLeftOutIsNone writes evidence and left out files while the rest is hashed.
func TestChangeOfWhatIsLeftOutIsNone(t *testing.T) {
	dir := changeTree(t)
	write(t, dir, ".git/index", nil)
	l := list(t, dir, manifest.Options{Signature: filepath.Join(dir, "sub/own.sig")})
	for _, name := range []string{"model.sig", "claims.sig", ".git/new", ".gitignore", "sub/own.sig"} {
		write(t, dir, name, []byte("new"))
	}
	must(t, os.Remove(filepath.Join(dir, ".git/index")))
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
		t.Errorf("hash: %v", err)
	}
	write(t, dir, "sub/model.sig", nil)
	_, err := l.Hash(context.Background(), manifest.HashOptions{})
	wantChanged(t, err, "sub/model.sig")
}

// TestChangeWhileAFileIsRead works on a file that takes a while: sparse, 128 MiB.
func TestChangeWhileAFileIsRead(t *testing.T) {
	const sparse = 128 << 20
	for title, do := range map[string]func(t *testing.T, path string){
		"truncated": func(t *testing.T, path string) { must(t, os.Truncate(path, 1<<20)) },
		"grown":     func(t *testing.T, path string) { must(t, os.Truncate(path, sparse+1)) },
		"removed":   func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"written to": func(t *testing.T, path string) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("x"), sparse-1)
			must(t, errors.Join(err, f.Close()))
		},
	} {
		for _, o := range []manifest.Options{{}, {Method: manifest.Shards, ShardSize: 64 << 20, NoID: true}} {
			t.Run(title+" "+string(o.Method), func(t *testing.T) {
				dir := writeTree(t, map[string][]byte{"big": nil})
				path := filepath.Join(dir, "big")
				must(t, os.Truncate(path, sparse))
				must(t, os.Chtimes(path, past, past))
				var once sync.Once
				o.Progress = func(int64, int64) { once.Do(func() { do(t, path) }) }
				_, err := manifest.Build(context.Background(), dir, o)
				wantChanged(t, err, "big")
			})
		}
	}
}

func TestListingAndCancellingAHugeFile(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"huge": nil})
	must(t, os.Truncate(filepath.Join(dir, "huge"), 20<<30))
	l := list(t, dir, manifest.Options{})
	if len(l.Entries) != 1 || l.Bytes() != 20<<30 {
		t.Fatalf("listed %v", l.Entries)
	}
	for _, o := range []manifest.Options{{}, {Algorithm: hashing.BLAKE3}, {Method: manifest.Shards}} {
		ctx, cancel := context.WithCancelCause(context.Background())
		stop := errors.New("stopped by the test")
		var mu sync.Mutex
		var read int64
		o.Progress = func(done, _ int64) {
			mu.Lock()
			read = max(read, done)
			mu.Unlock()
			cancel(stop)
		}
		if _, err := manifest.Build(ctx, dir, o); !errors.Is(err, stop) {
			t.Errorf("%+v: %v", o.Method, err)
		}
		if read > 1<<30 {
			t.Errorf("%d bytes were read after the end was asked for", read)
		}
		cancel(nil)
	}
}

func TestChangeOfAFollowedLink(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"one": []byte("same"), "two": []byte("same")})
	link(t, "one", dir, "alias")
	l := list(t, dir, manifest.Options{AllowSymlinks: true})
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(dir, "alias")))
	link(t, "two", dir, "alias")
	_, err := l.Hash(context.Background(), manifest.HashOptions{})
	wantChanged(t, err, "alias")
}
