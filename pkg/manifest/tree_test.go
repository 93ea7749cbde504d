package manifest_test

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// writeTree writes files, by name, into a new directory called artifact.
func writeTree(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "artifact")
	must(t, os.Mkdir(dir, 0o755))
	for name, data := range files {
		write(t, dir, name, data)
	}
	return dir
}

// write writes one file below dir, with its folders.
func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, data, 0o644))
	return path
}

func link(t testing.TB, target, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.Symlink(target, path))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func build(t testing.TB, path string, o manifest.Options) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Build(context.Background(), path, o)
	must(t, err)
	return m
}

func id(t testing.TB, path string) string {
	t.Helper()
	id, err := build(t, path, manifest.Options{}).ID()
	must(t, err)
	return id
}

func list(t testing.TB, path string, o manifest.Options) *manifest.Listing {
	t.Helper()
	l, err := manifest.List(context.Background(), path, o)
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

// names are a listing's entries, in its order.
func names(l *manifest.Listing) []string {
	out := []string{}
	for _, e := range l.Entries {
		out = append(out, e.Name)
	}
	return out
}

// fileNames are a manifest's files, in its order.
func fileNames(m *manifest.Manifest) []string {
	out := []string{}
	for _, f := range m.Files {
		out = append(out, f.Name)
	}
	return out
}

func file(name, data string) manifest.File {
	return manifest.File{Name: name, Size: int64(len(data)), SHA256: sha256.Sum256([]byte(data))}
}
