package manifest_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// gitName is how git, and the cache for files that are not in LFS, names a file's bytes.
func gitName(data string) string {
	return fmt.Sprintf("%x", sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(data), data)))
}

func lfsName(data string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(data))) }

// hubCache makes a cache as Hugging Face's client does, with one repository of three files, and returns its folder and
// that of its snapshot.
func hubCache(t *testing.T, kind string) (repo, snapshot string) {
	t.Helper()
	repo = filepath.Join(t.TempDir(), "hub", kind+"--org--name")
	snapshot = filepath.Join(repo, "snapshots", "c0ffee")
	for name, data := range hubFiles {
		blob := gitName(data)
		if strings.HasSuffix(name, ".safetensors") {
			blob = lfsName(data)
		}
		write(t, repo, "blobs/"+blob, []byte(data))
		link(t, strings.Repeat("../", 2+strings.Count(name, "/"))+"blobs/"+blob, snapshot, name)
	}
	write(t, repo, "refs/main", []byte("c0ffee"))
	write(t, snapshot, "model.sig", []byte("evidence"))
	write(t, snapshot, "notes.txt", []byte("a plain file"))
	return repo, snapshot
}

var hubFiles = map[string]string{"model.safetensors": "weights", "config.json": "{}", "sub/deep/vocab.txt": "a\nb\n"}

func TestHubSnapshotIsItsFiles(t *testing.T) {
	files := map[string][]byte{"notes.txt": []byte("a plain file")}
	for name, data := range hubFiles {
		files[name] = []byte(data)
	}
	want := id(t, writeTree(t, files))
	for _, kind := range []string{"models", "datasets", "spaces"} {
		_, snapshot := hubCache(t, kind)
		alias := filepath.Join(t.TempDir(), "alias")
		must(t, os.Symlink(snapshot, alias))
		for _, path := range []string{snapshot, alias} {
			m := build(t, path, manifest.Options{})
			if got, err := m.ID(); err != nil || got != want {
				t.Errorf("%s: ID %s, %v; want %s", kind, got, err, want)
			}
			if !m.Serialization.AllowSymlinks {
				t.Errorf("%s: that links were followed is not recorded", kind)
			}
		}
		sub := build(t, filepath.Join(snapshot, "sub"), manifest.Options{})
		if want := []manifest.File{file("deep/vocab.txt", "a\nb\n")}; !slices.Equal(sub.Files, want) {
			t.Errorf("%s: a folder of the snapshot has %v", kind, sub.Files)
		}
	}
}

func TestHubSnapshotWithoutAnID(t *testing.T) {
	repo, snapshot := hubCache(t, "models")
	o := manifest.Options{Method: manifest.Shards, Algorithm: hashing.BLAKE3, ShardSize: 4, NoID: true}
	if m := build(t, snapshot, o); len(m.Resources) != 2+1+1+3 {
		t.Errorf("resources %v", m.Resources)
	}
	write(t, repo, "blobs/"+lfsName("weights"), []byte("WEIGHTS"))
	var refused *manifest.RefusedError
	if _, err := manifest.Build(context.Background(), snapshot, o); !errors.As(err, &refused) {
		t.Errorf("a blob of another name: %v", err)
	}
}

func TestHubSingleFile(t *testing.T) {
	repo, snapshot := hubCache(t, "models")
	alias := filepath.Join(t.TempDir(), "cache")
	must(t, os.Symlink(snapshot, alias))
	for _, dir := range []string{snapshot, alias} {
		for name, data := range hubFiles {
			base := filepath.Base(name)
			if m := build(t, filepath.Join(dir, name), manifest.Options{}); !m.Single || !slices.Equal(m.Files, []manifest.File{file(base, data)}) {
				t.Errorf("%s: %+v", name, m)
			}
		}
	}
	write(t, repo, "blobs/"+lfsName("weights"), []byte("WEIGHTS"))
	link(t, "../../refs/main", snapshot, "stray.bin")
	for _, dir := range []string{snapshot, alias} {
		for _, name := range []string{"model.safetensors", "stray.bin"} {
			var refused *manifest.RefusedError
			if _, err := manifest.Build(context.Background(), filepath.Join(dir, name), manifest.Options{}); !errors.As(err, &refused) {
				t.Errorf("%s in %s: %v", name, dir, err)
			}
		}
	}
}

