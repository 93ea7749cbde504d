package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/host"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/registry"
)

// gitScheme begins the URI of an input that is a git commit which is not at hand: git+https://HOST/PATH@COMMIT.
const gitScheme = "git+"

// input is one thing that a command is run on.
type input struct {
	role attestations.Role
	name string // unique among the inputs
	arg  string // as it was typed
	at   place  // where it lies; neither path nor reference for a commit that is elsewhere

	made  attestations.Dependency
	watch *manifest.Watch // on disk, but for a git working tree

	files  []manifest.File // none for a git commit
	single bool            // one file rather than a directory
}

// parseInputs reads ROLE[:NAME]=PATH|REF, each. Without a NAME an input is called what it is called where it lies.
func parseInputs(texts []string) ([]*input, error) {
	var all []*input
	names := map[string]bool{}
	for _, text := range texts {
		in, err := parseInput(text)
		if err != nil {
			return nil, err
		}
		if names[in.name] {
			return nil, usageError{hintError{fmt.Errorf("--input %s: another one is called %q", printable(text), in.name),
				fmt.Sprintf("--input %s:NAME=%s", in.role, shellWord(in.arg))}}
		}
		names[in.name] = true
		all = append(all, in)
	}
	return all, nil
}

func parseInput(text string) (*input, error) {
	what, arg, ok := strings.Cut(text, "=")
	role, name, named := strings.Cut(what, ":")
	if !ok || arg == "" || named && name == "" {
		return nil, usagef("--input %s: it is ROLE=PATH, ROLE=REF or ROLE:NAME=…", printable(text))
	}
	in := &input{name: name, arg: arg}
	var err error
	if in.role, err = attestations.ParseRole(role); err != nil {
		return nil, usagef("--input: %w", err)
	}
	if strings.HasPrefix(arg, gitScheme) && in.takes(attestations.ClassGitCommit) {
		return in, in.fromURI()
	}
	if in.at, err = findPlace(arg); err != nil {
		return nil, err
	}
	switch {
	case named:
	case in.at.onDisk():
		in.name = filepath.Base(in.at.real())
		if s, err := manifest.ReadSnapshot(in.at.path); err == nil {
			in.name = s.Repo[strings.LastIndexByte(s.Repo, '/')+1:]
		}
	default:
		in.name = in.at.ref.Name()
		in.name = in.name[strings.LastIndexAny(in.name, "/:")+1:]
	}
	return in, nil
}

func (in *input) takes(c attestations.DigestClass) bool { return slices.Contains(in.role.Classes(), c) }

// fromURI takes git+URL@COMMIT at its word: it is what the caller declares.
func (in *input) fromURI() error {
	at := strings.LastIndexByte(in.arg, '@')
	if at < strings.LastIndexByte(in.arg, '/') {
		return usagef("--input %s=%s: it is git+URL@COMMIT", in.role, printable(in.arg))
	}
	uri, commit := in.arg[:at], in.arg[at+1:]
	if in.name == "" {
		u, err := url.Parse(uri)
		if err != nil {
			return usagef("--input %s: %w", in.role, err)
		}
		in.name = filepath.Base(u.Path)
	}
	in.made = attestations.Dependency{Name: in.name, Role: in.role, URI: uri,
		Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: commit}}
	return nil
}

// read finds out what the input is before the command starts.
func (in *input) read(ctx context.Context, s streams, f *runFlags, environ, apart []string) error {
	var err error
	switch {
	case in.made.Digest.Hex != "":
		return nil
	case in.at.onDisk():
		err = in.readDisk(ctx, s, f, environ, apart)
	default:
		in.made, err = in.resolve(ctx, f, f.Link != "")
	}
	if err != nil {
		return fmt.Errorf("input %s %s: %w", in.role, printable(in.arg), err)
	}
	return nil
}

// isTree reports whether the input is a git working tree, in a role that may be a commit.
func (in *input) isTree() bool {
	if !in.at.onDisk() || !in.takes(attestations.ClassGitCommit) {
		return false
	}
	_, err := os.Lstat(filepath.Join(in.at.path, ".git"))
	return err == nil
}

