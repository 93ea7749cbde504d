package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
)

// Options says what belongs to an artifact and how it is hashed. The zero Options is OMS's default: whole files by
// SHA-256, the default exclusions, no symbolic links.
type Options struct {
	Method        Method                  // "" means Files
	Algorithm     hashing.Algorithm       // "" means SHA256
	ShardSize     int64                   // in bytes, with Shards; 0 means DefaultShardSize
	AllowSymlinks bool                    // follow links that stay inside the artifact (OMS §6.1.1)
	IgnorePaths   []string                // left out, exactly: relative to the root, or absolute inside it; a single file has none
	Signature     string                  // a signature file's path: not content where it lies inside the artifact
	Keep          func(name string) bool  // files that stay in whatever is left out; nil: none
	NoID          bool                    // do not compute whole-file SHA-256 where the method does not need it
	Workers       int                     // 0: one per core
	Progress      func(done, total int64) // bytes hashed, from several goroutines; nil: nobody

	// Cache knows whole-file SHA-256 digests from before, and learns those that are made: files that are, by inode, size and
	// times, what they were then are not read. It is of no use for other digests, with Tee, and on
	// file systems that are not known to have times of this machine's clock.
	// nil: every file is read.
	Cache *cache.Cache

	// Vouched is asked whether a file's digest from Cache may be used. It is called by one goroutine. nil: all may be.
	Vouched func(name string, sum hashing.Sum) bool

	// Tee returns who else gets a file's bytes in the pass that hashes them, in order and each once, or nil. It is asked
	// about one file after the other before the first is read. The writer is used by one goroutine, which waits for it;
	// its error is Build's. nil: nobody.
	Tee func(name string, size int64) io.Writer
}

// Entry is one file that was listed.
type Entry struct {
	Name string
	Size int64 // in bytes

	open  string // path below the root that is opened; another than Name in a Hugging Face cache and for a single file
	via   *via   // nil unless a symbolic link was followed
	stamp stamp
}

// via is the symbolic link by which a file was found.
type via struct {
	link   string // its path below the root
	target string // what it says
	blob   string // name of the Hugging Face blob that it leads to, which is its digest; "" for any other link
}

// blob is the name that e's bytes have in a Hugging Face cache; "" where it is in none.
func (e *Entry) blob() string {
	if e.via == nil {
		return ""
	}
	return e.via.blob
}

// Refusal is something in the artifact that no artifact may have.
type Refusal struct {
	Name   string
	Reason string // continues "it is": "a named pipe"
}

// Listing is what an artifact consists of before anything was read. Close it when it was hashed. It must not be used by
// several goroutines.
type Listing struct {
	Entries   []Entry   // sorted by name in byte order
	Uncovered []string  // files that are left out, without the artifact's own evidence; sorted
	Refused   []Refusal // links, special files, names; sorted by name

	path      string // the artifact's, absolute, as the caller named it
	name      string
	single    bool
	options   Options
	root      *os.Root
	top       stamp           // what path led to
	ignored   []string        // what Serialization.IgnorePaths will say
	ignore    map[string]bool // the same
	signature string          // the caller's signature file, relative to the artifact; "" where it lies outside
	folders   []folder
	links     bool // links were followed
	weak      bool
	far       bool // the file system's times may be another machine's
}

// RefusedError is an artifact that cannot be signed or named as it is.
type RefusedError struct {
	Path    string
	Refused []Refusal // empty where Err says more than what is refused
	Err     error
}

func (e *RefusedError) Error() string {
	if len(e.Refused) == 0 {
		return fmt.Sprintf("list %q: %v", e.Path, e.Err)
	}
	more := ""
	if n := len(e.Refused) - 1; n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("list %q: %q is %s%s", e.Path, e.Refused[0].Name, e.Refused[0].Reason, more)
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
	return l.build(ctx, path, o)
}

// build is Build of what was listed.
func (l *Listing) build(ctx context.Context, path string, o Options) (*Manifest, error) {
	switch {
	case len(l.Refused) > 0:
		return nil, &RefusedError{Path: path, Refused: l.Refused}
	case len(l.Entries) == 0 && len(l.Uncovered) > 0:
		return nil, &RefusedError{Path: path, Err: fmt.Errorf("%d files are left out: %w", len(l.Uncovered), ErrEmpty)}
	case len(l.Entries) == 0:
		return nil, &RefusedError{Path: path, Err: ErrEmpty}
	}
	return l.Hash(ctx, HashOptions{Workers: o.Workers, Progress: o.Progress, Tee: o.Tee})
}

