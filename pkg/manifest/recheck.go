package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// ChangedError says that something was not, when everything had been read, what it was when it was listed. It wraps
// hashing.ErrChanged.
type ChangedError struct {
	Name string // file or folder; "." is the artifact itself
	What string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%q %s: %v", e.Name, e.What, hashing.ErrChanged)
}

// Unwrap returns hashing.ErrChanged.
func (e *ChangedError) Unwrap() error { return hashing.ErrChanged }

// job opens the file and holds it to its listing, before the first byte and after the last.
func (l *Listing) job(folders *openFolders, e *Entry) hashing.Job {
	check := func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		return l.compare(e.Name, e.stamp, info)
	}
	open := folders.open
	if e.via != nil { // a link may lead out of its folder
		open = func(name string) (*os.File, error) { return l.root.OpenFile(name, fileFlags, 0) }
	}
	return hashing.Job{Name: e.Name, Size: e.Size, Check: check, Open: func() (*os.File, error) {
		f, err := open(e.open)
		if err != nil {
			if changed := l.relook(l.root.Lstat, e); changed != nil { // a socket or a link that leads out does not even open
				return nil, changed
			}
			return nil, err
		}
		if err := check(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}}
}

// compare holds the file that is there now against the listing, as far as the file system can tell.
func (l *Listing) compare(name string, was stamp, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &ChangedError{name, "is " + special(info.Mode()) + " now"}
	}
	is := stampOf(info)
	if l.weak {
		was.dev, was.ino, was.ctime = is.dev, is.ino, is.ctime
	}
	switch {
	case was == is:
		return nil
	case !was.same(is) && !l.weak:
		return &ChangedError{name, "is another file than the one that was listed"}
	case was.size != is.size:
		return &ChangedError{name, fmt.Sprintf("had %d bytes and has %d", was.size, is.size)}
	}
	return &ChangedError{name, "was written to"}
}

// recheck looks at everything once more when all was read: a file that was hashed early may have changed since, a
// folder may have gained a file that nobody hashed, and the artifact's name may lead elsewhere by now.
func (l *Listing) recheck(ctx context.Context, entries []Entry, workers int) error {
	info, err := os.Stat(l.path)
	if err != nil {
		return &ChangedError{".", "is gone"}
	}
	if !l.weak && !l.top.same(stampOf(info)) {
		return &ChangedError{".", "is another artifact than the one that was listed"}
	}
	folders := openFolders{root: l.root} // walked to anew: those that files were opened in may lie elsewhere by now
	defer folders.close()
	return inParallel(ctx, len(entries)+len(l.folders), workers, func(i int) error {
		if i < len(entries) {
			return l.relook(folders.lstat, &entries[i])
		}
		return l.relist(ctx, l.folders[i-len(entries)])
	})
}

// inParallel calls do for 0 to n-1 until one errs or ctx ends.
func inParallel(ctx context.Context, n, workers int, do func(i int) error) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var running sync.WaitGroup
	for range min(workers, n) {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					cancel(err) // the first one counts
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// relook holds a file to its listing by its name. Where a link was followed it must still say the same; a blob of a
// Hugging Face cache is no link itself.
func (l *Listing) relook(look func(string) (fs.FileInfo, error), e *Entry) error {
	if e.via != nil {
		target, err := l.root.Readlink(e.via.link)
		if err != nil || target != e.via.target {
			return &ChangedError{e.Name, "is not the symbolic link that was listed"}
		}
		if e.via.blob == "" {
			look = l.root.Stat
		}
	}
	info, err := look(e.open)
	if errors.Is(err, fs.ErrNotExist) {
		return &ChangedError{e.Name, "is gone"}
	}
	if leadsElsewhere(err) {
		return &ChangedError{e.Name, "cannot be reached any more"}
	}
	if err != nil {
		return fmt.Errorf("look at %q again: %w", e.Name, err)
	}
	return l.compare(e.Name, e.stamp, info)
}

// relist compares what is in a folder with what was. It reads the names whatever the folder's times are: these have the
// kernel's clock tick for a unit, and two changes within one tick look like one. What is left out may come and go.
func (l *Listing) relist(ctx context.Context, f folder) error {
	look := l.root.Lstat
	if f.link {
		look = l.root.Stat
	}
	info, err := look(cmp.Or(f.open, "."))
	if err != nil || !info.IsDir() || !l.weak && !f.stamp.same(stampOf(info)) {
		return &ChangedError{f.shown(), "is not the folder that was listed"}
	}
	names, _, err := readFolder(ctx, l.root, f.open, MaxFiles, (*os.File).Readdirnames)
	if err != nil {
		return fmt.Errorf("look at %q again: %w", f.shown(), err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return l.ignore[path.Join(f.name, name)] })
	slices.Sort(names)
	if slices.Equal(names, f.names) {
		return nil
	}
	for i, n := range names {
		if i == len(f.names) || n < f.names[i] {
			return &ChangedError{path.Join(f.name, n), "was added"}
		}
		if n > f.names[i] {
			return &ChangedError{path.Join(f.name, f.names[i]), "is gone"}
		}
	}
	return &ChangedError{path.Join(f.name, f.names[len(names)]), "is gone"}
}

// leadsElsewhere reports whether a path that was walked before cannot be walked any more, because a folder on it is now
// a file, a circle of links, or a link out of the artifact. os.Root has no name for the last of its errors.
func leadsElsewhere(err error) bool {
	var at *fs.PathError
	return errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) ||
		errors.As(err, &at) && at.Err.Error() == "path escapes from parent"
}
