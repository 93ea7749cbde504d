package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/test/lab"
)

func refusedDial() error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// emptyLine is a registry without anything in it, behind a line.
func emptyLine(t *testing.T, o lab.Options) (*line, Ref) {
	t.Helper()
	o.Dir = t.TempDir()
	l := &line{inner: lab.New(o)}
	return l, mustRef(t, lab.Serve(t, l)+"/team/chat:v1")
}

func weights(n, size int) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("part-%02d.bin", i)] = noise(uint64(i), size)
	}
	return files
}

func TestPushCompletesWhatWasInterrupted(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("", func(t *testing.T) {
		l, ref := emptyLine(t, lab.Options{})
		dir := model(t, weights(8, 1<<20))
		c := canonical(t, dir)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		_, err := open(t, ref, Options{}).Push(ctx, c, Files{dir}, PushOptions{Workers: 2, Progress: func(done, _ int64) {
			if done > 5<<20 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("push ended with %v", err)
		}
		if _, err := open(t, ref, Options{}).Manifest(context.Background(), c.ID); !errors.Is(err, ErrNotFound) {
			t.Errorf("the manifest is there: %v", err)
		}
		l.reset()
		kinds := map[EventKind]int{}
		if _, err := open(t, ref, Options{}).Push(context.Background(), c, Files{dir}, PushOptions{Events: func(e Event) { kinds[e.Kind]++ }}); err != nil {
			t.Fatal(err)
		}
		uploads := slices.DeleteFunc(l.requests(), func(s string) bool { return !strings.HasPrefix(s, "PUT /v2/team/chat/blobs/") })
		needed := 8 - kinds[EventSkip] + 1 // and the config; a request of the push that was ended may arrive as late, one of each worker
		if kinds[EventSkip] < 3 || kinds[EventStart] != 8 || kinds[EventDone] != 8 || len(uploads) < needed || len(uploads) > needed+2 {
			t.Errorf("%v, %d uploads", kinds, len(uploads))
		}
		if err := open(t, ref, Options{}).Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
			t.Error(err)
		}
	})
	goleak.VerifyNone(t, before)
}

// TestPushAsksForTheManifestFirst: what a registry has as a whole is not asked for blob by blob.
func TestPushAsksForTheManifestFirst(t *testing.T) {
	l, ref := emptyLine(t, lab.Options{})
	dir := model(t, weights(8, 1000))
	c := canonical(t, dir)
	push := func() (skipped int, asked string) {
		l.saw = nil
		_, err := open(t, ref, Options{}).Push(context.Background(), c, Files{dir}, PushOptions{Events: func(e Event) {
			if e.Kind == EventSkip {
				skipped++
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return skipped, strings.Join(l.saw, "\n")
	}
	if skipped, asked := push(); skipped != 0 || strings.Count(asked, "HEAD") < 8 {
		t.Errorf("first push skipped %d layers:\n%s", skipped, asked)
	}
	if skipped, asked := push(); skipped != 8 || strings.Contains(asked, "/blobs/") || !strings.Contains(asked, c.ID) {
		t.Errorf("second push skipped %d layers:\n%s", skipped, asked)
	}
}

func TestPushBeginsBrokenUploadsAgain(t *testing.T) {
	dir := model(t, weights(2, 3<<20))
	c := canonical(t, dir)
	for name, row := range map[string]struct {
		fault func(w http.ResponseWriter, r *http.Request, inner http.Handler)
		most  int64 // bytes of uploads
	}{
		"cut in the middle": {func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
			panic(http.ErrAbortHandler)
		}, 3 * 3 << 20},
		"refused at the end": {func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
		}, 3 * 3 << 20},
		"answer lost": {func(_ http.ResponseWriter, r *http.Request, inner http.Handler) {
			inner.ServeHTTP(&discard{}, r)
			panic(http.ErrAbortHandler)
		}, 2 * 3 << 20}, // nothing is sent twice
	} {
		t.Run(name, func(t *testing.T) {
			l, ref := emptyLine(t, lab.Options{})
			inner := l.inner
			var struck atomic.Bool
			l.inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") && struck.CompareAndSwap(false, true) {
					row.fault(w, r, inner)
					return
				}
				inner.ServeHTTP(w, r)
			})
			var last, retries int64
			_, err := open(t, ref, Options{}).Push(context.Background(), c, Files{dir}, PushOptions{
				Workers: 1,
				Progress: func(done, total int64) {
					if done < last || done > total {
						t.Errorf("progress from %d to %d of %d", last, done, total)
					}
					last = done
				},
				Events: func(e Event) {
					if e.Kind == EventRetry {
						retries++
					}
				},
			})
			if err != nil || retries != 1 || last != 2*3<<20 || !struck.Load() {
				t.Errorf("%v after %d retries, %d bytes", err, retries, last)
			}
			if l.puts.Load() > row.most+1<<20 {
				t.Errorf("%d bytes were sent", l.puts.Load())
			}
		})
	}
}

