package manifest

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Caps on what an artifact may consist of.
const (
	MaxFiles = 1_000_000 // files, also those that are left out
	MaxName  = 4096      // bytes of a file's name with its folders
	MaxDepth = 128       // folders above a file
)

// Evidence files at the top of a directory. They are never content.
const (
	SignatureName = "model.sig"
	ClaimsName    = "claims.sig"
)

// DefaultExclusions are left out of every directory, at the top only: OMS's (OMS §6.2) and what Hugging Face's client
// leaves in a folder that it downloads to.
var DefaultExclusions = []string{".cache/huggingface", ".git", ".gitattributes", ".github", ".gitignore"}

// CleanName returns nil for a name that a file of an artifact may have: relative, with slashes, valid UTF-8, without
// empty, "." or ".." components, at most MaxName bytes and MaxDepth folders.
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
	case name == "." || !filepath.IsLocal(name) || path.Clean(name) != name || path.IsAbs(name):
		return fmt.Errorf("file name %q is not a clean relative path (OMS §6.1.2)", name)
	case strings.Count(name, "/") > MaxDepth:
		return fmt.Errorf("file name %q is more than %d folders deep", name, MaxDepth)
	}
	return nil
}

// CleanExclusions returns the paths that a person gave, relative to the artifact at root, clean, sorted and each once.
// A path is relative to the artifact or absolute inside it, never relative to the working directory. Patterns, paths
// outside the artifact, and the whole artifact are errors (OMS §6.2.1).
func CleanExclusions(root string, given []string) ([]string, error) {
	var out []string
	for _, g := range given {
		p := filepath.ToSlash(g)
		if filepath.IsAbs(g) {
			rel, err := inside(root, g)
			if err != nil {
				return nil, fmt.Errorf("ignored path %q is not inside %q", g, root)
			}
			p = rel
		}
		p = path.Clean(p)
		switch {
		case strings.ContainsAny(p, "*?["):
			return nil, fmt.Errorf("ignored path %q has a wildcard: only exact paths are left out (OMS §6.2.1)", g)
		case g == "" || p == ".":
			return nil, fmt.Errorf("ignored path %q is the whole artifact", g)
		}
		if err := CleanName(p); err != nil {
			return nil, fmt.Errorf("ignored path %q: %w", g, err)
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// inside returns name relative to root, with slashes; both are resolved as far as they exist.
func inside(root, name string) (string, error) {
	resolve := func(p string) (string, error) {
		abs, err := filepath.Abs(p)
		if err != nil {
			return "", err
		}
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			return real, nil
		}
		if real, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
			return filepath.Join(real, filepath.Base(abs)), nil
		}
		return abs, nil
	}
	r, err := resolve(root)
	if err != nil {
		return "", err
	}
	n, err := resolve(name)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(r, n)
	if err != nil {
		return "", err
	}
	if !filepath.IsLocal(rel) {
		return "", errors.New("outside")
	}
	return filepath.ToSlash(rel), nil
}
