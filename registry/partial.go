package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// What lies in a directory that a pull has not finished. files becomes the artifact's directory in the end.
const (
	partialSuffix = ".partial"
	partialMarker = "hallmark-partial.txt"
	partialFiles  = "files"  // what is finished, under its names
	partialLayers = "layers" // layers that are not: by digest, and a journal beside those with holes
	partialPacks  = "packs"  // what packs that were unpacked held, by digest
	journalSuffix = ".spans"

	partialNote = "What lies here is a download by hallmark that is not finished. Pull again to go on with it, or delete it.\n"
)

// worthKeeping is how many bytes make an unfinished download worth going on with, and a layer worth a file of its own.
const worthKeeping = 4 << 20

// ErrBusy: another process is writing to the same directory or archive.
var ErrBusy = errors.New("another process is writing there")

// PartialError is a pull that failed and can be gone on with: what came so far lies in Dir.
type PartialError struct {
	Dir   string // beside the target; the next pull to the same target looks there, or it can be deleted
	Bytes int64  // that are kept
	Err   error  // the cause
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("%v (%d bytes are kept in %q for the next try)", e.Err, e.Bytes, e.Dir)
}

// Unwrap returns the cause.
func (e *PartialError) Unwrap() error { return e.Err }

// partial is a directory beside the target in which a pull collects the artifact. It has a fixed name, so that the next
// pull finds what the last one left, and a lock, so that two do not share it. Nothing in it is believed: it is our own,
// and yet every byte that was there before is held to its digest like one from the network.
type partial struct {
	path   string
	root   *os.Root // of path
	files  *os.Root // of what becomes the target
	unlock func()
	resume bool // something may be there from another time
}

// openPartial makes the directory for a target, or goes on with the one that is there.
func openPartial(dir string) (*partial, error) {
	at := dir + partialSuffix
	for range maxLooks {
		p, err := lockPartial(at)
		if err != nil {
			return nil, err
		}
		if p == nil { // the pull that had it finished just now
			continue
		}
		if err := p.prepare(); err != nil {
			p.close()
			return nil, err
		}
		return p, nil
	}
	return nil, fmt.Errorf("directory %q comes and goes", at)
}

// lockPartial opens and locks. Nothing and no error: what it locked is not there any more.
func lockPartial(at string) (*partial, error) {
	err := os.Mkdir(at, 0o755)
	fresh := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	info, err := os.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%q: %w: it is %s", at, ErrExists, kindOf(info.Mode()))
	}
	if err := checkOwn(info); err != nil {
		return nil, fmt.Errorf("directory %q: %w", at, err)
	}
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, err
	}
	unlock, err := tryLockDirectory(root)
	if errors.Is(err, errors.ErrUnsupported) && fresh { // whoever makes a directory has it for himself
		unlock, err = func() {}, nil
	}
	if err != nil {
		_ = root.Close()
		return nil, err
	}
	p := &partial{path: at, root: root, unlock: unlock, resume: !fresh}
	opened, err := root.Stat(".")
	if err != nil {
		p.close()
		return nil, err
	}
	if now, err := os.Lstat(at); err != nil || !os.SameFile(now, opened) || !os.SameFile(info, opened) {
		p.close()
		return nil, nil
	}
	return p, nil
}

// prepare makes what belongs into the directory. One that is there and is nobody's unfinished download is left alone.
func (p *partial) prepare() error {
	if _, err := p.root.Lstat(partialMarker); errors.Is(err, fs.ErrNotExist) {
		entries, err := fs.ReadDir(p.root.FS(), ".")
		if err != nil {
			return err
		}
		if len(entries) > 0 {
			return fmt.Errorf("directory %q: %w: it is no unfinished download", p.path, ErrExists)
		}
		if err := p.root.WriteFile(partialMarker, []byte(partialNote), 0o644); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	for _, name := range []string{partialFiles, partialLayers, partialPacks} {
		info, err := p.root.Lstat(name)
		if err == nil && !info.IsDir() {
			err = p.root.Remove(name)
		}
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = p.root.MkdirAll(name, 0o755)
		}
		if err != nil {
			return err
		}
	}
	var err error
	p.files, err = p.root.OpenRoot(partialFiles)
	return err
}

// close gives the directory back. What is in it stays.
func (p *partial) close() {
	if p.files != nil {
		_ = p.files.Close()
	}
	p.unlock()
	_ = p.root.Close()
}

// remove deletes the directory, before it is given back.
func (p *partial) remove() error { return os.RemoveAll(p.path) }

// bytes is about how much there is to go on with.
func (p *partial) bytes() int64 {
	var n int64
	for _, below := range []string{partialFiles, partialLayers} {
		_ = fs.WalkDir(p.root.FS(), below, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if info, err := d.Info(); err == nil {
				n += info.Size()
			}
			return nil
		})
	}
	return n
}

// sweep removes everything that cannot be a part of an artifact: files other than those wanted, all that is no plain
// file, directories that lead nowhere, and layers and packs of other artifacts. It returns the files that are left, by
// the names that the file system has for them.
func (p *partial) sweep(wanted func(name string) bool, layers map[string]bool) (map[string]bool, error) {
	found := map[string]bool{}
	if !p.resume {
		return found, nil
	}
	err := eachFile(p.files, func(name string, d fs.DirEntry) error {
		if d.Type().IsRegular() && wanted(name) {
			found[name] = true
			return nil
		}
		return p.files.RemoveAll(name)
	})
	if err != nil {
		return nil, err
	}
	above := map[string]bool{".": true}
	for name := range found {
		for d := path.Dir(name); !above[d]; d = path.Dir(d) {
			above[d] = true
		}
	}
	err = fs.WalkDir(p.files.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || above[name] {
			return err
		}
		if err := p.files.RemoveAll(name); err != nil {
			return err
		}
		return fs.SkipDir
	})
	if err != nil {
		return nil, err
	}
	return found, p.sweepLayers(layers)
}

func (p *partial) sweepLayers(layers map[string]bool) error {
	for _, below := range []string{partialLayers, partialPacks} {
		entries, err := fs.ReadDir(p.root.FS(), below)
		if err != nil {
			return err
		}
		for _, e := range entries {
			name := e.Name()
			if digits := trimJournal(name); e.Type().IsRegular() && layers[digits] {
				continue
			}
			if err := p.root.RemoveAll(below + "/" + name); err != nil {
				return err
			}
		}
	}
	return nil
}

// eachFile calls see for everything below root that is no directory.
func eachFile(root *os.Root, see func(name string, d fs.DirEntry) error) error {
	return fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return see(name, d)
	})
}
