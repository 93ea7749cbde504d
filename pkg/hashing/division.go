package hashing

import (
	"context"
	"os"
)

// division is a file of which two things are wanted, the SHA-256 of its shards and of the whole. While every core is busy,
// one pass makes both. A core that becomes idle takes over the shards from the next one on, and leaves to the pass the one
// digest that no second core can help with: so the file takes no longer than that.
type division struct {
	parent *schedule
	job    Job
	sums   *digests

	rest   *shardFile // the shards that the pass does not make; nil: it makes all
	shared *schedule  // of rest, with the cores that came
}

// divisible returns the division of a job; nil where there is nothing to divide.
func divisible(s *schedule, j Job, sums *digests) *division {
	if sums.whole == nil || sums.planned.beside != sums.whole || s.plan.shards(j.Size) < 2 {
		return nil
	}
	return &division{parent: s, job: j, sums: sums}
}

// offer gives shards of r that nobody has begun to an idle core, if there are both.
func (d *division) offer(ctx context.Context, w *worker, r *run) {
	switch {
	case d.rest == nil && d.sums.planned.in != 0, d.rest != nil && d.rest.left() == 0, !w.takeCore():
		return
	case d.rest == nil:
		d.divide(r)
	}
	d.shared.expect()
	d.shared.running.Go(func() {
		d.shared.work(ctx)
		if err := d.shared.failed(); err != nil {
			d.parent.fail(err) // ends the pass too
		}
		w.idle <- struct{}{}
	})
}

// divide takes the shards from r's next byte on out of the pass.
func (d *division) divide(r *run) {
	p := d.parent.plan
	p.SHA256 = false
	made := d.sums.planned.sums
	d.rest = newShardFile(p, d.job, new(Result))
	copy(d.rest.sums, made)
	d.rest.taken = int64(len(made))
	d.rest.open = func() (*os.File, error) { return r.file, nil }
	d.shared = &schedule{plan: p, idle: d.parent.idle, stop: func() {}, sharded: []*shardFile{d.rest}}
	r.out = &shardWriter{hash: d.sums.whole.digest}
}

// join ends the pass over r, which met err: it waits for the other cores, and takes what shards they left.
func (d *division) join(ctx context.Context, err error) error {
	if d.rest == nil {
		return err
	}
	if err == nil {
		d.shared.expect()
		d.shared.work(ctx)
	}
	d.shared.running.Wait()
	if failed := d.shared.failed(); err == nil && failed != nil {
		err = failed
		d.parent.fail(err)
	}
	d.sums.planned.sums = d.rest.sums
	return err
}
