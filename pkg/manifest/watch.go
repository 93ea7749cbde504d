package manifest

import (
	"cmp"
	"context"
	"errors"
)

// Watch is an artifact that is hashed, used by somebody else, and hashed again, to know that it was the same meanwhile.
// Close it when it is no longer needed. It must not be used by several goroutines.
type Watch struct {
	Manifest *Manifest // what it was at first; read-only

	path    string
	options Options
	listing *Listing
}

// Begin is Build, and remembers what was listed. The artifact's folder stays open.
func Begin(ctx context.Context, path string, o Options) (*Watch, error) {
	l, err := List(ctx, path, o)
	if err != nil {
		return nil, err
	}
	m, err := l.build(ctx, path, o)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Watch{Manifest: m, path: path, options: o, listing: l}, nil
}

// Again hashes the artifact once more and errs with a *ChangedError where it is not what it was. What was exchanged and put
// back has other bytes nowhere, but another inode or change time: that is a change too, of a folder as of a file, and what
// is left out of the artifact counts for the folder's. Where the file system has none that are stable (Manifest.WeakStat),
// and on systems that do not tell them, such an exchange is not seen; a mount that came and went is seen nowhere. progress is
// as in Options.
func (w *Watch) Again(ctx context.Context, progress func(done, total int64)) error {
	w.options.Progress, w.options.Tee = progress, nil
	now, err := w.listing.build(ctx, w.path, w.options)
	if err != nil {
		return err
	}
	if changes := Diff(w.Manifest, now); len(changes) > 0 {
		return &ChangedError{changes[0].Name, "has other bytes"}
	}
	return w.listing.untouched(ctx)
}

// Close lets go of the artifact. It may be called again.
func (w *Watch) Close() error { return w.listing.Close() }

// untouched finds folders that were renamed, or in which something was, though all names are in place again.
func (l *Listing) untouched(ctx context.Context) error {
	if l.weak {
		return nil
	}
	for _, f := range l.folders {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		look := l.root.Lstat
		if f.link {
			look = l.root.Stat
		}
		info, err := look(cmp.Or(f.open, "."))
		if err != nil {
			return &ChangedError{f.shown(), "is not the folder that was listed"}
		}
		if is := stampOf(info); !f.stamp.same(is) || f.stamp.ctime != is.ctime {
			return &ChangedError{f.shown(), "was moved, or something in it was"}
		}
	}
	return nil
}
