package manifest

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// DigestsName is the name and version of a digests file.
const DigestsName = "hallmark.digests/v1"

// MaxDigests is the largest digests file, in bytes: a signature on more files than fit would be too large to be read.
const MaxDigests = 64 << 20

// DigestsSchema is the JSON Schema of a digests file.
//
//go:embed digests.schema.json
var DigestsSchema []byte

// ErrDigestsForm is in the error about an artifact that a digests file does not hold: one that was not hashed by
// SHA-256 over whole files, from which both the artifact ID and OMS's resources follow.
var ErrDigestsForm = errors.New("a digests file holds SHA-256 digests of whole files only")

// Digests is what the machine that holds an artifact's bytes says about them to the one that may sign: names, sizes and
// digests. It makes no claim, and nothing in it has been checked against any bytes.
type Digests struct {
	Name   string // the artifact's base name
	Single bool   // one file rather than a directory
	Files  []File // sorted by name in byte order

	// Packs are the tars of the small files, where the artifact's canonical manifest needs them (ARTIFACT-ID.md, Packing).
	// Which files each holds and how long it is follows from Files. Its digest does not: it is the holder's word.
	Packs []Pack
}

// Pack is one tar of small files.
type Pack struct {
	Name   string // "pack-00001.tar" and so on
	Size   int64  // in bytes
	SHA256 hashing.Sum
}

// Form of a digests file.
type (
	wireDigests struct {
		Schema string      `json:"schema"`
		Name   string      `json:"name"`
		Single *bool       `json:"single"` // a pointer tells a member that is missing from one that is zero
		Files  *[]wireFile `json:"files"`
		Packs  *[]wireFile `json:"packs"`
	}
	wireFile struct {
		Name   *string `json:"name"`
		Size   *int64  `json:"size"`
		SHA256 *string `json:"sha256"`
	}
)

// Digests returns what m says about names, sizes and digests. It errs with ErrDigestsForm where m was hashed in another
// way, and where m has no ID.
func (m *Manifest) Digests() (*Digests, error) {
	if m.NoID || m.Serialization.Method != Files || m.Serialization.Algorithm != hashing.SHA256 {
		return nil, fmt.Errorf("list digests of %q: %w", m.Name, ErrDigestsForm)
	}
	if _, err := m.ID(); err != nil {
		return nil, err
	}
	d := &Digests{Name: m.Name, Single: m.Single, Files: m.Files}
	for _, p := range m.packs {
		d.Packs = append(d.Packs, Pack{p.Name, p.Size, p.Digest})
	}
	return d, nil
}

// Encode returns the digests file, as JSON that ends with a line end.
func (d *Digests) Encode() ([]byte, error) {
	var files, packs []wireFile
	for _, f := range d.Files {
		files = append(files, encodeFile(f.Name, f.Size, f.SHA256))
	}
	for _, p := range d.Packs {
		packs = append(packs, encodeFile(p.Name, p.Size, p.SHA256))
	}
	w := wireDigests{Schema: DigestsName, Name: d.Name, Single: &d.Single, Files: &files, Packs: &packs}
	raw, err := json.Marshal(w, jsontext.WithIndent("  "), json.Deterministic(true))
	switch {
	case err != nil:
		return nil, fmt.Errorf("encode digests of %q: %w", d.Name, err)
	case len(raw) >= MaxDigests:
		return nil, fmt.Errorf("encode digests of %q: %d bytes, at most %d are read", d.Name, len(raw), MaxDigests)
	}
	return append(raw, '\n'), nil
}

func encodeFile(name string, size int64, sum hashing.Sum) wireFile {
	digest := sum.String()
	return wireFile{&name, &size, &digest}
}

// ParseDigests reads a digests file. It errs where raw is longer than MaxDigests, is not exactly of the form of
// DigestsSchema (a member that is missing, unknown, there twice or of another case, text behind the object), or lists
// what no artifact consists of: names that are not clean or not in byte order, a file that is a folder too, no files,
// packs where none belong or of another size than their files make.
func ParseDigests(raw []byte) (*Digests, error) {
	d, err := parseDigests(raw)
	if err != nil {
		return nil, fmt.Errorf("read digests: %w", err)
	}
	return d, nil
}

func parseDigests(raw []byte) (*Digests, error) {
	if len(raw) > MaxDigests {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(raw), MaxDigests)
	}
	var w wireDigests
	if err := json.Unmarshal(raw, &w, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if w.Schema != DigestsName {
		return nil, fmt.Errorf("its schema is %q, not %s", w.Schema, DigestsName)
	}
	if w.Single == nil || w.Files == nil || w.Packs == nil {
		return nil, errors.New("single, files and packs are required")
	}
	d := &Digests{Name: w.Name, Single: *w.Single}
	for i, f := range *w.Files {
		name, size, sum, err := f.read()
		if err != nil {
			return nil, fmt.Errorf("file %d: %w", i+1, err)
		}
		d.Files = append(d.Files, File{name, size, sum})
	}
	for i, f := range *w.Packs {
		name, size, sum, err := f.read()
		if err != nil {
			return nil, fmt.Errorf("pack %d: %w", i+1, err)
		}
		d.Packs = append(d.Packs, Pack{name, size, sum})
	}
	return d, d.check()
}

