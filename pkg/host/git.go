package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxStatus is how much of git's answer is read, in bytes.
const maxStatus = 64 << 20

// Commit is what a git working tree has checked out.
type Commit struct {
	Hash   string // object name of the commit, 40 or 64 hex digits
	Dirty  bool   // something in the tree differs from the commit, untracked files included
	Remote string // URL of the remote "origin", without a user or password; "": there is none that others could use
	Top    string // the tree's directory
}

// ErrNoCommit is that a directory is in no git working tree, or in one without a commit.
var ErrNoCommit = errors.New("no git commit")

// FindCommit asks git what is checked out in dir. Untracked files at or below the paths in apart, absolute and without links,
// make the tree not dirty: whoever asks accounts for them otherwise. Without a working tree or commit the error is ErrNoCommit.
//
// A repository's own configuration can name programs for git to run, and FindCommit turns off those that it can. It cannot
// do without filter.*.clean, by which git tells whether a file with such a filter changed. git gets environ, NAME=VALUE
// each, which should hold no secrets, without the variables that lead to another repository. It writes nothing.
func FindCommit(ctx context.Context, dir string, environ, apart []string) (Commit, error) {
	top, err := workingTree(dir)
	if err != nil {
		return Commit{}, err
	}
	remote := make(chan string, 1)
	go func() { remote <- remoteOf(ctx, dir, environ) }()
	out, err := git(ctx, dir, environ, "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal")
	c := Commit{Top: top, Remote: <-remote}
	if err != nil {
		return Commit{}, err
	}
	for entry := range strings.SplitSeq(string(out), "\x00") {
		switch {
		case strings.HasPrefix(entry, "# branch.oid "):
			c.Hash = strings.TrimPrefix(entry, "# branch.oid ")
		case entry == "" || strings.HasPrefix(entry, "# "):
		case strings.HasPrefix(entry, "? ") && within(filepath.Join(top, entry[2:]), apart):
		default:
			c.Dirty = true
		}
	}
	if (len(c.Hash) != 40 && len(c.Hash) != 64) || strings.Trim(c.Hash, "0123456789abcdef") != "" { // "(initial)"
		return Commit{}, fmt.Errorf("%s: %w", dir, ErrNoCommit)
	}
	return c, nil
}

// workingTree is the directory at or above dir that a repository belongs to. Whether it really is one git says.
func workingTree(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", fmt.Errorf("find git commit: %w", err)
	}
	for at := abs; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s: %w", dir, ErrNoCommit)
		}
	}
}

// within reports whether path is one of places or below one.
func within(path string, places []string) bool {
	for _, place := range places {
		if rel, err := filepath.Rel(place, path); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return false
}

// leading are the variables by which git takes another repository than the directory's (git rev-parse --local-env-vars).
var leading = map[string]bool{"GIT_DIR": true, "GIT_WORK_TREE": true, "GIT_INDEX_FILE": true, "GIT_OBJECT_DIRECTORY": true,
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true, "GIT_COMMON_DIR": true, "GIT_NAMESPACE": true, "GIT_PREFIX": true,
	"GIT_GRAFT_FILE": true, "GIT_SHALLOW_FILE": true, "GIT_EXTERNAL_DIFF": true, "GIT_TRACE": true}

// git runs one command that only reads.
func git(ctx context.Context, dir string, environ []string, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=" + os.DevNull,
		"-c", "status.submoduleSummary=false", "-c", "status.showUntrackedFiles=normal", "-c", "core.quotePath=false"}, args...)...)
	c.Dir = dir
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); !leading[name] {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "LC_ALL=C", "GIT_TERMINAL_PROMPT=0")
	out, errs := &capped{most: maxStatus}, &capped{most: 4 << 10}
	c.Stdout, c.Stderr = out, errs
	if err := c.Run(); err != nil {
		if said, _, _ := strings.Cut(strings.TrimSpace(errs.String()), "\n"); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	if out.over {
		return nil, fmt.Errorf("git %s: it answers more than %d bytes", args[0], maxStatus)
	}
	return out.Bytes(), nil
}

// capped keeps the first bytes that are written to it.
type capped struct {
	bytes.Buffer
	most int
	over bool
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.most - c.Len(); len(p) > room {
		c.over = true
		_, _ = c.Buffer.Write(p[:room])
		return len(p), nil
	}
	return c.Buffer.Write(p)
}

// remoteOf is the URL of origin, where it is one that means the same elsewhere.
func remoteOf(ctx context.Context, dir string, environ []string) string {
	out, err := git(ctx, dir, environ, "config", "--get", "remote.origin.url")
	if err != nil {
		return ""
	}
	s := strings.TrimSpace(string(out))
	if host, path, scp := strings.Cut(s, ":"); scp && !strings.Contains(host, "/") && !strings.HasPrefix(path, "//") && strings.Contains(host, "@") {
		s = "ssh://" + host + "/" + strings.TrimPrefix(path, "/") // git@host:path
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}
