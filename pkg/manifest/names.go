package manifest

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Caps on what an artifact may consist of.
const (
	MaxFiles = 1_000_000 // files and folders, also those that are left out
	MaxName  = 4096      // bytes of a file's name with its folders
	MaxDepth = 128       // folders above a file
)

// Evidence files at the top of a directory. They are never content.
const (
	SignatureName = "model.sig"
	ClaimsName    = "claims.sig"
)

// DefaultExclusions are left out of every directory, at the top only: OMS's (OMS §6.2) and what Hugging Face's client
// leaves in a folder that it downloads to. They are not to be changed.
var DefaultExclusions = []string{".cache/huggingface", ".git", ".gitattributes", ".github", ".gitignore"}

// CleanName returns nil for a name that a file of an artifact may have: relative, with slashes, valid UTF-8, without
// empty, "." or ".." components and zero bytes, at most MaxName bytes and MaxDepth folders. The answer is the same on
// every operating system, because the artifact ID is; what one system cannot store, writing it there has to find out.
func CleanName(name string) error {
	switch {
	case name == "":
		return errors.New("empty file name")
	case len(name) > MaxName:
		return fmt.Errorf("file name of %d bytes, at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("file name %q is not UTF-8 (OMS §6.1.2)", name)
	case strings.Contains(name, "\x00"):
		return fmt.Errorf("file name %q has a zero byte", name)
	case name == "." || !fs.ValidPath(name):
		return fmt.Errorf("file name %q is not a clean relative path (OMS §6.1.2)", name)
	case strings.Count(name, "/") > MaxDepth:
		return fmt.Errorf("file name %q is more than %d folders deep", name, MaxDepth)
	}
	return nil
}

// CleanExclusions returns the paths that a person gave, relative to the artifact at root, clean, sorted and each once.
// A path is relative to the artifact or absolute inside it, never relative to the working directory. Patterns, "..",
// paths outside the artifact, and the whole artifact are errors (OMS §6.2.1).
func CleanExclusions(root string, given []string) ([]string, error) {
	var out []string
	for _, g := range given {
		p, err := cleanExclusion(root, g)
		if err != nil {
			return nil, fmt.Errorf("ignored path %q: %w", g, err)
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

func cleanExclusion(root, given string) (string, error) {
	if given == "" {
		return "", errors.New("it is empty")
	}
	p := filepath.ToSlash(given)
	if filepath.IsAbs(given) {
		rel, err := inside(root, given)
		if err != nil {
			return "", err
		}
		p = rel
	}
	if slices.Contains(strings.Split(p, "/"), "..") {
		return "", errors.New("it climbs (OMS §6.2.1)")
	}
	p = path.Clean(p) // "./a", "a/" and "a//b" are ways to type one path
	switch {
	case p == ".":
		return "", errors.New("it is the whole artifact")
	case strings.ContainsAny(p, "*?["):
		return "", errors.New("it has a wildcard, and only exact paths are left out (OMS §6.2.1)")
	}
	return p, CleanName(p)
}

// inside returns name relative to root, with slashes. The links above name are resolved, as far as folders exist; name
// itself is not: where a link is left out, the link is meant and not what it leads to.
func inside(root, name string) (string, error) {
	r, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	n, err := filepath.Abs(name)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(resolve(r), filepath.Join(resolve(filepath.Dir(n)), filepath.Base(n)))
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("it is not inside %q", root)
	}
	return filepath.ToSlash(rel), nil
}

// resolve follows the links in an absolute path, in the part of it that exists.
func resolve(abs string) string {
	rest := ""
	for p := abs; ; p = filepath.Dir(p) {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			return filepath.Join(real, rest)
		}
		if p == filepath.Dir(p) {
			return abs
		}
		rest = filepath.Join(filepath.Base(p), rest)
	}
}