func (f wireFile) read() (string, int64, hashing.Sum, error) {
	if f.Name == nil || f.Size == nil || f.SHA256 == nil {
		return "", 0, hashing.Sum{}, errors.New("name, size and sha256 are required")
	}
	sum, err := hashing.ParseSum(*f.SHA256)
	if err != nil {
		return "", 0, hashing.Sum{}, fmt.Errorf("%q: %w", *f.Name, err)
	}
	return *f.Name, *f.Size, sum, nil
}

// check refuses what no directory or file on disk would have given.
func (d *Digests) check() error {
	if err := CleanName(d.Name); err != nil {
		return fmt.Errorf("name of the artifact: %w", err)
	}
	switch {
	case strings.Contains(d.Name, "/"):
		return fmt.Errorf("name of the artifact %q: it is a path", d.Name)
	case len(d.Files) == 0:
		return ErrEmpty
	case len(d.Files) > MaxFiles:
		return fmt.Errorf("%d files, at most %d", len(d.Files), MaxFiles)
	case d.Single && (len(d.Files) != 1 || d.Files[0].Name != d.Name):
		return fmt.Errorf("a single file %q is not what its files say", d.Name)
	}
	packed := needsPacks(d.Files)
	if err := checkTree(d.Files, packed); err != nil {
		return err
	}
	var groups [][]int
	if packed {
		groups = packGroups(d.Files)
	}
	if len(groups) != len(d.Packs) {
		return fmt.Errorf("%d packs of small files, where the files make %d", len(d.Packs), len(groups))
	}
	for n, members := range groups {
		size, err := packSize(d.Files, members)
		if err != nil {
			return fmt.Errorf("pack %s: %w", packLayerName(n), err)
		}
		if d.Packs[n].Name != packLayerName(n) || d.Packs[n].Size != size {
			return fmt.Errorf("pack %q of %d bytes, where the files make %s of %d", d.Packs[n].Name, d.Packs[n].Size, packLayerName(n), size)
		}
	}
	return nil
}

// packSize is how long the tar of these files is, which follows from their names and sizes.
func packSize(files []File, members []int) (int64, error) {
	size := int64(tarEnd)
	for _, i := range members {
		var header bytes.Buffer
		if err := tar.NewWriter(&header).WriteHeader(packHeader(files[i])); err != nil {
			return 0, fmt.Errorf("%q: %w", files[i].Name, err)
		}
		content := (files[i].Size + tarBlock - 1) / tarBlock * tarBlock
		if content > math.MaxInt64-size-int64(header.Len()) {
			return 0, fmt.Errorf("%q has an impossible size of %d bytes", files[i].Name, files[i].Size)
		}
		size += int64(header.Len()) + content
	}
	return size, nil
}

// DigestsOptions is what the signing host states itself of how the files were listed; a digests file says nothing of it.
type DigestsOptions struct {
	IgnorePaths   []string // left out, relative to the artifact; a single file has none
	AllowSymlinks bool     // links that stay inside the artifact were followed (OMS §6.1.1)
}

// Manifest returns the manifest to sign: its ID is made anew from names, sizes and digests. Where files are packed it
// stands on the packs' digests too, which nobody can make anew without the bytes. It errs where the list holds a file
// that the options, OMS's default exclusions or the reserved names leave out: no verifier would read it.
func (d *Digests) Manifest(o DigestsOptions) (*Manifest, error) {
	m := &Manifest{Name: d.Name, Single: d.Single, Files: d.Files, Serialization: Serialization{
		Method: Files, Algorithm: hashing.SHA256, AllowSymlinks: o.AllowSymlinks,
	}}
	if !d.Single {
		for _, p := range o.IgnorePaths {
			clean, err := cleanExclusion(".", p)
			if filepath.IsAbs(p) {
				err = errors.New("it is absolute, and the artifact is not here")
			}
			if err != nil {
				return nil, fmt.Errorf("ignored path %q: %w", p, err)
			}
			m.Serialization.IgnorePaths = append(m.Serialization.IgnorePaths, clean)
		}
		ignored := slices.Sorted(slices.Values(slices.Concat(m.Serialization.IgnorePaths, DefaultExclusions, []string{SignatureName, ClaimsName})))
		m.Serialization.IgnorePaths = slices.Compact(ignored)
	}
	for _, f := range d.Files {
		if p, left := leftOut(f.Name, m.Serialization.IgnorePaths); left {
			return nil, fmt.Errorf("list digests of %q: %q is left out by %q", d.Name, f.Name, p)
		}
		m.Resources = append(m.Resources, Resource{Name: f.Name, Algorithm: hashing.SHA256, Digest: slices.Clone(f.SHA256[:])})
	}
	for _, p := range d.Packs {
		m.packs = append(m.packs, Layer{MediaType: PackMediaType, Digest: p.SHA256, Size: p.Size, Name: p.Name, Pack: true})
	}
	_, err := m.ID()
	return m, err
}

// leftOut returns the ignored path that covers name: the file itself, or a folder above it.
func leftOut(name string, ignored []string) (string, bool) {
	for at := name; at != ""; {
		if slices.Contains(ignored, at) {
			return at, true
		}
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			break
		}
		at = at[:i]
	}
	return "", false
}
