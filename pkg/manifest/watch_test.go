package manifest_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// TestWatchTellsWhatHappenedMeanwhile does one thing to an artifact between two looks at it.
func TestWatchTellsWhatHappenedMeanwhile(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      func(t *testing.T, dir string)
		changed string // "": nothing
		times   bool   // only change times tell
	}{
		{name: "nothing", do: func(*testing.T, string) {}},
		{name: "reading", do: func(t *testing.T, dir string) { read(t, filepath.Join(dir, "a/data")) }},
		{name: "a file beside it", do: func(t *testing.T, dir string) { put(t, dir+".log", "x") }},
		{name: "other bytes", do: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "a/data"), "evil") }, changed: "a/data"},
		{name: "another file", do: func(t *testing.T, dir string) { put(t, filepath.Join(dir, "a/more"), "x") }, changed: "a/more"},
		{name: "a file less", do: func(t *testing.T, dir string) { move(t, filepath.Join(dir, "a/data"), dir+".gone") }, changed: "a/data"},
		{name: "bytes exchanged and put back", changed: "a/data", times: true, do: func(t *testing.T, dir string) {
			put(t, filepath.Join(dir, "a/data"), "evil")
			put(t, filepath.Join(dir, "a/data"), "data")
		}},
		{name: "a file exchanged and put back", changed: "a/data", times: true, do: func(t *testing.T, dir string) {
			move(t, filepath.Join(dir, "a/data"), dir+".away")
			put(t, filepath.Join(dir, "a/data"), "evil")
			move(t, dir+".away", filepath.Join(dir, "a/data"))
		}},
		{name: "a folder exchanged and put back", changed: "a", times: true, do: func(t *testing.T, dir string) {
			move(t, filepath.Join(dir, "a"), dir+".away")
			move(t, dir+".away", filepath.Join(dir, "a"))
		}},
		{name: "the artifact exchanged and put back", changed: ".", times: true, do: func(t *testing.T, dir string) {
			move(t, dir, dir+".away")
			move(t, dir+".away", dir)
		}},
		{name: "the artifact exchanged", changed: ".", do: func(t *testing.T, dir string) {
			move(t, dir, dir+".away")
			put(t, filepath.Join(dir, "a/data"), "data")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.times && runtime.GOOS != "linux" {
				t.Skip("change times are read on Linux")
			}
			dir := filepath.Join(t.TempDir(), "corpus")
			put(t, filepath.Join(dir, "a/data"), "data")
			tick(t, dir)
			w, err := manifest.Begin(t.Context(), dir, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if w.Manifest.WeakStat && c.times {
				t.Skip("this file system has no stable change times")
			}
			tick(t, dir)
			c.do(t, dir)
			err = w.Again(t.Context(), nil)
			var changed *manifest.ChangedError
			switch {
			case c.changed == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.changed != "" && (!errors.As(err, &changed) || !errors.Is(err, hashing.ErrChanged)):
				t.Errorf("not noticed: %v", err)
			case c.changed != "" && changed.Name != c.changed:
				t.Errorf("named %q, want %q: %v", changed.Name, c.changed, err)
			}
		})
	}
}

func TestBeginRefusesWhatBuildRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := manifest.Begin(t.Context(), dir, manifest.Options{}); !errors.Is(err, manifest.ErrEmpty) {
		t.Errorf("an empty folder: %v", err)
	}
	put(t, filepath.Join(dir, "data"), "data")
	w, err := manifest.Begin(t.Context(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Again(t.Context(), nil); err == nil {
		t.Error("hashed again after it was closed")
	}
}

// tick waits until the file system beside dir writes another time than the last change in it bears.
func tick(t *testing.T, dir string) {
	t.Helper()
	probe := func() int64 {
		path := filepath.Join(filepath.Dir(dir), "probe")
		put(t, path, "x")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().UnixNano()
	}
	for first := probe(); probe() == first; {
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) {
	t.Helper()
	if _, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
}
