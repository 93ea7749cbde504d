package chain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Files is an artifact on disk: one file, or a directory. Its bytes are read.
type Files struct {
	Path    string
	Options FilesOptions

	hashed map[[sha256.Size]byte]*manifest.Manifest // by what was hashed and how; nil: nothing is kept
}

// once returns f for one decision: its bytes are read once for all signatures that list the same files in the same way.
// What it returns is for one goroutine.
func (f *Files) once() *Files {
	return &Files{Path: f.Path, Options: f.Options, hashed: map[[sha256.Size]byte]*manifest.Manifest{}}
}

// FilesOptions says how to read an artifact on disk.
type FilesOptions struct {
	IgnorePaths []string                // the verifier's own exclusions, beside those that the signature records
	Signature   string                  // signature file of another name, which is not content
	Workers     int                     // 0: one per core
	Progress    func(done, total int64) // bytes hashed; nil: none

	// InsecureCache has files not be read whose digests it knows: see manifest.Options.Cache. The decision says so. nil:
	// every file is read.
	InsecureCache *cache.Cache
}

// Describe returns the path.
func (f *Files) Describe() (policy.Artifact, []policy.Finding) {
	return policy.Artifact{Ref: f.Path, Bytes: policy.BytesRead}, nil
}

// Compare lists and hashes the files as s records it and compares them with s (OMS §8.4). Files that s lists are read
// whatever an exclusion says; files that only an exclusion explains are reported as uncovered.
//
// Where s records whole-file SHA-256 the artifact ID is computed too and must be the one that the signer wrote. Shards
// and other hashes are checked on all cores instead, without an ID.
func (f *Files) Compare(ctx context.Context, s *attestations.Signature) (Comparison, error) {
	var out Comparison
	out.Artifact, _ = f.Describe()
	signed, err := s.Files()
	if err != nil {
		return out, err
	}
	if info, err := os.Stat(f.Path); err == nil && s.Single() && !info.IsDir() {
		signed[0].Name = filepath.Base(f.Path) // else "." stays, which is no file of a directory
	}
	want := make(map[string]attestations.SignedFile, len(signed))
	for _, w := range signed {
		want[w.Name] = w
	}
	options, notes := f.listing(s)
	options.Keep = func(name string) bool { _, ok := want[name]; return ok }
	out.Notes = notes
	l, err := manifest.List(ctx, f.Path, options)
	if err != nil {
		return out, err
	}
	defer l.Close()

	present := make(map[string]bool, len(l.Entries))
	sharded := s.Serialization.Method == manifest.Shards
	for _, e := range l.Entries {
		present[e.Name] = true
		out.Artifact.Files++
		out.Artifact.Size += e.Size
		w, ok := want[e.Name]
		switch {
		case ok && w.Size >= 0 && w.Size != e.Size:
			out.add(policy.DigestMismatch, e.Name, fmt.Sprintf("%d bytes", w.Size), fmt.Sprintf("%d bytes", e.Size))
		case !ok && sharded && e.Size == 0:
			out.Artifact.Uncovered = append(out.Artifact.Uncovered, e.Name) // OMS §6.3.2 leaves empty files out
		case !ok:
			out.Findings = append(out.Findings, policy.Finding{Code: policy.FileUnsigned, File: e.Name, Detail: "not signed"})
		}
	}
	for _, w := range signed {
		if !present[w.Name] {
			out.Findings = append(out.Findings, policy.Finding{Code: policy.FileMissing, File: w.Name, Detail: "signed, but not there"})
		}
	}
	out.refused(l)
	out.Artifact.Uncovered = append(out.Artifact.Uncovered, l.Uncovered...)
	if err := f.compare(ctx, l, options, s, want, &out); err != nil {
		return out, err
	}
	return out, nil
}

// Identify reads every file and returns the artifact with its ID, whoever signed it. Left out are OMS's default exclusions
// and the verifier's own, and what s records besides; nil: nobody's. What no artifact may hold is a finding.
func (f *Files) Identify(ctx context.Context, s *attestations.Signature) (Comparison, error) {
	var out Comparison
	out.Artifact, _ = f.Describe()
	o := manifest.Options{IgnorePaths: f.Options.IgnorePaths, Signature: f.Options.Signature}
	if s != nil {
		o, out.Notes = f.listing(s)
	}
	o.Method, o.Algorithm, o.ShardSize, o.NoID = manifest.Files, hashing.SHA256, 0, false
	l, err := manifest.List(ctx, f.Path, o)
	if err != nil {
		return out, err
	}
	defer l.Close()
	for _, e := range l.Entries {
		out.Artifact.Files++
		out.Artifact.Size += e.Size
	}
	out.Artifact.Uncovered = l.Uncovered
	if out.refused(l); len(out.Findings) > 0 {
		return out, nil // it has no ID
	}
	m, err := f.hash(ctx, l, o, func(string) bool { return true })
	if err != nil {
		return out, err
	}
	out.Files = fileDigests(m)
	if out.Artifact.ID, err = m.ID(); err != nil {
		return out, err
	}
	if s != nil {
		out.writtenID(s)
	}
	return out, nil
}

// writtenID holds the ID that was found against the one that the signer wrote, which can only cause a no.
func (c *Comparison) writtenID(s *attestations.Signature) {
	if s.ArtifactID != "" && s.ArtifactID != c.Artifact.ID {
		c.Findings = append(c.Findings, policy.Finding{Code: policy.IDMismatch, Want: s.ArtifactID, Got: c.Artifact.ID,
			Detail: "the signer wrote another artifact ID than these files have"})
	}
}

