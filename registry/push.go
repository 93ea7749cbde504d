package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// defaultWorkers is how many blobs move at the same time.
const defaultWorkers = 4

// Source gives the bytes of an artifact's files. What it gives is held to the digests of the manifest that is pushed.
type Source interface {
	// Open opens the file that the manifest calls name. It may be called concurrently, and more than once for a name.
	Open(name string) (io.ReadCloser, error)
}

// Files is the Source that reads an artifact where it lies. Links are followed: which of them belong to the artifact
// was decided when its digests were made, and other bytes than those are refused.
type Files struct {
	Path string // a directory, or one file
}

// Open opens a regular file.
func (s Files) Open(name string) (io.ReadCloser, error) {
	if err := manifest.CleanName(name); err != nil {
		return nil, err
	}
	info, err := os.Stat(s.Path)
	if err != nil {
		return nil, err
	}
	at := s.Path
	if info.IsDir() {
		at = filepath.Join(s.Path, filepath.FromSlash(name))
	}
	f, err := os.OpenFile(at, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %q: %w", at, &notRegularError{info.Mode()})
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// PushOptions says how to push.
type PushOptions struct {
	Workers  int                     // blobs at the same time; 0: 4
	Progress func(done, total int64) // bytes, those that were there already included; nil: none; one call at a time
	Events   func(Event)             // what happens to each layer; nil: none; one call at a time, Progress's included
	// MountFrom names repositories of the same registry, NAME without the host, that may have blobs already. From the
	// first that has one, the registry is asked to take it; nothing is sent then. Layouts have no other repositories.
	MountFrom []string
}

// Push stores the artifact: the blobs that are not there yet, the config, and then the manifest, without a tag. It
// returns the manifest's digest, which is the artifact ID. A file whose bytes are no longer those of the manifest is an
// error wrapping hashing.ErrChanged, and nothing is stored under its digest. A push that was interrupted is completed by
// pushing again: what arrived as a whole is there.
func (r *Repo) Push(ctx context.Context, c *manifest.Canonical, src Source, o PushOptions) (string, error) {
	if c == nil || len(c.Layers) == 0 {
		return "", errors.New("push: no artifact")
	}
	if err := r.push(ctx, c, src, nil, o); err != nil {
		return "", doing(err, "push %s to %s", c.ID, r.Name())
	}
	return c.ID, nil
}

// push stores the artifact, of which some may have been sent ahead.
func (r *Repo) push(ctx context.Context, c *manifest.Canonical, src Source, sent *ahead, o PushOptions) error {
	if err := checkSum(c.Manifest, c.ID); err != nil {
		return err
	}
	workers := o.Workers
	if workers <= 0 {
		workers = defaultWorkers
	}
	from, err := r.mountable(o.MountFrom)
	if err != nil {
		return err
	}
	m := newMeter(o.Progress)
	m.events = o.Events
	layers := distinct(c.Layers)
	for _, l := range layers {
		m.total += l.Size
	}
	if r.hasCanonical(ctx, c) {
		for _, l := range layers {
			g := m.layer(l.Name, Descriptor{l.MediaType, l.Digest.String(), l.Size})
			g.is(EventStart)
			g.is(EventSkip)
			g.finish()
		}
		return nil
	}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(workers)
	for _, l := range layers {
		work.Go(func() error {
			if inner.Err() != nil {
				return context.Cause(inner)
			}
			d := Descriptor{l.MediaType, l.Digest.String(), l.Size}
			g := m.layer(l.Name, d)
			if sent.complete(inner, l.Name, d) {
				g.is(EventStart)
				g.finish()
				return nil
			}
			open := func() (io.ReadCloser, error) { return openLayer(l, src) }
			return doing(r.pushLayer(inner, d, open, from, g), "push %q", l.Name)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	return r.putCanonical(ctx, c)
}

// hasCanonical reports whether a registry has the artifact already, with one request instead of one for each layer: the
// manifest comes last, and a registry keeps what its manifests name. A layout's files are looked at one by one, since
// anybody may have removed one. Whatever goes wrong here shows again where it matters.
func (r *Repo) hasCanonical(ctx context.Context, c *manifest.Canonical) bool {
	if _, ok := r.store.(*remote); !ok {
		return false
	}
	raw, _, err := r.store.manifest(ctx, c.ID)
	return err == nil && bytes.Equal(raw, c.Manifest)
}

// putCanonical stores what names the layers, once they are there.
func (r *Repo) putCanonical(ctx context.Context, c *manifest.Canonical) error {
	config := Descriptor{Digest: sumOf(c.Config), Size: int64(len(c.Config))}
	if err := r.pushBlob(ctx, config, opener(c.Config), newMeter(nil)); err != nil {
		return doing(err, "push config")
	}
	d := Descriptor{ocispec.MediaTypeImageManifest, c.ID, int64(len(c.Manifest))}
	_, err := r.store.putManifest(ctx, c.Manifest, d, "")
	return doing(err, "push manifest")
}

// mountable returns the repositories that can be mounted from.
func (r *Repo) mountable(from []string) ([]string, error) {
	var others []string
	for _, f := range from {
		if !repositoryName.MatchString(f) {
			return nil, fmt.Errorf("mount from %q: it is no repository's name", f)
		}
		if f != r.ref.repository && !slices.Contains(others, f) {
			others = append(others, f)
		}
	}
	return others, nil
}

// pushBlob stores a blob that is no layer, unless it is there.
func (r *Repo) pushBlob(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error), m *meter) error {
	return r.pushLayer(ctx, d, open, nil, m.layer("", d))
}

// pushLayer stores a blob unless it is there, or the registry can take it from elsewhere.
func (r *Repo) pushLayer(ctx context.Context, d Descriptor, open func() (io.ReadCloser, error), from []string, g *gauge) error {
	ctx = observing(ctx, g.retrying)
	g.is(EventStart)
	there, err := r.store.hasBlob(ctx, d)
	if err != nil {
		return err
	}
	if there {
		g.is(EventSkip)
		g.finish()
		return nil
	}
	read := func() (io.ReadCloser, error) {
		g.begin(0)
		from, err := open()
		if err != nil {
			return nil, err
		}
		return &metered{ReadCloser: from, m: g}, nil
	}
	if s, ok := r.store.(mounter); ok && len(from) > 0 {
		var mounted bool
		if mounted, err = s.mountBlob(ctx, d, from, read); mounted {
			g.is(EventMounted)
		}
	} else {
		err = r.store.putBlob(ctx, d, read)
	}
	if errors.Is(err, ErrDigest) { // our own bytes, so it is not the registry that lies
		return fmt.Errorf("%w: %w", hashing.ErrChanged, err)
	}
	if err == nil {
		g.finish()
	}
	return err
}

// openLayer opens a file, or the tar that packs some.
func openLayer(l manifest.Layer, src Source) (io.ReadCloser, error) {
	if !l.Pack {
		return src.Open(l.Name)
	}
	from, to := io.Pipe()
	go func() { to.CloseWithError(manifest.WritePack(to, l, src.Open)) }()
	return from, nil
}

// distinct returns the layers, those with the same bytes once.
func distinct(layers []manifest.Layer) []manifest.Layer {
	seen := make(map[hashing.Sum]bool, len(layers))
	var found []manifest.Layer
	for _, l := range layers {
		if !seen[l.Digest] {
			seen[l.Digest] = true
			found = append(found, l)
		}
	}
	return found
}