// discard is an answer that nobody gets.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = http.Header{}
	}
	return d.header
}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func TestPushMountsFromOtherRepositories(t *testing.T) {
	for name, row := range map[string]struct {
		options lab.Options
		from    []string
		mounted int
		sent    int64
	}{
		"there":             {lab.Options{}, []string{"team/base"}, 2, 1 << 20},
		"in the second":     {lab.Options{}, []string{"team/empty", "team/base"}, 2, 1 << 20},
		"not there":         {lab.Options{}, []string{"team/empty"}, 0, 3 << 20},
		"not asked":         {lab.Options{}, nil, 0, 3 << 20},
		"no mounts":         {lab.Options{NoMount: true}, []string{"team/base"}, 0, 3 << 20},
		"from itself":       {lab.Options{}, []string{"team/chat"}, 0, 3 << 20},
		"with tokens":       {lab.Options{Tokens: true, User: "alice", Password: "secret"}, []string{"team/base"}, 2, 1 << 20},
		"with short tokens": {lab.Options{Tokens: true, User: "alice", Password: "secret", TokenUses: 5}, []string{"team/base"}, 2, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			l, ref := emptyLine(t, row.options)
			o := Options{Keychain: login{"alice", "secret"}}
			if !row.options.Tokens {
				o.Keychain = anonymous{}
			}
			base := mustRef(t, ref.Host()+"/team/base:v1")
			pushed(t, open(t, base, o), model(t, weights(2, 1<<20)))
			l.reset()
			dir := model(t, weights(3, 1<<20))
			c := canonical(t, dir)
			mounted := 0
			_, err := open(t, ref, o).Push(context.Background(), c, Files{dir}, PushOptions{MountFrom: row.from, Events: func(e Event) {
				if e.Kind == EventMounted {
					mounted++
				}
			}})
			if err != nil || mounted != row.mounted || l.puts.Load() < row.sent || l.puts.Load() > row.sent+4096 {
				t.Errorf("%v: %d mounted, %d bytes sent", err, mounted, l.puts.Load())
			}
			both := slices.ContainsFunc(l.requests(), func(s string) bool {
				u, err := url.Parse(strings.TrimPrefix(s, "GET "))
				return err == nil && u.Path == "/token" && slices.Contains(u.Query()["scope"], "repository:team/base:pull")
			})
			if both != row.options.Tokens {
				t.Errorf("a token for both repositories was asked for: %v", both)
			}
			if err := open(t, ref, o).Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	_, ref := emptyLine(t, lab.Options{})
	dir := model(t, nil)
	if _, err := open(t, ref, Options{}).Push(context.Background(), canonical(t, dir), Files{dir}, PushOptions{MountFrom: []string{"Not/a&name"}}); err == nil {
		t.Error("mounted from what is no repository")
	}
}

// A registry that will not let anybody look into the other repository gets the bytes.
func TestPushSendsWhatMayNotBeMounted(t *testing.T) {
	l, ref := emptyLine(t, lab.Options{})
	inner := l.inner
	l.inner = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("mount") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		inner.ServeHTTP(w, r)
	})
	dir := model(t, weights(1, 1<<20))
	if _, err := open(t, ref, Options{}).Push(context.Background(), canonical(t, dir), Files{dir}, PushOptions{MountFrom: []string{"team/base"}}); err != nil || l.puts.Load() < 1<<20 {
		t.Errorf("%v, %d bytes sent", err, l.puts.Load())
	}
}

func TestTokensEndInTheMiddleOfATransfer(t *testing.T) {
	for uses := 5; uses < 9; uses++ {
		l, ref := emptyLine(t, lab.Options{Tokens: true, User: "alice", Password: "secret", TokenUses: uses})
		o := Options{Keychain: login{"alice", "secret"}}
		dir := model(t, map[string]string{"a.bin": noise(1, parted), "b.bin": noise(2, 1<<20), "c.json": "{}"})
		c, _ := pushed(t, open(t, ref, o), dir)
		l.at.Store(3_000_000)
		l.cuts.Store(10)
		target := filepath.Join(t.TempDir(), "out")
		if err := open(t, ref, o).Pull(context.Background(), c, target, PullOptions{}); err != nil {
			t.Fatalf("with tokens for %d requests: %v", uses, err)
		}
		mustEqualTree(t, dir, target)
		tokens := slices.DeleteFunc(l.requests(), func(s string) bool { return !strings.HasPrefix(s, "GET /token") })
		if len(tokens) < 3 {
			t.Errorf("%d tokens were asked for", len(tokens))
		}
	}
}