func TestHubSnapshotRefuses(t *testing.T) {
	for title, c := range map[string]struct {
		fault  func(t *testing.T, repo, snapshot string)
		reason string
	}{
		"other bytes in LFS": {func(t *testing.T, repo, _ string) {
			write(t, repo, "blobs/"+lfsName("weights"), []byte("WEIGHTS"))
		}, lfsName("WEIGHTS")},
		"other bytes in git": {func(t *testing.T, repo, _ string) { write(t, repo, "blobs/"+gitName("{}"), []byte("[]")) }, gitName("[]")},
		"git's digest of LFS": {func(t *testing.T, repo, snapshot string) {
			write(t, repo, "blobs/"+lfsName("{}")[:40], []byte("{}"))
			link(t, "../../blobs/"+lfsName("{}")[:40], snapshot, "x")
		}, gitName("{}")},
		"a blob of another name": {func(t *testing.T, repo, snapshot string) {
			write(t, repo, "blobs/"+strings.ToUpper(lfsName("x")), []byte("x"))
			link(t, "../../blobs/"+strings.ToUpper(lfsName("x")), snapshot, "x")
		}, "no blob"},
		"a missing blob": {func(t *testing.T, _, snapshot string) {
			link(t, "../../blobs/"+lfsName("gone"), snapshot, "x")
		}, "not there"},
		"a link to a ref": {func(t *testing.T, _, snapshot string) { link(t, "../../refs/main", snapshot, "x") }, "no blob"},
		"a link out":      {func(t *testing.T, _, snapshot string) { link(t, "/etc/hostname", snapshot, "x") }, "no blob"},
		"an absolute link": {func(t *testing.T, repo, snapshot string) {
			link(t, filepath.Join(repo, "blobs", gitName("{}")), snapshot, "x")
		}, "no blob"},
		"another way to a blob": {func(t *testing.T, _, snapshot string) {
			link(t, "../../refs/../blobs/"+gitName("{}"), snapshot, "x")
		}, "no blob"},
		"a link inside the snapshot": {func(t *testing.T, _, snapshot string) { link(t, "config.json", snapshot, "x") }, "no blob"},
		"a link to a folder":         {func(t *testing.T, _, snapshot string) { link(t, "sub", snapshot, "x") }, "no blob"},
		"a blob that is a link": {func(t *testing.T, repo, snapshot string) {
			link(t, gitName("{}"), repo, "blobs/"+lfsName("x"))
			link(t, "../../blobs/"+lfsName("x"), snapshot, "x")
		}, "to a symbolic link"},
		"a blob that is a folder": {func(t *testing.T, repo, snapshot string) {
			write(t, repo, "blobs/"+lfsName("x")+"/x", nil)
			link(t, "../../blobs/"+lfsName("x"), snapshot, "x")
		}, "to a folder"},
	} {
		t.Run(title, func(t *testing.T) {
			repo, snapshot := hubCache(t, "models")
			build(t, snapshot, manifest.Options{})
			c.fault(t, repo, snapshot)
			var refused *manifest.RefusedError
			for _, follow := range []bool{false, true} {
				_, err := manifest.Build(context.Background(), snapshot, manifest.Options{AllowSymlinks: follow})
				if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.reason) {
					t.Errorf("follow links %t: %v, want %q", follow, err, c.reason)
				}
			}
		})
	}
}

func TestHubLinkThatMovesIsAChange(t *testing.T) {
	_, snapshot := hubCache(t, "models")
	l := list(t, snapshot, manifest.Options{})
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
		t.Fatal(err)
	}
	must(t, os.Remove(filepath.Join(snapshot, "config.json")))
	link(t, "../../blobs/"+lfsName("weights"), snapshot, "config.json")
	_, err := l.Hash(context.Background(), manifest.HashOptions{})
	wantChanged(t, err, "config.json")
}

func TestFolderThatOnlyLooksLikeASnapshot(t *testing.T) {
	repo, snapshot := hubCache(t, "models")
	must(t, os.Rename(filepath.Join(repo, "blobs"), filepath.Join(repo, "objects")))
	if l := list(t, snapshot, manifest.Options{}); len(l.Refused) != 3 || !slices.Equal(names(l), []string{"notes.txt"}) {
		t.Errorf("without blobs: listed %q, refused %v", names(l), l.Refused)
	}
	_, other := hubCache(t, "packages")
	if l := list(t, other, manifest.Options{}); len(l.Refused) != 3 {
		t.Errorf("of another kind: refused %v", l.Refused)
	}
}
