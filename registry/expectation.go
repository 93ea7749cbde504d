package registry

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// expectation is what must come out, name by name. Where nobody said what packs hold, their members are free.
type expectation struct {
	mu    sync.Mutex
	files map[string]manifest.File // still to come
	free  bool
	count int
}

// newExpectation holds the layers against the signed list, before anything is fetched.
func newExpectation(c *manifest.Canonical, signed []manifest.File) (*expectation, error) {
	e := &expectation{files: map[string]manifest.File{}}
	packed := false
	var named []manifest.File
	for _, l := range c.Layers {
		switch {
		case !l.Pack:
			named = append(named, manifest.File{Name: l.Name, Size: l.Size, SHA256: l.Digest})
		case len(l.Files) > 0:
			packed = true
			named = append(named, l.Files...)
		default:
			packed, e.free = true, signed == nil
		}
	}
	if signed == nil {
		signed = named
	}
	for _, f := range signed {
		if _, twice := e.files[f.Name]; twice {
			return nil, fmt.Errorf("file %q is listed twice", f.Name)
		}
		e.files[f.Name] = f
	}
	for _, f := range named {
		if err := manifest.CleanName(f.Name); err != nil {
			return nil, err
		}
		if want, ok := e.files[f.Name]; !ok || !same(want, f) {
			return nil, fmt.Errorf("file %q is not the signed one", f.Name)
		}
	}
	if !packed && len(named) != len(e.files) {
		return nil, fmt.Errorf("%d files are signed, %d are there", len(e.files), len(named))
	}
	for _, l := range c.Layers { // their digests are checked as layers
		if !l.Pack {
			delete(e.files, l.Name)
		}
	}
	return e, nil
}

// same reports whether a file is the one that is wanted.
func same(want, got manifest.File) bool {
	return want.SHA256 == got.SHA256 && (want.Size < 0 || want.Size == got.Size)
}

// member accepts a packed file that was written, and reports what is wrong with it.
func (e *expectation) member(f manifest.File) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.count++; e.count > manifest.MaxFiles {
		return tooLarge("packed files", manifest.MaxFiles)
	}
	if e.free {
		return nil
	}
	want, ok := e.files[f.Name]
	switch {
	case !ok:
		return errors.New("it is not one of the signed files")
	case !same(want, f):
		return fmt.Errorf("%w: %s is signed, %s of %d bytes is packed", ErrDigest, want.SHA256, f.SHA256, f.Size)
	}
	delete(e.files, f.Name)
	return nil
}

// complete reports a file that should have come and did not.
func (e *expectation) complete() error {
	for name := range e.files {
		return fmt.Errorf("file %q is signed and in no pack (%d such files)", name, len(e.files))
	}
	return nil
}
