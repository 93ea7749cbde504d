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
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// archiveWriter appends to a tar that has no name yet.
type archiveWriter struct {
	temporary string
	file      *os.File
	blobs     map[string]int64  // sizes of what was written, by digest
	manifests map[string][]byte // by digest
	index     *indexFile
}

func (w *archiveWriter) manifest(target string) ([]byte, string, error) {
	d, _ := w.index.find(target)
	raw, ok := w.manifests[d.Digest]
	if !ok {
		return nil, "", fmt.Errorf("manifest %q: %w", target, ErrNotFound)
	}
	return raw, d.MediaType, nil
}

// writer begins a new archive. One that is there is never written to.
func (a *archive) writer() (*archiveWriter, error) {
	if a.writing != nil {
		return a.writing, nil
	}
	if _, err := os.Lstat(a.path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = ErrExists
		}
		return nil, fmt.Errorf("write archive %q: %w", a.path, err)
	}
	f, err := beginArchive(a.path + ".partial")
	if err != nil {
		return nil, fmt.Errorf("write archive %q: %w", a.path, err)
	}
	a.writing = &archiveWriter{temporary: f.Name(), file: f, blobs: map[string]int64{}, manifests: map[string][]byte{}, index: newIndex()}
	return a.writing, nil
}

// beginArchive returns an empty file of the given name, which is this process's alone until it is closed. What one that
// was killed has left there is written over: nobody can go on with it. Its lock is held until the file has its last name,
// so what was opened under the first one may be that of a finished archive by now; then it is begun again.
func beginArchive(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|noFollow|syscall.O_NONBLOCK, 0o644)
		if err != nil {
			return nil, err
		}
		gone, err := claim(f)
		if err == nil && !gone {
			return f, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("begin %q: %w", name, err)
		}
	}
}

// claim locks and empties a file, unless it has lost its name.
func claim(f *os.File) (gone bool, err error) {
	if err := tryLock(f); err != nil {
		return false, err
	}
	own, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Lstat(f.Name())
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(own, named):
		return true, nil
	case err != nil:
		return false, err
	case !own.Mode().IsRegular() || hasOtherNames(own):
		return false, errors.New("it is not a plain file of one name")
	}
	if err := checkOwn(own); err != nil {
		return false, err
	}
	return false, f.Truncate(0)
}

// putBlob appends a blob. Blobs follow each other in one file, so one is written at a time.
func (a *archive) putBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, err := a.writer()
	if err != nil {
		return err
	}
	return w.put(ctx, d, open)
}

func (w *archiveWriter) put(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error)) error {
	if _, ok := w.blobs[d.Digest]; ok {
		return nil
	}
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	err = w.add(blobPath(d.Digest), d.Size, func(to io.Writer) error {
		_, err := copyBytes(ctx, to, newCheckedReader(from, d.Digest, d.Size), nil)
		return err
	})
	if err == nil {
		w.blobs[d.Digest] = d.Size
	}
	return err
}

// add appends a file, or leaves the tar as it was.
func (w *archiveWriter) add(name string, size int64, write func(io.Writer) error) error {
	before, err := w.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w.file)
	err = tw.WriteHeader(&tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644})
	if err == nil {
		err = write(tw)
	}
	if err == nil {
		err = tw.Flush()
	}
	if err == nil {
		return nil
	}
	_, seek := w.file.Seek(before, io.SeekStart)
	return errors.Join(err, w.file.Truncate(before), seek)
}

func (a *archive) putManifest(ctx context.Context, raw []byte, d Descriptor, tag string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, err := a.writer()
	if err != nil {
		return false, err
	}
	if err := w.put(ctx, Descriptor{Digest: d.Digest, Size: int64(len(raw))}, opener(raw)); err != nil {
		return false, err
	}
	w.manifests[d.Digest] = slices.Clone(raw)
	w.index.put(d, tag)
	return true, nil
}

// finish writes what makes the tar a layout, and gives it its name. Without it nothing is left of what was written.
func (a *archive) finish() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.writing
	if w == nil {
		return nil
	}
	index, err := w.index.marshal()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{ocispec.ImageIndexFile: index, ocispec.ImageLayoutFile: []byte(layoutMarker)} {
		err := w.add(name, int64(len(content)), func(to io.Writer) error {
			_, err := to.Write(content)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := tar.NewWriter(w.file).Close(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	// A name that appeared meanwhile stays: a link is made only where there is none.
	if err := os.Link(w.temporary, a.path); err != nil {
		return fmt.Errorf("name archive: %w", err)
	}
	a.writing = nil
	return errors.Join(os.Remove(w.temporary), w.file.Close()) // only now may others have the first name
}
