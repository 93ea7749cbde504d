package manifest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func TestNamesAreTakenAsTheyAre(t *testing.T) {
	odd := []string{
		"new\nline", "esc\x1b[31mred", "rtl\u202egnp.exe", "Case", "case", "caf\u00e9", "cafe\u0301", "back\\slash", "colon:0:7",
		" lead and trail ", "quote\"", "-dash", "~", "...", "a..b", "CON", "emoji😀", strings.Repeat("n", 255), "*?[", "\u2028",
	}
	files := map[string][]byte{}
	for _, name := range odd {
		files["d/"+name] = []byte(name)
	}
	m := build(t, writeTree(t, files), manifest.Options{})
	if len(m.Files) != len(odd) {
		t.Fatalf("%d files, want %d", len(m.Files), len(odd))
	}
	for _, name := range odd {
		if !slices.Contains(m.Files, file("d/"+name, name)) {
			t.Errorf("no file %q with its bytes", "d/"+name)
		}
	}
	c, err := m.OCI()
	must(t, err)
	if again, err := manifest.ParseCanonical(c.Manifest); err != nil || again.ID != c.ID {
		t.Errorf("parse its manifest: %v", err)
	}
}

func TestNamesThatAreNotUTF8AreRefused(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil})
	build(t, dir, manifest.Options{})
	if err := os.WriteFile(filepath.Join(dir, "bad\xff"), nil, 0o644); err != nil {
		t.Skipf("this file system takes UTF-8 only: %v", err)
	}
	write(t, dir, "folder\xfe/x", nil)
	write(t, dir, ".git/bad\xff", nil)
	l := list(t, dir, manifest.Options{})
	if len(l.Refused) != 2 || l.Refused[0].Name != "bad\xff" || l.Refused[1].Name != "folder\xfe" || !slices.Equal(names(l), []string{"w.bin"}) {
		t.Errorf("listed %q and refused %v", names(l), l.Refused)
	}
	if want := []string{`".git/bad\xff"`}; !slices.Equal(l.Uncovered, want) {
		t.Errorf("uncovered %q, want %q", l.Uncovered, want)
	}
	var refused *manifest.RefusedError
	if _, err := manifest.Build(context.Background(), filepath.Join(dir, "bad\xff"), manifest.Options{}); !errors.As(err, &refused) {
		t.Errorf("a single file: %v", err)
	}
}

func TestReservedNamesNeverHideContent(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil, "model.sig/evil.py": nil, "claims.sig/evil.py": nil})
	m := build(t, dir, manifest.Options{})
	if want := []string{"claims.sig/evil.py", "model.sig/evil.py"}; !slices.Equal(m.Uncovered, want) {
		t.Errorf("uncovered %q, want %q", m.Uncovered, want)
	}
}

func TestDepthAndLengthOfNamesHaveCaps(t *testing.T) {
	folders := func(n int) string { return strings.Repeat("d/", n) }
	fits := writeTree(t, map[string][]byte{folders(manifest.MaxDepth) + "f": nil})
	if m := build(t, fits, manifest.Options{}); len(m.Files) != 1 {
		t.Errorf("files %q", fileNames(m))
	}
	write(t, fits, folders(manifest.MaxDepth+1)+"f", nil)
	if _, err := manifest.List(context.Background(), fits, manifest.Options{}); err == nil || !strings.Contains(err.Error(), "128 folders deep") {
		t.Errorf("one folder more: %v", err)
	}
	if _, err := manifest.List(context.Background(), fits, manifest.Options{IgnorePaths: []string{"d"}}); err == nil {
		t.Error("what is left out may be of any depth")
	}

	// Sixteen names of 255 bytes with their slashes are 4095: room for one more letter, not for two.
	long := writeTree(t, nil)
	root, err := os.OpenRoot(long)
	must(t, err)
	defer root.Close()
	parent := strings.Repeat(strings.Repeat("n", 254)+"/", 16)
	must(t, root.MkdirAll(parent, 0o755))
	must(t, root.WriteFile(parent+strings.Repeat("f", manifest.MaxName-len(parent)), nil, 0o644))
	must(t, root.WriteFile(parent+strings.Repeat("g", manifest.MaxName-len(parent)+1), nil, 0o644))
	l := list(t, long, manifest.Options{})
	if len(l.Entries) != 1 || len(l.Entries[0].Name) != manifest.MaxName || len(l.Refused) != 1 || len(l.Refused[0].Name) != manifest.MaxName+1 {
		t.Errorf("%d listed, %d refused", len(l.Entries), len(l.Refused))
	}
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
		t.Errorf("hash a name of %d bytes: %v", manifest.MaxName, err)
	}
}

func TestCleanName(t *testing.T) {
	for _, good := range []string{"a", "a/b", "...", "a..b", ".hidden", "a b", "a\\b", "C:x", "nul", "é", strings.Repeat("x/", 128) + "x", strings.Repeat("n", 4096)} {
		if err := manifest.CleanName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "./a", "a/.", "a/./b", "../a", "a/..", "a/../b", "a\x00", "\xff", "a/\xc3",
		strings.Repeat("x/", 129) + "x", strings.Repeat("n", 4097),
	} {
		if err := manifest.CleanName(bad); err == nil {
			t.Errorf("%q is taken for a clean name", bad)
		}
	}
}
