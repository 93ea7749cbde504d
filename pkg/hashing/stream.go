package hashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	// chunk is how many bytes are read at once: many enough for the system call to cost nothing, few enough to be still
	// in the core's cache when they are hashed. 256 KiB to 4 MiB measured the same within the noise.
	chunk = 512 << 10

	// ahead is how many chunks of a file are in memory at most.
	ahead = 4

	// piecesPerSlot is how many sides of a worker share a buffer: what many lanes read should still be in the core's cache, too.
	piecesPerSlot = 4

	// worthwhile is how many bytes must be left of a file for a second goroutine to pay.
	worthwhile = 4 * chunk
)

// buffers are shared by all workers of the process: hashing small files one by one needs no new one for each.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// slot is a buffer with the lanes that still read from it.
type slot struct {
	data  *[chunk]byte
	lanes sync.WaitGroup
}

// slot returns the i-th buffer of the worker.
func (w *worker) slot(i int) *slot {
	if w.slots[i] == nil {
		w.slots[i] = &slot{data: buffers.Get().(*[chunk]byte)}
	}
	return w.slots[i]
}

// release gives the worker's buffers back. Nobody may use them any more.
func (w *worker) release() {
	for i, s := range w.slots {
		if s != nil {
			buffers.Put(s.data)
			w.slots[i] = nil
		}
	}
}

// stream reads the bytes of file from start to end once, and writes them to each sink in order.
//
// It begins as the plain loop: read a chunk, write it to one sink after the other. Before each chunk it looks for an idle
// core, and moves the first sink that is left to a lane there, so the costliest should be first. With one lane, that
// core hashes while this one reads; with more, the sinks work beside each other, each as fast as it can, a few chunks
// apart. As cores become idle only when no other work is left, the number of lanes only grows.
func (w *worker) stream(ctx context.Context, file *os.File, start, end int64, sinks []io.Writer) error {
	var lanes []*lane
	err := func() error {
		turn := 0
		for at := start; at < end; {
			if len(sinks) > 0 && end-at >= worthwhile && w.takeCore() {
				lanes = append(lanes, newLane(sinks[0]))
				sinks = sinks[1:]
			}
			if len(lanes) > 0 {
				turn = (turn + 1) % ahead
			}
			s := w.slot(turn)
			s.lanes.Wait()
			data := s.data[:min(chunk, end-at)]
			if err := readChunk(ctx, file, data, at); err != nil {
				return err
			}
			if err := write(s, data, lanes, sinks); err != nil {
				return err
			}
			at += int64(len(data))
			if w.progress != nil {
				w.progress(int64(len(data)))
			}
		}
		return nil
	}()
	for _, l := range lanes {
		if failed := l.close(); err == nil {
			err = failed
		}
		w.idle <- struct{}{}
	}
	return err
}

// takeCore takes an idle core, if there is one.
func (w *worker) takeCore() bool {
	select {
	case <-w.idle:
		return true
	default:
		return false
	}
}

// readChunk fills data from the offset at. A file that ends before is ErrChanged.
func readChunk(ctx context.Context, file *os.File, data []byte, at int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch n, err := file.ReadAt(data, at); {
	case n == len(data):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends at byte %d", ErrChanged, at+int64(n))
	default:
		return err
	}
}

// write gives a chunk to the lanes, which take it in their own time, and to the sinks, at once. The error of a lane that
// failed since the last chunk ends the stream early.
func write(s *slot, data []byte, lanes []*lane, sinks []io.Writer) error {
	for _, l := range lanes {
		if l.failed.Load() {
			return l.close()
		}
		s.lanes.Add(1)
		l.in <- part{data, s}
	}
	for _, sink := range sinks {
		if err := writeAll(sink, data); err != nil {
			return err
		}
	}
	return nil
}

// writeAll takes no writer's word for having written what it did not.
func writeAll(sink io.Writer, data []byte) error {
	n, err := sink.Write(data)
	if err == nil && n != len(data) {
		err = io.ErrShortWrite
	}
	return err
}

// lane writes to one sink in a goroutine of its own.
type lane struct {
	in     chan part
	close  func() error // ends the lane and returns the sink's error, to every call
	failed atomic.Bool
}

// part is a chunk on its way through a lane, and the slot that it must leave.
type part struct {
	data []byte
	slot *slot
}

func newLane(sink io.Writer) *lane {
	l := &lane{in: make(chan part, ahead)}
	done := make(chan error, 1)
	go func() { done <- l.run(sink) }()
	l.close = sync.OnceValue(func() error {
		close(l.in)
		return <-done
	})
	return l
}

// run writes what comes in. After an error it only lets go of the slots.
func (l *lane) run(sink io.Writer) (err error) {
	for p := range l.in {
		if err == nil {
			err = writeAll(sink, p.data)
			l.failed.Store(err != nil)
		}
		p.slot.lanes.Done()
	}
	return err
}
