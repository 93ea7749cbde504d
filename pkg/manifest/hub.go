package manifest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// snapshot is a Hugging Face cache snapshot: a folder of links into the blobs of its repository, which are named by
// their digests.
type snapshot struct {
	root     string // the repository's folder in the cache, models--ORG--NAME
	snapshot string // the snapshot below it, snapshots/COMMIT
}

// findSnapshot reports whether dir is, or lies in, a snapshot of a Hugging Face cache.
func findSnapshot(dir string) (snapshot, bool) {
	for commit := dir; ; commit = filepath.Dir(commit) {
		snapshots := filepath.Dir(commit)
		if snapshots == commit {
			return snapshot{}, false
		}
		repo := filepath.Dir(snapshots)
		kind, _, ok := strings.Cut(filepath.Base(repo), "--")
		if filepath.Base(snapshots) != "snapshots" || !ok || kind != "models" && kind != "datasets" && kind != "spaces" {
			continue
		}
		if info, err := os.Stat(filepath.Join(repo, "blobs")); err != nil || !info.IsDir() {
			continue
		}
		rel, err := filepath.Rel(repo, dir)
		if err != nil {
			return snapshot{}, false
		}
		return snapshot{root: repo, snapshot: filepath.ToSlash(rel)}, true
	}
}

// visitBlob lists a link of a snapshot as the file that it stands for. It must lead to a blob and nowhere else.
func (w *walker) visitBlob(name, open string) error {
	l := w.listing
	target, err := l.root.Readlink(open)
	if err != nil {
		return fmt.Errorf("list %q: %w", name, err)
	}
	to := path.Join(path.Dir(open), filepath.ToSlash(target))
	dir, blob := path.Split(to)
	if path.IsAbs(target) || dir != "blobs/" || !isBlobName(blob) {
		l.refuse(name, "a symbolic link that leads to no blob of its snapshot's cache")
		return nil
	}
	info, err := l.root.Lstat(to)
	switch {
	case os.IsNotExist(err):
		l.refuse(name, "a symbolic link to a blob that is not there")
		return nil
	case err != nil:
		return fmt.Errorf("list %q: %w", name, err)
	case !info.Mode().IsRegular():
		l.refuse(name, "a symbolic link to "+special(info.Mode()))
		return nil
	}
	l.links = true
	l.Entries = append(l.Entries, Entry{Name: name, Size: info.Size(), open: to, blob: blob, stamp: stampOf(info)})
	return nil
}

// isBlobName reports whether s names a blob: the SHA-256 of a file in LFS, the git SHA-1 of any other.
func isBlobName(s string) bool {
	return (len(s) == 64 || len(s) == 40) && strings.Trim(s, "0123456789abcdef") == ""
}
