package hashing

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// pairs reports whether a worker hashes two files at a time for this plan: see package lanes.
func (p Plan) pairs() bool { return lanes.Paired() && (p.Algorithm == SHA256 || p.Algorithm == "") }

// run is a stretch of one file on its way into digests, and how it ends.
type run struct {
	stretch
	name string
	out  *shardWriter
	data []byte            // what is here and was not hashed
	end  func(error) error // called once: with nil after the last byte, else with what went wrong
	part *division         // how the run can be made smaller; nil: it cannot
}

// over reports whether everything of r was hashed.
func (r *run) over() bool { return len(r.data) == 0 && r.at == r.stop }

// wide reports whether r keeps a core busy on its own: its bytes go into two digests already.
func (r *run) wide() bool { return r.out.beside != nil }

// side is one of the two places of a worker: what it was given, and the run that it is in.
type side struct {
	work assignment
	*run
}

// pairs does what the schedule hands out, two runs at a time where there are two, each in its own pace: when one ends, the
// next takes its place beside the one that goes on.
func (w *worker) pairs(ctx context.Context, s *schedule) {
	var sides [2]side
	for i := range sides {
		sides[i].work.buffer = w.slot(ahead + i).data[:]
	}
	for {
		a, b := &sides[0], &sides[1]
		err := a.refill(ctx, w, s, b)
		if err == nil && (a.run == nil || !a.wide()) {
			err = b.refill(ctx, w, s, a)
		}
		switch {
		case err != nil:
		case a.run == nil && b.run == nil:
			return
		case b.run == nil || a.run != nil && a.wide():
			err = w.alone(ctx, a.run)
		case a.run == nil || b.wide():
			err = w.alone(ctx, b.run)
		default:
			err = w.both(ctx, a.run, b.run)
		}
		if err != nil {
			s.fail(err)
		}
		for i := range sides {
			if failed := sides[i].settle(err); failed != nil {
				s.fail(failed)
			}
		}
	}
}

// refill finds something to do for a side that has nothing; without a run afterwards, there is nothing now.
func (d *side) refill(ctx context.Context, w *worker, s *schedule, other *side) error {
	for d.run == nil {
		if !d.work.given {
			group, shards, ok := s.next(w, other.run != nil)
			if !ok {
				return nil
			}
			d.work.give(s, group, shards)
		}
		r, err := d.work.next(ctx, w, s)
		if err != nil {
			return err
		}
		d.run = r
	}
	return nil
}

// settle ends a run that is over, or all that the side has if there was an error, and returns what ending it met.
func (d *side) settle(err error) error {
	if d.run != nil && (err != nil || d.over()) {
		failed := d.run.close(err)
		d.run = nil
		if err == nil {
			err = failed
		}
	}
	if err != nil {
		d.work.drop(err)
	}
	return err
}

// close lets go of what the run holds and ends it.
func (r *run) close(err error) error {
	r.stretch.close()
	if err = r.end(err); err != nil {
		return fmt.Errorf("hash %q: %w", r.name, err)
	}
	return nil
}

// alone hashes the next bytes of r. Where they cannot be mapped and there is a long way to go, all of them, with what cores
// are idle (see worker.stream).
func (w *worker) alone(ctx context.Context, r *run) error {
	if r.plain && len(r.data) == 0 && r.stop-r.at >= worthwhile {
		at := r.at
		r.at = r.stop
		if err := w.stream(ctx, r.file, at, r.stop, []io.Writer{r.out}); err != nil {
			return fmt.Errorf("hash %q: %w", r.name, err)
		}
		return nil
	}
	if r.part != nil {
		r.part.offer(ctx, w, r)
	}
	r.help(w)
	if err := r.load(ctx, w); err != nil {
		return err
	}
	n := len(r.data)
	if r.part != nil {
		n = r.out.room(n)
	}
	p := r.data[:n]
	r.data = r.data[n:]
	return guarded(func() { r.out.Write(p) }, r)
}

