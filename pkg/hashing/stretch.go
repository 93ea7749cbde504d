package hashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"unsafe"
)

const (
	// windowSize is how many bytes of a file are mapped at once: many enough for mapping to cost little, few enough to stay
	// small beside what else is in memory. Unmapping interrupts all cores of the program: with half as many, eight files on two
	// cores take a hundredth longer.
	windowSize = 8 << 20

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

	window *window // whole pages of the file, mapped
	left   []byte  // of the window, not handed out
	coming *window // the one after it, where a helper touches its pages
	helper chan chore
}

// chore is what a helper is asked for: windows of which nobody uses a byte any more, or not yet. Either may be nil.
type chore struct{ unmap, touch *window }

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
	p := s.buffer[:min(int64(len(s.buffer)), s.stop-s.at)]
	if err := readChunk(ctx, s.file, p, s.at); err != nil {
		return nil, err
	}
	s.at += int64(len(p))
	return p, nil
}

// slide maps the part of the file that comes next, and has the one after it fetched meanwhile: by the helper, or as far as
// the system does it by itself.
func (s *stretch) slide() {
	used := s.window
	lead := s.at % int64(os.Getpagesize())
	s.window, s.coming = s.coming, nil
	if s.window == nil {
		pages, err := mapPages(s.file, s.at-lead, int(min(windowSize, s.stop-s.at+lead)))
		if err != nil {
			s.plain = true
			used.unmap()
			return
		}
		s.window = &window{pages: pages}
	}
	s.left = s.window.pages[lead:]
	if ahead := s.at - lead + int64(len(s.window.pages)); ahead < s.stop {
		s.prepare(ahead, min(windowSize, s.stop-ahead))
	}
	if s.helper != nil {
		select {
		case s.helper <- chore{used, s.coming}:
			return
		default: // it is behind, and not waited for
		}
	}
	used.unmap()
}

// prepare has n bytes fetched, and mapped if there is a helper to touch them.
func (s *stretch) prepare(at, n int64) {
	fetch(s.file, at, n)
	if s.helper == nil || n < mapFrom {
		return
	}
	if pages, err := mapPages(s.file, at, int(n)); err == nil {
		s.coming = &window{pages: pages}
	}
}

// help has a core that is idle touch the pages of windows before they are used, and unmap them afterwards: for a core that is
// alone with a file, that takes a twentieth of its time.
func (s *stretch) help(w *worker) {
	if s.helper != nil || s.plain || s.stop-s.at < windowSize+mapFrom || !w.takeCore() {
		return
	}
	in := make(chan chore, 1)
	s.helper = in
	go func() {
		for c := range in {
			c.touch.touch()
			c.unmap.unmap()
		}
		w.idle <- struct{}{}
	}()
}

// close unmaps what is mapped and ends the help. The bytes that next returned last are gone.
func (s *stretch) close() {
	if s.helper != nil {
		close(s.helper)
		s.helper = nil
	}
	s.window.unmap()
	s.coming.unmap()
	s.window, s.coming, s.left = nil, nil, nil
}

// window is pages of a file that are mapped. The nil window has none.
type window struct {
	mu    sync.Mutex // of whoever touches or unmaps
	pages []byte     // nil once they are unmapped
	read  byte       // of what was touched; nobody wants it, but a compiler could leave out what nobody could
}

// touched is how far apart bytes are touched: with one page, Linux maps those around it that are in memory.
const touched = 64 << 10

// touch has every page at hand, if they are still mapped. What cannot be read is left to whoever reads it.
func (w *window) touch() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = guarded(func() {
		for at := 0; at < len(w.pages); at += touched {
			w.read ^= w.pages[at]
		}
	}, w)
}

// holds reports whether an address is in the window.
func (w *window) holds(address uintptr) bool {
	if w == nil {
		return false
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(w.pages)))
	return address >= first && address-first < uintptr(len(w.pages))
}

// fault is of no interest to who touches.
func (w *window) fault() error { return ErrChanged }

func (w *window) unmap() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pages != nil {
		unmapFile(w.pages)
	}
	w.pages = nil
}

// holds reports whether an address is in the window.
func (s *stretch) holds(address uintptr) bool { return s.window.holds(address) }

// fault is the run's error where a byte could not be read.
func (r *run) fault() error { return fmt.Errorf("hash %q: %w", r.name, r.why()) }

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
	from := s.at
	if s.window != nil {
		from -= int64(len(s.window.pages) - len(s.left))
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(s.file, max(from, 0), s.at-max(from, 0))); err != nil {
		return err
	}
	return fmt.Errorf("%w: it was shorter for a moment", ErrChanged)
}

// mapped is a run, or one of its windows.
type mapped interface {
	holds(address uintptr) bool
	fault() error
}

// guarded calls do, which uses bytes of these runs. A fault in a window of theirs, where the system would kill a program that
// is not prepared for it, becomes the error of that run.
func guarded(do func(), over ...mapped) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		caught := recover()
		if caught == nil {
			return
		}
		if fault, ok := caught.(interface{ Addr() uintptr }); ok {
			for _, m := range over {
				if m.holds(fault.Addr()) {
					err = m.fault()
					return
				}
			}
		}
		panic(caught)
	}()
	do()
	return nil
}
