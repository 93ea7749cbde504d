package manifest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func TestListSortsByByteAndSkipsEvidence(t *testing.T) {
	dir := writeTree(t, map[string][]byte{
		"b/x": []byte("1"), "b-a": []byte("22"), "b.c": []byte("333"), "a": nil, "é": []byte("4"), "Z": []byte("5"),
		"model.sig": []byte("sig"), "claims.sig": []byte("claims"), "sub/model.sig": []byte("content"),
	})
	l := list(t, dir, manifest.Options{})
	if want := []string{"Z", "a", "b-a", "b.c", "b/x", "sub/model.sig", "é"}; !slices.Equal(names(l), want) {
		t.Errorf("listed %q, want %q", names(l), want)
	}
	if len(l.Uncovered) != 0 || len(l.Refused) != 0 {
		t.Errorf("uncovered %q and refused %v, want none", l.Uncovered, l.Refused)
	}
	if l.Bytes() != 15 {
		t.Errorf("%d bytes", l.Bytes())
	}
}

func TestListLeavesOutDefaultsAtTheTopOnly(t *testing.T) {
	dir := writeTree(t, map[string][]byte{
		"w.bin": []byte("w"), ".git/config": nil, ".git/hooks/evil.py": nil, ".gitignore": nil, ".gitattributes": nil,
		".github/ci.yml": nil, ".cache/huggingface/lock": nil, ".cache/other": nil,
		"sub/.git/config": nil, "sub/.gitignore": nil, ".gitmodules": nil, ".gitx": nil,
	})
	m := build(t, dir, manifest.Options{})
	if want := []string{".cache/other", ".gitmodules", ".gitx", "sub/.git/config", "sub/.gitignore", "w.bin"}; !slices.Equal(fileNames(m), want) {
		t.Errorf("files %q, want %q", fileNames(m), want)
	}
	if want := []string{".cache/huggingface/lock", ".git/config", ".git/hooks/evil.py", ".gitattributes", ".github/ci.yml", ".gitignore"}; !slices.Equal(m.Uncovered, want) {
		t.Errorf("uncovered %q, want %q", m.Uncovered, want)
	}
	if want := []string{".cache/huggingface", ".git", ".gitattributes", ".github", ".gitignore", "claims.sig", "model.sig"}; !slices.Equal(m.Serialization.IgnorePaths, want) {
		t.Errorf("recorded %q, want %q", m.Serialization.IgnorePaths, want)
	}
}

func TestListLeavesOutGivenPathsExactly(t *testing.T) {
	dir := writeTree(t, map[string][]byte{
		"cache/a": nil, "cache/b/c": nil, "cachet": nil, "sub/cache": nil, "x.tmp": nil, "x.tmp2": nil, "keep": nil,
	})
	m := build(t, dir, manifest.Options{IgnorePaths: []string{"./cache/", filepath.Join(dir, "x.tmp"), "cache", "not-there"}})
	if want := []string{"cachet", "keep", "sub/cache", "x.tmp2"}; !slices.Equal(fileNames(m), want) {
		t.Errorf("files %q, want %q", fileNames(m), want)
	}
	if want := []string{"cache/a", "cache/b/c", "x.tmp"}; !slices.Equal(m.Uncovered, want) {
		t.Errorf("uncovered %q, want %q", m.Uncovered, want)
	}
	recorded := slices.Concat(manifest.DefaultExclusions, []string{"cache", "claims.sig", "model.sig", "not-there", "x.tmp"})
	if slices.Sort(recorded); !slices.Equal(m.Serialization.IgnorePaths, recorded) {
		t.Errorf("recorded %q, want %q", m.Serialization.IgnorePaths, recorded)
	}
}

func TestListKeepsWhatIsSignedInWhatIsLeftOut(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil, ".git/signed": nil, ".git/other": nil})
	l := list(t, dir, manifest.Options{Keep: func(name string) bool { return name == ".git/signed" }})
	if want := []string{".git/signed", "w.bin"}; !slices.Equal(names(l), want) || !slices.Equal(l.Uncovered, []string{".git/other"}) {
		t.Errorf("listed %q and uncovered %q", names(l), l.Uncovered)
	}
}

func TestListLeavesOutTheSignatureFileOnly(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil, "sigs/own.sig": nil, ".git/own.sig": nil, "own.sig": nil})
	for _, path := range []string{filepath.Join(dir, "sigs", "own.sig"), filepath.Join(dir, "sigs", "..", "sigs", "own.sig")} {
		m := build(t, dir, manifest.Options{Signature: path})
		if want := []string{"own.sig", "w.bin"}; !slices.Equal(fileNames(m), want) {
			t.Errorf("files %q, want %q", fileNames(m), want)
		}
		// A namesake in a folder that is left out is not the signature and must not hide.
		if want := []string{".git/own.sig"}; !slices.Equal(m.Uncovered, want) {
			t.Errorf("uncovered %q, want %q", m.Uncovered, want)
		}
		if !slices.Contains(m.Serialization.IgnorePaths, "sigs/own.sig") {
			t.Errorf("recorded %q without sigs/own.sig", m.Serialization.IgnorePaths)
		}
	}
	outside := build(t, dir, manifest.Options{Signature: filepath.Join(t.TempDir(), "own.sig")})
	if want := []string{"own.sig", "sigs/own.sig", "w.bin"}; !slices.Equal(fileNames(outside), want) {
		t.Errorf("with the signature outside: files %q, want %q", fileNames(outside), want)
	}
}

