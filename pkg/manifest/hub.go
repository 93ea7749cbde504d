package manifest

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// snapshot is a Hugging Face cache snapshot: a folder of links into the blobs of its repository, which are named by
// their digests.
type snapshot struct {
	repo   string // the repository's folder in the cache, models--ORG--NAME
	folder string // the listed folder below it, snapshots/COMMIT or deeper, with slashes
}

// findSnapshot reports whether dir, which has no links in it, is or lies in a snapshot of a Hugging Face cache.
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
		if info, err := os.Lstat(filepath.Join(repo, "blobs")); err != nil || !info.IsDir() {
			continue
		}
		rel, err := filepath.Rel(repo, dir)
		if err != nil {
			return snapshot{}, false
		}
		return snapshot{repo: repo, folder: filepath.ToSlash(rel)}, true
	}
}

// addBlob lists the link at open, in a snapshot, as the file that it stands for. It must lead to a blob of its
// repository, by the one path that the cache writes, and nowhere else.
func (l *Listing) addBlob(name, open string) error {
	target, err := l.root.Readlink(open)
	if err != nil {
		return fmt.Errorf("list %q: %w", name, err)
	}
	up := strings.Repeat("../", strings.Count(open, "/"))
	blob, ok := strings.CutPrefix(filepath.ToSlash(target), up+"blobs/")
	if !ok || !isBlobName(blob) {
		l.refuse(name, "a symbolic link that leads to no blob of its snapshot's cache")
		return nil
	}
	to := "blobs/" + blob
	info, err := l.root.Lstat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.refuse(name, "a symbolic link to a blob that is not there")
		return nil
	case err != nil:
		return fmt.Errorf("list %q: %w", name, err)
	case !info.Mode().IsRegular():
		l.refuse(name, "a symbolic link to "+special(info.Mode()))
		return nil
	}
	l.links = true
	l.Entries = append(l.Entries, Entry{Name: name, Size: info.Size(), open: to, via: &via{open, target, blob}, stamp: stampOf(info)})
	return nil
}

// isBlobName reports whether s names a blob: the SHA-256 of a file in LFS, the git SHA-1 of any other.
func isBlobName(s string) bool {
	return (len(s) == 64 || len(s) == 40) && strings.Trim(s, "0123456789abcdef") == ""
}

// blobHash begins the digest by which a Hugging Face cache names a blob.
func blobHash(e *Entry) hash.Hash {
	if len(e.blob()) == 64 {
		return sha256.New()
	}
	h := sha1.New() // git's object name, and no proof of anything here
	fmt.Fprintf(h, "blob %d\x00", e.Size)
	return h
}

// checkBlob holds a file of a Hugging Face cache to the name of its blob: h is the digest that was made for that, or nil
// where it is the whole-file SHA-256.
func (l *Listing) checkBlob(e *Entry, sum hashing.Sum, h hash.Hash) error {
	if e.blob() == "" {
		return nil
	}
	found := sum.Hex()
	if h != nil {
		found = hex.EncodeToString(h.Sum(nil))
	}
	if found != e.blob() {
		return &RefusedError{Path: l.path, Refused: []Refusal{{e.Name, "a blob that the cache names " + e.blob() + " and whose bytes are " + found}}}
	}
	return nil
}