// List lists the artifact at path without reading it. What no artifact may hold is in Refused; errors are what could
// not be listed at all: unusable options and exclusions, folders that cannot be read, caps. An artifact without files
// is listed as such: Build and Hash refuse it.
func List(ctx context.Context, path string, o Options) (*Listing, error) {
	l := &Listing{options: o}
	if err := l.normalize(); err != nil {
		return nil, fmt.Errorf("list %q: %w", path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("list artifact: %w", err)
	}
	if l.path, err = filepath.Abs(path); err != nil {
		return nil, fmt.Errorf("list %q: %w", path, err)
	}
	l.name, l.top = filepath.Base(l.path), stampOf(info)
	switch {
	case info.IsDir():
		err = l.listFolder(ctx)
	case info.Mode().IsRegular():
		err = l.listSingle()
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

// Bytes is the sum of the entries' sizes. Sparse files can claim more than an int64 holds: then it is the largest one.
func (l *Listing) Bytes() int64 {
	var n int64
	for _, e := range l.Entries {
		n = addSize(n, e.Size)
	}
	return n
}

// addSize is a+b, as far as an int64 goes.
func addSize(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
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
	if _, err := hashing.ParseAlgorithm(string(o.Algorithm)); err != nil {
		return err
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

// listSingle lists one file, named as the caller named it. It is opened at the folder where it lies.
func (l *Listing) listSingle() error {
	l.single = true
	if err := CleanName(l.name); err != nil {
		return &RefusedError{Path: l.path, Err: err}
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(l.path))
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	if hub, ok := findSnapshot(dir); ok {
		if info, err := os.Lstat(filepath.Join(dir, l.name)); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := l.openRoot(hub.repo); err != nil {
				return err
			}
			return l.addBlob(l.name, path.Join(hub.folder, l.name))
		}
	}
	real, err := filepath.EvalSymlinks(l.path)
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	if err := l.openRoot(filepath.Dir(real)); err != nil {
		return err
	}
	info, err := l.root.Lstat(filepath.Base(real))
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	return l.addFile(l.name, filepath.Base(real), info)
}

// listFolder lists a directory.
func (l *Listing) listFolder(ctx context.Context) error {
	real, err := filepath.EvalSymlinks(l.path)
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	if err := l.exclude(real); err != nil {
		return &RefusedError{Path: l.path, Err: err}
	}
	w := walker{listing: l}
	top := real
	if hub, ok := findSnapshot(real); ok {
		top, w.hub, w.base = hub.repo, true, hub.folder
	}
	if err := l.openRoot(top); err != nil {
		return err
	}
	return w.walk(ctx, place{open: w.base}, nil)
}

// exclude settles what is left out of the directory at real: the defaults, the reserved names, what the caller gave,
// and the caller's signature file.
func (l *Listing) exclude(real string) error {
	given, err := CleanExclusions(real, l.options.IgnorePaths)
	if err != nil {
		return err
	}
	l.ignored = slices.Concat(DefaultExclusions, []string{SignatureName, ClaimsName}, given)
	if l.options.Signature != "" {
		if rel, err := inside(real, l.options.Signature); err == nil && rel != "." {
			if l.signature, err = cleanExclusion(real, rel); err != nil {
				return fmt.Errorf("signature file %q: %w", rel, err)
			}
			l.ignored = append(l.ignored, l.signature)
		}
	}
	slices.Sort(l.ignored)
	l.ignored = slices.Compact(l.ignored)
	l.ignore = make(map[string]bool, len(l.ignored))
	for _, p := range l.ignored {
		l.ignore[p] = true
	}
	return nil
}

func (l *Listing) openRoot(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("list artifact: %w", err)
	}
	l.root, l.weak, l.far = root, weakStat(dir), farStat(dir)
	return nil
}

func (l *Listing) refuse(name, reason string) {
	l.Refused = append(l.Refused, Refusal{name, reason})
}

// addFile lists the file that is opened as open, as info says it is.
func (l *Listing) addFile(name, open string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() { // it was, a moment ago
		return &ChangedError{name, "is " + special(info.Mode()) + " now"}
	}
	l.Entries = append(l.Entries, Entry{Name: name, Size: info.Size(), open: open, stamp: stampOf(info)})
	return nil
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
	case m.IsDir():
		return "a folder"
	}
	return "a special file"
}