// hash reads those of the listed files that only selects, unless they were read before.
func (f *Files) hash(ctx context.Context, l *manifest.Listing, o manifest.Options, only func(name string) bool) (*manifest.Manifest, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %s %d %t\n", o.Method, o.Algorithm, o.ShardSize, o.NoID)
	for _, e := range l.Entries {
		if only(e.Name) {
			fmt.Fprintf(sum, "%q %d\n", e.Name, e.Size)
		}
	}
	key := [sha256.Size]byte(sum.Sum(nil))
	if m := f.hashed[key]; m != nil {
		return m, nil
	}
	m, err := l.Hash(ctx, manifest.HashOptions{Only: only, Workers: f.Options.Workers, Progress: f.Options.Progress})
	if err != nil {
		return nil, err
	}
	if f.hashed != nil {
		f.hashed[key] = m
	}
	return m, nil
}

// fileDigests is what m says of single files, as policy compares them.
func fileDigests(m *manifest.Manifest) []string {
	digests := make([]string, len(m.Files))
	for i, file := range m.Files {
		digests[i] = file.SHA256.String()
	}
	return digests
}

// listing turns what the signature records into how to list. Recorded paths that are not relative paths inside the
// artifact, as one implementation writes them, exclude nothing here, and the decision says so.
func (f *Files) listing(s *attestations.Signature) (manifest.Options, []string) {
	r := s.Serialization
	o := manifest.Options{
		Method: r.Method, Algorithm: r.Algorithm, ShardSize: r.ShardSize, AllowSymlinks: r.AllowSymlinks,
		IgnorePaths: f.Options.IgnorePaths, Signature: f.Options.Signature,
		NoID: !s.WholeSHA256(), Cache: f.Options.InsecureCache,
	}
	var notes []string
	for _, p := range r.IgnorePaths {
		clean := path.Clean(p)
		if strings.ContainsAny(p, "*?[") || manifest.CleanName(clean) != nil {
			notes = append(notes, fmt.Sprintf("ignored path %q is not inside the artifact and excludes nothing (OMS §6.2.1)", p))
			continue
		}
		o.IgnorePaths = append(o.IgnorePaths[:len(o.IgnorePaths):len(o.IgnorePaths)], clean)
	}
	if o.NoID {
		notes = append(notes, fmt.Sprintf("artifact ID not computed: signed as %s of %s", r.Method, r.Algorithm))
	}
	return o, notes
}

// compare reads the signed files that are there and compares digests and ID.
func (f *Files) compare(ctx context.Context, l *manifest.Listing, o manifest.Options, s *attestations.Signature, want map[string]attestations.SignedFile, out *Comparison) error {
	if len(want) == 0 {
		return errors.New("compare files: nothing is signed")
	}
	read := make(map[string]bool, len(want)) // a file of another size differs whatever its bytes are
	for _, e := range l.Entries {
		if w, ok := want[e.Name]; ok && (w.Size < 0 || w.Size == e.Size) {
			read[e.Name] = true
		}
	}
	m, err := f.hash(ctx, l, o, func(name string) bool { return read[name] })
	if errors.Is(err, manifest.ErrEmpty) { // every signed file is missing, which is found already
		return nil
	}
	if err != nil {
		return err
	}
	if m.WeakStat {
		out.Notes = append(out.Notes, "the file system has no stable inode numbers and times: only sizes and modification times were compared before and after reading")
	}
	if m.Cached > 0 {
		out.Artifact.Bytes = policy.BytesUnread
		out.Notes = append(out.Notes, fmt.Sprintf("%d of %d files were not read: their digests are remembered from before, by inode, size and times", m.Cached, len(m.Files)))
	}
	found, err := (&attestations.Signature{Serialization: m.Serialization, Resources: m.Resources}).Files()
	if err != nil {
		return err
	}
	for _, got := range found {
		w := want[got.Name]
		for i, d := range w.Digests {
			if i >= len(got.Digests) || !bytes.Equal(d, got.Digests[i]) {
				other := "nothing"
				if i < len(got.Digests) {
					other = digest(s, got.Digests[i])
				}
				out.add(policy.DigestMismatch, got.Name, digest(s, d), other)
				break
			}
		}
	}
	if m.NoID {
		return nil
	}
	id, err := m.ID()
	if err != nil {
		return err
	}
	out.Artifact.ID, out.Files = id, fileDigests(m)
	if len(out.Findings) == 0 {
		out.writtenID(s)
	}
	return nil
}

// refused adds what no artifact may hold.
func (c *Comparison) refused(l *manifest.Listing) {
	for _, r := range l.Refused {
		name := r.Name
		if !utf8.ValidString(name) {
			name = strconv.Quote(name)
		}
		c.Findings = append(c.Findings, policy.Finding{Code: policy.FileRefused, File: name, Detail: r.Reason})
	}
}

func (c *Comparison) add(code policy.Reason, file, want, got string) {
	c.Findings = append(c.Findings, policy.Finding{Code: code, File: file, Want: want, Got: got, Detail: "differs"})
}

func digest(s *attestations.Signature, d []byte) string {
	return string(s.Serialization.Algorithm) + ":" + hex.EncodeToString(d)
}
