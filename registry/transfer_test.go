package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

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

func TestPullSurvivesCutConnections(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("", func(t *testing.T) {
		for name, at := range map[string]int64{"one stream": 900_000, "in parts": 6_000_000} {
			t.Run(name, func(t *testing.T) {
				l, ref, c, dir := behindLine(t, lab.Options{}, interruptible()[name])
				l.cuts.Store(10)
				l.at.Store(at)
				var retries atomic.Int64
				var waited time.Duration
				target := filepath.Join(t.TempDir(), "out")
				r := open(t, ref, Options{Wait: func(_ context.Context, d time.Duration) error { waited += d; return nil }})
				err := r.Pull(context.Background(), c, target, PullOptions{Events: func(e Event) {
					if e.Kind == EventRetry {
						retries.Add(1)
						if !errors.Is(e.Err, errInterrupted) {
							t.Errorf("retried after %v", e.Err)
						}
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				mustEqualTree(t, dir, target)
				nothingLeft(t, filepath.Dir(target), "out")
				// A cut that comes with the last bytes of an answer goes unnoticed.
				if retries.Load() < 7 || retries.Load() > 10 || waited != 0 {
					t.Errorf("%d retries after 10 cuts, %s waited", retries.Load(), waited)
				}
				// What the client had not read when a connection broke comes again, and nothing else does.
				if most := c.Layers[0].Size + 10*(4<<20); l.sent.Load() > most {
					t.Errorf("%d bytes were sent for %d", l.sent.Load(), c.Layers[0].Size)
				}
			})
		}
	})
	goleak.VerifyNone(t, before)
}

// interrupt pulls until about half of the bytes are there, and has look see what there is then.
func interrupt(t *testing.T, ref Ref, c *manifest.Canonical, target string, look func()) error {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var once sync.Once
	return open(t, ref, Options{}).Pull(ctx, c, target, PullOptions{Progress: func(done, total int64) {
		if done > total/2 {
			once.Do(func() {
				if look != nil {
					look()
				}
				cancel()
			})
		}
	}})
}

func TestPullGoesOnWhereItWasInterrupted(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("", func(t *testing.T) {
		for name, files := range interruptible() {
			t.Run(name, func(t *testing.T) {
				l, ref, c, dir := behindLine(t, lab.Options{}, files)
				parent := t.TempDir()
				target := filepath.Join(parent, "out")
				err := interrupt(t, ref, c, target, nil)
				var kept *PartialError
				if !errors.Is(err, context.Canceled) || !errors.As(err, &kept) || kept.Dir != target+".partial" || kept.Bytes < worthKeeping {
					t.Fatalf("pull ended with %v", err)
				}
				nothingLeft(t, parent, "out.partial")
				l.reset()
				resumed := int64(0)
				err = open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{Events: func(e Event) {
					if e.Kind == EventResumed {
						resumed += e.Done
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				mustEqualTree(t, dir, target)
				nothingLeft(t, parent, "out")
				var all int64
				for _, f := range files {
					all += int64(len(f))
				}
				// What the first pull's connections were still sending counts too.
				if resumed < all/3 || l.sent.Load() > all-resumed+4<<20 {
					t.Errorf("of %d bytes %d were gone on with and %d sent again", all, resumed, l.sent.Load())
				}
			})
		}
	})
	goleak.VerifyNone(t, before)
}

// What a process leaves that is killed is what lies on the disk at that moment.
func TestPullGoesOnAfterAKill(t *testing.T) {
	for name, files := range interruptible() {
		t.Run(name, func(t *testing.T) {
			l, ref, c, dir := behindLine(t, lab.Options{}, files)
			target := filepath.Join(t.TempDir(), "out")
			snapshot := filepath.Join(t.TempDir(), "snapshot")
			_ = interrupt(t, ref, c, target, func() {
				if err := os.CopyFS(snapshot, os.DirFS(target+".partial")); err != nil {
					t.Error(err)
				}
			})
			if err := os.RemoveAll(target + ".partial"); err != nil {
				t.Fatal(err)
			}
			if err := os.CopyFS(target+".partial", os.DirFS(snapshot)); err != nil {
				t.Fatal(err)
			}
			l.reset()
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			mustEqualTree(t, dir, target)
			var all int64
			for _, f := range files {
				all += int64(len(f))
			}
			if l.sent.Load() >= all {
				t.Errorf("all %d bytes were sent again", all)
			}
		})
	}
}

func TestPullDoesNotTrustWhatLiesInPartial(t *testing.T) {
	flip := func(t *testing.T, at string) {
		t.Helper()
		f, err := os.OpenFile(at, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], 1000); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b[:], 1000); err != nil {
			t.Fatal(err)
		}
	}
	write := func(t *testing.T, at, content string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, spoil := range map[string]func(t *testing.T, partial string){
		"nothing":     func(*testing.T, string) {},
		"wrong bytes": func(t *testing.T, p string) { eachRegular(t, p, func(at string) { flip(t, at) }) },
		"too long": func(t *testing.T, p string) {
			eachRegular(t, p, func(at string) {
				if err := os.Truncate(at, 1<<30); err != nil {
					t.Fatal(err)
				}
			})
		},
		"journal that lies": func(t *testing.T, p string) {
			eachRegular(t, filepath.Join(p, partialLayers), func(at string) {
				write(t, trimJournal(at)+journalSuffix, "0 "+strconv.Itoa(streamed)+"\n")
				if err := os.Truncate(trimJournal(at), streamed); err != nil {
					t.Fatal(err)
				}
			})
		},
		"journal of nonsense": func(t *testing.T, p string) {
			eachRegular(t, filepath.Join(p, partialLayers), func(at string) { write(t, trimJournal(at)+journalSuffix, "-5 7\nx\n") })
		},
		"other things": func(t *testing.T, p string) {
			write(t, filepath.Join(p, partialFiles, "model.sig"), "forged")
			write(t, filepath.Join(p, partialFiles, "evil", "x.py"), "evil")
			write(t, filepath.Join(p, partialLayers, strings.Repeat("0", 64)), "other")
			if err := errors.Join(os.Symlink("/etc", filepath.Join(p, partialFiles, "link")), os.MkdirAll(filepath.Join(p, partialFiles, "a.bin", "x"), 0o755)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, ref, c, dir := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed), "b.bin": noise(2, 1<<20), "c.json": "{}"})
			parent := t.TempDir()
			target := filepath.Join(parent, "out")
			_ = interrupt(t, ref, c, target, nil)
			spoil(t, target+partialSuffix)
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			mustEqualTree(t, dir, target)
			nothingLeft(t, parent, "out")
		})
	}
}

// eachRegular calls see for every layer and finished file of at least 1,001 bytes below a directory.
func eachRegular(t *testing.T, dir string, see func(at string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Size() <= 1000 {
			return err
		}
		n++
		see(at)
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files seen (%v)", n, err)
	}
}

func TestPullTakesNothingFromAnotherArtifact(t *testing.T) {
	_, ref, c, _ := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed), "only/here.bin": noise(2, 1<<20)})
	other := model(t, map[string]string{"a.bin": noise(3, streamed), "b.bin": noise(4, 100)})
	d, _ := pushed(t, open(t, ref, Options{}), other)
	parent := t.TempDir()
	target := filepath.Join(parent, "out")
	if err := interrupt(t, ref, c, target, nil); err == nil {
		t.Fatal("not interrupted")
	}
	if err := open(t, ref, Options{}).Pull(context.Background(), d, target, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	mustEqualTree(t, other, target)
	nothingLeft(t, parent, "out")
}

func TestPullLeavesForeignPartialDirectoriesAlone(t *testing.T) {
	_, ref, c, _ := behindLine(t, lab.Options{}, map[string]string{"a.bin": "a"})
	for name, make := range map[string]func(at string) error{
		"somebody's files": func(at string) error {
			return errors.Join(os.Mkdir(at, 0o755), os.WriteFile(filepath.Join(at, "thesis.txt"), []byte("mine"), 0o600))
		},
		"file":               func(at string) error { return os.WriteFile(at, []byte("mine"), 0o600) },
		"link":               func(at string) error { return errors.Join(os.Mkdir(at+"-x", 0o755), os.Symlink(at+"-x", at)) },
		"writable by others": func(at string) error { return errors.Join(os.Mkdir(at, 0o755), os.Chmod(at, 0o777)) },
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "out")
			if err := make(target + partialSuffix); err != nil {
				t.Fatal(err)
			}
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err == nil {
				t.Error("pulled")
			}
			if _, err := os.Lstat(target + partialSuffix); err != nil {
				t.Errorf("it is gone: %v", err)
			}
			if err := os.RemoveAll(target + partialSuffix); err != nil {
				t.Fatal(err)
			}
			if err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Errorf("with nothing in the way: %v", err)
			}
		})
	}
}

