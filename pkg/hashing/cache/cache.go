// Package cache remembers the SHA-256 of files that were hashed, so that people who sign the same large files again and
// again need not wait for them. A file is known again by device, inode, size, modification and change time.
//
// Start with [Open]; ask with [Cache.File] and remember with [Cache.AddFile]; [Cache.Save] writes it.
//
// What it says is worth as much as those five numbers, and as the folder that it lies in: whoever can write there chooses
// the digests. It is for signing and for one's own machine, never for deciding what may run unless somebody asked for that.
// Stores to a file through a mapping that is kept open change no times until the system writes the page to the disk; nor
// does what is written to the disk behind the file system's back.
//
// It reads and writes one file, digests, in a folder that is its user's alone. The form is in format.go.
package cache

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

const (
	// MaxEntries is how many digests are kept: those that were used last.
	MaxEntries = 1 << 18

	maxBytes = 64 << 20 // of the file

	// settled is how long a file must have been left alone before its digest is remembered. One that was touched in the
	// instant in which it was read can change once more without any of its times changing: git calls such a file racily
	// clean. The coarsest clock of a file system has a tick of two seconds.
	settled = 2 * time.Second

	name = "digests"
)

// Key is what a file is known by.
type Key struct {
	Device, Inode     uint64
	Size              int64 // in bytes
	Modified, Changed int64 // in nanoseconds since 1970
}

// Pack is the digest of an archive whose members were not read, and its size.
type Pack struct {
	Digest hashing.Sum
	Size   int64 // in bytes
}

// Options is for tests.
type Options struct {
	Now func() time.Time // nil: the system's clock
}

// Cache is what is remembered. It may be used by several goroutines. The nil *Cache knows nothing and remembers nothing.
type Cache struct {
	dir string // "": it cannot be saved
	now func() time.Time

	mu    sync.Mutex
	files map[Key]hashing.Sum
	packs map[hashing.Sum]Pack
	old   []entry // as they were read, the last used first
	used  []entry // in this run
	seen  map[any]bool
	dirty bool
}

// entry is a file's or a pack's.
type entry struct {
	file Key
	pack hashing.Sum // of the members' names, sizes and digests
	sum  hashing.Sum
	size int64 // of a pack, in bytes; 0 in a file's entry
}

func (e entry) id() any {
	if e.size > 0 {
		return e.pack
	}
	return e.file
}

// Open returns the cache in a folder, which is made where it is missing. The error says why what was there is ignored: the
// cache is usable then too, and empty. One that is damaged is written anew by Save; one that is not the user's alone is
// left as it is, and nothing is saved.
func Open(dir string, o Options) (*Cache, error) {
	c := &Cache{now: o.Now, files: map[Key]hashing.Sum{}, packs: map[hashing.Sum]Pack{}, seen: map[any]bool{}}
	if c.now == nil {
		c.now = time.Now
	}
	root, err := openPrivate(dir)
	if err != nil {
		return c, fmt.Errorf("open digest cache: %w", err)
	}
	defer root.Close()
	raw, err := read(root)
	var private privacyError
	if errors.As(err, &private) {
		return c, fmt.Errorf("open digest cache: %w", err)
	}
	c.dir = dir
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		c.old, err = parse(raw)
	}
	if err != nil {
		c.dirty = true
		return c, fmt.Errorf("read digest cache %s: %w", filepath.Join(dir, name), err)
	}
	for _, e := range c.old {
		c.know(e)
	}
	return c, nil
}

// privacyError is about a folder or file that others could have written.
type privacyError struct{ what string }

func (e privacyError) Error() string { return e.what }

