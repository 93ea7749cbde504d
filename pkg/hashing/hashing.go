// Package hashing turns files into digests at the machine's speed: files in parallel, the reading of a large one
// overlapped with its hashing, every byte read once.
//
// Start with [Hasher.Files] for many files and [Hasher.File] for one. A [Plan] says which digests are wanted; a [Job]
// is one file. The package opens nothing by itself and writes nothing.
package hashing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
)

// ErrChanged says that a file had more or fewer bytes than it was listed with, or was otherwise not what was listed.
var ErrChanged = errors.New("changed while it was read")

// Plan says which digests are computed of each file.
type Plan struct {
	Algorithm Algorithm // of Result.Sums; "" means SHA256
	ShardSize int64     // in bytes. Above 0: Sums has a digest per shard, none for an empty file; 0: one of the whole file
	SHA256    bool      // the whole file's SHA-256 too, in the same pass; free where it is what Sums holds anyway
}

func (p Plan) check() error {
	if p.ShardSize < 0 {
		return fmt.Errorf("shard size %d: it is a number of bytes above 0", p.ShardSize)
	}
	_, err := p.Algorithm.New()
	return err
}

// plain reports whether Sums holds the whole-file SHA-256 itself.
func (p Plan) plain() bool { return p.ShardSize == 0 && (p.Algorithm == "" || p.Algorithm == SHA256) }

// Job is one file.
type Job struct {
	Name  string                   // for errors
	Size  int64                    // exact, in bytes: any other number is ErrChanged
	Open  func() (*os.File, error) // called by the worker
	Check func(*os.File) error     // called after the last byte, before the file is closed; nil: nothing to check
	Tee   io.Writer                // gets every byte in order; nil: nobody
}

// Result is the digests of one file.
type Result struct {
	SHA256    Sum
	HasSHA256 bool
	Sums      [][]byte
}

// Hasher computes digests. The zero Hasher computes whole-file SHA-256 on every core. It may be used by several
// goroutines.
type Hasher struct {
	Plan     Plan
	Workers  int               // 0: as many as Go may use cores
	Progress func(bytes int64) // gets how many bytes more are done, from several goroutines at once; nil: nobody
}

// File hashes one file. Its errors name the file and wrap ErrChanged, ctx's cause or what Open, Check or Tee returned.
func (h Hasher) File(ctx context.Context, j Job) (Result, error) {
	r, err := h.Files(ctx, [][]Job{{j}})
	if err != nil {
		return Result{}, err
	}
	return r[0][0], nil
}

// Files hashes groups of files and returns their results at the same indexes. The jobs of a group are done in order by
// one worker, so they may share a Tee; groups are done in parallel, the largest first. The first error ends everything
// and is returned once every worker has stopped.
func (h Hasher) Files(ctx context.Context, groups [][]Job) ([][]Result, error) {
	if err := h.Plan.check(); err != nil {
		return nil, err
	}
	workers := h.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	results := make([][]Result, len(groups))
	var tasks []task
	for i, g := range groups {
		results[i] = make([]Result, len(g))
		tasks = append(tasks, h.split(g, results[i], workers)...)
	}
	slices.SortStableFunc(tasks, func(a, b task) int { return cmp.Compare(b.size, a.size) })
	return results, h.run(ctx, tasks, workers)
}

// task is what one worker does without stopping: a group, or some of the shards of a file.
type task struct {
	size int64
	run  func(*worker) error
}

// split makes tasks of a group: one, or for a large file of which only shards are wanted, one a shard.
func (h Hasher) split(group []Job, results []Result, workers int) []task {
	if len(group) == 1 && group[0].Tee == nil && h.Plan.ShardSize > 0 && !h.Plan.SHA256 && group[0].Size > h.Plan.ShardSize && workers > 1 {
		return h.splitShards(group[0], &results[0])
	}
	var size int64
	for _, j := range group {
		size += j.Size
	}
	return []task{{size: size, run: func(w *worker) error {
		for i, j := range group {
			r, err := w.file(j)
			if err != nil {
				return fmt.Errorf("hash %q: %w", j.Name, err)
			}
			results[i] = r
		}
		return nil
	}}}
}

// splitShards spreads the shards of one file over the workers. The file is opened by the first and closed by the last.
func (h Hasher) splitShards(j Job, result *Result) []task {
	n := int((j.Size + h.Plan.ShardSize - 1) / h.Plan.ShardSize)
	result.Sums = make([][]byte, n)
	shared := &sharedFile{job: j, left: n}
	tasks := make([]task, n)
	for i := range tasks {
		start := int64(i) * h.Plan.ShardSize
		end := min(start+h.Plan.ShardSize, j.Size)
		tasks[i] = task{size: end - start, run: func(w *worker) error {
			f, err := shared.open()
			if err == nil {
				result.Sums[i], err = w.shard(f, start, end)
			}
			if err = shared.done(err); err != nil {
				return fmt.Errorf("hash %q: %w", j.Name, err)
			}
			return nil
		}}
	}
	return tasks
}

// sharedFile is one open file that several workers read.
type sharedFile struct {
	job  Job
	mu   sync.Mutex
	file *os.File
	err  error
	left int
}

func (s *sharedFile) open() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil && s.err == nil {
		s.file, s.err = s.job.Open()
	}
	return s.file, s.err
}

// done counts one shard as finished. With the last one the file is checked, if every shard was read, and closed.
func (s *sharedFile) done(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left--
	if s.err == nil {
		s.err = err
	}
	if s.left > 0 || s.file == nil {
		return err
	}
	if s.err == nil {
		err = atEnd(s.file, s.job)
	}
	return errors.Join(err, s.file.Close())
}

// run has workers take tasks from one queue. After an error the tasks that are left only clean up.
func (h Hasher) run(ctx context.Context, tasks []task, workers int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan task, len(tasks))
	for _, t := range tasks {
		queue <- t
	}
	close(queue)
	var running sync.WaitGroup
	for range min(workers, len(tasks)) {
		running.Go(func() {
			w := worker{ctx: ctx, plan: h.Plan, progress: h.Progress}
			for t := range queue {
				// A core that finds no task of its own is better spent reading ahead for the last ones.
				w.ahead = workers > 1 && len(queue) == 0
				if err := t.run(&w); err != nil {
					cancel(err) // the first error is the cause; those that follow from it are dropped
				}
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}
