package lab

import (
	"errors"
	"net/http"
	"sync"
)

// errCut is what a cut answer's writer sees.
var errCut = errors.New("cut")

// Cuts ends connections while blobs go through, again and again, whichever of them carries the byte in question. What
// goes through is not held in memory.
type Cuts struct {
	Every int64 // bytes of blobs, of all connections together, between two cuts
	Times int   // so many cuts, and no more

	mu     sync.Mutex
	passed int64
	struck int
}

// Fault is the cuts, as a fault for every GET of a blob.
func (c *Cuts) Fault() Fault {
	return Fault{Name: "cut again and again", When: getsBlob, Do: func(x *Exchange) {
		w := &cutWriter{ResponseWriter: x.Writer, cuts: c}
		x.proxy.next.ServeHTTP(w, x.Request)
		if w.cut {
			panic(http.ErrAbortHandler)
		}
	}}
}

// Struck is how many cuts there were.
func (c *Cuts) Struck() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.struck
}

// pass returns how many of n bytes may go through before the next cut.
func (c *Cuts) pass(n int) (allowed int, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := c.Every - c.passed; c.struck < c.Times && left <= int64(n) {
		c.struck, c.passed = c.struck+1, 0
		return int(left), true
	}
	c.passed += int64(n)
	return n, false
}

// cutWriter is one answer.
type cutWriter struct {
	http.ResponseWriter
	cuts *Cuts
	cut  bool
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.cut {
		return 0, errCut
	}
	allowed, cut := w.cuts.pass(len(p))
	w.cut = cut
	n, err := w.ResponseWriter.Write(p[:allowed])
	if err == nil && cut {
		_ = http.NewResponseController(w.ResponseWriter).Flush() // what came before the cut arrives
		err = errCut
	}
	return n, err
}
