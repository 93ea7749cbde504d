package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// temporaryPrefix begins the names of files that are being written. A writer that was killed leaves at most one.
const temporaryPrefix = ".hallmark-partial-"

// copyBuffer is how many bytes are moved at a time.
const copyBuffer = 256 << 10

var buffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// notRegularError says that something else lies where a regular file should.
type notRegularError struct{ mode fs.FileMode }

func (e *notRegularError) Error() string { return "it is " + kindOf(e.mode) + ", not a regular file" }

// maxLooks is how often a file that is replaced between looking and opening is looked at again.
const maxLooks = 10

// openLooked opens a regular file without following a link and without waiting for the other end of a FIFO. What was
// opened is what was looked at: flags alone do not ensure that, for a Root follows links inside it whatever they say. A
// file that a writer replaces at this very moment is opened as it is then.
func openLooked(look func() (fs.FileInfo, error), open func(flags int) (*os.File, error)) (*os.File, fs.FileInfo, error) {
	for range maxLooks {
		before, err := look()
		if err != nil {
			return nil, nil, err
		}
		if !before.Mode().IsRegular() {
			return nil, nil, &notRegularError{before.Mode()}
		}
		f, err := open(os.O_RDONLY | noFollow | syscall.O_NONBLOCK)
		if err != nil {
			return nil, nil, err
		}
		after, err := f.Stat()
		if err == nil && os.SameFile(before, after) {
			return f, after, nil
		}
		_ = f.Close()
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, errors.New("it is being replaced again and again")
}

// openRegular opens a regular file below root.
func openRegular(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, info, err := openLooked(
		func() (fs.FileInfo, error) { return root.Lstat(name) },
		func(flags int) (*os.File, error) { return root.OpenFile(name, flags, 0) },
	)
	if err != nil {
		return nil, nil, fmt.Errorf("open %q: %w", name, err)
	}
	return f, info, nil
}

// kindOf names what a mode stands for.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a regular file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something special"
}

// readRegular reads a regular file of at most limit bytes.
func readRegular(root *os.Root, name string, limit int64) ([]byte, error) {
	f, info, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > limit {
		return nil, tooLarge(fmt.Sprintf("%q has %d bytes", name, info.Size()), limit)
	}
	return readCapped(f, fmt.Sprintf("%q", name), limit)
}

// replaceFile gives name the content at once: whoever opens it, at whatever moment and after whatever crash, finds the
// old or the new one whole.
func replaceFile(root *os.Root, name string, content []byte) error {
	return replaceFileAs(root, name, content, 0o644)
}

// replacePrivate is replaceFile for what only its owner reads.
func replacePrivate(root *os.Root, name string, content []byte) error {
	return replaceFileAs(root, name, content, 0o600)
}

func replaceFileAs(root *os.Root, name string, content []byte, mode fs.FileMode) error {
	temporary := temporaryPrefix + rand.Text()
	err := writeFile(root, temporary, name, func(w io.Writer) error {
		if mode != 0o644 {
			if err := root.Chmod(temporary, mode); err != nil {
				return err
			}
		}
		_, err := w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return syncDirectory(root, ".")
}

// writeFile has write fill a temporary file, syncs it, and renames it to name. Where anything goes wrong the temporary
// file is removed, and name is as it was.
func writeFile(root *os.Root, temporary, name string, write func(io.Writer) error) (err error) {
	f, err := root.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = root.Remove(temporary)
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return root.Rename(temporary, name)
}

// syncDirectory makes renames in a directory durable, where the file system can do that.
func syncDirectory(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// copyBytes copies until the end of from, or until ctx ends, and tells moved of every step.
func copyBytes(ctx context.Context, to io.Writer, from io.Reader, moved func(int64)) (int64, error) {
	lent := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(lent)
	buffer := lent[:]
	var total int64
	for {
		if err := ctx.Err(); err != nil {
			return total, context.Cause(ctx)
		}
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return total, err
			}
			total += int64(n)
			if moved != nil {
				moved(int64(n))
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// copyOverlapped is copyBytes for a long way: it reads on, and hashes where from does that, while what was read before is
// written. The count is of what was written.
func copyOverlapped(ctx context.Context, to io.Writer, from io.Reader, moved func(int64)) (int64, error) {
	const ahead = 3 // buffers: one is read, one is written, one lies between
	free, full := make(chan *[copyBuffer]byte, ahead), make(chan lent, ahead)
	for range ahead {
		free <- buffers.Get().(*[copyBuffer]byte)
	}
	var total int64
	var failed error
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for b := range full {
			if failed == nil {
				if _, failed = to.Write(b.buffer[:b.n]); failed != nil {
					close(stop)
				} else if total += int64(b.n); moved != nil {
					moved(int64(b.n))
				}
			}
			free <- b.buffer
		}
	}()
	err := fillBuffers(ctx, from, free, full, stop)
	close(full)
	<-done
	for range ahead {
		buffers.Put(<-free)
	}
	if failed != nil {
		return total, failed
	}
	return total, err
}

// lent is a buffer with n bytes in it.
type lent struct {
	buffer *[copyBuffer]byte
	n      int
}

// fillBuffers reads from into buffers that are free until its end, ctx's, or stop. It gives every buffer back, full or free.
func fillBuffers(ctx context.Context, from io.Reader, free chan *[copyBuffer]byte, full chan<- lent, stop <-chan struct{}) error {
	for {
		buffer := <-free
		select {
		case <-ctx.Done():
			free <- buffer
			return context.Cause(ctx)
		case <-stop:
			free <- buffer
			return nil
		default:
		}
		n, err := from.Read(buffer[:])
		full <- lent{buffer, n}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// opener opens bytes as often as is wanted.
func opener(b []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}
