package hashing

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/hashing/blake3"
)

// takeAtOnce is how many bytes of small shards a worker takes at once, so that taking them costs nothing.
const takeAtOnce = 4 << 20

// partSize is how many bytes of a file that several workers hash by BLAKE3 one of them takes: whole windows, and a part of
// the tree (package blake3).
const partSize = 2 * windowSize

// shardsAtOnce returns how many shards a worker takes at once: one, or several small ones.
func (p Plan) shardsAtOnce() int64 { return max(1, takeAtOnce/p.ShardSize) }

// shardFile is one file whose shards several workers hash. The worker that began it takes shards until none is left, so
// the others may come, but need not.
type shardFile struct {
	job  Job
	plan Plan
	sums [][]byte                 // each worker writes those of the shards it took
	r    *Result                  // the last worker writes it
	open func() (*os.File, error) // opens with the first call, and returns the same to all

	mu     sync.Mutex
	file   *os.File // once it is open
	taken  int64    // shards
	users  int      // workers that have not left; the last one closes the file
	failed bool     // no more shards are given out, and the file is not checked
}

// newShardFile returns the file of a job with its first user in it.
func newShardFile(p Plan, j Job, r *Result) *shardFile {
	f := &shardFile{job: j, plan: p, sums: make([][]byte, p.shards(j.Size)), r: r, users: 1}
	f.open = sync.OnceValues(func() (*os.File, error) {
		file, err := j.Open()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.file = file
		return file, err
	})
	return f
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
func (f *shardFile) leave(err error) error {
	f.mu.Lock()
	f.failed = f.failed || err != nil
	f.users--
	file, last, whole := f.file, f.users == 0, !f.failed
	f.mu.Unlock()
	if !last || file == nil {
		return err
	}
	if whole {
		if err = atEnd(file, f.job); err == nil {
			err = f.finish()
		}
	}
	file.Close() // nothing was written: an error here takes nothing from what was read
	return err
}

// finish makes the result of the shards' digests.
func (f *shardFile) finish() error {
	if !f.plan.parts {
		f.r.Sums = f.sums
		return nil
	}
	sum, err := blake3.Join(f.sums)
	f.r.Sums = [][]byte{sum}
	return err
}

// shards takes shards of f until none is left.
func (w *worker) shards(ctx context.Context, f *shardFile) error {
	file, err := w.open(ctx, f.open)
	if err != nil {
		return fmt.Errorf("hash %q: %w", f.job.Name, f.leave(err))
	}
	for {
		first, last := f.take()
		if first == last {
			break
		}
		if err := w.someShards(ctx, file, f, first, last); err != nil {
			return f.leave(err) // which names the file
		}
	}
	if err := f.leave(nil); err != nil {
		return fmt.Errorf("hash %q: %w", f.job.Name, err)
	}
	return nil
}

// end returns the offset of the byte after those of the shards up to last.
func (f *shardFile) end(last int64) int64 {
	if last < int64(len(f.sums)) {
		return last * f.plan.ShardSize
	}
	return f.job.Size
}

// left returns how many times something can still be taken.
func (f *shardFile) left() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return (int64(len(f.sums)) - f.taken + f.plan.shardsAtOnce() - 1) / f.plan.shardsAtOnce()
}

// someShards computes the digests of the shards from first up to last in one pass.
func (w *worker) someShards(ctx context.Context, file *os.File, f *shardFile, first, last int64) error {
	r, err := f.run(file, first, last, w.slot(ahead).data[:])
	if err != nil {
		return err
	}
	for !r.over() {
		if err := w.alone(ctx, r); err != nil {
			_ = r.close(err) // err is what counts
			return err
		}
	}
	return r.close(nil)
}

// run returns the run that computes the digests of the shards from first up to last.
func (f *shardFile) run(file *os.File, first, last int64, buffer []byte) (*run, error) {
	at := first * f.plan.ShardSize
	h, err := f.plan.Algorithm.New()
	if f.plan.parts {
		h = blake3.NewPart(at)
	}
	if err != nil {
		return nil, err
	}
	out := &shardWriter{hash: h, size: f.plan.ShardSize, sums: f.sums[first:first:last]}
	r := &run{name: f.job.Name, out: out, stretch: stretch{file: file, at: at, stop: f.end(last), buffer: buffer}}
	r.end = func(err error) error {
		if err == nil {
			out.finish() // into f.sums: the slice has the room
		}
		return err
	}
	return r, nil
}
