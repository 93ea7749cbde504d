package registry

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
)

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
