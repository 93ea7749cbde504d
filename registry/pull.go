package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/pkg/hashing"
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
	Workers   int                     // transfers at the same time, of layers or of parts of large ones; 0: 4
	Progress  func(done, total int64) // bytes of layers, equal ones once; nil: none; one call at a time
	Events    func(Event)             // what happens to each layer; nil: none; one call at a time, Progress's included
}

// Pull writes the artifact's files to dir, which must not exist yet or be an empty directory; its parent must exist.
//
// Everything is first written beside dir, to DIR.partial, which two pulls never share: the second is an ErrBusy. Digests
// are checked while writing; files are created exclusively, with modes 0644 and 0755 as far as the umask lets them, and
// nothing else is taken over from the registry; where two names meet in the file system, that is an error. dir gets its
// name when all is right, at once. Pull does not sync to the disk: after a crash of the machine, verify.
//
// A pull that was interrupted, killed, or failed for a reason that may pass leaves DIR.partial behind, if there is
// enough in it to go on with, and the next pull to dir does; the error is then a *PartialError. What lies there is read
// again and counts only if it has the right digest. After any other error nothing is left.
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
	into, err := openPartial(dir)
	if err != nil {
		return err
	}
	defer into.close()
	p := newPuller(r, into, expected, c.Layers, o)
	err = p.layers(ctx)
	if err == nil {
		err = expected.complete()
	}
	if err == nil {
		err = p.evidence(o)
	}
	keep := err != nil && (ctx.Err() != nil || mayPass(err)) // an interruption may have any cause
	if err == nil {
		err = nameTarget(filepath.Join(into.path, partialFiles), dir)
		keep = err != nil // nothing is wrong with what came
	}
	if kept := into.bytes(); keep && kept >= worthKeeping {
		return &PartialError{Dir: into.path, Bytes: kept, Err: err}
	}
	return errors.Join(err, into.remove())
}

// mayPass reports whether pulling the same artifact again may succeed where it failed with err. What a registry sends
// under a wrong digest it may send right another time, or another registry may.
func mayPass(err error) bool {
	var transfer *url.Error
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded, errInterrupted, errPart, ErrTimeout, ErrNotFound, ErrDigest, syscall.ENOSPC, syscall.EDQUOT, syscall.EIO} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return isRefusal(err) || errors.As(err, &transfer)
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
	partial  *partial
	root     *os.Root // of the artifact's files
	expected *expectation
	meter    *meter
	made     sync.Map // directories that were made, as far as is known

	wanted  []wanted
	workers int
	streams chan struct{}   // one for each transfer at the same time
	found   map[string]bool // files that are there from another time
	large   atomic.Int64    // large layers that are not finished
}

// wanted is a layer, and every name that its bytes go by: files with equal bytes are fetched once.
type wanted struct {
	manifest.Layer
	names []string
}

func newPuller(r *Repo, into *partial, expected *expectation, layers []manifest.Layer, o PullOptions) *puller {
	p := &puller{repo: r, partial: into, root: into.files, expected: expected, meter: newMeter(o.Progress), workers: o.Workers}
	if p.workers <= 0 {
		p.workers = defaultWorkers
	}
	p.streams = make(chan struct{}, p.workers)
	p.meter.events = o.Events
	at := map[hashing.Sum]int{}
	for _, l := range layers {
		if i, twice := at[l.Digest]; twice && l.Pack == p.wanted[i].Pack {
			p.wanted[i].names = append(p.wanted[i].names, l.Name)
			continue
		}
		at[l.Digest] = len(p.wanted)
		p.wanted = append(p.wanted, wanted{l, []string{l.Name}})
		p.meter.total += l.Size
		if isLarge(l.Size) {
			p.large.Add(1)
		}
	}
	// The large ones take longest, so they begin first.
	slices.SortStableFunc(p.wanted, func(a, b wanted) int { return cmp.Compare(b.Size, a.Size) })
	return p
}

func (p *puller) layers(ctx context.Context) error {
	if err := p.sweep(); err != nil {
		return err
	}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(p.workers)
	for _, l := range p.wanted {
		work.Go(func() error {
			if inner.Err() != nil {
				return context.Cause(inner)
			}
			return doing(p.layer(inner, l), "pull %q", l.Name)
		})
	}
	return work.Wait()
}

// sweep leaves of an earlier pull what may belong to this artifact.
func (p *puller) sweep() (err error) {
	names, layers := map[string]bool{}, map[string]bool{}
	for _, l := range p.wanted {
		layers[l.Digest.Hex()] = true
		if !l.Pack {
			for _, n := range l.names {
				names[n] = true
			}
			continue
		}
		for _, f := range p.partial.packed(l.Digest) {
			names[f.Name] = true
		}
	}
	p.found, err = p.partial.sweep(func(name string) bool { return names[name] }, layers)
	return err
}

// layer fetches one layer and writes the file, or files, that it is, unless they are there from another time.
func (p *puller) layer(ctx context.Context, l wanted) error {
	d := Descriptor{l.MediaType, l.Digest.String(), l.Size}
	g := p.meter.layer(l.Name, d)
	ctx = observing(ctx, g.retrying)
	g.is(EventStart)
	if isLarge(l.Size) {
		defer p.large.Add(-1)
	}
	var err error
	if l.Pack {
		err = p.pack(ctx, l.Layer, d, g)
	} else {
		err = p.file(ctx, l, d, g)
	}
	if err == nil {
		g.finish()
	}
	return err
}

// stream waits until another transfer may begin, and returns what ends it.
func (p *puller) stream(ctx context.Context) (end func(), err error) {
	select {
	case p.streams <- struct{}{}:
		return func() { <-p.streams }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// create makes a file that was not there, and the directories above it.
func (p *puller) create(name string) (*os.File, error) {
	if err := p.makeRoom(name); err != nil {
		return nil, err
	}
	f, err := p.root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, namesMeet(name)
	}
	return f, err
}

func namesMeet(name string) error {
	return fmt.Errorf("create %q: %w: two names meet here", name, ErrExists)
}

// makeRoom makes the directories above a file.
func (p *puller) makeRoom(name string) error {
	if err := manifest.CleanName(name); err != nil {
		return err
	}
	if above := path.Dir(name); above != "." {
		if _, made := p.made.Load(above); !made {
			if err := p.root.MkdirAll(above, 0o755); err != nil {
				return fmt.Errorf("create directory %q: %w", above, err)
			}
			p.made.Store(above, true)
		}
	}
	return nil
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
