package hashing

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// schedule hands out the work of one call of Files. Three rules keep every core busy and none oversubscribed:
//
//   - A worker takes the largest group that nobody has begun, so that no large one is left for the end.
//   - When all are begun, it joins a file that is hashed by shards and has some left.
//   - When there are none either, it stops and leaves its core to the others, as a token in idle. Whoever is in several files
//     takes a token to give some away (see worker.share); whoever is in a long one, to read ahead (see worker.stream,
//     stretch.help) or to make its shards (see division).
type schedule struct {
	plan     Plan
	progress func(int64)
	groups   [][]Job
	results  [][]Result
	idle     chan struct{} // a token for each of the allowed goroutines that does not run

	stop context.CancelFunc // ends the work that is under way

	running sync.WaitGroup // the workers

	mu      sync.Mutex
	hungry  int          // workers that have nothing to do yet
	waiting []int        // indexes of groups that nobody has begun; the largest is last
	sharded []*shardFile // files whose shards several workers may take
	err     error        // the first; once it is set, no more work is handed out
}

func newSchedule(h Hasher, groups [][]Job, limit int, stop context.CancelFunc) *schedule {
	s := &schedule{
		plan: h.Plan, progress: h.Progress, stop: stop,
		groups: groups, results: make([][]Result, len(groups)),
		idle: make(chan struct{}, limit), waiting: make([]int, len(groups)),
	}
	sizes := make([]int64, len(groups))
	for i, g := range groups {
		s.waiting[i], s.results[i] = i, make([]Result, len(g))
		for _, j := range g {
			sizes[i] += j.Size
		}
	}
	slices.SortStableFunc(s.waiting, func(a, b int) int { return cmp.Compare(sizes[a], sizes[b]) })
	return s
}

// run works until nothing is left, with at most limit goroutines, and returns the first error.
func (s *schedule) run(ctx context.Context, limit int) error {
	workers := s.useful(limit)
	s.hungry = workers
	for range limit - workers {
		s.idle <- struct{}{}
	}
	for range workers {
		s.running.Go(func() {
			s.work(ctx)
			s.idle <- struct{}{}
		})
	}
	s.running.Wait()
	return s.err
}

// useful returns how many workers can find something to do from the start, at most limit.
func (s *schedule) useful(limit int) int {
	n := 0
	for i, g := range s.groups {
		if n >= limit {
			return limit
		}
		n++
		if p, ok := s.spreads(i); ok {
			n += int(min(int64(limit), p.shards(g[0].Size)/p.shardsAtOnce()))
		}
	}
	return min(n, limit)
}

// work is the life of one worker.
func (s *schedule) work(ctx context.Context) {
	w := worker{plan: s.plan, progress: s.progress, idle: s.idle}
	defer w.release()
	if n := s.plan.sides(cap(s.idle)); n > 0 {
		w.sides(ctx, s, n, nil)
		return
	}
	for {
		group, shards, ok := s.next(&w, false)
		if !ok {
			return
		}
		var err error
		if shards != nil {
			err = w.shards(ctx, shards)
		} else {
			err = w.group(ctx, s.groups[group], s.results[group])
		}
		if err != nil {
			s.fail(err)
		}
	}
}

// next returns a group that nobody has begun, or a file to take shards of; neither if there is nothing to do. A worker that
// asks for more than it has leaves to each that has nothing yet its first.
func (s *schedule) next(w *worker, more bool) (group int, shards *shardFile, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || more && s.left() <= int64(s.hungry) {
		return 0, nil, false
	}
	if !more && w.fed { // it has nothing any more
		s.hungry++
	}
	defer func() {
		if !more && ok {
			s.hungry--
		}
		w.fed = more || ok
	}()
	if last := len(s.waiting) - 1; last >= 0 {
		group, s.waiting = s.waiting[last], s.waiting[:last]
		p, ok := s.spreads(group)
		if !ok {
			return group, nil, true
		}
		// It is published under the same lock under which it was taken: a worker that comes next finds it.
		f := newShardFile(p, s.groups[group][0], &s.results[group][0])
		s.sharded = append(s.sharded, f)
		return group, f, true
	}
	for len(s.sharded) > 0 {
		if f := s.sharded[0]; f.join() {
			return 0, f, true
		}
		s.sharded = s.sharded[1:]
	}
	return 0, nil, false
}

// expect announces one more worker, before it begins.
func (s *schedule) expect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hungry++
}

// left returns how many times next can hand something out, at least, as far as s.hungry has to know.
func (s *schedule) left() int64 {
	n := int64(len(s.waiting))
	for _, f := range s.sharded {
		if n > int64(s.hungry) {
			break
		}
		n += f.left()
	}
	return n
}

// plenty reports whether a worker that has so many lanes filled will come to as many as pay side by side, if all workers take
// what is left in turn.
func (s *schedule) plenty(held int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := int64(len(s.waiting))
	for _, f := range s.sharded {
		n += f.left()
	}
	return int64(held)+n/int64(max(1, cap(s.idle))) >= int64(lanes.WideFrom())
}

// spreads reports whether several workers may share the file of a group, and by which plan: nothing about it has to happen
// in order, and it has more shards than one of them takes at once. Where BLAKE3 of the whole is wanted, the shards are parts
// of its tree.
func (s *schedule) spreads(group int) (p Plan, ok bool) {
	g := s.groups[group]
	if p = s.plan; p.SHA256 || len(g) != 1 || g[0].Tee != nil || g[0].Stream != nil {
		return p, false
	}
	if p.ShardSize == 0 && p.Algorithm == BLAKE3 {
		p.ShardSize, p.parts = partSize, true
	}
	return p, p.ShardSize > 0 && p.shards(g[0].Size) > p.shardsAtOnce()
}

// fail keeps the first error and stops all work. Those that follow from stopping come later and are dropped, so the
// caller gets the cause and not "context canceled".
func (s *schedule) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.stop()
}

// failed is the first error so far; nil: none. Others may still be at work.
func (s *schedule) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
