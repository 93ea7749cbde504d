package hashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"unsafe"
)

const (
	// windowSize is how many bytes of a file are mapped at once: many enough for mapping to cost nothing, few enough to stay
	// small beside what else is in memory.
	windowSize = 4 << 20

	// mapFrom is how many bytes must be left of a stretch for mapping to cost less than reading.
	mapFrom = 1 << 20
)

// mapPages is mapFile; tests have it refuse.
var mapPages = mapFile

// stretch is part of a file whose bytes are handed out once, in order. Large ones are mapped: reading copies every byte,
// which takes a fifth of the time that two digests take. Mapped bytes can fault when they are used: see guarded.
type stretch struct {
	file     *os.File
	at, stop int64 // what was not handed out
	buffer   []byte
	plain    bool // this file cannot be mapped

	window []byte   // whole pages of the file, mapped
	left   []byte   // of the window, not handed out
	coming []byte   // the window after it, once helper has it
	helper *toucher // nil: nobody helps
}

// next returns the next bytes, at least one of those that are left and a chunk at most. They are good until the call after.
// A file that ends before is ErrChanged.
func (s *stretch) next(ctx context.Context) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(s.left) == 0 && !s.plain && (s.coming != nil || s.stop-s.at >= mapFrom) {
		s.slide()
	}
	if n := min(chunk, len(s.left)); n > 0 {
		p := s.left[:n]
		s.left = s.left[n:]
		s.at += int64(n)
		return p, nil
	}
	p := s.buffer[:min(chunk, s.stop-s.at)]
	if err := readChunk(ctx, s.file, p, s.at); err != nil {
		return nil, err
	}
	s.at += int64(len(p))
	return p, nil
}

// slide maps the part of the file that comes next, and has the one after it fetched meanwhile: by the helper, or as far as
// the system does it by itself.
func (s *stretch) slide() {
	s.unmap(&s.window)
	lead := s.at % int64(os.Getpagesize())
	if s.coming != nil {
		s.helper.wait()
		s.window, s.coming = s.coming, nil
	} else {
		window, err := mapPages(s.file, s.at-lead, int(min(windowSize, s.stop-s.at+lead)))
		if err != nil {
			s.plain = true
			return
		}
		s.window = window
	}
	s.left = s.window[lead:]
	ahead := s.at - lead + int64(len(s.window))
	n := min(windowSize, s.stop-ahead)
	if n <= 0 {
		return
	}
	fetch(s.file, ahead, n)
	if s.helper == nil || n < mapFrom {
		return
	}
	if window, err := mapPages(s.file, ahead, int(n)); err == nil {
		s.coming = window
		s.helper.in <- window
	}
}

// help has a core that is idle touch the pages of windows before they are used: for a core that is alone with a file, that
// takes a twentieth of its time.
func (s *stretch) help(w *worker) {
	if s.helper == nil && !s.plain && s.stop-s.at >= windowSize+mapFrom && w.takeCore() {
		s.helper = newToucher(w.idle)
	}
}

// close unmaps what is mapped and ends the help. The bytes that next returned last are gone.
func (s *stretch) close() {
	if s.helper != nil {
		if s.coming != nil {
			s.helper.wait()
		}
		s.helper.end()
		s.helper = nil
	}
	s.unmap(&s.coming)
	s.unmap(&s.window)
}

func (s *stretch) unmap(window *[]byte) {
	if *window != nil {
		unmapFile(*window)
	}
	*window, s.left = nil, nil
}

// toucher has the pages of windows mapped, one window after the other, in a goroutine of its own.
type toucher struct {
	in   chan []byte
	done chan struct{} // one for each window, and closed at the end
}

// newToucher begins on a core that was taken from idle, and is given back at the end.
func newToucher(idle chan<- struct{}) *toucher {
	t := &toucher{in: make(chan []byte, 1), done: make(chan struct{}, 1)}
	go func() {
		defer close(t.done)
		for window := range t.in {
			touch(window)
			t.done <- struct{}{}
		}
		idle <- struct{}{}
	}()
	return t
}

// wait waits for the window that came in last.
func (t *toucher) wait() { <-t.done }

// end waits for the end. Every window was waited for.
func (t *toucher) end() {
	close(t.in)
	<-t.done
}

// holds reports whether an address is in the window.
func (s *stretch) holds(address uintptr) bool {
	first := uintptr(unsafe.Pointer(unsafe.SliceData(s.window)))
	return address >= first && address-first < uintptr(len(s.window))
}

// why says why mapped bytes could not be read: the file is shorter than it was, or its disk fails.
func (s *stretch) why() error {
	var last [1]byte
	switch _, err := s.file.ReadAt(last[:], s.stop-1); {
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: it ends before byte %d", ErrChanged, s.stop)
	case err != nil:
		return err
	}
	// The last byte is there: look for one that is not.
	from := s.at - int64(len(s.window)-len(s.left))
	if _, err := io.Copy(io.Discard, io.NewSectionReader(s.file, max(from, 0), s.at-max(from, 0))); err != nil {
		return err
	}
	return fmt.Errorf("%w: it was shorter for a moment", ErrChanged)
}

// guarded calls do, which uses bytes of these runs. A fault in a window of theirs, where the system would kill a program that
// is not prepared for it, becomes the error of that run.
func guarded(do func(), runs ...*run) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		caught := recover()
		if caught == nil {
			return
		}
		if fault, ok := caught.(interface{ Addr() uintptr }); ok {
			for _, r := range runs {
				if r.holds(fault.Addr()) {
					err = fmt.Errorf("hash %q: %w", r.name, r.why())
					return
				}
			}
		}
		panic(caught)
	}()
	do()
	return nil
}
