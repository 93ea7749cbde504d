package hashing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// TestFilesSpreadsBLAKE3OfOneFile has all workers in one file at once, whose digest is joined from parts, and its Check
// called once, at the end.
func TestFilesSpreadsBLAKE3OfOneFile(t *testing.T) {
	data := random(3*partSize + 12345)
	for name, mapped := range map[string]bool{"mapped": true, "read": false} {
		t.Run(name, func(t *testing.T) {
			if !mapped {
				withoutMapping(t)
			}
			for _, size := range []int{partSize - 1, partSize, partSize + 1, 2 * partSize, len(data)} {
				for _, workers := range []int{1, 3} {
					together := 1
					if size > partSize {
						together = min(workers, (size+partSize-1)/partSize)
					}
					m := newMeeting(together)
					j := writeFile(t, data[:size])
					var checks, read atomic.Int64
					j.Check = func(*os.File) error { checks.Add(1); return nil }
					h := Hasher{Plan: Plan{Algorithm: BLAKE3}, Workers: workers, Progress: func(n int64) { read.Add(n); m.attend() }}
					r, err := h.File(t.Context(), j)
					if err != nil || !sameResult(r, naive(h.Plan, data[:size])) {
						t.Errorf("%d bytes, %d workers: %v, or another digest than naive hashing", size, workers, err)
					}
					if checks.Load() != 1 || read.Load() != int64(size) {
						t.Errorf("%d bytes, %d workers: checked %d times, %d bytes read", size, workers, checks.Load(), read.Load())
					}
				}
			}
		})
	}
}

// TestFilesLeavesShardsToAnIdleCore: one core makes the digest of the whole and the other those of the shards.
func TestFilesLeavesShardsToAnIdleCore(t *testing.T) {
	if !lanes.Paired() {
		t.Skip("needs the SHA extensions")
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := Hasher{Plan: Plan{ShardSize: 1 << 30, SHA256: true}, Workers: 2, Progress: func(int64) {
		if workers, _ := atWork(); workers == 2 {
			cancel()
		}
		runtime.Gosched()
	}}
	if _, err := h.File(ctx, sparse(t, huge)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestFilesDividesWhereverACoreBecomesIdle takes up the shards at the file's beginning, in its middle and not at all.
func TestFilesDividesWhereverACoreBecomesIdle(t *testing.T) {
	data := random(4*windowSize + 12345)
	plan := Plan{ShardSize: 3*chunk - 1, SHA256: true}
	want := naive(plan, data)
	for _, workers := range []int{1, 2, 4} {
		for _, files := range []int{1, 2, 3} {
			var groups [][]Job
			var read, checks atomic.Int64
			for i := range files {
				j := writeFile(t, data[:len(data)-i])
				j.Check = func(*os.File) error { checks.Add(1); return nil }
				groups = append(groups, []Job{j})
			}
			h := Hasher{Plan: plan, Workers: workers, Progress: func(n int64) { read.Add(n) }}
			r, err := h.Files(t.Context(), groups)
			if err != nil || !sameResult(r[0][0], want) || !sameResult(r[files-1][0], naive(plan, data[:len(data)-files+1])) {
				t.Errorf("%d files, %d workers: %v, or other digests than naive hashing", files, workers, err)
			}
			total := int64(files*len(data) - files*(files-1)/2)
			if read.Load() != total || checks.Load() != int64(files) {
				t.Errorf("%d files, %d workers: %d bytes of %d read, %d checks", files, workers, read.Load(), total, checks.Load())
			}
		}
	}
}

// TestFilesWithHelpersEndsWithTheFault truncates a file while one core hashes it and others help.
func TestFilesWithHelpersEndsWithTheFault(t *testing.T) {
	data := random(4*windowSize + 100)
	for name, plan := range map[string]Plan{
		"whole": {}, "shards and whole": {ShardSize: windowSize, SHA256: true}, "shards": {ShardSize: windowSize}, "BLAKE3": {Algorithm: BLAKE3, ShardSize: windowSize},
	} {
		for _, cut := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", cut ", cut), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				j := writeFile(t, data)
				j.Name = "cut"
				path := pathOf(t, j)
				var once atomic.Bool
				h := Hasher{Plan: plan, Workers: 4, Progress: func(int64) {
					if cut && once.CompareAndSwap(false, true) {
						if err := os.Truncate(path, windowSize/2); err != nil {
							t.Error(err)
						}
					}
				}}
				r, err := h.File(t.Context(), j)
				if !cut {
					if err != nil || !sameResult(r, naive(plan, data)) {
						t.Errorf("without the fault: %v", err)
					}
					return
				}
				if !errors.Is(err, ErrChanged) || r.HasSHA256 || strings.Count(err.Error(), `hash "cut": `) != 1 {
					t.Errorf("got %v, %v", r, err)
				}
			})
		}
	}
}
