package hashing

import "context"

// share gives half of what a worker has under way to a core that is idle, if there is one: when nothing is left that nobody
// has begun, one core with several lanes and one with none would both be slower than they can be.
func (w *worker) share(ctx context.Context, s *schedule, all []side) {
	if len(s.idle) == 0 {
		return
	}
	busy := 0
	var can []*side
	for i := range all {
		d := &all[i]
		if d.run == nil && !d.work.given {
			continue
		}
		busy++
		if d.movable() {
			can = append(can, d)
		}
	}
	can = can[:min(len(can), busy/2)]
	if len(can) == 0 || !w.takeCore() {
		return
	}
	given := make([]side, len(can))
	for i, d := range can {
		if d.work.buffer != nil {
			w.pieces = append(w.pieces, d.work.buffer)
			d.work.buffer = nil
		}
		given[i], *d = *d, side{}
	}
	s.running.Go(func() {
		taker := worker{plan: w.plan, progress: w.progress, idle: w.idle, fed: true}
		defer func() { s.idle <- struct{}{} }()
		defer taker.release()
		taker.sides(ctx, s, len(all), given)
	})
}

// movable reports whether another worker can go on with d: nothing of it is in this one's buffers or hands, and enough is left
// for that to pay.
func (d *side) movable() bool {
	if d.run == nil {
		return d.work.shards == nil && d.work.left(worthwhile) >= worthwhile
	}
	r := d.run
	if r.read || r.part != nil || r.helper != nil || len(r.data) > 0 {
		return false
	}
	left := r.stop - r.at
	return left >= worthwhile || left+d.work.left(worthwhile-left) >= worthwhile
}

// left returns how many bytes the jobs that are left have, counted until there are enough.
func (g *assignment) left(enough int64) (n int64) {
	for _, j := range g.jobs {
		if n += j.Size; n >= enough {
			break
		}
	}
	return n
}
