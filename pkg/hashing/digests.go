package hashing

import (
	"hash"
	"io"

	"github.com/hallmark-project/hallmark/pkg/hashing/blake3"
	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// digests are those of one file under way: the plan's, and what else gets the same bytes.
type digests struct {
	plan    Plan
	planned *shardWriter
	whole   *Stream   // nil: not wanted, or the same as planned
	others  []*Stream // whole and the job's own, without the one that rides along with planned
}

// digests returns what a job's bytes go into.
func (w *worker) digests(j Job) (*digests, error) {
	h, err := w.plan.Algorithm.New()
	if err != nil {
		return nil, err
	}
	d := &digests{plan: w.plan, planned: &shardWriter{hash: h, size: w.plan.ShardSize}}
	if w.plan.SHA256 && !w.plan.sumsAreSHA256() {
		d.whole = NewStream()
		d.others = append(d.others, d.whole)
	}
	if j.Stream != nil {
		d.others = append(d.others, j.Stream)
	}
	if _, ok := h.(*lanes.Digest); ok && len(d.others) > 0 {
		d.planned.beside, d.others = d.others[0], d.others[1:]
	}
	return d, nil
}

// sinks returns what the bytes are to be written to, the costliest first.
func (d *digests) sinks(j Job) []io.Writer {
	var sinks []io.Writer
	for _, s := range d.others {
		sinks = append(sinks, s)
	}
	if _, fast := d.planned.hash.(*blake3.Digest); fast {
		sinks = append(sinks, d.planned)
	} else {
		sinks = append([]io.Writer{d.planned}, sinks...)
	}
	if j.Tee != nil {
		sinks = append(sinks, j.Tee)
	}
	return sinks
}

// result returns the digests of what was written.
func (d *digests) result() (r Result) {
	r.Sums = d.planned.finish()
	switch {
	case d.plan.sumsAreSHA256():
		r.SHA256, r.HasSHA256 = Sum(r.Sums[0]), true
	case d.whole != nil:
		r.SHA256, r.HasSHA256 = d.whole.Sum(), true
	}
	return r
}

// shardWriter digests what is written to it, and begins anew every size bytes; at size 0 it never does.
type shardWriter struct {
	hash   hash.Hash
	beside *Stream // gets the same bytes where hash is a SHA-256; nil is nobody
	size   int64   // bytes
	in     int64   // bytes of the current shard that were written
	sums   [][]byte
}

// room returns how many of n bytes the current shard takes.
func (s *shardWriter) room(n int) int {
	if s.size > 0 {
		n = int(min(int64(n), s.size-s.in))
	}
	return n
}

// advance counts n bytes, no more than there was room for, that its digests were given by somebody else.
func (s *shardWriter) advance(n int) {
	if s.beside != nil {
		s.beside.size += int64(n)
	}
	if s.in += int64(n); s.in == s.size && s.size > 0 {
		s.cut()
	}
}

// Write never errs.
func (s *shardWriter) Write(p []byte) (int, error) {
	n := len(p)
	for s.size > 0 && int64(len(p)) >= s.size-s.in {
		left := s.size - s.in
		s.add(p[:left])
		p = p[left:]
		s.cut()
	}
	s.add(p)
	s.in += int64(len(p))
	return n, nil
}

func (s *shardWriter) add(p []byte) {
	if s.beside == nil {
		s.hash.Write(p)
		return
	}
	s.beside.writeWith(s.hash.(*lanes.Digest), p)
}

func (s *shardWriter) cut() {
	s.sums = append(s.sums, s.hash.Sum(nil))
	s.hash.Reset()
	s.in = 0
}

// finish returns the digests, the last one of what is left. No bytes have one digest, but no shard.
func (s *shardWriter) finish() [][]byte {
	if s.size == 0 || s.in > 0 {
		s.cut()
	}
	return s.sums
}
