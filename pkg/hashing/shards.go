package hashing

import (
	"context"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
	"github.com/zeebo/blake3"
)

// takeAtOnce is how many bytes of small shards a worker takes at once, so that taking them costs nothing.
const takeAtOnce = 4 << 20

// shardsAtOnce returns how many shards a worker takes at once: one, or several small ones.
func (p Plan) shardsAtOnce() int64 { return max(1, takeAtOnce/p.ShardSize) }

// shardFile is one file whose shards several workers hash. The worker that began it takes shards until none is left, so
// the others may come, but need not.
type shardFile struct {
	job  Job
	plan Plan
	sums [][]byte                 // each worker writes those of the shards it took
	open func() (*os.File, error) // opens with the first call, and returns the same to all

	mu     sync.Mutex
	taken  int64 // shards
	users  int   // workers that have not left; the last one closes the file
	failed bool  // no more shards are given out, and the file is not checked
}

// newShardFile returns the file of a job with its first user in it.
func newShardFile(p Plan, j Job, r *Result) *shardFile {
	r.Sums = make([][]byte, p.shards(j.Size))
	return &shardFile{job: j, plan: p, sums: r.Sums, open: sync.OnceValues(j.Open), users: 1}
}

// join makes the caller a user of the file, if it has shards left.
func (f *shardFile) join() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed || f.taken == int64(len(f.sums)) {
		return false
	}
	f.users++
	return true
}

// take gives the caller the shards from first up to, not including, last; none if first and last are equal.
func (f *shardFile) take() (first, last int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first = f.taken
	if !f.failed {
		f.taken = min(first+f.plan.shardsAtOnce(), int64(len(f.sums)))
	}
	return first, f.taken
}

// leave ends one use of the file, with the error it met. The last user holds the whole to its size and the job's Check.
func (f *shardFile) leave(file *os.File, err error) error {
	f.mu.Lock()
	f.failed = f.failed || err != nil
	f.users--
	last, whole := f.users == 0, !f.failed
	f.mu.Unlock()
	if !last || file == nil {
		return err
	}
	if whole {
		err = atEnd(file, f.job)
	}
	file.Close() // nothing was written: an error here takes nothing from what was read
	return err
}

// shards takes shards of f until none is left.
func (w *worker) shards(ctx context.Context, f *shardFile) error {
	file, err := w.open(ctx, f.open)
	for err == nil {
		first, last := f.take()
		if first == last {
			break
		}
		err = w.someShards(ctx, file, f, first, last)
	}
	if err = f.leave(file, err); err != nil {
		return fmt.Errorf("hash %q: %w", f.job.Name, err)
	}
	return nil
}

// someShards computes the digests of the shards from first up to last in one pass.
func (w *worker) someShards(ctx context.Context, file *os.File, f *shardFile, first, last int64) error {
	h, err := w.planned()
	if err != nil {
		return err
	}
	out := &shardWriter{hash: h, size: f.plan.ShardSize, sums: f.sums[first:first:last]}
	end := f.job.Size
	if last < int64(len(f.sums)) {
		end = last * f.plan.ShardSize
	}
	if err := w.stream(ctx, file, first*f.plan.ShardSize, end, []io.Writer{out}); err != nil {
		return err
	}
	out.finish() // into f.sums: the slice has the room
	return nil
}

// shardWriter digests what is written to it, and begins anew every size bytes; at size 0 it never does.
type shardWriter struct {
	hash   hash.Hash
	beside *Stream // gets the same bytes where hash is a SHA-256; nil is nobody
	size   int64   // bytes
	in     int64   // bytes of the current shard that were written
	sums   [][]byte
}

// with returns the sinks that make the shards' digests and those of streams, the costliest first. A stream rides along
// with the shards where they are SHA-256 as well.
func (s *shardWriter) with(streams []*Stream) []io.Writer {
	var sinks []io.Writer
	_, paired := s.hash.(*lanes.Digest)
	for _, stream := range streams {
		if paired && s.beside == nil {
			s.beside = stream
		} else {
			sinks = append(sinks, stream)
		}
	}
	if _, fast := s.hash.(*blake3.Hasher); fast {
		return append(sinks, s)
	}
	return append([]io.Writer{s}, sinks...)
}

// Write never errs.
func (s *shardWriter) Write(p []byte) (int, error) {
	n := len(p)
	for s.size > 0 && int64(len(p)) >= s.size-s.in {
		left := s.size - s.in
		s.add(p[:left])
		p = p[left:]
		s.cut()
	}
	s.add(p)
	s.in += int64(len(p))
	return n, nil
}

func (s *shardWriter) add(p []byte) {
	if s.beside == nil {
		s.hash.Write(p)
		return
	}
	s.beside.writeWith(s.hash.(*lanes.Digest), p)
}

func (s *shardWriter) cut() {
	s.sums = append(s.sums, s.hash.Sum(nil))
	s.hash.Reset()
	s.in = 0
}

// finish returns the digests, the last one of what is left. No bytes have one digest, but no shard.
func (s *shardWriter) finish() [][]byte {
	if s.size == 0 || s.in > 0 {
		s.cut()
	}
	return s.sums
}
