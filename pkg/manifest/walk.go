package manifest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"syscall"
	"unicode/utf8"
)

// folder is one directory that was listed, to be looked at again once everything was hashed.
type folder struct {
	place
	stamp stamp
	names []string // what was in it, without what is left out; sorted
}

// place is where something was found: by the artifact's name for it, and by the path below the root that is opened.
// The two differ in a Hugging Face cache, whose root is above the artifact.
type place struct {
	name  string // "" is the artifact itself
	open  string // "" is the root itself
	depth int    // folders above it
	link  bool   // the last component of open is a symbolic link that was followed
}

// child is what lies in p.
func (p place) child(base string) place {
	c := place{name: path.Join(p.name, base), depth: p.depth + 1}
	if c.open = c.name; p.open != p.name { // one string for both, but for a cache
		c.open = path.Join(p.open, base)
	}
	return c
}

// shown is what messages call p.
func (p place) shown() string { return cmp.Or(p.name, ".") }

// walker lists one directory tree.
type walker struct {
	listing *Listing
	base    string // folder below the root in which the artifact lies
	hub     bool   // in a Hugging Face cache
	seen    int    // files and folders so far
}

// walk lists the folder at p. above are the stamps of the folders that contain it.
func (w *walker) walk(ctx context.Context, p place, above []stamp) error {
	entries, own, err := w.read(ctx, p)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(above, own.same) {
		w.listing.refuse(p.name, "a symbolic link to a folder that contains it")
		return nil
	}
	above = append(slices.Clip(above), own)
	f := folder{place: p, stamp: own, names: make([]string, 0, len(entries))}
	for _, e := range entries {
		child := p.child(e.Name())
		if w.listing.ignore[child.name] {
			if err := w.leaveOut(ctx, child, e, above); err != nil {
				return err
			}
			continue
		}
		f.names = append(f.names, child.name[len(child.name)-len(e.Name()):]) // shares the entry's memory
		if err := w.visit(ctx, child, e, above); err != nil {
			return err
		}
	}
	slices.Sort(f.names)
	w.listing.folders = append(w.listing.folders, f)
	return nil
}

// read returns what is in a folder, and its stamp. It is where the caps on depth and number and ctx are looked at.
func (w *walker) read(ctx context.Context, p place) ([]fs.DirEntry, stamp, error) {
	if p.depth > MaxDepth {
		return nil, stamp{}, fmt.Errorf("list %q: more than %d folders deep", p.name, MaxDepth)
	}
	entries, own, err := readFolder(ctx, w.listing.root, p.open, MaxFiles-w.seen, (*os.File).ReadDir)
	if err != nil {
		return nil, stamp{}, fmt.Errorf("list %q: %w", p.shown(), err)
	}
	w.seen += len(entries)
	return entries, own, nil
}

var errTooMany = fmt.Errorf("more than %d files and folders", MaxFiles)

// readFolder reads a folder below the root with one of os.File's methods, in parts, so that neither the cap nor the end
// of ctx waits for the last of millions of names.
func readFolder[T any](ctx context.Context, root *os.Root, open string, limit int, read func(d *os.File, n int) ([]T, error)) ([]T, stamp, error) {
	d, err := root.OpenFile(cmp.Or(open, "."), folderFlags, 0)
	if err != nil {
		return nil, stamp{}, err
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	var all []T
	for {
		const part = 4096
		more, err := read(d, part)
		all = append(all, more...)
		switch {
		case ctx.Err() != nil:
			return nil, stamp{}, context.Cause(ctx)
		case len(all) > limit:
			return nil, stamp{}, errTooMany
		case errors.Is(err, io.EOF):
			return all, stampOf(info), nil
		case err != nil:
			return nil, stamp{}, err
		}
	}
}

// visit lists one thing in a folder.
func (w *walker) visit(ctx context.Context, p place, e fs.DirEntry, above []stamp) error {
	l, kind := w.listing, e.Type()
	switch {
	case !utf8.ValidString(p.name):
		l.refuse(p.name, "a name that is not UTF-8 (OMS §6.1.2)")
		return nil
	case len(p.name) > MaxName:
		l.refuse(p.name, fmt.Sprintf("a name of more than %d bytes", MaxName))
		return nil
	case kind.IsDir():
		return w.walk(ctx, p, above)
	case kind&fs.ModeSymlink != 0 && w.hub:
		return l.addBlob(p.name, p.open)
	case kind&fs.ModeSymlink != 0 && l.options.AllowSymlinks:
		return w.follow(ctx, p, above)
	case kind&fs.ModeSymlink != 0:
		l.refuse(p.name, "a symbolic link (OMS §6.1.1)")
		return nil
	case !kind.IsRegular():
		l.refuse(p.name, special(kind))
		return nil
	}
	info, err := e.Info() // was read with the name, relative to the open folder
	if err != nil {
		return fmt.Errorf("list %q: %w", p.name, err)
	}
	return l.addFile(p.name, p.open, info)
}

// follow lists what a symbolic link leads to, under the link's name. The root refuses to be left.
func (w *walker) follow(ctx context.Context, p place, above []stamp) error {
	l := w.listing
	target, err := l.root.Readlink(p.open)
	if err != nil {
		return fmt.Errorf("list %q: %w", p.name, err)
	}
	info, err := l.root.Stat(p.open)
	if err != nil {
		reason := linkFault(err)
		if reason == "" {
			return fmt.Errorf("list %q: %w", p.name, err)
		}
		l.refuse(p.name, reason)
		return nil
	}
	switch {
	case info.IsDir():
		l.links, p.link = true, true
		return w.walk(ctx, p, above)
	case !info.Mode().IsRegular():
		l.refuse(p.name, "a symbolic link to "+special(info.Mode()))
		return nil
	}
	l.links = true
	l.Entries = append(l.Entries, Entry{Name: p.name, Size: info.Size(), open: p.open, via: &via{link: p.open, target: target}, stamp: stampOf(info)})
	return nil
}

// linkFault says what is wrong with a link that cannot be followed, or "" where it is not the link's fault.
func linkFault(err error) string {
	var system syscall.Errno
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return "a symbolic link that leads nowhere"
	case errors.Is(err, syscall.ELOOP):
		return "a symbolic link that leads in a circle, or through too many others"
	case !errors.As(err, &system): // os.Root's own refusal has no number
		return "a symbolic link that leads out of the artifact"
	}
	return ""
}

// leaveOut notes what an exclusion covers: files that must be kept stay in, all others are uncovered, and evidence is
// neither.
func (w *walker) leaveOut(ctx context.Context, p place, e fs.DirEntry, above []stamp) error {
	l := w.listing
	switch {
	case e.IsDir():
		entries, _, err := w.read(ctx, p)
		if errors.Is(err, fs.ErrPermission) { // what is left out need not be readable
			l.Uncovered = append(l.Uncovered, text(p.name+"/"))
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := w.leaveOut(ctx, p.child(e.Name()), e, above); err != nil {
				return err
			}
		}
	case l.options.Keep != nil && l.options.Keep(p.name):
		return w.visit(ctx, p, e, above)
	case p.name == SignatureName, p.name == ClaimsName, p.name == l.signature:
	default:
		l.Uncovered = append(l.Uncovered, text(p.name))
	}
	return nil
}

// text is name, quoted where it is not UTF-8: names that are left out are findings, and end up in JSON.
func text(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.Quote(name)
}
