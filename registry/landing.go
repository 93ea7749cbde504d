package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// landing is the file in which a large layer is put together. It is named by the layer's digest, so that what is there
// from another time was meant to be the same, whatever artifact it was for; whether it is, the digest of the whole says.
//
// A layer that comes in one stream lands from the beginning on: as long as the file is, so much is there. One that comes
// in parts has holes, and a journal beside it that says where it has none.
type landing struct {
	root *os.Root
	name string
	d    Descriptor
	file *os.File
	have spans
	old  bool // some of it is from another time

	hash   *hashing.Stream // of the first bytes
	hashed int64           // so many
}

func openLanding(root *os.Root, digest hashing.Sum, d Descriptor) (*landing, error) {
	l := &landing{root: root, name: partialLayers + "/" + digest.Hex(), d: d, hash: hashing.NewStream()}
	f, info, err := openLooked(
		func() (fs.FileInfo, error) { return root.Lstat(l.name) },
		func(flags int) (*os.File, error) { return root.OpenFile(l.name, flags|os.O_RDWR, 0) },
	)
	if err == nil && hasOtherNames(info) { // what is written here would show there too
		if err = errors.Join(f.Close(), root.Remove(l.name)); err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		l.file, err = root.OpenFile(l.name, os.O_CREATE|os.O_EXCL|os.O_RDWR|syscall.O_NONBLOCK, 0o644)
		return l, err
	}
	if err != nil {
		return nil, err
	}
	l.file = f
	if info.Size() > d.Size {
		return l, l.restart()
	}
	noted, holes, err := readJournal(root, l.name+journalSuffix, info.Size())
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	if l.have = noted; !holes {
		l.have = spans{}.add(span{0, info.Size()})
	}
	l.old = len(l.have) > 0
	return l, nil
}

// restart throws away what is there.
func (l *landing) restart() error {
	l.have, l.old = nil, false
	l.hash, l.hashed = hashing.NewStream(), 0
	return l.trim()
}

// trim makes the file as long as there are bytes without a hole, so that it needs no journal.
func (l *landing) trim() error {
	n := l.have.prefix()
	if err := l.file.Truncate(n); err != nil {
		return err
	}
	l.have = spans{}.add(span{0, n})
	return l.root.RemoveAll(l.name + journalSuffix)
}

// hashTo brings the hash forward to an offset by reading what is there.
func (l *landing) hashTo(ctx context.Context, end int64) error {
	n, err := copyBytes(ctx, l.hash, io.NewSectionReader(l.file, l.hashed, end-l.hashed), nil)
	l.hashed += n
	if err == nil && l.hashed < end {
		return fmt.Errorf("%w: %q is shorter than it was", ErrDigest, l.name)
	}
	return err
}

// check returns an ErrDigest unless all is there and right.
func (l *landing) check() error {
	if got := l.hash.Sum().String(); l.hashed != l.d.Size || got != l.d.Digest {
		return fmt.Errorf("%w: %s expected, %s found", ErrDigest, l.d.Digest, got)
	}
	return nil
}

// big fetches a layer that is large enough for going on with where it broke off.
func (p *puller) big(ctx context.Context, l wanted, d Descriptor, g *gauge) error {
	to, err := openLanding(p.partial.root, l.Digest, d)
	if err != nil {
		return err
	}
	defer to.file.Close()
	if n := to.have.sum(); n > 0 {
		g.resumed(n)
	}
	err = p.fill(ctx, to, g)
	if errors.Is(err, ErrDigest) && to.old { // what was there may be what is wrong
		g.begin(0)
		if err = to.restart(); err == nil {
			err = p.fill(ctx, to, g)
		}
	}
	if errors.Is(err, ErrDigest) {
		return errors.Join(err, to.restart())
	}
	if err != nil {
		return err
	}
	return p.land(to, l.names[0])
}

// land gives a finished layer the name of its file, exclusively: renaming alone would put one file over another where two
// names meet. A second name that the first one is then taken from is that at once; where the file system has none, the name
// is taken before, by an empty file. Some file systems write all of a file to the disk before it may replace another.
func (p *puller) land(to *landing, name string) error {
	if err := p.makeRoom(name); err != nil {
		return err
	}
	final := partialFiles + "/" + name
	switch err := to.root.Link(to.name, final); {
	case errors.Is(err, fs.ErrExist):
		return namesMeet(name)
	case err == nil:
		err = to.root.Remove(to.name)
		if err != nil {
			return errors.Join(err, p.root.Remove(name))
		}
	default:
		f, err := p.create(name)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		if err := to.root.Rename(to.name, final); err != nil {
			return errors.Join(err, p.root.Remove(name))
		}
	}
	return to.root.RemoveAll(to.name + journalSuffix)
}

// fill fetches what is missing, in parts where that helps: where transfers would otherwise be idle, for each layer is
// hashed from front to back, and bytes that come out of order have to be read once more for that.
func (p *puller) fill(ctx context.Context, to *landing, g *gauge) error {
	if from, ok := p.repo.store.(ranger); ok && isLarge(to.d.Size) {
		if fetchers := p.workers / max(1, int(p.large.Load())); fetchers > 1 {
			err := p.fillParts(ctx, from, to, fetchers, g)
			if !errors.Is(err, errRangeIgnored) {
				return err
			}
		}
	}
	return p.fillStream(ctx, to, g)
}

// fillStream fetches what is missing after the bytes that are there without a hole, in one stream.
func (p *puller) fillStream(ctx context.Context, to *landing, g *gauge) error {
	if err := to.trim(); err != nil {
		return err
	}
	at := to.have.prefix()
	if err := to.hashTo(ctx, at); err != nil {
		return err
	}
	if at == to.d.Size {
		return to.check()
	}
	end, err := p.stream(ctx)
	if err != nil {
		return err
	}
	defer end()
	g.begin(at)
	from, err := p.openFrom(ctx, to.d, at)
	if err != nil {
		return err
	}
	defer from.Close()
	rest := &checkedReader{from: from, hash: to.hash, want: to.d.Digest, size: to.d.Size, left: to.d.Size - at}
	n, err := copyOverlapped(ctx, io.NewOffsetWriter(to.file, at), rest, g.moved)
	to.have = to.have.add(span{at, at + n})
	return err
}

// openFrom opens a blob from an offset on.
func (p *puller) openFrom(ctx context.Context, d Descriptor, at int64) (io.ReadCloser, error) {
	if s, ok := p.repo.store.(ranger); ok {
		return s.openFrom(ctx, d, at)
	}
	from, err := p.repo.store.openBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, from, at); err != nil {
		_ = from.Close()
		return nil, fmt.Errorf("skip %d bytes: %w", at, err)
	}
	return from, nil
}
