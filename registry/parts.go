package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"
)

// How large layers are taken apart.
const (
	largeLayer = 64 << 20 // bytes from which a layer may come in parts
	partSize   = 16 << 20
	// lead is how far fetching may be ahead of hashing: so much is read back while the system still has it in memory.
	lead = 256 << 20
)

func isLarge(size int64) bool { return size >= largeLayer }

// errPart is about a part of a blob that is not what was asked for.
var errPart = errors.New("wrong part")

// assembly is a landing that several fetchers write to, while a follower hashes what is there without a hole.
type assembly struct {
	to      *landing
	journal *journal
	gauge   *gauge

	mu      sync.Mutex
	changed *sync.Cond
	left    []span
	start   int64 // so much was there without a hole: it is read from the disk in any case
}

// fillParts fetches what is missing in parts, several at the same time. It is an errRangeIgnored, and what came stays,
// where the store gives whole blobs only.
func (p *puller) fillParts(ctx context.Context, from ranger, to *landing, fetchers int, g *gauge) error {
	j, err := newJournal(to.root, to.name+journalSuffix, to.have)
	if err != nil {
		return err
	}
	defer j.close()
	a := &assembly{to: to, journal: j, gauge: g, left: to.have.missing(to.d.Size, partSize), start: to.have.prefix()}
	a.changed = sync.NewCond(&a.mu)
	work, inner := errgroup.WithContext(ctx)
	defer context.AfterFunc(inner, a.wake)()
	for range fetchers {
		work.Go(func() error {
			for {
				part, ok := a.take(inner)
				if !ok {
					return nil
				}
				if err := p.fetchPart(inner, from, a, part); err != nil {
					return err
				}
			}
		})
	}
	work.Go(func() error { return a.follow(inner) })
	if err := work.Wait(); err != nil {
		return err
	}
	return to.check()
}

func (a *assembly) wake() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed.Broadcast()
}

// take returns the next part to fetch, once it is not too far ahead. There is none when all are taken or ctx has ended.
func (a *assembly) take(ctx context.Context) (span, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.left) > 0 && a.left[0].from-max(a.to.hashed, a.start) > lead && ctx.Err() == nil {
		a.changed.Wait()
	}
	if len(a.left) == 0 || ctx.Err() != nil {
		return span{}, false
	}
	part := a.left[0]
	a.left = a.left[1:]
	return part, true
}

// fetchPart fetches one part and writes it to its place.
func (p *puller) fetchPart(ctx context.Context, from ranger, a *assembly, part span) (err error) {
	end, err := p.stream(ctx)
	if err != nil {
		return err
	}
	defer end()
	body, err := from.openRange(ctx, a.to.d, part.from, part.to)
	if err != nil {
		return err
	}
	defer body.Close()
	noted := part.from
	defer func() {
		if at := part.from; at > noted {
			err = errors.Join(err, a.journal.note(span{noted, at}))
		}
	}()
	lent := buffers.Get().(*[copyBuffer]byte)
	defer buffers.Put(lent)
	for part.from < part.to {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := body.Read(lent[:min(copyBuffer, part.to-part.from)])
		if n > 0 {
			if _, err := a.to.file.WriteAt(lent[:n], part.from); err != nil {
				return err
			}
			a.wrote(span{part.from, part.from + int64(n)})
			part.from += int64(n)
		}
		if part.from-noted >= journalStep {
			if err := a.journal.note(span{noted, part.from}); err != nil {
				return err
			}
			noted = part.from
		}
		if err == io.EOF && part.from < part.to {
			return fmt.Errorf("%w: %d bytes of it are missing", errPart, part.to-part.from)
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// wrote says that a run of bytes is in the file.
func (a *assembly) wrote(s span) {
	a.mu.Lock()
	a.to.have = a.to.have.add(s)
	a.changed.Broadcast()
	a.mu.Unlock()
	a.gauge.moved(s.to - s.from)
}

// follow hashes from front to back what is there, until all of it is or ctx has ended.
func (a *assembly) follow(ctx context.Context) error {
	for {
		a.mu.Lock()
		at := a.to.hashed
		for a.to.have.prefix() <= at && at < a.to.d.Size && ctx.Err() == nil {
			a.changed.Wait()
		}
		end := min(a.to.have.prefix(), at+followStep)
		a.mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if at == a.to.d.Size {
			return nil
		}
		if err := a.hash(ctx, at, end); err != nil {
			return err
		}
	}
}

// followStep is how many bytes are hashed before fetchers are told of it.
const followStep = 4 << 20

func (a *assembly) hash(ctx context.Context, at, end int64) error {
	n, err := copyBytes(ctx, a.to.hash, io.NewSectionReader(a.to.file, at, end-at), nil)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.to.hashed += n
	a.changed.Broadcast()
	if err == nil && at+n < end {
		return fmt.Errorf("%w: %q is shorter than it was", ErrDigest, a.to.name)
	}
	return err
}
