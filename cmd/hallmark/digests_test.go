package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// TestStatedNamesWhatDoesNotFollow: the result of a packed artifact says that its ID stands on another machine's word.
func TestStatedNamesWhatDoesNotFollow(t *testing.T) {
	list := &manifest.Digests{Name: "chat\x1b", Files: []manifest.File{{Name: "a", Size: 3}, {Name: "b", Size: 4}}}
	show := func() string {
		var out bytes.Buffer
		(&digestsJob{list: list}).describe().show(streams{out: &out})
		return out.String()
	}
	if got, want := show(), "stated     \"chat\\x1b\", 2 files, 7 bytes: no byte was read here\n"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	list.Packs = []manifest.Pack{{Name: "pack-00001.tar"}}
	if got := show(); !strings.Contains(got, "unchecked  the digests of 1 pack of small files, such as pack-00001.tar") {
		t.Errorf("said %q", got)
	}
}

func TestReplaceFileLeavesTheOldOneOrTheNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "digests.json")
	for _, content := range []string{"old", "new"} {
		if err := replaceFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("holds %q, %v; want %q", got, err, content)
		}
	}
	if err := replaceFile(filepath.Join(dir, "nowhere", "digests.json"), nil); err == nil {
		t.Error("wrote into a folder that is not there")
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(filepath.Join(dir, "folder"), []byte("x")); err == nil {
		t.Error("a folder was replaced")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
