package lab

import (
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
)

// Serve puts a handler on a free port of 127.0.0.1 until the test ends, and returns HOST:PORT.
func Serve(t testing.TB, h http.Handler) string { return ServeAt(t, "127.0.0.1", h) }

// ServeAt is Serve on another address of this machine. A system that does not have the address skips the test. A Proxy
// is closed with the server.
func ServeAt(t testing.TB, ip string, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Skipf("cannot listen on %s: %v", ip, err)
	}
	s := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		if p, ok := h.(*Proxy); ok {
			p.Close()
		}
		_ = s.Close()
		<-ended
	})
	return l.Addr().String()
}

const maxRecorded = 1 << 20 // bytes of a request's body that a Recorder keeps

// Recorder is somebody who should not be asked, or not be told everything. It remembers every request, and answers with
// Next, or 404.
type Recorder struct {
	Next http.Handler

	mu  sync.Mutex
	log []Request
}

// Requests returns what was asked so far, in order.
func (c *Recorder) Requests() []Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

// ServeHTTP remembers and answers.
func (c *Recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, maxRecorded))
	c.mu.Lock()
	c.log = append(c.log, Request{r.Method, r.URL.RequestURI(), r.Host, r.Header.Clone(), body})
	c.mu.Unlock()
	if c.Next == nil {
		http.NotFound(w, r)
		return
	}
	c.Next.ServeHTTP(w, r)
}
