package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archive is an OCI image layout in one tar file, to be carried over an air gap. An archive that is there is read where
// it lies, nothing is unpacked; a new one is written from front to back, once, and gets its name when it is finished.
type archive struct {
	path string

	mu      sync.Mutex
	reading *archiveReader // nil until the first read
	writing *archiveWriter // nil until the first write
}

// maxArchiveEntries caps how many files an archive may hold.
const maxArchiveEntries = 1_000_000

// archiveReader knows where in the tar each file lies.
type archiveReader struct {
	file  *os.File
	at    map[string]section
	index *indexFile
}

// section is a run of bytes.
type section struct{ offset, size int64 }

func (a *archive) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.reading != nil {
		_ = a.reading.file.Close()
		a.reading = nil
	}
	if a.writing != nil { // it was never finished
		_ = os.Remove(a.writing.temporary)
		_ = a.writing.file.Close()
		a.writing = nil
	}
}

// reader opens the archive and lists it.
func (a *archive) reader() (*archiveReader, error) {
	if a.reading != nil {
		return a.reading, nil
	}
	f, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("archive %w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	r := &archiveReader{file: f, at: map[string]section{}}
	if err := r.list(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("archive is not an OCI image layout: %w", err)
	}
	a.reading = r
	return r, nil
}

// list notes where everything lies. Names that a layout does not have are passed over; of a name that is there twice,
// nobody could say which counts.
func (r *archiveReader) list() error {
	tr := tar.NewReader(r.file)
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if n == maxArchiveEntries {
			return tooLarge("files in an archive", maxArchiveEntries)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag != tar.TypeReg || h.Size < 0 {
			return fmt.Errorf("%q is not a regular file", h.Name)
		}
		if _, twice := r.at[name]; twice {
			return fmt.Errorf("%q is there twice", name)
		}
		offset, err := r.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		r.at[name] = section{offset, h.Size}
	}
	if _, err := r.small(ocispec.ImageLayoutFile, maxMarker); err != nil {
		return err
	}
	raw, err := r.small(ocispec.ImageIndexFile, maxManifest)
	if err != nil {
		return err
	}
	r.index, err = parseIndex(raw)
	return err
}

// small reads a file whole.
func (r *archiveReader) small(name string, limit int64) ([]byte, error) {
	s, ok := r.at[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if s.size > limit {
		return nil, tooLarge(fmt.Sprintf("%s of %d bytes", name, s.size), limit)
	}
	raw := make([]byte, s.size)
	_, err := r.file.ReadAt(raw, s.offset)
	return raw, err
}

func (a *archive) hasBlob(_ context.Context, d Descriptor) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing == nil {
		return false, nil // only writers ask, to skip what is there
	}
	size, ok := a.writing.blobs[d.Digest]
	return ok && size == d.Size, nil
}

func (a *archive) openBlob(_ context.Context, d Descriptor) (io.ReadCloser, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, err := a.reader()
	if err != nil {
		return nil, err
	}
	s, ok := r.at[blobPath(d.Digest)]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", d.Digest, ErrNotFound)
	}
	if s.size != d.Size {
		return nil, fmt.Errorf("%w: archive has %d bytes under %s, not %d", ErrDigest, s.size, d.Digest, d.Size)
	}
	return io.NopCloser(io.NewSectionReader(r.file, s.offset, s.size)), nil
}

func (a *archive) manifest(_ context.Context, target string) ([]byte, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing != nil {
		return a.writing.manifest(target)
	}
	r, err := a.reader()
	if err != nil {
		return nil, "", err
	}
	d, ok := r.index.find(target)
	if !ok {
		return nil, "", fmt.Errorf("tag %q: %w", target, ErrNotFound)
	}
	raw, err := r.small(blobPath(d.Digest), maxManifest)
	if err != nil {
		return nil, "", fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	return raw, d.MediaType, checkSum(raw, d.Digest)
}

// find returns what the index lists under a digest or tag. A digest need not be listed.
func (x *indexFile) find(target string) (Descriptor, bool) {
	for _, m := range x.Manifests {
		if m.Digest == target || target != "" && m.Annotations[ocispec.AnnotationRefName] == target {
			return m.Descriptor, true
		}
	}
	d := Descriptor{Digest: target}
	return d, d.check() == nil
}

func (a *archive) tags(_ context.Context, prefix string) ([]string, error) {
	x, err := a.listed()
	if err != nil {
		return nil, err
	}
	return x.tags(prefix), nil
}

// listed returns the archive's index, as far as it is written where it is being written.
func (a *archive) listed() (*indexFile, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.writing != nil {
		return a.writing.index, nil
	}
	r, err := a.reader()
	if err != nil {
		return nil, err
	}
	return r.index, nil
}

func (a *archive) referrers(ctx context.Context, subject string) ([]referrer, bool, error) {
	var found []referrer
	err := a.each(ctx, func(m referrer, of string) {
		if of == subject && !slices.ContainsFunc(found, func(f referrer) bool { return f.Digest == m.Digest }) {
			m.ArtifactType = ""
			found = append(found, m)
		}
	})
	return found, err == nil, err
}

func (a *archive) sole(ctx context.Context) (string, error) { return soleOf(ctx, a.each) }

// each calls see for every manifest and index that is listed, with the digest of its subject.
func (a *archive) each(ctx context.Context, see func(m referrer, subject string)) error {
	x, err := a.listed()
	if err != nil {
		return err
	}
	for _, m := range slices.Clone(x.Manifests) {
		if !slices.Contains(manifestTypes, m.MediaType) {
			continue
		}
		raw, _, err := a.manifest(ctx, m.Digest)
		if err != nil {
			return fmt.Errorf("manifest %s: %w", m.Digest, err)
		}
		see(m, knownSubject(raw))
	}
	return nil
}
