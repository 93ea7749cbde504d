package manifest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// walkFrom lists dir as if that many files and folders had been seen before.
func walkFrom(t *testing.T, ctx context.Context, dir string, seen int) (*Listing, error) {
	t.Helper()
	l := &Listing{options: Options{AllowSymlinks: true}}
	if err := errors.Join(l.exclude(dir), l.openRoot(dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := walker{listing: l, seen: seen}
	return l, w.walk(ctx, place{}, nil)
}

func TestNumberOfFilesHasACap(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", ".git/x", ".git/y"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := walkFrom(t, t.Context(), dir, MaxFiles-5); err != nil || len(l.Entries) != 2 {
		t.Errorf("five more: %d listed, %v", len(l.Entries), err)
	}
	for _, seen := range []int{MaxFiles - 4, MaxFiles - 2, MaxFiles} { // what is left out counts
		if _, err := walkFrom(t, t.Context(), dir, seen); !errors.Is(err, errTooMany) {
			t.Errorf("five more than %d: %v", seen, err)
		}
	}
}

// TestLinksThatMultiplyEnd has twelve folders of links to each other, which make 12! names and more.
func TestLinksThatMultiplyEnd(t *testing.T) {
	dir := t.TempDir()
	for i := range 12 {
		folder := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range 12 {
			if err := os.Symlink(filepath.Join("..", fmt.Sprint(j)), filepath.Join(folder, fmt.Sprint("to", j))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := walkFrom(t, t.Context(), dir, MaxFiles-5000); !errors.Is(err, errTooMany) {
		t.Errorf("list: %v", err)
	}
	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := walkFrom(t, ctx, dir, 0); !errors.Is(err, stop) {
		t.Errorf("list with an ended context: %v", err)
	}
}
