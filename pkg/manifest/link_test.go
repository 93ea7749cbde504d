package manifest_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// linkTree has a file and a folder to link to, and something outside that must stay out of reach.
func linkTree(t *testing.T) string {
	t.Helper()
	dir := writeTree(t, map[string][]byte{"w.bin": []byte("w"), "sub/x": []byte("x"), "sub/deep/y": []byte("y")})
	write(t, filepath.Dir(dir), "secret", []byte("secret"))
	return dir
}

func TestLinksAreRefusedUnlessAllowed(t *testing.T) {
	dir := linkTree(t)
	build(t, dir, manifest.Options{})
	link(t, "w.bin", dir, "in")
	link(t, "../secret", dir, "out")
	link(t, "sub", dir, "folder")
	l := list(t, dir, manifest.Options{})
	if want := []string{"sub/deep/y", "sub/x", "w.bin"}; !slices.Equal(names(l), want) {
		t.Errorf("listed %q, want %q", names(l), want)
	}
	for i, name := range []string{"folder", "in", "out"} {
		if len(l.Refused) != 3 || l.Refused[i].Name != name || !strings.Contains(l.Refused[i].Reason, "symbolic link") {
			t.Fatalf("refused %v, want folder, in and out", l.Refused)
		}
	}
	var refused *manifest.RefusedError
	if _, err := manifest.Build(context.Background(), dir, manifest.Options{}); !errors.As(err, &refused) || len(refused.Refused) != 3 {
		t.Errorf("build: %v", err)
	}
}

func TestLinksInsideAreFollowedWhereAllowed(t *testing.T) {
	dir := linkTree(t)
	link(t, "w.bin", dir, "in")
	link(t, "../w.bin", dir, "sub/up")
	link(t, "sub/deep", dir, "folder")
	link(t, "in", dir, "again")
	m := build(t, dir, manifest.Options{AllowSymlinks: true})
	if want := []string{"again", "folder/y", "in", "sub/deep/y", "sub/up", "sub/x", "w.bin"}; !slices.Equal(fileNames(m), want) {
		t.Errorf("files %q, want %q", fileNames(m), want)
	}
	if !m.Serialization.AllowSymlinks {
		t.Error("that links were followed is not recorded")
	}
	// The ID is that of plain files with these names and bytes.
	plain := writeTree(t, map[string][]byte{"again": []byte("w"), "folder/y": []byte("y"), "in": []byte("w"), "sub/deep/y": []byte("y"),
		"sub/up": []byte("w"), "sub/x": []byte("x"), "w.bin": []byte("w")})
	if got, err := m.ID(); err != nil || got != id(t, plain) {
		t.Errorf("ID %s, %v; want %s", got, err, id(t, plain))
	}
}

func TestLinksThatLeadAstrayAreRefused(t *testing.T) {
	for _, c := range []struct{ name, target, reason string }{
		{"out", "../secret", "out of the artifact"},
		{"sub/out", "../../secret", "out of the artifact"},
		{"absolute", "/etc/hostname", "out of the artifact"},
		{"outward-folder", "..", "out of the artifact"},
		{"dangling", "nothing", "leads nowhere"},
		{"through-a-file", "w.bin/x", "leads nowhere"},
		{"self", "self", "in a circle"},
		{"sub/deep/ancestor", "../..", "a folder that contains it"},
		{"sub/parent", ".", "a folder that contains it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := linkTree(t)
			build(t, dir, manifest.Options{AllowSymlinks: true})
			link(t, c.target, dir, c.name)
			l := list(t, dir, manifest.Options{AllowSymlinks: true})
			if len(l.Refused) != 1 || l.Refused[0].Name != c.name || !strings.Contains(l.Refused[0].Reason, c.reason) {
				t.Errorf("refused %v, want %s as one that is %q", l.Refused, c.name, c.reason)
			}
			if want := []string{"sub/deep/y", "sub/x", "w.bin"}; !slices.Equal(names(l), want) {
				t.Errorf("listed %q, want %q", names(l), want)
			}
			var refused *manifest.RefusedError
			if _, err := manifest.Build(context.Background(), dir, manifest.Options{AllowSymlinks: true}); !errors.As(err, &refused) {
				t.Errorf("build: %v", err)
			}
		})
	}
}

func TestLinksInWhatIsLeftOutAreUncovered(t *testing.T) {
	dir := linkTree(t)
	link(t, "../../secret", dir, ".git/out")
	link(t, "nothing", dir, ".git/dangling")
	m := build(t, dir, manifest.Options{})
	if want := []string{".git/dangling", ".git/out"}; !slices.Equal(m.Uncovered, want) {
		t.Errorf("uncovered %q, want %q", m.Uncovered, want)
	}
}