// openPrivate opens a folder that is the user's alone, and makes it if it is missing.
func openPrivate(dir string) (*os.Root, error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	before, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(before, fs.ModeDir); err != nil {
		return nil, fmt.Errorf("%s %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	after, err := root.Lstat(".")
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s %w", dir, privacyError{"is another folder now"})
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// checkPrivate returns a privacyError unless info is of that type, the user's own, and nobody else's.
func checkPrivate(info fs.FileInfo, kind fs.FileMode) error {
	switch {
	case info.Mode().Type() != kind:
		return privacyError{"is not what it should be: " + info.Mode().String()}
	case info.Mode().Perm()&0o077 != 0:
		return privacyError{fmt.Sprintf("is not the user's alone: its mode is %04o", info.Mode().Perm())}
	}
	return checkOwner(info)
}

// read returns the cache's file.
func read(root *os.Root) ([]byte, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := checkPrivate(before, 0); err != nil {
		return nil, fmt.Errorf("%s %w", name, err)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	after, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, after) {
		return nil, errors.New("it was replaced while it was opened")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && len(raw) > maxBytes {
		err = fmt.Errorf("it has more than %d bytes", maxBytes)
	}
	return raw, err
}

func (c *Cache) know(e entry) {
	if e.size > 0 {
		c.packs[e.pack] = Pack{e.sum, e.size}
		return
	}
	c.files[e.file] = e.sum
}

// use notes that an entry was used.
func (c *Cache) use(e entry) {
	if !c.seen[e.id()] {
		c.seen[e.id()] = true
		c.used = append(c.used, e)
	}
}

// File returns the digest of the file that is known by k, if it is.
func (c *Cache) File(k Key) (sum hashing.Sum, ok bool) {
	if c == nil {
		return sum, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sum, ok = c.files[k]; ok {
		c.use(entry{file: k, sum: sum})
	}
	return sum, ok
}

// Pack returns the archive whose members' names, sizes and digests have the digest members, if it is known.
func (c *Cache) Pack(members hashing.Sum) (p Pack, ok bool) {
	if c == nil {
		return p, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok = c.packs[members]; ok {
		c.use(entry{pack: members, sum: p.Digest, size: p.Size})
	}
	return p, ok
}

// Now is the time by the cache's clock, for [Cache.AddFile].
func (c *Cache) Now() time.Time {
	if c == nil {
		return time.Time{}
	}
	return c.now()
}

// AddFile remembers the digest of a file that was read from its first byte after the time read, and whose times were the
// same before and after. It does nothing where they are younger than read by less than two seconds, or older than nothing.
func (c *Cache) AddFile(k Key, sum hashing.Sum, read time.Time) {
	if c == nil || max(k.Modified, k.Changed) > read.Add(-settled).UnixNano() || k.Inode == 0 {
		return
	}
	c.add(entry{file: k, sum: sum})
}

// AddPack remembers an archive by the digest of its members' names, sizes and digests.
func (c *Cache) AddPack(members hashing.Sum, p Pack) {
	if c == nil || p.Size <= 0 {
		return
	}
	c.add(entry{pack: members, sum: p.Digest, size: p.Size})
}

func (c *Cache) add(e entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.know(e)
	c.use(e)
	c.dirty = true
}

// Save writes what is remembered, the entries of this run first, if there is anything new. Whoever saves last wins: what
// is lost is only time. It does nothing where Open found that it may not write.
func (c *Cache) Save() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty || c.dir == "" {
		return nil
	}
	all := c.used
	for _, e := range c.old {
		if !c.seen[e.id()] {
			all = append(all, e)
		}
	}
	if err := write(c.dir, render(all[:min(len(all), MaxEntries)])); err != nil {
		return fmt.Errorf("save digest cache: %w", err)
	}
	c.dirty = false
	return nil
}

// write puts the file in place at once or not at all. It is not waited for until it is on the disk: what a crash leaves of it
// is no cache, which Open sees.
func write(dir string, raw []byte) error {
	root, err := openPrivate(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	temporary := "." + name + "-" + rand.Text()
	err = root.WriteFile(temporary, raw, 0o600)
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		_ = root.Remove(temporary)
	}
	return err
}

// Members is the digest by which the archive of these files is remembered; n is how many there are.
func Members(n int, file func(i int) (name string, size int64, sum hashing.Sum)) hashing.Sum {
	h := sha256.New()
	for i := range n {
		name, size, sum := file(i)
		fmt.Fprintf(h, "%d %d %s %s\n", len(name), size, sum.Hex(), name)
	}
	return hashing.Sum(h.Sum(nil))
}
