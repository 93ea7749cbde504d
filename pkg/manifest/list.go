package manifest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// Options says what belongs to an artifact and how it is hashed. The zero Options is OMS's default: whole files by
// SHA-256, the default exclusions, no symbolic links.
type Options struct {
	Method        Method                  // "" means Files
	Algorithm     hashing.Algorithm       // "" means SHA256
	ShardSize     int64                   // in bytes, with Shards; 0 means DefaultShardSize
	AllowSymlinks bool                    // follow links that stay inside the artifact (OMS §6.1.1)
	IgnorePaths   []string                // left out, exactly: relative to the root, or absolute inside it
	Signature     string                  // a signature file's path: not content where it lies inside the artifact
	Keep          func(name string) bool  // files that stay in whatever is left out; nil: none
	NoID          bool                    // do not compute whole-file SHA-256 where the method does not need it
	Workers       int                     // 0: one per core
	Progress      func(done, total int64) // bytes hashed, from several goroutines; nil: nobody
}

// Entry is one file that was listed.
type Entry struct {
	Name  string
	Size  int64
	open  string // path below the root that is opened: another than Name where links were followed
	blob  string // name of the Hugging Face blob behind it, which is its digest
	stamp stamp
}

// Refusal is something in the artifact that no artifact may have.
type Refusal struct {
	Name   string
	Reason string
}

// Listing is what an artifact consists of before anything was read. Close it when it was hashed.
type Listing struct {
	Entries   []Entry   // sorted by name in byte order
	Uncovered []string  // files that are left out, without the artifact's own evidence; sorted
	Refused   []Refusal // links, special files, names; sorted

	name    string
	single  bool
	options Options
	root    *os.Root
	ignored []string // what Serialization.IgnorePaths will say
	folders []folder
	links   bool // links were followed
	weak    bool
}

// folder is one directory that was listed, to be looked at again once everything was hashed.
type folder struct {
	name  string // as it is opened below the root
	shown string // as the artifact names it
	stamp stamp
	names []string // what was in it, without what is left out
}

// RefusedError is an artifact that cannot be signed or named as it is.
type RefusedError struct {
	Path    string
	Refused []Refusal // empty where nothing is left
	Err     error
}

func (e *RefusedError) Error() string {
	if len(e.Refused) == 0 {
		return fmt.Sprintf("list %s: %v", e.Path, e.Err)
	}
	more := ""
	if n := len(e.Refused) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("list %s: %q is %s%s", e.Path, e.Refused[0].Name, e.Refused[0].Reason, more)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Build lists and hashes the artifact at path: a file, a directory, a symbolic link to one, or a Hugging Face cache
// snapshot. It errs with a *RefusedError where the artifact holds what no artifact may hold or nothing at all, with a
// *ChangedError where it changed meanwhile, and with what reading it returned. The end of ctx ends it promptly.
func Build(ctx context.Context, path string, o Options) (*Manifest, error) {
	l, err := List(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if len(l.Refused) > 0 {
		return nil, &RefusedError{Path: path, Refused: l.Refused}
	}
	m, err := l.Hash(ctx, HashOptions{Workers: o.Workers, Progress: o.Progress})
	if errors.Is(err, ErrEmpty) {
		return nil, &RefusedError{Path: path, Err: err}
	}
	return m, err
}

// List lists the artifact at path without reading it. What no artifact may hold is in Refused; errors are what could
// not be listed at all.
func List(ctx context.Context, path string, o Options) (*Listing, error) {
	l := &Listing{options: o}
	if err := l.normalize(); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	l.name = filepath.Base(abs)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("list artifact: %w", err)
	}
	switch {
	case info.IsDir():
		err = l.listFolder(ctx, abs)
	case info.Mode().IsRegular():
		err = l.listSingle(abs)
	default:
		err = &RefusedError{Path: path, Refused: []Refusal{{l.name, special(info.Mode())}}}
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	slices.SortFunc(l.Entries, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(l.Refused, func(a, b Refusal) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(l.Uncovered)
	return l, nil
}

// Bytes is the sum of the entries' sizes.
func (l *Listing) Bytes() int64 {
	var n int64
	for _, e := range l.Entries {
		n += e.Size
	}
	return n
}

// Close lets go of the artifact's root. It may be called again.
func (l *Listing) Close() error {
	if l.root == nil {
		return nil
	}
	err := l.root.Close()
	l.root = nil
	return err
}

func (l *Listing) normalize() error {
	o := &l.options
	if o.Method == "" {
		o.Method = Files
	}
	if o.Algorithm == "" {
		o.Algorithm = hashing.SHA256
	}
	switch {
	case o.Method == Shards && o.ShardSize == 0:
		o.ShardSize = DefaultShardSize
	case o.Method != Files && o.Method != Shards:
		return fmt.Errorf("method %q is neither files nor shards", o.Method)
	case o.ShardSize < 0 || o.Method == Files && o.ShardSize != 0:
		return fmt.Errorf("shard size %d with method %s", o.ShardSize, o.Method)
	}
	return nil
}

// listSingle lists one file. It is opened at its own folder, so that nothing else is in reach.
func (l *Listing) listSingle(abs string) error {
	l.single = true
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	if l.root, err = os.OpenRoot(filepath.Dir(real)); err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	l.weak = weakStat(filepath.Dir(real))
	if !utf8.ValidString(l.name) {
		l.refuse(l.name, "a name that is not UTF-8 (OMS §6.1.2)")
		return nil
	}
	e, err := l.entry(l.name, filepath.Base(real))
	if err != nil {
		return err
	}
	if hub, ok := findSnapshot(filepath.Dir(abs)); ok && real != abs && filepath.Dir(real) == filepath.Join(hub.root, "blobs") {
		e.blob = filepath.Base(real)
	}
	l.Entries = []Entry{e}
	return nil
}

// listFolder lists a directory.
func (l *Listing) listFolder(ctx context.Context, abs string) error {
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	given, err := CleanExclusions(real, l.options.IgnorePaths)
	if err != nil {
		return &RefusedError{Path: abs, Err: err}
	}
	l.ignored = slices.Concat(DefaultExclusions, []string{SignatureName, ClaimsName}, given)
	if l.options.Signature != "" {
		if rel, err := inside(real, l.options.Signature); err == nil && rel != "." {
			l.ignored = append(l.ignored, rel)
		}
	}
	slices.Sort(l.ignored)
	l.ignored = slices.Compact(l.ignored)

	w := walker{ctx: ctx, listing: l, ignore: map[string]bool{}}
	for _, p := range l.ignored {
		w.ignore[p] = true
	}
	top := real
	if hub, ok := findSnapshot(real); ok {
		top, w.hub, w.base = hub.root, &hub, hub.snapshot
	}
	if l.root, err = os.OpenRoot(top); err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	l.weak = weakStat(top)
	return w.walk("", 0, nil)
}

func (l *Listing) refuse(name, reason string) {
	l.Refused = append(l.Refused, Refusal{name, reason})
}

// entry stats the file that is opened as open and listed as name.
func (l *Listing) entry(name, open string) (Entry, error) {
	info, err := l.root.Lstat(open)
	if err != nil {
		return Entry{}, fmt.Errorf("list %q: %w", name, err)
	}
	if !info.Mode().IsRegular() {
		return Entry{}, fmt.Errorf("list %q: it is %s", name, special(info.Mode()))
	}
	return Entry{Name: name, Size: info.Size(), open: open, stamp: stampOf(info)}, nil
}

// special names what is no regular file.
func special(m fs.FileMode) string {
	switch {
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}

func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return path.Join(dir, name)
}