func TestListTakesASignatureThatIsNotThereYet(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil})
	m := build(t, dir, manifest.Options{Signature: filepath.Join(dir, "later", "my.sig")})
	if !slices.Contains(m.Serialization.IgnorePaths, "later/my.sig") {
		t.Errorf("recorded %q without later/my.sig", m.Serialization.IgnorePaths)
	}
}

func TestCleanExclusionsRefuses(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"a/b": nil})
	good := []string{"a", "./a", "a//b", "a/b/", dir + "/a", filepath.Join(dir, "none", "such")}
	if got, err := manifest.CleanExclusions(dir, good); err != nil || !slices.Equal(got, []string{"a", "a/b", "none/such"}) {
		t.Errorf("clean exclusions %q, %v", got, err)
	}
	for _, bad := range []string{"", ".", "./", "..", "../x", "a/../../x", "a/../b", "a/..", "*.tmp", "a/?", "[x]", "/etc", dir, dir + "x/a", "bad\xff", "a\x00b"} {
		if got, err := manifest.CleanExclusions(dir, []string{"a", bad}); err == nil {
			t.Errorf("ignored path %q is taken as %q", bad, got)
		}
		var refused *manifest.RefusedError
		if _, err := manifest.List(context.Background(), dir, manifest.Options{IgnorePaths: []string{bad}}); !errors.As(err, &refused) {
			t.Errorf("list with ignored path %q: %v", bad, err)
		}
	}
}

func TestExclusionsAreNotRelativeToTheWorkingDirectory(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"sub/x": nil, "x": nil})
	t.Chdir(filepath.Join(dir, "sub"))
	m := build(t, dir, manifest.Options{IgnorePaths: []string{"x"}})
	if want := []string{"sub/x"}; !slices.Equal(fileNames(m), want) {
		t.Errorf("files %q, want %q", fileNames(m), want)
	}
}

func TestExclusionOfALinkIsOfTheLink(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil})
	link(t, "w.bin", dir, "alias")
	m := build(t, dir, manifest.Options{IgnorePaths: []string{filepath.Join(dir, "alias")}})
	if !slices.Equal(fileNames(m), []string{"w.bin"}) || !slices.Equal(m.Uncovered, []string{"alias"}) {
		t.Errorf("files %q and uncovered %q", fileNames(m), m.Uncovered)
	}
}

func TestBuildRefusesNothing(t *testing.T) {
	full := map[string][]byte{"a": nil, "sub/b": nil}
	build(t, writeTree(t, full), manifest.Options{})
	empty := writeTree(t, nil)
	must(t, os.Mkdir(filepath.Join(empty, "folder"), 0o755))
	for name, c := range map[string]struct {
		dir    string
		ignore []string
	}{
		"an empty directory":      {dir: empty},
		"only evidence":           {dir: writeTree(t, map[string][]byte{"model.sig": nil})},
		"only default exclusions": {dir: writeTree(t, map[string][]byte{".git/x": nil})},
		"everything is left out":  {dir: writeTree(t, full), ignore: []string{"a", "sub"}},
	} {
		var refused *manifest.RefusedError
		_, err := manifest.Build(context.Background(), c.dir, manifest.Options{IgnorePaths: c.ignore})
		if !errors.Is(err, manifest.ErrEmpty) || !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := list(t, empty, manifest.Options{})
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); !errors.Is(err, manifest.ErrEmpty) {
		t.Errorf("hash an empty listing: %v", err)
	}
}

func TestBuildTakesASingleFile(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": []byte("weights"), "w.bin.sig": nil, "other": nil})
	path := filepath.Join(dir, "w.bin")
	m := build(t, path, manifest.Options{})
	if want := []manifest.File{file("w.bin", "weights")}; !m.Single || m.Name != "w.bin" || !slices.Equal(m.Files, want) || len(m.Serialization.IgnorePaths) != 0 {
		t.Errorf("manifest %+v", m)
	}
	// A link to a file is a way to name it.
	link(t, "w.bin", dir, "latest.bin")
	m = build(t, filepath.Join(dir, "latest.bin"), manifest.Options{})
	if want := []manifest.File{file("latest.bin", "weights")}; !m.Single || !slices.Equal(m.Files, want) {
		t.Errorf("through a link: manifest %+v", m)
	}
	t.Chdir(dir)
	if m := build(t, "w.bin", manifest.Options{}); m.Name != "w.bin" || len(m.Files) != 1 {
		t.Errorf("by a relative path: manifest %+v", m)
	}
}

