package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// PullOptions says how to pull, and what else belongs into the directory.
type PullOptions struct {
	// Files, if not nil, is what must come out, exactly: the list that a trusted signer signed. Where files are packed
	// it is the only thing that says what the packs hold; their sum is the manifest's in any case. A negative Size is
	// one that the list does not tell.
	Files []manifest.File
	// Signature, if not nil, becomes model.sig, and Claims the lines of claims.sig. They are bundles that the caller
	// opened; they appear together with the files.
	Signature []byte
	Claims    [][]byte
	Workers   int                     // layers at the same time; 0: 4
	Progress  func(done, total int64) // bytes of layers; nil: none; one call at a time
}

// Pull writes the artifact's files to dir, which must not exist yet or be an empty directory; its parent must exist.
//
// Everything is first written beside dir, under a name that begins with a dot and is removed again if anything goes
// wrong. Digests are checked while writing; files are created exclusively, with modes 0644 and 0755 as far as the umask
// lets them, and nothing else is taken over from the registry; where two names meet in the file system, that is an
// error. dir gets its name when all is right, at once. Pull does not sync to the disk: after a crash of the machine,
// verify.
func (r *Repo) Pull(ctx context.Context, c *manifest.Canonical, dir string, o PullOptions) error {
	if c == nil || len(c.Layers) == 0 {
		return errors.New("pull: no artifact")
	}
	return doing(r.pull(ctx, c, dir, o), "pull %s of %s to %q", c.ID, r.Name(), dir)
}

func (r *Repo) pull(ctx context.Context, c *manifest.Canonical, dir string, o PullOptions) (err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := checkTarget(dir); err != nil {
		return err
	}
	expected, err := newExpectation(c, o.Files)
	if err != nil {
		return err
	}
	partial := filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".partial-"+rand.Text())
	if err := os.Mkdir(partial, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(partial)
		}
	}()
	root, err := os.OpenRoot(partial)
	if err != nil {
		return err
	}
	defer root.Close()
	p := &puller{repo: r, root: root, expected: expected, meter: newMeter(o.Progress)}
	if err := p.layers(ctx, c.Layers, o.Workers); err != nil {
		return err
	}
	if err := expected.complete(); err != nil {
		return err
	}
	if err := p.evidence(o); err != nil {
		return err
	}
	return nameTarget(partial, dir)
}

// checkTarget reports whether an empty directory lies at dir. Anything else there is an ErrExists.
func checkTarget(dir string) (empty bool, err error) {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%w: it is %s", ErrExists, kindOf(info.Mode()))
	}
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := f.Readdirnames(1); err != io.EOF {
		return false, fmt.Errorf("%w: the directory is not empty", ErrExists)
	}
	return true, nil
}

// nameTarget gives the finished directory its name. What came to lie there meanwhile stays.
func nameTarget(partial, dir string) error {
	empty, err := checkTarget(dir)
	if err != nil {
		return err
	}
	if empty {
		if err := syscall.Rmdir(dir); err != nil {
			return fmt.Errorf("replace empty directory: %w", err)
		}
	}
	return os.Rename(partial, dir)
}

// puller writes one artifact below root.
type puller struct {
	repo     *Repo
	root     *os.Root
	expected *expectation
	meter    *meter
	made     sync.Map // directories that were made, as far as is known
}

func (p *puller) layers(ctx context.Context, layers []manifest.Layer, workers int) error {
	if workers <= 0 {
		workers = defaultWorkers
	}
	for _, l := range layers {
		p.meter.total += l.Size
	}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(workers)
	for _, l := range layers {
		work.Go(func() error {
			if inner.Err() != nil {
				return context.Cause(inner)
			}
			return doing(p.layer(inner, l), "pull %q", l.Name)
		})
	}
	return work.Wait()
}

// layer fetches one layer and writes the file, or files, that it is.
func (p *puller) layer(ctx context.Context, l manifest.Layer) error {
	d := Descriptor{l.MediaType, l.Digest.String(), l.Size}
	if l.Size == 0 { // nothing has to be fetched to have nothing, if that is what was named
		if err := checkSum(nil, d.Digest); err != nil {
			return err
		}
		f, err := p.create(l.Name)
		if err != nil {
			return err
		}
		return f.Close()
	}
	from, err := p.repo.store.openBlob(ctx, d)
	if err != nil {
		return err
	}
	defer from.Close()
	checked := newCheckedReader(from, d.Digest, d.Size)
	if l.Pack {
		return p.unpack(ctx, &metered{io.NopCloser(checked), p.meter}, l)
	}
	f, err := p.create(l.Name)
	if err != nil {
		return err
	}
	_, err = copyBytes(ctx, f, checked, p.meter.moved)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// create makes a file that was not there, and the directories above it.
func (p *puller) create(name string) (*os.File, error) {
	if err := manifest.CleanName(name); err != nil {
		return nil, err
	}
	if above := path.Dir(name); above != "." {
		if _, made := p.made.Load(above); !made {
			if err := p.root.MkdirAll(above, 0o755); err != nil {
				return nil, fmt.Errorf("create directory %q: %w", above, err)
			}
			p.made.Store(above, true)
		}
	}
	f, err := p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("create %q: %w: two names meet here", name, ErrExists)
	}
	return f, err
}

// evidence writes the bundles that belong to the files.
func (p *puller) evidence(o PullOptions) error {
	write := func(name string, lines ...[]byte) error {
		f, err := p.create(name)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if _, err = f.Write(l); err != nil {
				break
			}
		}
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}
	if o.Signature != nil {
		if err := checkBundle(o.Signature); err != nil {
			return fmt.Errorf("write %s: %w", manifest.SignatureName, err)
		}
		if err := write(manifest.SignatureName, o.Signature); err != nil {
			return err
		}
	}
	if len(o.Claims) == 0 {
		return nil
	}
	lines := make([][]byte, 0, len(o.Claims))
	for _, c := range o.Claims {
		line, err := claimLine(c)
		if err != nil {
			return fmt.Errorf("write %s: %w", manifest.ClaimsName, err)
		}
		lines = append(lines, line)
	}
	return write(manifest.ClaimsName, lines...)
}

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