func TestTwoPullsToOneDirectory(t *testing.T) {
	l, ref, c, dir := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, streamed)})
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	inner := l.inner
	l.inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/") {
			once.Do(func() { close(reached); <-release })
		}
		inner.ServeHTTP(w, r)
	})
	target := filepath.Join(t.TempDir(), "out")
	first := make(chan error)
	go func() { first <- open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{}) }()
	<-reached
	if err := open(t, ref, Options{Timeout: time.Second}).Pull(context.Background(), c, target, PullOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("the second pull ended with %v", err)
	}
	close(release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	mustEqualTree(t, dir, target)
	nothingLeft(t, filepath.Dir(target), "out")
}

func TestPullHoldsPartsToWhatWasAsked(t *testing.T) {
	ranged := func(change func(w http.ResponseWriter, r *http.Request, inner http.Handler)) func(http.Handler) http.Handler {
		return func(inner http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Range") == "" || !strings.Contains(r.URL.Path, "/blobs/") {
					inner.ServeHTTP(w, r)
					return
				}
				change(w, r, inner)
			})
		}
	}
	content := func(value func(string) string) func(http.Handler) http.Handler {
		return ranged(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
			inner.ServeHTTP(&heading{ResponseWriter: w, change: func(h http.Header) { h.Set("Content-Range", value(h.Get("Content-Range"))) }}, r)
		})
	}
	for name, row := range map[string]struct {
		wrap func(http.Handler) http.Handler
		ok   bool
	}{
		"as asked": {func(h http.Handler) http.Handler { return h }, true},
		"ignored": {ranged(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
			r.Header.Del("Range")
			inner.ServeHTTP(w, r)
		}), true},
		"no place":      {content(func(string) string { return "" }), false},
		"another place": {content(func(s string) string { return strings.Replace(s, "bytes ", "bytes 1", 1) }), false},
		"another total": {content(func(s string) string { return s + "0" }), false},
		"unknown total": {content(func(s string) string { return s[:strings.IndexByte(s, '/')] + "/*" }), false},
		"no such part": {ranged(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}), false},
		"other bytes": {ranged(func(w http.ResponseWriter, r *http.Request, inner http.Handler) {
			inner.ServeHTTP(&flipping{ResponseWriter: w}, r)
		}), false},
	} {
		for kind, size := range map[string]int{"one stream": streamed, "in parts": parted} {
			t.Run(name+", "+kind, func(t *testing.T) {
				l, ref, c, dir := behindLine(t, lab.Options{}, map[string]string{"a.bin": noise(1, size)})
				l.inner = row.wrap(l.inner)
				l.at.Store(1 << 20) // so that there is a part to ask for
				l.cuts.Store(1)
				target := filepath.Join(t.TempDir(), "out")
				err := open(t, ref, Options{}).Pull(context.Background(), c, target, PullOptions{})
				if (err == nil) != row.ok {
					t.Errorf("pull ended with %v", err)
				}
				if row.ok {
					mustEqualTree(t, dir, target)
				} else if _, err := os.Lstat(target); err == nil {
					t.Error("the target is there")
				}
			})
		}
	}
}

