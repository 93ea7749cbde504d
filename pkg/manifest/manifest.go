package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// Method is how OMS maps files to resources (OMS §6.3).
type Method string

// OMS's two methods. The zero Method means Files.
const (
	Files  Method = "files"  // one digest a file
	Shards Method = "shards" // one digest for every ShardSize bytes of a file
)

// DefaultShardSize is OMS's default size of a shard, in bytes (OMS §6.3.2).
const DefaultShardSize = 1_000_000_000

// File is one file of an artifact.
type File struct {
	Name   string      // clean, relative, with slashes
	Size   int64       // in bytes
	SHA256 hashing.Sum // of the whole file; zero where no ID was asked for
}

// Serialization is what an OMS statement records of how files were listed and hashed (OMS §5.2.2).
type Serialization struct {
	Method        Method
	Algorithm     hashing.Algorithm
	ShardSize     int64 // in bytes; 0 unless Method is Shards
	AllowSymlinks bool
	IgnorePaths   []string // sorted, relative to the root
}

// Resource is one digest as an OMS statement lists it. For shards the name is "path:start:end" (OMS §6.3.2).
type Resource struct {
	Name      string
	Algorithm hashing.Algorithm
	Digest    []byte
}

// Manifest is what an artifact consists of. It is read-only once made.
type Manifest struct {
	Name          string // base name of the artifact
	Single        bool   // one file rather than a directory
	Files         []File // sorted by name in byte order
	NoID          bool   // whole-file SHA-256 was not computed: there is no ID
	Serialization Serialization
	Resources     []Resource // sorted by name in byte order, which is code-point order (OMS §5.2.1)
	Uncovered     []string   // files that an exclusion leaves out, without the artifact's own evidence
	WeakStat      bool       // the file system has no stable inodes and times: only size and mtime were held against each other
	packs         []Layer
}

// ErrNoID says that a manifest was made without whole-file SHA-256 digests.
var ErrNoID = errors.New("artifact ID was not computed")

// Bytes is the sum of the files' sizes.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// RootDigest is the SHA-256 over the resources' digests in order (OMS §6.5.1). It binds no names and is never an
// identity.
func (m *Manifest) RootDigest() hashing.Sum {
	h := sha256.New()
	for _, r := range m.Resources {
		h.Write(r.Digest)
	}
	return hashing.Sum(h.Sum(nil))
}

// ID is the artifact ID, "sha256:" and 64 hex digits. It errs with ErrNoID, and where no canonical manifest exists: see
// ARTIFACT-ID.md.
func (m *Manifest) ID() (string, error) {
	c, err := m.OCI()
	if err != nil {
		return "", err
	}
	return c.ID, nil
}

// OCI is the canonical OCI manifest of m.
func (m *Manifest) OCI() (*Canonical, error) {
	if m.NoID {
		return nil, ErrNoID
	}
	return canonical(m.Files, m.packs)
}

// ChangeKind is how two manifests differ in one file.
type ChangeKind string

// The kinds of change.
const (
	Missing   ChangeKind = "missing"   // wanted, not there
	Extra     ChangeKind = "extra"     // there, not wanted
	Different ChangeKind = "different" // other bytes
)

// Change is one file in which two manifests differ.
type Change struct {
	Name string
	Kind ChangeKind
	Want File // zero for Extra
	Got  File // zero for Missing
}

// Diff lists the files in which got differs from want, by name in byte order. Both must have whole-file digests: where
// one has not, every file of both names is Different.
func Diff(want, got *Manifest) []Change {
	var out []Change
	w, g := want.Files, got.Files
	for len(w) > 0 || len(g) > 0 {
		order := 0
		switch {
		case len(w) == 0:
			order = 1
		case len(g) == 0:
			order = -1
		default:
			order = cmp.Compare(w[0].Name, g[0].Name)
		}
		switch {
		case order < 0:
			out = append(out, Change{Name: w[0].Name, Kind: Missing, Want: w[0]})
			w = w[1:]
		case order > 0:
			out = append(out, Change{Name: g[0].Name, Kind: Extra, Got: g[0]})
			g = g[1:]
		default:
			if want.NoID || got.NoID || w[0] != g[0] {
				out = append(out, Change{Name: w[0].Name, Kind: Different, Want: w[0], Got: g[0]})
			}
			w, g = w[1:], g[1:]
		}
	}
	return out
}

func sortResources(r []Resource) {
	slices.SortFunc(r, func(a, b Resource) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
}
