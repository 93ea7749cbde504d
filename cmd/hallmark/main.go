// Command hallmark names, signs, stores and verifies models and datasets.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopped is the cause of a context that a signal ended.
type stopped struct{ signal os.Signal }

func (s stopped) Error() string { return fmt.Sprintf("stopped by %s", s.signal) }

// interrupts ends a context on the first signal, and the program on the second: that one does not wait for anything.
type interrupts struct {
	mu   sync.Mutex
	left bool // signals are somebody else's for now
	seen bool
	end  context.CancelCauseFunc
}

func (i *interrupts) handle(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.left:
	case i.seen:
		os.Exit(exitInterrupted)
	default:
		i.seen = true
		i.end(stopped{s})
	}
}

// leave lets signals be somebody else's until back is called.
func (i *interrupts) leave() (back func()) {
	set := func(left bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.left = left
	}
	set(true)
	return func() { set(false) }
}

func main() {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	i := &interrupts{end: cancel}
	go func() {
		for s := range signals {
			i.handle(s)
		}
	}()
	os.Exit(run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr, leave: i.leave}))
}