// heading changes the head of an answer.
type heading struct {
	http.ResponseWriter
	change func(http.Header)
}

func (h *heading) WriteHeader(code int) {
	h.change(h.Header())
	h.ResponseWriter.WriteHeader(code)
}

// flipping changes the first byte of an answer.
type flipping struct {
	http.ResponseWriter
	done bool
}

func (f *flipping) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		p = slices.Clone(p)
		p[0] ^= 1
		f.done = true
	}
	return f.ResponseWriter.Write(p)
}

func TestPullGoesOnWithPacks(t *testing.T) {
	first := tarOf(t, regular("a/1", noise(1, 3<<20)), regular("a/2", noise(2, 3<<20)))
	second := tarOf(t, regular("b/1", noise(3, 3<<20)))
	f := &faulty{inner: lab.New(lab.Options{})}
	l := &line{inner: f}
	ref := mustRef(t, lab.Serve(t, l)+"/team/chat:v1")
	r := open(t, ref, Options{})
	c := &manifest.Canonical{}
	for i, raw := range [][]byte{first, second} {
		layer := packLayer(raw, fmt.Sprintf("pack-%05d.tar", i+1))
		c.Layers = append(c.Layers, layer)
		if err := r.store.putBlob(context.Background(), Descriptor{Digest: layer.Digest.String(), Size: layer.Size}, opener(raw)); err != nil {
			t.Fatal(err)
		}
	}
	// As manifest.WritePack writes them, so that they can be recognised.
	want := map[string]string{"a/1": noise(1, 3<<20), "a/2": noise(2, 3<<20), "b/1": noise(3, 3<<20)}
	var signed []manifest.File
	for name, content := range want {
		signed = append(signed, fileOf(name, content))
	}
	for name, row := range map[string]struct {
		spoil string // path in the partial directory
		sent  int    // bytes that then have to come
	}{
		"as it was":             {"", len(second)},
		"with a member changed": {"files/a/2", len(first) + len(second)},
		"with a record gone":    {"packs/" + c.Layers[0].Digest.Hex(), len(first) + len(second)},
	} {
		t.Run(name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "out")
			f.set(answer(c.Layers[1].Digest.String(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }))
			var kept *PartialError
			if err := r.Pull(context.Background(), c, target, PullOptions{Files: signed, Workers: 1}); !errors.As(err, &kept) {
				t.Fatalf("pull ended with %v", err)
			}
			f.set(nil)
			l.reset()
			if row.spoil != "" {
				if err := os.WriteFile(filepath.Join(kept.Dir, row.spoil), []byte(noise(9, 3<<20)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Pull(context.Background(), c, target, PullOptions{Files: signed}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(tree(t, target), want) {
				t.Error("pulled files differ")
			}
			if l.sent.Load() != int64(row.sent) {
				t.Errorf("%d bytes were sent, %d had to be", l.sent.Load(), row.sent)
			}
		})
	}
}
