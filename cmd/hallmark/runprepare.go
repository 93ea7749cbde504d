package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/host"
	"github.com/hallmark-project/hallmark/pkg/process"
	"github.com/hallmark-project/hallmark/pkg/token"
	"github.com/hallmark-project/hallmark/registry"
)

// prepare reads the flags, without a look at anything large.
func (j *runJob) prepare() error {
	f := j.f
	f.net.Timeout = f.with.Timeout
	if f.Type == "" || f.Output == "" {
		return usagef("--type and --output are needed: what is done, and where what it makes will lie")
	}
	var err error
	if j.build, err = attestations.ParseBuildType(f.Type); err != nil {
		return usagef("--type: %w", err)
	}
	j.kind = j.build.Kinds()[0]
	if f.kind != "" {
		if j.kind, err = attestations.ParseKind(f.kind); err != nil {
			return usagef("--kind: %w", err)
		}
	}
	var rules []*regexp.Regexp
	for _, text := range f.Redact {
		rule, err := regexp.Compile(text)
		if err != nil || text == "" {
			return usagef("--redact %q: no regular expression: %v", text, err)
		}
		rules = append(rules, rule)
	}
	j.redactor = process.NewRedactor(os.Environ(), rules)
	j.environ = process.Without(os.Environ(), f.withheld)
	if j.inputs, err = parseInputs(f.Inputs); err != nil {
		return err
	}
	if err := j.checkRoles(true); err != nil {
		return err
	}
	j.output = f.Output
	if err := j.checkPlaces(); err != nil {
		return err
	}
	return checkFresh(j.output)
}

// withheld reports whether the command gets no environment variable of this name: it would let it sign in our place.
func (f *runFlags) withheld(name string) bool {
	return strings.HasPrefix(name, "HALLMARK_") || token.IsVariable(name) || f.with.PasswordEnv != "" && name == f.with.PasswordEnv ||
		name == "VAULT_TOKEN" && strings.HasPrefix(f.with.PrivateKey, "hashivault:")
}

// checkRoles holds the inputs to the build type's table. Early, the source may still be found.
func (j *runJob) checkRoles(early bool) error {
	var roles []attestations.Role
	source := false
	for _, in := range j.inputs {
		roles = append(roles, in.role)
		source = source || in.role == attestations.RoleSource
	}
	if j.f.Container != "" {
		roles = append(roles, attestations.RoleContainer)
	}
	if !source && (early || j.found.Commit != nil) {
		roles = append(roles, attestations.RoleSource)
	}
	err := j.build.CheckInputs(roles)
	if err != nil && !early {
		if j.found.CommitErr != nil && !errors.Is(j.found.CommitErr, host.ErrNoCommit) {
			err = fmt.Errorf("%w: %w", err, j.found.CommitErr)
		}
		return usageError{hintError{err, "run it in a git working tree, or say --input source=PATH or --input source=git+https://HOST/PATH@COMMIT"}}
	}
	if err != nil {
		return usageError{err}
	}
	return nil
}

// checkFresh refuses an output that holds anything already: it would be stated to be made by the command.
func checkFresh(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.IsDir():
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		if len(entries) == 0 {
			return nil
		}
	}
	return refusal{hintError{fmt.Errorf("output %s: something is there already, and the command did not make it", printable(path)),
		"name another --output; what it goes on from is an --input of its own"}}
}

// checkPlaces refuses an output inside an input and the other way round, and files of ours inside either.
func (j *runJob) checkPlaces() error {
	out := realTarget(j.output)
	for _, in := range j.inputs {
		if !in.at.onDisk() || in.isTree() { // of a tree the commit counts, whatever else lies in it
			continue
		}
		at := in.at.real()
		switch {
		case inside(at, out):
			return usagef("the output %s lies inside the input %s, which it would change", printable(j.output), printable(in.arg))
		case inside(out, at):
			return usagef("the input %s lies inside the output %s", printable(in.arg), printable(j.output))
		}
		for _, own := range j.own() {
			if own != "" && inside(at, realTarget(own)) {
				return usagef("%s lies inside the input %s, which it would change", printable(own), printable(in.arg))
			}
		}
	}
	for _, own := range j.own() {
		if own != "" && inside(out, realTarget(own)) {
			return usagef("%s lies inside the output, which it would change", printable(own))
		}
	}
	return nil
}

// own are the files that run itself writes.
func (j *runJob) own() []string { return []string{j.f.Report, j.f.Unsigned, j.f.Link} }