// both hashes as many bytes of a as of b.
func (w *worker) both(ctx context.Context, a, b *run) error {
	for _, r := range []*run{a, b} {
		if err := r.load(ctx, w); err != nil {
			return err
		}
	}
	n := min(a.out.room(len(a.data)), b.out.room(len(b.data)))
	p, q := a.data[:n], b.data[:n]
	a.data, b.data = a.data[n:], b.data[n:]
	return guarded(func() {
		lanes.WritePair(a.out.hash.(*lanes.Digest), p, b.out.hash.(*lanes.Digest), q)
		a.out.advance(n)
		b.out.advance(n)
	}, a, b)
}

// load sees to it that r has bytes that were not hashed, unless it is over.
func (r *run) load(ctx context.Context, w *worker) (err error) {
	if len(r.data) > 0 || r.at == r.stop {
		return nil
	}
	if r.data, err = r.stretch.next(ctx); err != nil {
		return fmt.Errorf("hash %q: %w", r.name, err)
	}
	if w.progress != nil {
		w.progress(int64(len(r.data)))
	}
	return nil
}

// assignment is what the schedule gave to one side of a worker: the jobs of a group, or a share in a file's shards.
type assignment struct {
	given   bool
	buffer  []byte // for the bytes of its runs, one after the other
	jobs    []Job  // of the group, that are left
	results []Result
	shards  *shardFile
	file    *os.File // of shards
}

func (g *assignment) give(s *schedule, group int, shards *shardFile) {
	g.given, g.jobs, g.results, g.shards, g.file = true, nil, nil, shards, nil
	if shards == nil {
		g.jobs, g.results = s.groups[group], s.results[group]
	}
}

// next returns the run that comes next; none at the end of the assignment.
func (g *assignment) next(ctx context.Context, w *worker, s *schedule) (*run, error) {
	if g.shards != nil {
		return g.nextShards(ctx, w)
	}
	for len(g.jobs) > 0 {
		j, result := g.jobs[0], &g.results[0]
		g.jobs, g.results = g.jobs[1:], g.results[1:]
		r, err := g.begin(ctx, w, s, j, result)
		if err != nil {
			return nil, fmt.Errorf("hash %q: %w", j.Name, err)
		}
		if r != nil {
			return r, nil
		}
	}
	g.given = false
	return nil, nil
}

// begin opens the file of a job. A job that wants more than a run can do is done at once, and there is no run.
func (g *assignment) begin(ctx context.Context, w *worker, s *schedule, j Job, result *Result) (*run, error) {
	sums, err := w.digests(j)
	if err != nil {
		return nil, err
	}
	if j.Tee != nil || len(sums.others) > 0 {
		*result, err = w.file(ctx, j)
		return nil, err
	}
	file, err := w.open(ctx, j.Open)
	if err != nil {
		return nil, err
	}
	r := &run{name: j.Name, out: sums.planned, stretch: stretch{file: file, stop: j.Size, buffer: g.buffer}}
	r.part = divisible(s, j, sums)
	r.end = func(err error) error {
		defer file.Close()
		if r.part != nil {
			err = r.part.join(ctx, err)
		}
		if err != nil {
			return err
		}
		if err := atEnd(file, j); err != nil {
			return err
		}
		*result = sums.result()
		return nil
	}
	return r, nil
}

// nextShards takes shards of a file that several sides share.
func (g *assignment) nextShards(ctx context.Context, w *worker) (*run, error) {
	f := g.shards
	var err error
	if g.file == nil {
		if g.file, err = w.open(ctx, f.open); err != nil {
			g.given = false
			return nil, fmt.Errorf("hash %q: %w", f.job.Name, f.leave(err))
		}
	}
	first, last := f.take()
	if first == last {
		g.given = false
		if err := f.leave(nil); err != nil {
			return nil, fmt.Errorf("hash %q: %w", f.job.Name, err)
		}
		return nil, nil
	}
	return f.run(g.file, first, last, g.buffer)
}

// drop ends the assignment early, because of err.
func (g *assignment) drop(err error) {
	if g.given && g.shards != nil {
		f := g.shards
		_ = f.leave(err) // err is what counts
	}
	g.given = false
}
