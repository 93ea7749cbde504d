package hashing

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// Tests in this file wait for a second goroutine where there must be one. If there is none they hang, and the test's
// own time limit shows where.

// huge is more than anybody hashes in a test.
const huge = 1 << 40

func TestFilesStopsSoonAfterCancel(t *testing.T) {
	plans := map[string]Plan{
		"whole":            {},
		"two digests":      {Algorithm: BLAKE3, SHA256: true},
		"shards":           {ShardSize: 1 << 30},
		"shards and whole": {ShardSize: 1 << 30, SHA256: true},
	}
	for name, plan := range plans {
		for _, workers := range []int{1, 2, 5} {
			t.Run(fmt.Sprintf("%s, %d workers", name, workers), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				why := errors.New("enough")
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				const enough = 8 << 20
				var read atomic.Int64
				h := Hasher{Plan: plan, Workers: workers, Progress: func(n int64) {
					if read.Add(n) >= enough {
						cancel(why)
					}
				}}
				j := sparse(t, huge)
				j.Name = "huge"
				r, err := h.Files(ctx, [][]Job{{j}, {j, j}})
				if !errors.Is(err, why) || r != nil || !strings.HasPrefix(err.Error(), `hash "huge": `) {
					t.Errorf("got %v, %v", r, err)
				}
				if over := read.Load() - enough; over < 0 || over > int64(workers)*2*chunk {
					t.Errorf("%d bytes were read after the end", over)
				}
			})
		}
	}
}

func TestFilesOpensNothingOnceCancelled(t *testing.T) {
	for _, plan := range []Plan{{}, {ShardSize: 1 << 30}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		j := sparse(t, huge)
		open, opened := j.Open, false
		j.Open = func() (*os.File, error) { opened = true; return open() }
		if _, err := (Hasher{Plan: plan, Workers: 1}).File(ctx, j); !errors.Is(err, context.Canceled) || opened {
			t.Errorf("%+v: error %v, opened %v", plan, err, opened)
		}
	}
}

// TestFilesReturnsTheCauseNotTheCancel has one file fail while the others are under way and fail only because of it.
func TestFilesReturnsTheCauseNotTheCancel(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var begun atomic.Int64
	bad := writeFile(t, random(10))
	bad.Name = "bad"
	begin := make(chan struct{})
	bad.Check = func(*os.File) error { <-begin; return os.ErrPermission }
	progress := func(n int64) {
		if begun.Add(n) > 4<<20 && begun.Load()-n <= 4<<20 {
			close(begin)
		}
	}
	big := sparse(t, huge)
	_, err := Hasher{Workers: 3, Progress: progress}.Files(t.Context(), [][]Job{{big}, {bad, big}, {bad}})
	if !errors.Is(err, os.ErrPermission) || err.Error() != `hash "bad": permission denied` {
		t.Errorf("got %v", err)
	}
}

// meeting makes its first n callers wait for each other.
type meeting struct {
	sync.WaitGroup
	left atomic.Int64
}

func newMeeting(n int) *meeting {
	m := &meeting{}
	m.Add(n)
	m.left.Store(int64(n))
	return m
}

func (m *meeting) attend() {
	if m.left.Add(-1) >= 0 {
		m.Done()
		m.Wait()
	}
}

func TestFilesHashesGroupsInParallel(t *testing.T) {
	const workers = 3
	m := newMeeting(workers)
	var groups [][]Job
	for range workers {
		groups = append(groups, []Job{writeFile(t, random(100))})
	}
	if _, err := (Hasher{Workers: workers, Progress: func(int64) { m.attend() }}).Files(t.Context(), groups); err != nil {
		t.Fatal(err)
	}
}