// realTarget is the absolute path of something that need not be there yet, its folder's links followed.
func realTarget(path string) string {
	if _, err := os.Lstat(path); err == nil {
		return place{path: path}.real()
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return filepath.Join(place{path: filepath.Dir(abs)}.real(), filepath.Base(abs))
}

// inside reports whether path is folder or lies below it.
func inside(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

// load opens what will be signed with, before the command could exchange it. Tokens are fetched when something is signed.
func (j *runJob) load(ctx context.Context) error {
	with := &j.f.with
	if j.f.Unsigned != "" {
		if j.f.Link != "" || j.f.Sign {
			return usagef("--unsigned signs nothing: it goes without --sign and --link")
		}
		if with.PrivateKey != "" || with.SigningConfig != "" || with.identity.wanted() {
			return usagef("--unsigned leaves a draft, and what to sign it with is named: use one")
		}
		return nil
	}
	with.identity.silent, with.identity.hold = j.f.out.Quiet, (*progress)(nil).hold
	var err error
	if j.by, err = with.load(ctx, j.s); err == nil && j.f.Link != "" {
		if err = attestations.CheckLinkSigner(j.by); err != nil {
			err = usagef("--link: %w", err)
		}
	}
	return err
}

// before looks at all that the command starts from: inputs, and the directory that it runs in.
func (j *runJob) before(ctx context.Context) error {
	apart := []string{realTarget(j.output)}
	for _, in := range j.inputs {
		if in.at.onDisk() && !in.isTree() { // hashed by itself
			apart = append(apart, in.at.real())
		}
	}
	looked := make(chan error, 1)
	go func() {
		var err error
		j.found, err = host.Find(ctx, host.Options{Program: j.args[0], Environ: j.environ, Apart: apart})
		looked <- err
	}()
	var failed error
	for _, in := range j.inputs {
		if failed = in.read(ctx, j.s, j.f, j.environ, apart); failed != nil {
			break
		}
	}
	if err := <-looked; failed == nil {
		failed = err
	}
	if failed != nil {
		return failed
	}
	return j.checkRoles(false)
}

// provenance is all of the statement that is known before the command runs. It is tried on an artifact that is none, so
// that what cannot be stated is said before days of training.
func (j *runJob) provenance() (attestations.Provenance, error) {
	var p attestations.Provenance
	b := &p.BuildDefinition
	b.BuildType, b.ExternalParameters.Command = j.build, j.redactor.Command(j.args)
	for _, text := range j.f.Parameters {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return p, usagef("--parameter %s: it is NAME=VALUE", printable(text))
		}
		if err := b.ExternalParameters.Set(name, value); err != nil {
			return p, usagef("--parameter: %w", err)
		}
	}
	for _, in := range j.inputs {
		b.ResolvedDependencies = append(b.ResolvedDependencies, in.made)
	}
	if j.f.Container != "" {
		ref, err := registry.ParseRef(j.f.Container)
		if err != nil || ref.Digest() == "" {
			return p, usagef("--container %s: it is REF@sha256:…", printable(j.f.Container))
		}
		digest, err := attestations.ParseArtifactID(ref.Digest())
		if err != nil {
			return p, usagef("--container: %w", err)
		}
		b.ResolvedDependencies = append(b.ResolvedDependencies, attestations.Dependency{Name: string(attestations.RoleContainer),
			Role: attestations.RoleContainer, URI: "oci://" + ref.Pinned(ref.Digest()), Digest: digest})
	}
	p.Record(j.found)
	for _, name := range j.f.Env {
		if j.f.withheld(name) {
			return p, usagef("--env %s: the command does not get it", printable(name))
		}
		if value, ok := os.LookupEnv(name); ok {
			if b.InternalParameters.Environment == nil {
				b.InternalParameters.Environment = map[string]string{}
			}
			b.InternalParameters.Environment[name] = j.redactor.Variable(name, value)
		}
	}
	p.RunDetails.Builder = attestations.Builder{ID: j.f.Builder, Version: map[string]string{"hallmark": version()}}
	p.RunDetails.Metadata.StartedOn = now()
	p.RunDetails.Metadata.FinishedOn = p.RunDetails.Metadata.StartedOn
	nothing := attestations.Artifact{ID: "sha256:" + strings.Repeat("0", 64), Name: filepath.Base(realTarget(j.output)), Kind: j.kind}
	if _, err := attestations.NewStatement(nothing, p); err != nil {
		return p, usageError{err}
	}
	return p, nil
}
