package manifest

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"

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

// Errors that callers tell apart.
var (
	ErrNoID  = errors.New("artifact ID was not computed")                           // made without whole-file SHA-256 digests
	ErrEmpty = errors.New("no files left: an artifact has at least one (OMS §6.1)") // nothing is never an artifact
)

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
	ShardSize     int64    // in bytes; 0 unless Method is Shards
	AllowSymlinks bool     // links were allowed, or followed as in a Hugging Face cache
	IgnorePaths   []string // sorted, relative to the root; none for a single file
}

// Resource is one digest as an OMS statement lists it. For shards the name is "path:start:end" (OMS §6.3.2).
type Resource struct {
	Name      string
	Algorithm hashing.Algorithm
	Digest    []byte
}

// Manifest is what an artifact consists of. It is read-only once made, and then several goroutines may use it.
type Manifest struct {
	Name          string // base name of the artifact, OMS's subject name
	Single        bool   // one file rather than a directory
	Files         []File // sorted by name in byte order
	NoID          bool   // whole-file SHA-256 was not computed: there is no ID
	Serialization Serialization
	Resources     []Resource // sorted by name in byte order, which is code-point order (OMS §5.2.1)
	Uncovered     []string   // files that an exclusion leaves out, without the artifact's own evidence; sorted
	Cached        int        // files that were not read: their digests are from Options.Cache
	WeakStat      bool       // the file system has no stable inodes and times: only size and mtime were held against each other

	packs []Layer // the tars of the small files, where the canonical manifest needs them
}

// Bytes is the sum of the files' sizes, as far as an int64 goes.
func (m *Manifest) Bytes() int64 {
	var n int64
	for _, f := range m.Files {
		n = addSize(n, f.Size)
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

// OCI is the canonical OCI manifest of m, made anew with every call. It errs as ID does.
func (m *Manifest) OCI() (*Canonical, error) {
	if m.NoID {
		return nil, ErrNoID
	}
	return canonical(m.Files, m.packs)
}

func sortResources(r []Resource) {
	slices.SortFunc(r, func(a, b Resource) int { return strings.Compare(a.Name, b.Name) })
}
