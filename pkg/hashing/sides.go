package hashing

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// mostOpen is how many files all workers together keep open for the sake of many lanes: a process may have 1024, often.
const mostOpen = 768

// sides returns how many runs each of some workers may have at the same time for this plan: as many as there are lanes, see
// package lanes; 0 where files are hashed one after the other.
func (p Plan) sides(workers int) int {
	if !lanes.Paired() || p.Algorithm != SHA256 && p.Algorithm != "" {
		return 0
	}
	n := min(lanes.Most, mostOpen/max(workers, 1))
	if n < lanes.WideFrom() {
		n = max(2, lanes.AtOnce(min(few, n)))
	}
	return n
}

// few is how many lanes a worker fills whatever there is left, if so many at once gain anything.
const few = 4

// run is a stretch of one file on its way into digests, and how it ends.
type run struct {
	stretch
	name string
	out  *shardWriter
	data []byte            // what is here and was not hashed
	read bool              // from the first on, data is all that there is
	end  func(error) error // called once: with nil after the last byte, else with what went wrong
	part *division         // how the run can be made smaller; nil: it cannot
}

// over reports whether everything of r was hashed.
func (r *run) over() bool { return len(r.data) == 0 && r.at == r.stop }

// lanes returns how many digests r's bytes go into.
func (r *run) lanes() int {
	if r.out.beside != nil {
		return 2
	}
	return 1
}

// side is one of the places of a worker: what it was given, and the run that it is in.
type side struct {
	work assignment
	*run
}

// sides does what the schedule hands out, several runs at a time where there are several, each in its own pace: when one
// ends, the next takes its place beside those that go on. It begins with those that it is given.
func (w *worker) sides(ctx context.Context, s *schedule, n int, given []side) {
	all := make([]side, n)
	copy(all, given)
	for i := range n + few {
		at := i % piecesPerSlot * pieceSize
		w.pieces = append(w.pieces, w.slot(ahead + i/piecesPerSlot).data[at:at+pieceSize])
	}
	for i := range given {
		if all[i].run != nil {
			all[i].work.buffer = w.piece()
			all[i].run.buffer = all[i].work.buffer
		}
	}
	for {
		w.share(ctx, s, all)
		runs, err := w.fill(ctx, s, all)
		switch {
		case err != nil:
		case len(runs) == 0:
			w.hashKept()
			return
		case len(runs) == 1:
			err = w.alone(ctx, runs[0])
		default:
			err = w.beside(ctx, runs)
		}
		if err != nil {
			s.fail(err)
		}
		for i := range all {
			if failed := all[i].settle(err); failed != nil {
				s.fail(failed)
			}
		}
	}
}

// fill finds something to do for sides that have nothing, and returns the runs that there are then. Two lanes are filled as
// far as the schedule has something; more of them one at a time, while the other workers take theirs, and more than a few only
// if there is enough for many lanes to pay.
func (w *worker) fill(ctx context.Context, s *schedule, all []side) ([]*run, error) {
	held := 0
	for i := range all {
		if all[i].run != nil {
			held += all[i].lanes()
		}
	}
	w.runs = w.runs[:0]
	grown := false
	for i := range all {
		d := &all[i]
		if d.run == nil && (d.work.given || held < 2 || !grown && held < len(all) && (held < lanes.AtOnce(few) || s.plenty(held))) {
			grown = grown || !d.work.given && held >= 2
			if err := d.refill(ctx, w, s, held > 0); err != nil {
				return nil, err
			}
			if d.run != nil {
				held += d.lanes()
			}
		}
		if d.run != nil {
			w.runs = append(w.runs, d.run)
		}
	}
	return w.runs, nil
}

// refill finds something to do for a side that has nothing; without a run afterwards, there is nothing now. more is whether
// the worker has something.
func (d *side) refill(ctx context.Context, w *worker, s *schedule, more bool) error {
	for d.run == nil {
		if !d.work.given {
			group, shards, ok := s.next(w, more)
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
		if !d.work.given && d.work.buffer != nil {
			w.pieces, d.work.buffer = append(w.pieces, d.work.buffer), nil
		}
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

// beside hashes the next bytes of several runs: of as many as are best hashed at once, and of the others in the turns after it.
func (w *worker) beside(ctx context.Context, runs []*run) error {
	held := 0
	for _, r := range runs {
		if r.part != nil {
			r.part.offer(ctx, w, r)
		}
		held += r.lanes()
	}
	most := lanes.AtOnce(held)
	w.turn %= len(runs)
	w.now, held = w.now[:0], 0
	for i := range runs {
		r := runs[(w.turn+i)%len(runs)]
		if held += r.lanes(); held > most {
			break
		}
		w.now = append(w.now, r)
	}
	w.turn += len(w.now)
	if len(w.now) == 1 {
		return w.alone(ctx, w.now[0])
	}
	return w.each(ctx, w.now)
}

// each hashes as many bytes of one run as of the others, none if one of them is over.
func (w *worker) each(ctx context.Context, runs []*run) error {
	n := chunk
	for _, r := range runs {
		if err := r.load(ctx, w); err != nil {
			return err
		}
		n = min(n, r.out.room(len(r.data)))
	}
	w.into, w.from = w.into[:0], w.from[:0]
	over := make([]mapped, 0, lanes.Most)
	for _, r := range runs {
		p := r.data[:n]
		r.data = r.data[n:]
		w.into, w.from = append(w.into, r.out.hash.(*lanes.Digest)), append(w.from, p)
		if r.out.beside != nil {
			w.into, w.from = append(w.into, r.out.beside.digest), append(w.from, p)
		}
		over = append(over, r)
	}
	return guarded(func() {
		lanes.WriteEach(w.into, w.from)
		for _, r := range runs {
			r.out.advance(n)
		}
	}, over...)
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
	buffer  []byte // of the worker's pieces, for the bytes of its runs, one after the other; nil: none yet
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
	if g.buffer == nil {
		g.buffer = w.piece()
	}
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
	if j.Size < pieceSize {
		return g.small(ctx, w, j, sums, result)
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
