package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

// digestsFlags is what sign is told about artifacts whose bytes lie elsewhere.
type digestsFlags struct {
	Digests     []string
	ExpectName  string
	ExpectFiles string
}

func (d *digestsFlags) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&d.Digests, "digests", nil, "instead of ARTIFACT: `FILE` that hallmark digest --output wrote where the bytes are (repeats)")
	f.StringVar(&d.ExpectName, "expect-name", "", "with --digests: the `NAME` that the artifact must have")
	f.StringVar(&d.ExpectFiles, "expect-files", "", "with --digests: `FILE` with the names that its files must have, all of them and no others, one a line")
}

// check refuses what cannot be meant together with the artifacts named in args.
func (d *digestsFlags) check(args []string, of *artifactFlags) error {
	expects := d.ExpectName != "" || d.ExpectFiles != ""
	switch {
	case len(d.Digests) == 0 && expects:
		return usagef("--expect-name and --expect-files need --digests: files that are here are read, not expected")
	case len(d.Digests) == 0:
		return nil
	case len(args) > 0:
		return usagef("--digests is instead of %s: sign what is here and what is elsewhere in two calls", printable(args[0]))
	case len(d.Digests) > 1 && expects:
		return usagef("--expect-name and --expect-files are for one --digests, and there are %d", len(d.Digests))
	case len(d.Digests) > 1 && of.list.Signature != "":
		return usagef("--signature names one file, and there are %d artifacts", len(d.Digests))
	case of.hash != hashFlags{Hash: string(hashing.SHA256)}:
		return usagef("flags that hash files are for files that are here: --digests brings %w", manifest.ErrDigestsForm)
	}
	return nil
}

