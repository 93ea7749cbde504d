package hashing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// pieceSize is the length of the buffers into which a worker's sides read. Files that are shorter are read at once, and
// closed before they are hashed.
const pieceSize = chunk / piecesPerSlot

// kept is a small file of which everything is done but its own digest. A file whose bytes go into an archive's digest too
// must be next in that archive, and few archives are made at the same time; its own digest can wait for others, until there are
// as many as are hashed for the price of a few.
type kept struct {
	sums   *digests
	result *Result
	piece  []byte // the buffer
	left   []byte // of the file, not hashed
}

// small reads the file of a job into the side's buffer, and returns the run that hashes it.
func (g *assignment) small(ctx context.Context, w *worker, j Job, sums *digests, result *Result) (*run, error) {
	data, err := w.readSmall(ctx, j, g.buffer)
	if err != nil {
		return nil, err
	}
	r := &run{name: j.Name, out: sums.planned, data: data, read: true}
	if s := sums.planned; s.beside == nil || s.beside != j.Stream || s.size > 0 || lanes.WideFrom() > lanes.Most {
		r.end = func(err error) error {
			if err == nil {
				*result = sums.result()
			}
			return err
		}
		return r, nil
	}
	r.out = &shardWriter{hash: j.Stream.digest}
	r.end = func(err error) error {
		if err != nil {
			return err
		}
		j.Stream.size += j.Size
		w.kept = append(w.kept, kept{sums, result, g.buffer, data})
		g.buffer = nil
		if len(w.kept) == lanes.Most {
			w.hashKept()
		}
		return nil
	}
	return r, nil
}

// readSmall returns the bytes of a job's file, after its check. One byte more is asked for: that there is none tells that this
// was all.
func (w *worker) readSmall(ctx context.Context, j Job, buffer []byte) ([]byte, error) {
	file, err := w.open(ctx, j.Open)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n, err := file.ReadAt(buffer[:j.Size+1], 0)
	switch {
	case int64(n) > j.Size:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrChanged, j.Size)
	case !errors.Is(err, io.EOF):
		return nil, err
	case int64(n) < j.Size:
		return nil, fmt.Errorf("%w: it ends at byte %d", ErrChanged, n)
	}
	if w.progress != nil {
		w.progress(j.Size)
	}
	if j.Check != nil {
		return buffer[:n], j.Check(file)
	}
	return buffer[:n], nil
}

// hashKept makes the digests that were put off: of the longest files first, so that the others have companions to the end.
func (w *worker) hashKept() {
	for left := w.kept; len(left) > 0; {
		slices.SortFunc(left, func(a, b kept) int { return cmp.Compare(len(b.left), len(a.left)) })
		n := lanes.AtOnce(len(left))
		size := len(left[n-1].left)
		w.into, w.from = w.into[:0], w.from[:0]
		for i := range left[:n] {
			k := &left[i]
			w.into, w.from = append(w.into, k.sums.planned.hash.(*lanes.Digest)), append(w.from, k.left[:size])
			k.left = k.left[size:]
		}
		lanes.WriteEach(w.into, w.from)
		left = slices.DeleteFunc(left, func(k kept) bool {
			if len(k.left) > 0 {
				return false
			}
			*k.result = k.sums.result()
			w.pieces = append(w.pieces, k.piece)
			return true
		})
	}
	w.kept = w.kept[:0]
}

// piece returns a buffer that is free. There are a few more of them than sides.
func (w *worker) piece() []byte {
	if len(w.pieces) == 0 {
		w.hashKept()
	}
	last := len(w.pieces) - 1
	p := w.pieces[last]
	w.pieces = w.pieces[:last]
	return p
}
