package manifest

import (
	"fmt"
	"path/filepath"
	"strings"
)

// Snapshot is what the folders of a Hugging Face cache say about the one at hand. Nobody vouches for it: whoever can write
// into the cache chooses the names. That the bytes are those that the cache's blobs are named by, Build checks.
type Snapshot struct {
	Type   string // models or datasets
	Repo   string // as ORG/NAME
	Commit string // git commit of the repository, 40 hex digits
}

// ReadSnapshot returns what the folder names of the snapshot at path say: …/models--ORG--NAME/snapshots/COMMIT. A path that
// is not the top of a snapshot of a model or dataset is an error.
func ReadSnapshot(path string) (Snapshot, error) {
	abs, err := filepath.Abs(path)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("read snapshot: %w", err)
	}
	found, ok := findSnapshot(abs)
	commit := strings.TrimPrefix(found.folder, "snapshots/")
	if !ok || strings.Contains(commit, "/") {
		return Snapshot{}, fmt.Errorf("read snapshot: %q is no folder models--ORG--NAME/snapshots/COMMIT of a Hugging Face cache", path)
	}
	if len(commit) != 40 || strings.Trim(commit, "0123456789abcdef") != "" {
		return Snapshot{}, fmt.Errorf("read snapshot: %q is no git commit", commit)
	}
	kind, repo, _ := strings.Cut(filepath.Base(found.repo), "--")
	repo = strings.Replace(repo, "--", "/", 1) // the organization, where there is one, has no double hyphen in its name
	if kind == "spaces" || repo == "" || CleanName(repo) != nil {
		return Snapshot{}, fmt.Errorf("read snapshot: %q is of no model or dataset", filepath.Base(found.repo))
	}
	return Snapshot{Type: kind, Repo: repo, Commit: commit}, nil
}