// jobs are the artifacts that the digests files describe.
func (d *digestsFlags) jobs(of *artifactFlags) ([]job, error) {
	for _, p := range of.list.IgnorePaths {
		if filepath.IsAbs(p) {
			return nil, usagef("--ignore-paths %s: with --digests it is relative to the artifact, which is not here", printable(p))
		}
	}
	ignored, err := manifest.CleanExclusions(".", of.list.IgnorePaths)
	if err != nil {
		return nil, usageError{err}
	}
	var names []string
	if d.ExpectFiles != "" {
		if names, err = readNames(d.ExpectFiles); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{}
	var jobs []job
	for _, path := range d.Digests {
		real := place{path: path}.real()
		if seen[real] {
			return nil, usagef("--digests %s is named twice", printable(path))
		}
		seen[real] = true
		jobs = append(jobs, &digestsJob{path: path, signature: of.list.Signature, name: d.ExpectName, files: names,
			options: manifest.DigestsOptions{IgnorePaths: ignored, AllowSymlinks: of.list.AllowSymlinks}})
	}
	return jobs, nil
}

// readNames reads file names, one a line. None at all is wrong usage: nothing to expect is no expectation.
func readNames(path string) ([]string, error) {
	raw, err := readAtMost(path, manifest.MaxDigests)
	if err != nil {
		return nil, err
	}
	names := strings.FieldsFunc(string(raw), func(r rune) bool { return r == '\n' })
	for i, name := range names {
		names[i] = strings.TrimSuffix(name, "\r")
		if err := manifest.CleanName(names[i]); err != nil {
			return nil, usagef("--expect-files %s: line %d: %w", path, i+1, err)
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) == 0 {
		return nil, usagef("--expect-files %s: it names no file", path)
	}
	return names, nil
}

// digestsJob signs an artifact whose bytes lie on another machine, by what that machine says its names, sizes and digests
// are. All else this machine states itself.
type digestsJob struct {
	path      string // of the digests file
	signature string // where the signature goes; "": beside the digests file
	name      string // what the artifact must be called; "": anything
	files     []string
	options   manifest.DigestsOptions
	list      *manifest.Digests
}

func (j *digestsJob) what() string { return j.path }

func (j *digestsJob) prepare(context.Context) (*manifest.Manifest, error) {
	raw, err := readAtMost(j.path, manifest.MaxDigests)
	if err != nil {
		return nil, err
	}
	d, err := manifest.ParseDigests(raw)
	if err == nil {
		err = j.expected(d)
	}
	var m *manifest.Manifest
	if err == nil {
		m, err = d.Manifest(j.options)
	}
	if err != nil {
		return nil, refusal{fmt.Errorf("%s: %w", j.path, err)}
	}
	j.list = d
	return m, nil
}

// expected holds the list to the names that this machine expects.
func (j *digestsJob) expected(d *manifest.Digests) error {
	if j.name != "" && d.Name != j.name {
		return fmt.Errorf("the artifact is called %q, not %q", d.Name, j.name)
	}
	if j.files == nil {
		return nil
	}
	listed := make([]string, len(d.Files))
	for i, f := range d.Files {
		listed[i] = f.Name
		if _, ok := slices.BinarySearch(j.files, f.Name); !ok {
			return fmt.Errorf("%q is listed, and not expected", f.Name)
		}
	}
	for _, name := range j.files {
		if _, ok := slices.BinarySearch(listed, name); !ok {
			return fmt.Errorf("%q is expected, and not listed", name)
		}
	}
	return nil
}

func (j *digestsJob) store(ctx context.Context, made attestations.Signed, by signer.Signer) (string, error) {
	return storeBeside(ctx, j.path, j.signature, made, by)
}

// describe says what the signature stands on.
func (j *digestsJob) describe() *stated {
	if j.list == nil {
		return nil
	}
	s := &stated{Name: j.list.Name, Files: len(j.list.Files)}
	for _, f := range j.list.Files {
		s.Bytes += f.Size
	}
	for _, p := range j.list.Packs {
		s.Unchecked = append(s.Unchecked, p.Name)
	}
	return s
}

// stated is what another machine said of an artifact that was signed without a look at its bytes.
type stated struct {
	Name      string   `json:"name"`
	Files     int      `json:"files"`
	Bytes     int64    `json:"bytes"`
	Unchecked []string `json:"unchecked,omitempty"` // packs: their digests do not even follow from those of the files
}

func (d *stated) show(s streams) {
	fmt.Fprintf(s.out, "stated     %s, %s, %d bytes: no byte was read here\n", printable(d.Name), count(d.Files, "file", "files"), d.Bytes)
	if n := len(d.Unchecked); n > 0 {
		fmt.Fprintf(s.out, "unchecked  the digests of %s of small files, such as %s: the artifact ID stands on them, and they do not follow from the files'\n", count(n, "pack", "packs"), d.Unchecked[0])
	}
}

// writeDigests writes m's digests file. It must not lie inside the artifact, which it would change.
func writeDigests(s streams, artifact, output string, m *manifest.Manifest) error {
	d, err := m.Digests()
	if err != nil {
		return err
	}
	raw, err := d.Encode()
	if err != nil {
		return err
	}
	if err := replaceFile(output, raw); err != nil {
		return fmt.Errorf("write digests of %s: %w", artifact, err)
	}
	own := ownExclusions(m.Serialization.IgnorePaths)
	if len(own) > 0 {
		hint(s.err, "the file does not say what is left out; where it is signed: --ignore-paths "+strings.Join(shellWords(own), " --ignore-paths "))
	}
	if m.Serialization.AllowSymlinks {
		hint(s.err, "the file does not say that links were followed; where it is signed: --allow-symlinks")
	}
	return nil
}

func shellWords(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = shellWord(w)
	}
	return out
}

// checkOutput refuses a place for the digests file that is inside the artifact or where something else than a file lies.
func checkOutput(artifact, output string) error {
	at := place{path: filepath.Join(place{path: filepath.Dir(output)}.real(), filepath.Base(output))}
	inside, err := filepath.Rel(place{path: artifact}.real(), at.path)
	if err == nil && filepath.IsLocal(inside) {
		return usagef("--output %s lies inside the artifact, which it would change", printable(output))
	}
	places, err := registry.PlacesOf(artifact)
	if err != nil {
		return err
	}
	for _, reserved := range []string{places.Signature, places.Claims, places.Outside} {
		if reserved != "" && filepath.Base(reserved) == filepath.Base(output) && (place{path: filepath.Dir(reserved)}).real() == filepath.Dir(at.path) {
			return usagef("--output %s is a name that is kept for evidence", printable(output))
		}
	}
	if info, err := os.Lstat(output); err == nil && !info.Mode().IsRegular() {
		return usagef("--output %s: something lies there that is no regular file", printable(output))
	}
	return nil
}

// replaceFile makes data the content of the file at path, at once: a reader finds the old content or the new.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