// readDisk hashes files, or asks git for a working tree's commit.
func (in *input) readDisk(ctx context.Context, s streams, f *runFlags, environ, apart []string) error {
	path := in.at.path
	if in.isTree() {
		c, err := host.FindCommit(ctx, path, environ, apart)
		if err == nil {
			in.made = attestations.CommitDependency(in.role, in.name, c)
		}
		if !errors.Is(err, host.ErrNoCommit) {
			return err
		}
	}
	var o manifest.Options
	if err := recorded(s, path, listFlags{AllowSymlinks: f.list.AllowSymlinks}, &o); err != nil {
		return err
	}
	bar := newProgress(s, "hashed "+in.name, f.out)
	defer bar.stop()
	o.Progress = bar.update
	w, err := manifest.Begin(ctx, path, o)
	if err != nil {
		return err
	}
	in.watch, in.files, in.single = w, w.Manifest.Files, w.Manifest.Single
	in.made = attestations.Dependency{Name: in.name, Role: in.role, URI: attestations.LocalURI(in.name)}
	if snapshot, err := manifest.ReadSnapshot(path); err == nil {
		in.made.URI = hub + "/" + strings.TrimPrefix(snapshot.Type+"/", "models/") + snapshot.Repo + "/tree/" + snapshot.Commit
	}
	if w.Manifest.Single && in.takes(attestations.ClassFile) {
		in.made.Digest = attestations.Digest{Class: attestations.ClassFile, Hex: w.Manifest.Files[0].SHA256.Hex()}
		return nil
	}
	id, err := w.Manifest.ID()
	if err != nil {
		return err
	}
	in.made.Digest, err = attestations.ParseArtifactID(id)
	return err
}

// resolve asks the registry or layout for the artifact's canonical manifest, whose digest is its ID. Its files are listed
// where they are wanted: a manifest that packs them does not say which they are.
func (in *input) resolve(ctx context.Context, f *runFlags, list bool) (attestations.Dependency, error) {
	d := attestations.Dependency{Name: in.name, Role: in.role}
	stored, err := registry.Find(ctx, in.at.ref, f.net.options())
	if err != nil {
		return d, err
	}
	defer stored.Close()
	canonical, err := stored.Artifact.Canonical()
	if err != nil {
		return d, err
	}
	if list {
		m, err := stored.List()
		if err != nil {
			return d, err
		}
		in.files, in.single = m.Files, m.Single
	}
	d.URI = attestations.LocalURI(in.name)
	if in.at.ref.Layout() == "" {
		d.URI = "oci://" + in.at.ref.Pinned(canonical.ID)
	}
	d.Digest, err = attestations.ParseArtifactID(canonical.ID)
	return d, err
}

// again errs where the input is not what it was before the command started. A git working tree is not asked again: what
// counts is what the command started from.
func (in *input) again(ctx context.Context, s streams, f *runFlags) error {
	var err error
	switch {
	case in.watch != nil:
		bar := newProgress(s, "hashed again: "+in.name, f.out)
		err = in.watch.Again(ctx, bar.update)
		bar.stop()
	case !in.at.ref.IsZero():
		var now attestations.Dependency
		if now, err = in.resolve(ctx, f, false); err == nil && now.Digest != in.made.Digest {
			err = &manifest.ChangedError{Name: in.at.ref.String(), What: fmt.Sprintf("was %s and is %s", in.made.Digest, now.Digest)}
		}
	}
	var changed *manifest.ChangedError
	switch {
	case errors.As(err, &changed):
		return refusal{fmt.Errorf("input %s %s changed while the command ran: %w", in.role, printable(in.arg), err)}
	case err != nil:
		return fmt.Errorf("look at input %s %s again: %w", in.role, printable(in.arg), err)
	}
	return nil
}

func (in *input) close() {
	if in.watch != nil {
		_ = in.watch.Close()
	}
}
