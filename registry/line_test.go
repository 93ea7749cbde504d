package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/test/lab"
)

// Sizes of layers that come in one stream and can be gone on with, and of those that come in parts.
const (
	streamed = 10<<20 + 123
	parted   = largeLayer + 9<<20 + 45
)

// line is what lies between a client and a registry: it counts, and cuts.
type line struct {
	inner http.Handler

	cuts atomic.Int64 // connections that will yet be cut
	at   atomic.Int64 // after so many bytes of a blob's answer
	sent atomic.Int64 // bytes of blobs' answers
	puts atomic.Int64 // bytes of blobs' uploads
	gets atomic.Int64 // answers with a blob or a part of it

	mu  sync.Mutex
	saw []string // methods and addresses, with the ranges asked for
}

func (l *line) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.saw = append(l.saw, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Range")))
	l.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/"):
		l.gets.Add(1)
		w = &counted{ResponseWriter: w, line: l}
	case r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/"):
		r.Body = &metered{r.Body, putCounter{l}}
	}
	l.inner.ServeHTTP(w, r)
}

type putCounter struct{ l *line }

func (c putCounter) moved(n int64) { c.l.puts.Add(n) }

func (l *line) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.saw)
}

func (l *line) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.saw = nil
	for _, n := range []*atomic.Int64{&l.sent, &l.puts, &l.gets} {
		n.Store(0)
	}
}

// counted is an answer that may be cut off.
type counted struct {
	http.ResponseWriter
	line *line
	n    int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.n += int64(n)
	c.line.sent.Add(int64(n))
	if at := c.line.at.Load(); at > 0 && c.n >= at && c.line.cuts.Add(-1) >= 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// noise is bytes that nothing else has.
func noise(seed uint64, n int) string {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(s).Read(b)
	return string(b)
}

// behindLine is a registry with an artifact of the given files, behind a line.
func behindLine(t *testing.T, o lab.Options, files map[string]string) (*line, Ref, *manifest.Canonical, string) {
	t.Helper()
	o.Dir = t.TempDir()
	l := &line{inner: lab.New(o)}
	ref := mustRef(t, lab.Serve(t, l)+"/team/chat:v1")
	dir := model(t, files)
	c, _ := pushed(t, open(t, ref, Options{}), dir)
	l.reset()
	return l, ref, c, dir
}

// kinds of artifact whose transfer can be interrupted.
func interruptible() map[string]map[string]string {
	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprintf("part-%02d.bin", i)] = noise(uint64(i), 1<<20)
	}
	return map[string]map[string]string{
		"one stream": {"a.bin": noise(1, streamed), "config.json": "{}"},
		"in parts":   {"a.bin": noise(1, parted), "config.json": "{}"},
		"many files": many,
	}
}

func mustEqualTree(t *testing.T, dir, target string) {
	t.Helper()
	if !maps.Equal(tree(t, dir), tree(t, target)) {
		t.Error("pulled files differ")
	}
}
