package hashing

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

const (
	chunk  = 1 << 20 // bytes read at once: large enough that a system call costs nothing, small enough for the cache
	chunks = 4       // buffers of a worker that reads ahead
)

// worker hashes one task after another with buffers of its own.
type worker struct {
	ctx      context.Context
	plan     Plan
	progress func(int64)
	ahead    bool // a core is free: read while hashing
	buffers  [][]byte
}

// file hashes a whole file as the plan asks.
func (w *worker) file(j Job) (Result, error) {
	if w.ctx.Err() != nil {
		return Result{}, context.Cause(w.ctx)
	}
	f, err := j.Open()
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	sums, err := newDigests(w.plan)
	if err != nil {
		return Result{}, err
	}
	sinks := []io.Writer{sums.planned}
	if sums.whole != nil {
		sinks = append(sinks, sums.whole)
	}
	if j.Tee != nil {
		sinks = append(sinks, j.Tee)
	}
	if err := w.stream(f, 0, j.Size, sinks); err != nil {
		return Result{}, err
	}
	if err := atEnd(f, j); err != nil {
		return Result{}, err
	}
	return sums.result(w.plan), nil
}

// shard hashes the bytes from start to end of a file that other workers read too.
func (w *worker) shard(f *os.File, start, end int64) ([]byte, error) {
	h, err := w.plan.Algorithm.New()
	if err != nil {
		return nil, err
	}
	if err := w.stream(f, start, end, []io.Writer{h}); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// atEnd holds the file to its size and to the job's own check.
func atEnd(f *os.File, j Job) error {
	var extra [1]byte
	if n, err := f.ReadAt(extra[:], j.Size); n > 0 {
		return fmt.Errorf("%w: it has more than %d bytes", ErrChanged, j.Size)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if j.Check != nil {
		return j.Check(f)
	}
	return nil
}

// stream hands the bytes from start to end to every sink, each byte read once.
func (w *worker) stream(f *os.File, start, end int64, sinks []io.Writer) error {
	if w.ahead && end-start > 2*chunk {
		return w.streamAhead(f, start, end, sinks)
	}
	buffer := w.buffer(0)
	for at := start; at < end; {
		n, err := w.read(f, buffer, at, end)
		if err != nil {
			return err
		}
		for _, s := range sinks {
			if _, err := s.Write(buffer[:n]); err != nil {
				return err
			}
		}
		at += int64(n)
		w.report(n)
	}
	return nil
}

// read fills buffer from at, as far as end goes. A file that ends early is ErrChanged.
func (w *worker) read(f *os.File, buffer []byte, at, end int64) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	n := int(min(int64(len(buffer)), end-at))
	if _, err := f.ReadAt(buffer[:n], at); errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("%w: it ends before byte %d", ErrChanged, at+int64(n))
	} else if err != nil {
		return 0, err
	}
	return n, nil
}

func (w *worker) report(n int) {
	if w.progress != nil {
		w.progress(int64(n))
	}
}

// buffer is the worker's i-th buffer, made when it is first needed.
func (w *worker) buffer(i int) []byte {
	for len(w.buffers) <= i {
		w.buffers = append(w.buffers, make([]byte, chunk))
	}
	return w.buffers[i]
}

// part is a chunk on its way through the sinks.
type part struct {
	data []byte
	left *sync.WaitGroup
}

// streamAhead reads in one goroutine and feeds each sink in another, so that none waits for the rest: a whole-file
// digest and shards beside it take the time of the slower. Buffers go round.
func (w *worker) streamAhead(f *os.File, start, end int64, sinks []io.Writer) error {
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	inner := *w
	inner.ctx = ctx
	queues := make([]chan part, len(sinks))
	var running sync.WaitGroup
	for i, sink := range sinks {
		queues[i] = make(chan part, chunks)
		running.Go(func() {
			for p := range queues[i] {
				if ctx.Err() == nil {
					if _, err := sink.Write(p.data); err != nil {
						cancel(err)
					}
				}
				p.left.Done()
			}
		})
	}
	err := inner.readAhead(f, start, end, queues)
	w.buffers = inner.buffers
	for _, q := range queues {
		close(q)
	}
	running.Wait()
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (w *worker) readAhead(f *os.File, start, end int64, queues []chan part) error {
	var busy [chunks]sync.WaitGroup
	for i := 0; start < end; i = (i + 1) % chunks {
		busy[i].Wait() // every sink is through with this buffer
		buffer := w.buffer(i)
		n, err := w.read(f, buffer, start, end)
		if err != nil {
			return err
		}
		busy[i].Add(len(queues))
		for _, q := range queues {
			q <- part{data: buffer[:n], left: &busy[i]}
		}
		start += int64(n)
		w.report(n)
	}
	return nil
}

// digests are the hashes of one file on their way.
type digests struct {
	planned *shardWriter
	whole   hash.Hash // nil where planned holds it
}

func newDigests(p Plan) (*digests, error) {
	h, err := p.Algorithm.New()
	if err != nil {
		return nil, err
	}
	d := &digests{planned: &shardWriter{hash: h, size: p.ShardSize}}
	if p.SHA256 && !p.plain() {
		d.whole, err = SHA256.New()
	}
	return d, err
}

func (d *digests) result(p Plan) Result {
	r := Result{Sums: d.planned.finish()}
	switch {
	case d.whole != nil:
		r.HasSHA256 = true
		d.whole.Sum(r.SHA256[:0])
	case p.plain():
		r.HasSHA256 = true
		copy(r.SHA256[:], r.Sums[0])
	}
	return r
}

// shardWriter hashes what it is written, and begins a new digest every size bytes; size 0 means one digest of all.
type shardWriter struct {
	hash hash.Hash
	size int64
	in   int64 // bytes of the current shard
	sums [][]byte
}

func (s *shardWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		take := int64(len(p))
		if s.size > 0 {
			take = min(take, s.size-s.in)
		}
		s.hash.Write(p[:take])
		s.in += take
		p = p[take:]
		if s.size > 0 && s.in == s.size {
			s.end()
		}
	}
	return n, nil
}

func (s *shardWriter) end() {
	s.sums = append(s.sums, s.hash.Sum(nil))
	s.hash.Reset()
	s.in = 0
}

func (s *shardWriter) finish() [][]byte {
	if s.size == 0 || s.in > 0 {
		s.end()
	}
	return s.sums
}
