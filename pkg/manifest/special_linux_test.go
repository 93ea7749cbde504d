package manifest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// specials are the kinds of special file and what they are called.
var specials = []struct {
	name   string
	mode   uint32
	reason string
}{
	{"fifo", unix.S_IFIFO, "a named pipe"},
	{"socket", unix.S_IFSOCK, "a socket"},
	{"device", unix.S_IFCHR, "a device"},
}

func makeSpecial(t *testing.T, path string, mode uint32) {
	t.Helper()
	err := unix.Mknod(path, mode|0o600, int(unix.Mkdev(1, 3)))
	if errors.Is(err, unix.EPERM) {
		t.Skip("this user cannot make devices")
	}
	must(t, err)
}

func TestSpecialFilesAreRefused(t *testing.T) {
	for _, s := range specials {
		t.Run(s.name, func(t *testing.T) {
			dir := writeTree(t, map[string][]byte{"w.bin": nil, "sub/x": nil, ".git/x": nil})
			build(t, dir, manifest.Options{})
			makeSpecial(t, filepath.Join(dir, "sub", s.name), s.mode)
			makeSpecial(t, filepath.Join(dir, ".git", s.name), s.mode)
			l := list(t, dir, manifest.Options{})
			if want := (manifest.Refusal{Name: "sub/" + s.name, Reason: s.reason}); len(l.Refused) != 1 || l.Refused[0] != want {
				t.Errorf("refused %v, want %v", l.Refused, want)
			}
			if want := []string{".git/" + s.name, ".git/x"}; !slices.Equal(l.Uncovered, want) { // d, f and s come before x
				t.Errorf("uncovered %q, want %q", l.Uncovered, want)
			}
			var refused *manifest.RefusedError
			if _, err := manifest.Build(context.Background(), dir, manifest.Options{}); !errors.As(err, &refused) || !strings.Contains(err.Error(), s.reason) {
				t.Errorf("build: %v", err)
			}
			if _, err := manifest.Build(context.Background(), filepath.Join(dir, "sub", s.name), manifest.Options{}); !errors.As(err, &refused) {
				t.Errorf("as a single file: %v", err)
			}
		})
	}
}

func TestLinkToASpecialFileIsRefused(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"w.bin": nil})
	makeSpecial(t, filepath.Join(dir, "pipe"), unix.S_IFIFO)
	link(t, "pipe", dir, "alias")
	l := list(t, dir, manifest.Options{AllowSymlinks: true, IgnorePaths: []string{"pipe"}})
	if want := (manifest.Refusal{Name: "alias", Reason: "a symbolic link to a named pipe"}); len(l.Refused) != 1 || l.Refused[0] != want {
		t.Errorf("refused %v, want %v", l.Refused, want)
	}
}

// TestSpecialFileInAFilesPlace would hang for ever where the pipe is opened as a file is.
func TestSpecialFileInAFilesPlace(t *testing.T) {
	for _, s := range specials {
		t.Run(s.name, func(t *testing.T) {
			dir := writeTree(t, map[string][]byte{"w.bin": []byte("w"), "z.bin": []byte("z")})
			l := list(t, dir, manifest.Options{})
			if _, err := l.Hash(context.Background(), manifest.HashOptions{}); err != nil {
				t.Fatal(err)
			}
			must(t, os.Remove(filepath.Join(dir, "w.bin")))
			makeSpecial(t, filepath.Join(dir, "w.bin"), s.mode)
			_, err := l.Hash(context.Background(), manifest.HashOptions{})
			wantChanged(t, err, "w.bin")
		})
	}
}

func TestPipeInAFoldersPlace(t *testing.T) {
	dir := writeTree(t, map[string][]byte{"sub/x": []byte("x"), "z": nil})
	l := list(t, dir, manifest.Options{})
	must(t, os.RemoveAll(filepath.Join(dir, "sub")))
	makeSpecial(t, filepath.Join(dir, "sub"), unix.S_IFIFO)
	_, err := l.Hash(context.Background(), manifest.HashOptions{Only: func(name string) bool { return name == "z" }})
	wantChanged(t, err, "sub")
}
