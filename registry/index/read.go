package index

import (
	"context"
	"fmt"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// batch is a run of events on their way from the store into the state.
type batch struct {
	events []event
	keys   []sum
	bodies []any
	err    error
	done   chan struct{} // closed when the events are decoded
}

const batchSize = 512

// catchUp reads the events after s's head, holds each to the one before it, and applies them. see is told of each. Hashing
// and decoding take longer than reading, so they are done beside it.
func catchUp(ctx context.Context, from reader, s *state, see func(event)) error {
	work, inner := errgroup.WithContext(ctx)
	queue := make(chan *batch, 2*runtime.GOMAXPROCS(0)) // in order; each is decoded somewhere
	known := s.head
	work.Go(func() error {
		defer close(queue)
		return feed(inner, from, known, queue)
	})
	work.Go(func() error {
		for b := range queue {
			select {
			case <-b.done:
			case <-inner.Done():
				return context.Cause(inner)
			}
			if err := b.apply(s, see); err != nil {
				return err
			}
		}
		return nil
	})
	return work.Wait()
}

// feed reads events, has them decoded, and queues them in order.
func feed(ctx context.Context, from reader, known event, queue chan<- *batch) error {
	decoders := make(chan struct{}, runtime.GOMAXPROCS(0))
	now := &batch{done: make(chan struct{})}
	send := func() error {
		b := now
		now = &batch{done: make(chan struct{})}
		select {
		case queue <- b:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		decoders <- struct{}{}
		go func() {
			b.decode()
			<-decoders
		}()
		return nil
	}
	err := from.read(ctx, known, func(e event) error {
		if len(e.body) > maxBody {
			return &DamagedError{e.seq, fmt.Errorf("it has %d bytes", len(e.body))}
		}
		if now.events = append(now.events, e); len(now.events) < batchSize {
			return nil
		}
		return send()
	})
	if err == nil && len(now.events) > 0 {
		err = send()
	}
	return err
}

func (b *batch) decode() {
	defer close(b.done)
	b.keys, b.bodies = make([]sum, len(b.events)), make([]any, len(b.events))
	for i, e := range b.events {
		b.keys[i] = e.key()
		if b.bodies[i], b.err = decode(e); b.err != nil {
			return
		}
	}
}

func (b *batch) apply(s *state, see func(event)) error {
	if b.err != nil {
		return b.err
	}
	for i, e := range b.events {
		if err := e.verify(s.head, b.keys[i]); err != nil {
			return err
		}
		if err := s.apply(e, b.bodies[i]); err != nil {
			return err
		}
		see(e)
	}
	return nil
}
