package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"
)

// walker lists one directory tree. Names are the artifact's; the path that is opened for a name is below base, or
// where a link leads.
type walker struct {
	ctx     context.Context
	listing *Listing
	ignore  map[string]bool
	base    string    // folder below the root in which the artifact lies
	hub     *snapshot // not nil in a Hugging Face cache
	seen    int
}

// walk lists the folder that is called name and opened as base/name.
func (w *walker) walk(name string, depth int, above []stamp) error {
	return w.walkAt(name, join(w.base, name), depth, above)
}

func (w *walker) walkAt(name, open string, depth int, above []stamp) error {
	if err := w.ctx.Err(); err != nil {
		return context.Cause(w.ctx)
	}
	if depth > MaxDepth {
		return fmt.Errorf("list %q: more than %d folders deep", name, MaxDepth)
	}
	entries, own, err := w.read(name, open)
	if err != nil {
		return err
	}
	for _, a := range above {
		if a.same(own) {
			w.listing.refuse(name, "a symbolic link to a folder that contains it")
			return nil
		}
	}
	above = append(slices.Clip(above), own)
	f := folder{name: open, shown: name, stamp: own}
	for _, e := range entries {
		child := join(name, e.Name())
		if w.ignore[child] {
			if err := w.leaveOut(child, join(open, e.Name()), e); err != nil {
				return err
			}
			continue
		}
		f.names = append(f.names, e.Name())
		if err := w.visit(child, join(open, e.Name()), e.Type(), depth, above); err != nil {
			return err
		}
	}
	slices.Sort(f.names)
	w.listing.folders = append(w.listing.folders, f)
	return nil
}

// read returns what is in a folder, and its stamp.
func (w *walker) read(name, open string) ([]fs.DirEntry, stamp, error) {
	if open == "" {
		open = "."
	}
	d, err := w.listing.root.Open(open)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("list %q: %w", name, err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return nil, stamp{}, fmt.Errorf("list %q: %w", name, err)
	}
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("list %q: %w", name, err)
	}
	if w.seen += len(entries); w.seen > MaxFiles {
		return nil, stamp{}, fmt.Errorf("list artifact: more than %d files", MaxFiles)
	}
	return entries, stampOf(info), nil
}

// visit lists one thing in a folder.
func (w *walker) visit(name, open string, kind fs.FileMode, depth int, above []stamp) error {
	l := w.listing
	switch {
	case !utf8.ValidString(name):
		l.refuse(name, "a name that is not UTF-8 (OMS §6.1.2)")
		return nil
	case len(name) > MaxName:
		l.refuse(name, fmt.Sprintf("a name of more than %d bytes", MaxName))
		return nil
	case kind.IsDir():
		return w.walkAt(name, open, depth+1, above)
	case kind&fs.ModeSymlink != 0 && w.hub != nil:
		return w.visitBlob(name, open)
	case kind&fs.ModeSymlink != 0 && l.options.AllowSymlinks:
		return w.follow(name, open, depth, above)
	case kind&fs.ModeSymlink != 0:
		l.refuse(name, "a symbolic link (OMS §6.1.1)")
		return nil
	case !kind.IsRegular():
		l.refuse(name, special(kind))
		return nil
	}
	e, err := l.entry(name, open)
	if err != nil {
		return err
	}
	l.Entries = append(l.Entries, e)
	return nil
}

// follow lists what a symbolic link leads to, under the link's name. The root refuses to be left.
func (w *walker) follow(name, open string, depth int, above []stamp) error {
	l := w.listing
	info, err := l.root.Stat(open)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.refuse(name, "a symbolic link that leads nowhere")
		return nil
	case err != nil:
		l.refuse(name, "a symbolic link that leads out of the artifact, or in a circle")
		return nil
	case info.IsDir():
		l.links = true
		return w.walkAt(name, open, depth+1, above)
	case !info.Mode().IsRegular():
		l.refuse(name, "a symbolic link to "+special(info.Mode()))
		return nil
	}
	l.links = true
	l.Entries = append(l.Entries, Entry{Name: name, Size: info.Size(), open: open, stamp: stampOf(info)})
	return nil
}

// leaveOut notes what an exclusion covers: files that must be kept stay in, all others are uncovered, and evidence is
// neither.
func (w *walker) leaveOut(name, open string, e fs.DirEntry) error {
	l := w.listing
	keep := l.options.Keep
	switch {
	case !utf8.ValidString(name): // left out as it is; nothing can ask for it
		l.Uncovered = append(l.Uncovered, fmt.Sprintf("%q", name))
		return nil
	case e.IsDir():
		entries, _, err := w.read(name, open)
		if errors.Is(err, fs.ErrPermission) { // what is left out need not be readable
			l.Uncovered = append(l.Uncovered, name+"/")
			return nil
		}
		if err != nil {
			return err
		}
		for _, child := range entries {
			if err := w.leaveOut(join(name, child.Name()), join(open, child.Name()), child); err != nil {
				return err
			}
		}
		return nil
	case keep != nil && keep(name) && e.Type().IsRegular():
		return w.visit(name, open, e.Type(), 0, nil)
	case w.isEvidence(name):
		return nil
	}
	l.Uncovered = append(l.Uncovered, name)
	return nil
}

// isEvidence reports whether name is one of the artifact's own evidence files: the reserved names, or the signature
// file that the caller named.
func (w *walker) isEvidence(name string) bool {
	if name == SignatureName || name == ClaimsName {
		return true
	}
	if w.listing.options.Signature == "" {
		return false
	}
	own, err := filepath.Abs(w.listing.options.Signature)
	return err == nil && path.Base(name) == filepath.Base(own)
}
