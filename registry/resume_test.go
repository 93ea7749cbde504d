package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/test/lab"
)

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