func TestBuildFollowsTheRootLink(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": []byte("w"), "cache/x": nil})
	want := id(t, dir)
	link(t, dir, filepath.Dir(dir), "current")
	current := filepath.Join(filepath.Dir(dir), "current")
	m := build(t, current, manifest.Options{})
	if got, err := m.ID(); err != nil || got != want || m.Name != "current" {
		t.Errorf("ID %s of %q, %v; want %s of current", got, m.Name, err, want)
	}
	for _, ignore := range []string{filepath.Join(dir, "cache"), filepath.Join(current, "cache")} {
		if m := build(t, current, manifest.Options{IgnorePaths: []string{ignore}}); !slices.Equal(fileNames(m), []string{"w.bin"}) {
			t.Errorf("ignoring %s: files %q", ignore, fileNames(m))
		}
	}
}

func TestListRefusesUnusableOptions(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil})
	for _, good := range []manifest.Options{{}, {Method: manifest.Files, Algorithm: "blake3"}, {Method: manifest.Shards}, {Method: manifest.Shards, ShardSize: 7}} {
		build(t, dir, good)
	}
	for _, bad := range []manifest.Options{
		{Method: "blobs"}, {Algorithm: "md5"}, {Algorithm: "SHA256"}, {ShardSize: 7}, {Method: manifest.Files, ShardSize: 7}, {Method: manifest.Shards, ShardSize: -1},
	} {
		if _, err := manifest.List(context.Background(), dir, bad); err == nil {
			t.Errorf("options %+v are taken", bad)
		}
	}
}

func TestListNamesWhatCannotBeFoundOrRead(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"ok": nil, "secret/x": nil, "mute": []byte("x")})
	for _, path := range []string{"", filepath.Join(dir, "none"), filepath.Join(dir, "ok", "x")} {
		if _, err := manifest.List(context.Background(), path, manifest.Options{}); err == nil {
			t.Errorf("list %q works", path)
		}
	}
	build(t, dir, manifest.Options{})
	if os.Geteuid() == 0 {
		t.Skip("root can read every file: run as another user to see unreadable ones refused")
	}
	must(t, os.Chmod(filepath.Join(dir, "mute"), 0))
	if _, err := manifest.Build(context.Background(), dir, manifest.Options{}); err == nil || !strings.Contains(err.Error(), "mute") {
		t.Errorf("an unreadable file: %v", err)
	}
	must(t, os.Chmod(filepath.Join(dir, "mute"), 0o644))
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0))
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(dir, "secret"), 0o755)) })
	if _, err := manifest.List(context.Background(), dir, manifest.Options{}); err == nil || !strings.Contains(err.Error(), "secret") {
		t.Errorf("an unreadable folder: %v", err)
	}
	m := build(t, dir, manifest.Options{IgnorePaths: []string{"secret"}})
	if !slices.Equal(m.Uncovered, []string{"secret/"}) {
		t.Errorf("an unreadable folder that is left out: uncovered %q", m.Uncovered)
	}
}

func TestHashAfterCloseIsAnError(t *testing.T) {
	l, err := manifest.List(context.Background(), writeTree(t, map[string][]byte{"a": nil}), manifest.Options{})
	must(t, err)
	must(t, l.Close())
	must(t, l.Close())
	if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err == nil {
		t.Error("a closed listing was hashed")
	}
}

func TestHashOfASubset(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"a": []byte("a"), "b": []byte("b"), "c": []byte("c")})
	l := list(t, dir, manifest.Options{})
	m, err := l.Hash(context.Background(), manifest.HashOptions{Only: func(name string) bool { return name != "b" }})
	must(t, err)
	if want := []manifest.File{file("a", "a"), file("c", "c")}; !reflect.DeepEqual(m.Files, want) {
		t.Errorf("files %v, want %v", m.Files, want)
	}
	without := writeTree(t, map[string][]byte{"a": []byte("a"), "c": []byte("c")})
	if got, err := m.ID(); err != nil || got != id(t, without) {
		t.Errorf("ID %s, %v; want that of the same files alone", got, err)
	}
	if _, err := l.Hash(context.Background(), manifest.HashOptions{Only: func(string) bool { return false }}); !errors.Is(err, manifest.ErrEmpty) {
		t.Errorf("a subset of nothing: %v", err)
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"a": make([]byte, 1<<20), "b": make([]byte, 3<<20)})
	var last, total int64
	m := build(t, dir, manifest.Options{Workers: 1, Progress: func(done, all int64) { last, total = done, all }})
	if last != m.Bytes() || total != m.Bytes() || m.Bytes() != 4<<20 {
		t.Errorf("progress ended at %d of %d, the files have %d", last, total, m.Bytes())
	}
}
