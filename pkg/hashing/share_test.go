package hashing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestShareGivesHalfOfWhatIsLeft begins files on one worker, has a core become idle, and lets both come to the end.
func TestShareGivesHalfOfWhatIsLeft(t *testing.T) {
	const large = 2 * worthwhile
	for name, c := range map[string]struct {
		sizes []int64 // of one group each; below 0: one of many small files that are so much together
		idle  int     // cores
		given int
	}{
		"two":                   {[]int64{large, large}, 1, 1},
		"three":                 {[]int64{large, large, large}, 1, 1},
		"no core":               {[]int64{large, large}, 0, 0},
		"one":                   {[]int64{large}, 1, 0},
		"too little":            {[]int64{worthwhile - 1, worthwhile - 1}, 1, 0},
		"enough":                {[]int64{worthwhile, worthwhile}, 1, 1},
		"small files":           {[]int64{-large, -large}, 1, 1},
		"too few small files":   {[]int64{-worthwhile / 2, -worthwhile / 2}, 1, 0},
		"only one is large":     {[]int64{large, 1000}, 1, 1},
		"nothing that is large": {[]int64{1000, 1000}, 1, 0},
	} {
		for _, mapped := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, mapped %v", name, mapped), func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				if !mapped {
					withoutMapping(t)
				}
				data := random(large)
				var groups [][]Job
				var streams []*Stream
				for _, size := range c.sizes {
					var jobs []Job
					s := NewStream()
					for i := int64(0); i < -size; i += 100_000 {
						j := writeFile(t, data[i:min(i+100_000, -size)])
						j.Stream = s
						jobs = append(jobs, j)
					}
					if size > 0 {
						jobs = []Job{writeFile(t, data[:size])}
					}
					groups, streams = append(groups, jobs), append(streams, s)
				}
				const cores = 2
				s := newSchedule(Hasher{}, groups, cores, func() { t.Error("stopped") })
				w := worker{idle: s.idle}
				defer w.release()
				all := make([]side, few)
				for range 2 * few {
					w.pieces = append(w.pieces, make([]byte, pieceSize))
				}
				for range c.sizes {
					if _, err := w.fill(t.Context(), s, all); err != nil {
						t.Fatal(err)
					}
				}
				for i := range all { // small files are given between one and the next
					if d := &all[i]; d.run != nil && d.read && len(d.work.jobs) > 0 {
						for len(d.data) > 0 {
							if err := w.alone(t.Context(), d.run); err != nil {
								t.Fatal(err)
							}
						}
						if err := d.settle(nil); err != nil {
							t.Fatal(err)
						}
					}
				}
				for range c.idle {
					s.idle <- struct{}{}
				}
				busy := func() (n int) {
					for i := range all {
						if all[i].run != nil || all[i].work.given {
							n++
						}
					}
					return n
				}
				begun := busy() // not all where more lanes than two gain nothing
				w.share(t.Context(), s, all)
				if left := busy(); begun == 0 || left != begun-min(c.given, begun/2) {
					t.Errorf("%d of %d are left, %d were to be given", left, begun, c.given)
				}
				w.pieces = nil
				w.sides(t.Context(), s, few, all)
				s.running.Wait()
				if err := s.failed(); err != nil || len(s.idle) != c.idle {
					t.Fatalf("%v, and %d cores are idle", err, len(s.idle))
				}
				for g, size := range c.sizes {
					at := int64(0)
					for i, j := range groups[g] {
						if want := naive(Plan{}, data[at:at+j.Size]); !sameResult(s.results[g][i], want) {
							t.Errorf("file %d of group %d: %v, want %v", i, g, s.results[g][i], want)
						}
						at += j.Size
					}
					if size < 0 && streams[g].Sum() != sha256.Sum256(data[:-size]) {
						t.Errorf("stream %d got other bytes", g)
					}
				}
			})
		}
	}
}

// TestFilesThatAreOneTooManyForTheCores end on all of them.
func TestFilesThatAreOneTooManyForTheCores(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	data := random(4 * worthwhile)
	for workers := 1; workers <= 4; workers++ {
		var groups [][]Job
		for i := range 2*workers + 1 {
			groups = append(groups, []Job{writeFile(t, data[i:])})
		}
		for _, plan := range []Plan{{}, {ShardSize: worthwhile}, {ShardSize: worthwhile, SHA256: true}} {
			got, err := Hasher{Plan: plan, Workers: workers}.Files(t.Context(), groups)
			if err != nil {
				t.Fatal(err)
			}
			for g := range got {
				if want := naive(plan, data[g:]); !sameResult(got[g][0], want) {
					t.Errorf("%d workers, %+v: file %d: %v, want %v", workers, plan, g, got[g][0], want)
				}
			}
		}
	}
}

// TestShardsBesideTheWholeAreAllThere has cores that help a division give shares to each other.
func TestShardsBesideTheWholeAreAllThere(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	data := random(32 * worthwhile)
	plan := Plan{ShardSize: 2*worthwhile + 1, SHA256: true}
	j, want := writeFile(t, data), naive(plan, data)
	for range 20 {
		got, err := Hasher{Plan: plan, Workers: 8}.File(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		if !sameResult(got, want) {
			t.Fatal("other digests than naive hashing")
		}
	}
}

// TestJoinWaitsForEveryCore, also for one that got its shards from another: it counts itself where those are counted.
func TestJoinWaitsForEveryCore(t *testing.T) {
	ended := errors.New("ended early")
	d := &division{sums: &digests{planned: new(shardWriter)}, rest: new(shardFile), shared: new(schedule)}
	var done atomic.Bool
	d.shared.running.Go(func() {
		time.Sleep(50 * time.Millisecond) // long enough to be seen missing
		done.Store(true)
	})
	if err := d.join(t.Context(), ended); !errors.Is(err, ended) {
		t.Errorf("got %v", err)
	}
	if !done.Load() {
		t.Error("a core is still at work")
	}
}
