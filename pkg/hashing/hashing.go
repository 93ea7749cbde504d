// Package hashing turns files into digests at the machine's speed. Files are hashed in parallel, and for SHA-256 two to
// sixteen at a time on each core where it has the instructions (package lanes); BLAKE3 of one large file on all cores (package
// blake3). Cores that find no file of their own read ahead, or hash beside, for those that are still at work. Every byte is
// read once, but where shards and the whole are wanted: two cores may read it then, each for one of them. Large files are
// mapped on Linux: what happens to them meanwhile is an error like any other.
//
// Start with [Hasher.Files] for many files and [Hasher.File] for one. A [Plan] says which digests are wanted, a [Job] is
// one file, a [Result] its digests.
//
// The package reads the bytes of the files that its caller's [Job.Open] returns, and writes none. It knows nothing of
// directories, manifests or registries.
package hashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
)

// ErrChanged says that a file did not hold exactly as many bytes as its job said.
var ErrChanged = errors.New("changed while it was read")

// MaxShards is how many shards one call computes, beyond the first of each file. A shard size may come from a bundle,
// that is from outside, and each shard costs memory: without a limit, shards of one byte would take all there is.
const MaxShards = 1 << 20

// maxWorkers is above what any machine has use for, and below what would do harm.
const maxWorkers = 1024

// Plan says which digests of each file are wanted. The zero Plan wants the SHA-256 of the whole file.
type Plan struct {
	// Algorithm is that of Result.Sums. Empty means SHA256.
	Algorithm Algorithm

	// ShardSize is in bytes. Above 0, Result.Sums has one digest for each ShardSize bytes and one for what is left, so
	// none for an empty file (OMS §6.3.2). At 0 it has exactly one, of the whole file. Below 0 is an error.
	ShardSize int64

	// SHA256 asks for the SHA-256 of the whole file as well, from the same pass over the bytes. Where Sums holds it
	// anyway, with SHA256 and ShardSize 0, it is given without asking.
	SHA256 bool

	parts bool // the shards are parts of one BLAKE3: see schedule.spreads
}

// Job is one file to hash.
type Job struct {
	// Name stands for the file in errors.
	Name string

	// Size is the exact number of bytes. A file that has fewer or more is ErrChanged.
	Size int64

	// Open returns the file, which must be one that can be read at any offset; its current offset does not matter. It
	// is called at most once, by the goroutine that hashes, and the file is closed before Files returns.
	Open func() (*os.File, error)

	// Check is called after the last byte was read and before the file is closed; its error is the job's. nil checks
	// nothing beyond the size.
	Check func(*os.File) error

	// Stream gets every byte, in order and once, like Tee; beside a SHA-256 of the file it costs next to nothing. nil is
	// nobody.
	Stream *Stream

	// Tee gets every byte, in order and once. It must not retain what it is given. nil is nobody.
	Tee io.Writer
}

// Result holds the digests of one file.
type Result struct {
	SHA256    Sum      // of the whole file, if HasSHA256
	HasSHA256 bool     // false: SHA256 was not computed, and is zero
	Sums      [][]byte // as Plan.Algorithm and Plan.ShardSize say, in the file's order
}

// Hasher hashes files. The zero Hasher computes whole-file SHA-256 on all cores. It holds no state: several goroutines
// may use one.
type Hasher struct {
	Plan Plan

	// Workers is how many goroutines read and hash at the same time, all told. 0 and below mean GOMAXPROCS; no more than
	// 1024 are used. Memory for buffers is in proportion to it: at most 5 MiB a worker. Files
	// that are mapped, 8 MiB of each at once, are the page cache's memory.
	Workers int

	// Progress is told how many bytes were read since it was last called: an increment, from several goroutines at
	// once. It should be quick. nil is nobody.
	Progress func(bytes int64)
}

// File returns the digests of one file, on as many cores as it can use. It errs as Files does.
func (h Hasher) File(ctx context.Context, j Job) (Result, error) {
	results, err := h.Files(ctx, [][]Job{{j}})
	if err != nil {
		return Result{}, err
	}
	return results[0][0], nil
}

// Files hashes groups of files and returns the results at the indexes of the jobs. The jobs of one group are done in
// order, one after the other, so they may share a Stream or a Tee. Groups are done in parallel, the largest first.
//
// The first error stops everything: Files waits for the work that is under way, and returns that error with the name of
// its job and no results. It wraps ErrChanged, what Open, Check, Tee or the system returned, or the cause for which ctx
// was cancelled. A cancelled ctx is noticed after at most a few chunks of each file, but a call of Open, Check, Tee or the
// system that hangs is waited for. No groups give no results and no
// error: whether there must be something to hash is for the caller to say.
func (h Hasher) Files(ctx context.Context, groups [][]Job) ([][]Result, error) {
	if err := h.Plan.check(groups); err != nil {
		return nil, err
	}
	limit := h.Workers
	if limit <= 0 {
		limit = runtime.GOMAXPROCS(0)
	}
	limit = min(limit, maxWorkers)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := newSchedule(h, groups, limit, stop)
	if err := s.run(ctx, limit); err != nil {
		return nil, err
	}
	if err := h.Plan.complete(groups, s.results); err != nil {
		return nil, err
	}
	return s.results, nil
}

// complete holds the results to the plan. Several cores make a file's digests; should one of them ever be forgotten, that must
// not look like a digest.
func (p Plan) complete(groups [][]Job, results [][]Result) error {
	for g, jobs := range groups {
		for i, j := range jobs {
			r := &results[g][i]
			missing := int64(len(r.Sums)) != p.shards(j.Size) || (p.SHA256 || p.sumsAreSHA256()) && !r.HasSHA256
			if missing || slices.ContainsFunc(r.Sums, func(sum []byte) bool { return sum == nil }) {
				return fmt.Errorf("hash %q: not every digest was made", j.Name)
			}
		}
	}
	return nil
}

// check refuses what cannot be hashed before anything is opened.
func (p Plan) check(groups [][]Job) error {
	if p.ShardSize < 0 {
		return fmt.Errorf("hash files: shard size %d is below 0", p.ShardSize)
	}
	if _, err := p.Algorithm.New(); err != nil {
		return fmt.Errorf("hash files: %w", err)
	}
	var shards int64
	for _, g := range groups {
		for _, j := range g {
			if j.Size < 0 {
				return fmt.Errorf("hash %q: size %d is below 0", j.Name, j.Size)
			}
			if j.Open == nil {
				return fmt.Errorf("hash %q: the job cannot open its file", j.Name)
			}
			// Each addend is compared before it is added: the sum of two sizes from outside could overflow.
			extra := max(0, p.shards(j.Size)-1)
			if extra > MaxShards-shards {
				return fmt.Errorf("hash %q: shards of %d bytes are more than %d", j.Name, p.ShardSize, MaxShards)
			}
			shards += extra
		}
	}
	return nil
}

// shards returns how many shards a file of size bytes has.
func (p Plan) shards(size int64) int64 {
	if p.ShardSize == 0 {
		return 1
	}
	n := size / p.ShardSize
	if size%p.ShardSize > 0 {
		n++
	}
	return n
}

// sumsAreSHA256 reports whether Result.Sums holds the SHA-256 of the whole file.
func (p Plan) sumsAreSHA256() bool {
	return p.ShardSize == 0 && (p.Algorithm == SHA256 || p.Algorithm == "")
}
