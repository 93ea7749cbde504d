package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// TestOpenFoldersAreTheFoldersOfTheirPaths has more folders than are kept, and goroutines that take each other's away.
func TestOpenFoldersAreTheFoldersOfTheirPaths(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for i := range 50 {
		for _, name := range []string{fmt.Sprintf("%d", i), fmt.Sprintf("in/%d/f", i), fmt.Sprintf("in/%d/deeper/f", i)} {
			path := filepath.Join(dir, "files", filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	root, err := os.OpenRoot(filepath.Join(dir, "files"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	o := openFolders{root: root}
	look := func(random *rand.Rand) {
		name := names[random.IntN(len(names))]
		f, err := o.open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		text, err := io.ReadAll(f)
		info, failed := o.lstat(name)
		if string(text) != name || errors.Join(err, failed) != nil || info.Size() != int64(len(name)) {
			t.Errorf("%s is %q, %v", name, text, errors.Join(err, failed))
		}
	}
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 500 {
				look(random)
			}
		})
	}
	running.Wait()
	for _, name := range []string{"missing", "missing/f", "in/1/missing", "1/f", "../outside", "in/../../outside"} {
		if f, err := o.open(name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
		if _, err := o.lstat(name); err == nil {
			t.Errorf("%s was looked at", name)
		}
	}
	if _, err := o.open("in/1/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	o.close()
	look(rand.New(rand.NewPCG(2, 2)))
	for _, l := range o.last {
		if l.root != nil {
			t.Error("a folder is kept after closing")
		}
	}
}
