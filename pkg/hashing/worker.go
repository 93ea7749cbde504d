package hashing

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

// worker hashes one thing after another and keeps what can be used again: hashes and buffers.
type worker struct {
	plan     Plan
	progress func(int64)
	idle     chan struct{} // see schedule

	hash  hash.Hash // of the plan's algorithm; nil until it is needed
	slots [ahead]*slot
}

// group hashes jobs in order.
func (w *worker) group(ctx context.Context, jobs []Job, results []Result) error {
	for i, j := range jobs {
		r, err := w.file(ctx, j)
		if err != nil {
			return fmt.Errorf("hash %q: %w", j.Name, err)
		}
		results[i] = r
	}
	return nil
}

// file hashes one file from its first byte to its last.
func (w *worker) file(ctx context.Context, j Job) (r Result, err error) {
	h, err := w.planned()
	if err != nil {
		return r, err
	}
	planned := &shardWriter{hash: h, size: w.plan.ShardSize}
	var streams []*Stream
	var whole *Stream
	if w.plan.SHA256 && !w.plan.sumsAreSHA256() {
		whole = NewStream()
		streams = append(streams, whole)
	}
	if j.Stream != nil {
		streams = append(streams, j.Stream)
	}
	sinks := planned.with(streams)
	if j.Tee != nil {
		sinks = append(sinks, j.Tee)
	}

	file, err := w.open(ctx, j.Open)
	if err != nil {
		return r, err
	}
	defer file.Close()
	if err := w.stream(ctx, file, 0, j.Size, sinks); err != nil {
		return r, err
	}
	if err := atEnd(file, j); err != nil {
		return r, err
	}

	r.Sums = planned.finish()
	switch {
	case w.plan.sumsAreSHA256():
		r.SHA256, r.HasSHA256 = Sum(r.Sums[0]), true
	case whole != nil:
		r.SHA256, r.HasSHA256 = whole.Sum(), true
	}
	return r, nil
}

// planned returns the worker's hash of the plan's algorithm, empty.
func (w *worker) planned() (hash.Hash, error) {
	if w.hash == nil {
		h, err := w.plan.Algorithm.New()
		if err != nil {
			return nil, err
		}
		w.hash = h
	}
	w.hash.Reset()
	return w.hash, nil
}

// errNoFile says that Job.Open broke its contract.
var errNoFile = errors.New("open gave neither a file nor an error")

// open opens a file, unless the work was stopped.
func (w *worker) open(ctx context.Context, open func() (*os.File, error)) (*os.File, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	file, err := open()
	if err == nil && file == nil {
		err = errNoFile
	}
	return file, err
}

// atEnd holds a file that was read to its size, and to the job's own check.
func atEnd(file *os.File, j Job) error {
	var more [1]byte
	switch n, err := file.ReadAt(more[:], j.Size); {
	case n > 0:
		return fmt.Errorf("%w: more than %d bytes", ErrChanged, j.Size)
	case !errors.Is(err, io.EOF):
		return err
	}
	if j.Check == nil {
		return nil
	}
	return j.Check(file)
}
