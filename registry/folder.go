package registry

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Folder is a directory in which a program keeps what it has to find again, and in which one process at a time works.
type Folder struct {
	root   *os.Root
	unlock func()
}

// OpenFolder opens the directory dir, which is made for its owner alone where it is not there. Where another process has
// it open, the error is an ErrBusy.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	unlock, err := tryLockDirectory(root)
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	return &Folder{root, unlock}, nil
}

// Close lets others in.
func (f *Folder) Close() error {
	f.unlock()
	return f.root.Close()
}

// Open opens a regular file for reading. One that is not there is an fs.ErrNotExist.
func (f *Folder) Open(name string) (fs.File, error) {
	file, _, err := openRegular(f.root, name)
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Append opens a file to write at its end, for its owner alone; it is made where it is not there. fresh: it is emptied.
func (f *Folder) Append(name string, fresh bool) (*os.File, error) {
	if fresh {
		if err := f.Remove(name); err != nil {
			return nil, err
		}
	}
	file, err := f.root.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND|noFollow, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	return file, nil
}

// Replace gives name what write writes, at once and durably, for its owner alone: a reader finds the old or the new whole,
// and after an error the old one.
func (f *Folder) Replace(name string, write func(io.Writer) error) error {
	temporary := temporaryPrefix + name
	if err := f.Remove(temporary); err != nil { // of one who was killed
		return err
	}
	err := writeFile(f.root, temporary, name, func(w io.Writer) error {
		if err := f.root.Chmod(temporary, 0o600); err != nil {
			return err
		}
		return write(w)
	})
	if err != nil {
		return fmt.Errorf("write %q: %w", name, err)
	}
	return syncDirectory(f.root, ".")
}

// Remove removes a file; one that is not there is no error.
func (f *Folder) Remove(name string) error {
	err := f.root.Remove(name)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove %q: %w", name, err)
	}
	return nil
}