// TestFilesSpreadsShardsOfOneFile has all workers in one file at once, and its Check called once, at the end.
func TestFilesSpreadsShardsOfOneFile(t *testing.T) {
	for _, size := range []int64{takeAtOnce, takeAtOnce / 8} {
		const workers = 3
		m := newMeeting(workers)
		data := random(2*workers*takeAtOnce + 1)
		j := writeFile(t, data)
		var read, atCheck, checks atomic.Int64
		j.Check = func(*os.File) error { checks.Add(1); atCheck.Store(read.Load()); return nil }
		plan := Plan{Algorithm: BLAKE3, ShardSize: size}
		r, err := Hasher{Plan: plan, Workers: workers, Progress: func(n int64) { read.Add(n); m.attend() }}.File(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		if want := naive(plan, data); !sameResult(r, want) {
			t.Error("other digests than naive hashing")
		}
		if checks.Load() != 1 || atCheck.Load() != int64(len(data)) {
			t.Errorf("Check was called %d times, after %d bytes", checks.Load(), atCheck.Load())
		}
	}
}

// TestFilesKeepsFewFilesOpen has more files in shards than a process may have open: each is finished before the next.
func TestFilesKeepsFewFilesOpen(t *testing.T) {
	const workers = 2
	path := pathOf(t, sparse(t, takeAtOnce+1))
	var open, most atomic.Int64
	var groups [][]Job
	for range 50 {
		j := jobOf(path, takeAtOnce+1)
		open1 := j.Open
		j.Open = func() (*os.File, error) { raise(&most, open.Add(1)); return open1() }
		j.Check = func(*os.File) error { open.Add(-1); return nil }
		groups = append(groups, []Job{j})
	}
	if _, err := (Hasher{Plan: Plan{ShardSize: takeAtOnce}, Workers: workers}).Files(t.Context(), groups); err != nil {
		t.Fatal(err)
	}
	if most.Load() > lanes.Most*workers || most.Load() == 0 {
		t.Errorf("%d files were open at once, with %d workers of %d sides each at most", most.Load(), workers, lanes.Most)
	}
}

// TestManyWorkersKeepFewFilesOpenEach: however many cores there are, a process may have only so many files open.
func TestManyWorkersKeepFewFilesOpenEach(t *testing.T) {
	for workers := 1; workers <= maxWorkers; workers++ {
		if n := (Plan{}).sides(workers); n > 2 && n*workers > mostOpen {
			t.Errorf("%d workers have %d sides each", workers, n)
		}
	}
	if n := (Plan{}).sides(1); lanes.WideFrom() <= lanes.Most && n != lanes.Most {
		t.Errorf("one worker has %d sides", n)
	}
}

func raise(most *atomic.Int64, n int64) {
	for {
		m := most.Load()
		if n <= m || most.CompareAndSwap(m, n) {
			return
		}
	}
}

func TestFilesBeginsWithTheLargest(t *testing.T) {
	var order []int64
	var groups [][]Job
	for _, size := range []int{10, 3000, 200, 40000} {
		j := writeFile(t, random(size))
		open := j.Open
		j.Open = func() (*os.File, error) { order = append(order, j.Size); return open() }
		groups = append(groups, []Job{j})
	}
	if _, err := (Hasher{Workers: 1}).Files(t.Context(), groups); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(order) != "[40000 3000 200 10]" {
		t.Errorf("order was %v", order)
	}
}

// TestFileReadsAhead holds up the Tee until more was read: with cores to spare, reading goes on without it.
func TestFileReadsAhead(t *testing.T) {
	data := random(2 * worthwhile)
	j := writeFile(t, data)
	var read, calls atomic.Int64
	more := make(chan struct{})
	progress := func(n int64) {
		if read.Add(n) == 5*chunk {
			close(more)
		}
	}
	j.Tee = writerFunc(func(p []byte) (int, error) {
		// One sink gets a lane before each chunk, and Tee is the last of three: before, it is the reader who writes.
		if calls.Add(1) == 3 {
			<-more
		}
		return len(p), nil
	})
	plan := Plan{Algorithm: BLAKE2b, SHA256: true}
	r, err := Hasher{Plan: plan, Workers: 4, Progress: progress}.File(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if !sameResult(r, naive(plan, data)) {
		t.Error("other digests than naive hashing")
	}
}

// TestFilesReadsAheadForEachJobOfAGroup: the core that helped with one job is there for the next.
func TestFilesReadsAheadForEachJobOfAGroup(t *testing.T) {
	var group []Job
	for range 3 {
		j, left := writeFile(t, random(2*worthwhile)), int64(2*worthwhile)
		j.Tee = writerFunc(func(p []byte) (int, error) {
			// Only at the end is the lane sure to have begun: by then more went through than the slots hold.
			if left -= int64(len(p)); left == 0 {
				if workers, lanes := atWork(); workers != 1 || lanes != 1 {
					t.Errorf("%d workers and %d lanes, want one of each", workers, lanes)
				}
			}
			return len(p), nil
		})
		group = append(group, j)
	}
	if _, err := (Hasher{Workers: 2}).Files(t.Context(), [][]Job{group}); err != nil {
		t.Fatal(err)
	}
}

// TestFileReportsALaneThatFailsLast: nothing is read after the last chunk that could notice.
func TestFileReportsALaneThatFailsLast(t *testing.T) {
	j, left := writeFile(t, random(2*worthwhile)), int64(2*worthwhile)
	fault := errors.New("disk full")
	j.Tee = writerFunc(func(p []byte) (int, error) {
		if left -= int64(len(p)); left == 0 {
			return 0, fault
		}
		return len(p), nil
	})
	if r, err := (Hasher{Workers: 3}).File(t.Context(), j); !errors.Is(err, fault) || r.HasSHA256 {
		t.Errorf("got %v, %v", r, err)
	}
	j.Tee = nil
	if r, err := (Hasher{Workers: 3}).File(t.Context(), j); err != nil || !r.HasSHA256 {
		t.Errorf("without the fault: %v, %v", r, err)
	}
}

// TestFileOnOneCoreDoesNotReadAhead: with one worker there is one goroutine, so Tee has all that was read before.
func TestFileOnOneCoreDoesNotReadAhead(t *testing.T) {
	j := writeFile(t, random(2*worthwhile))
	var read, written, most int64 // no atomics: the race detector is part of this test
	j.Tee = writerFunc(func(p []byte) (int, error) {
		written += int64(len(p))
		most = max(most, written-read)
		return len(p), nil
	})
	if _, err := (Hasher{Workers: 1, Progress: func(n int64) { read += n }}).File(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if read != j.Size || written != j.Size || most != chunk {
		t.Errorf("read %d, written %d, at most %d apart; want all %d, and %d apart", read, written, most, j.Size, chunk)
	}
}

// TestFilesUsesACoreThatBecomesIdle has a large file begin while all workers are busy. When the small one is done, its
// core reads ahead for the large one, in the middle of it.
func TestFilesUsesACoreThatBecomesIdle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	small, large := writeFile(t, random(10)), sparse(t, huge)
	begun, smallIsOpen, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	open := small.Open
	small.Open = func() (*os.File, error) { close(smallIsOpen); return open() }
	small.Check = func(*os.File) error { <-begun; close(done); return nil }
	var seen bool
	var calls int
	large.Tee = writerFunc(func(p []byte) (int, error) {
		if calls++; calls == 1 {
			<-smallIsOpen
			if workers, lanes := atWork(); workers != 2 || lanes != 0 {
				t.Errorf("%d workers and %d lanes, want 2 and none", workers, lanes)
			}
			close(begun)
			<-done
		}
		runtime.Gosched()
		return len(p), nil
	})
	progress := func(int64) {
		select {
		case <-done:
		default:
			return
		}
		// The digest is the first to get a lane, so that this and Tee are still called by the reader.
		if _, lanes := atWork(); lanes == 1 {
			seen = true
			cancel()
		}
	}
	_, err := Hasher{Workers: 2, Progress: progress}.Files(ctx, [][]Job{{large}, {small}})
	if !errors.Is(err, context.Canceled) || !seen {
		t.Errorf("no lane was begun (%v)", err)
	}
}

// atWork counts the goroutines of this package, by their stacks.
func atWork() (workers, lanes int) {
	stacks := make([]byte, 1<<18)
	all := string(stacks[:runtime.Stack(stacks, true)])
	return strings.Count(all, "(*schedule).work("), strings.Count(all, "(*lane).run(")
}

// TestFilesKeepsToItsWorkers counts, in the Tee of every file, how many goroutines are at work at once.
func TestFilesKeepsToItsWorkers(t *testing.T) {
	for _, workers := range []int{1, 2, 4} {
		var most atomic.Int64
		var groups [][]Job
		want := sha256.Sum256(random(worthwhile))
		for range 8 {
			j := writeFile(t, random(worthwhile))
			j.Tee = writerFunc(func(p []byte) (int, error) {
				workers, lanes := atWork()
				raise(&most, int64(workers+lanes))
				return len(p), nil
			})
			groups = append(groups, []Job{j})
		}
		r, err := Hasher{Plan: Plan{Algorithm: BLAKE3, SHA256: true}, Workers: workers}.Files(t.Context(), groups)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range r {
			if g[0].SHA256 != want {
				t.Error("other digest than naive hashing")
			}
		}
		if n := most.Load(); n != int64(workers) {
			t.Errorf("at most %d goroutines at once, with %d workers", n, workers)
		}
	}
}
