package manifest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
)

// openFolders keeps the folders open that were used last: the files in one folder mostly come one after the other, and walking
// to each from the root costs as much as opening it. It may be used by several goroutines. Close it, after which it keeps none.
type openFolders struct {
	root *os.Root

	mu   sync.Mutex
	last [16]struct {
		path string
		root *os.Root
	}
	oldest int
	closed bool
}

// lstat is os.Root's Lstat of a path below the root.
func (o *openFolders) lstat(name string) (info fs.FileInfo, err error) {
	err = o.in(name, func(root *os.Root, name string) error {
		info, err = root.Lstat(name)
		return err
	})
	return info, err
}

// open is os.Root's OpenFile of a file below the root, to read it.
func (o *openFolders) open(name string) (f *os.File, err error) {
	err = o.in(name, func(root *os.Root, name string) error {
		f, err = root.OpenFile(name, fileFlags, 0)
		return err
	})
	return f, err
}

// in calls do with the folder that a path below the root leads to, and what is left of the path. Where that folder cannot be
// had, or was given up meanwhile, it is the root and the whole path.
func (o *openFolders) in(name string, do func(root *os.Root, name string) error) error {
	folder, base := path.Split(name)
	if folder == "" {
		return do(o.root, name)
	}
	err := os.ErrClosed
	if root := o.folder(folder[:len(folder)-1]); root != nil {
		err = do(root, base)
	}
	if errors.Is(err, os.ErrClosed) {
		return do(o.root, name)
	}
	return err
}

// folder returns the folder at a path below the root; nil if it cannot be had.
func (o *openFolders) folder(name string) *os.Root {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.last {
		if l.path == name {
			return l.root
		}
	}
	if o.closed {
		return nil
	}
	root, err := o.root.OpenRoot(name)
	if err != nil {
		return nil
	}
	l := &o.last[o.oldest]
	if l.root != nil {
		l.root.Close()
	}
	l.path, l.root = name, root
	o.oldest = (o.oldest + 1) % len(o.last)
	return root
}

func (o *openFolders) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.last {
		if l := &o.last[i]; l.root != nil {
			l.root.Close()
			l.path, l.root = "", nil
		}
	}
	o.closed = true
}
