package transfer

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// maxPatience is more requests than any client should make in vain, all its parallel ones together.
const maxPatience = 60

// TestPatienceEnds: a fault that does not go away, from whichever request on, ends every operation after a bounded
// number of tries, with a don't know.
func TestPatienceEnds(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	layout := filepath.Join(t.TempDir(), "layout")
	if _, err := a.push(t.Context(), mustRef(t, "oci:"+layout+":"+tag), registry.Options{}); err != nil {
		t.Fatal(err)
	}
	faults := slices.DeleteFunc(lab.Broken(), func(f lab.Fault) bool {
		return !slices.Contains([]string{"reset before", "reset after", "closed after", "truncated", "401 after", "401 for Basic", "408", "429", "429 Retry-After 0", "500", "503 Retry-After 0"}, f.Name)
	})
	t.Run("all", func(t *testing.T) {
		for kind, o := range kinds {
			stock := a.stock(t, o)
			for _, op := range slices.Concat(operations, carriers) {
				if op.only != "" && op.only != kind {
					continue
				}
				for _, f := range append(faults, lab.Slow()[0]) {
					t.Run(kind+"/"+op.name+"/"+f.Name, func(t *testing.T) {
						t.Parallel()
						for _, n := range []int{1, 4, 9} {
							x := trial{artifact: a, fault: f, more: more, source: stock, layout: layout}
							proxy := x.prepare(t, op, op.begin(stock, o))
							x.timeout = short
							proxy.Set(lab.Rule{Fault: f, At: n, On: true})
							attempt(t, op, &x, n)
							if struck := proxy.Struck(); struck > maxPatience {
								t.Errorf("from request %d on: %d requests in vain", n, struck)
							}
							if testing.Short() {
								break
							}
						}
					})
				}
			}
		}
	})
	goleak.VerifyNone(t, before)
}

// TestTheRegistrySaysWhenToComeBack: Retry-After is waited for, and a registry that asks for too much is not waited for.
func TestTheRegistrySaysWhenToComeBack(t *testing.T) {
	a := newArtifact(t, small())
	stock := a.stock(t, kinds["referrers API"])
	for _, row := range []struct {
		after string
		least time.Duration // that is waited, once
		ok    bool
	}{{"0", 0, true}, {"7", 7 * time.Second, true}, {"100000", 0, false}, {"Mon, 23 Nov 2026 12:00:00 GMT", 0, true}, {"soon", 0, true}} {
		proxy := lab.NewProxy(stock.Clone())
		ref := refAt(t, lab.Serve(t, proxy))
		proxy.Set(lab.Rule{Fault: lab.Status(429, row.after), At: 2})
		var longest atomic.Int64
		o := options(long)
		o.Wait = func(ctx context.Context, d time.Duration) error {
			longest.Store(max(longest.Load(), int64(d)))
			return context.Cause(ctx)
		}
		d, err := a.pull(t.Context(), ref, filepath.Join(t.TempDir(), "out"), o, 1)
		if ok := err == nil && d.Verdict() == policy.Yes; ok != row.ok {
			t.Errorf("Retry-After %q: %s %v", row.after, d.Verdict(), err)
		}
		if waited := time.Duration(longest.Load()); waited < row.least || waited > row.least+time.Minute {
			t.Errorf("Retry-After %q: waited for %s", row.after, waited)
		}
	}
}

// TestAnOperationEndsWithItsContext: whoever interrupts gets the prompt back, whatever the registry is doing.
func TestAnOperationEndsWithItsContext(t *testing.T) {
	before := goleak.IgnoreCurrent()
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	errStop := errors.New("stop")
	t.Run("all", func(t *testing.T) {
		stock := a.stock(t, kinds["fallback tag"])
		for name, operate := range map[string]func(ctx context.Context, ref registry.Ref, dir string) error{
			"push": func(ctx context.Context, ref registry.Ref, _ string) error {
				_, err := a.push(ctx, ref, options(long))
				return err
			},
			"pull": func(ctx context.Context, ref registry.Ref, dir string) error {
				_, err := a.pull(ctx, ref, dir, options(long), 0)
				return err
			},
			"attach": func(ctx context.Context, ref registry.Ref, _ string) error {
				_, err := a.attach(ctx, ref, more, options(long))
				return err
			},
		} {
			for n := 1; n < 100; n += 2 {
				g := stock.Clone()
				if name == "push" {
					g = lab.New(kinds["fallback tag"])
				}
				proxy := lab.NewProxy(g)
				ref := refAt(t, lab.Serve(t, proxy))
				ctx, cancel := context.WithCancelCause(t.Context())
				proxy.Set(lab.Rule{Fault: lab.Stall(10, func() { cancel(errStop) }), At: n})
				dir := filepath.Join(t.TempDir(), "out")
				err := operate(ctx, ref, dir)
				cancel(nil)
				if proxy.Struck() == 0 {
					break
				}
				switch {
				case err == nil: // the answer was there before the end was, and nothing was left to do
					if name != "pull" {
						a.mustHaveAll(t, g, map[string][][]byte{"attach": {more}}[name]...)
					}
				case !errors.Is(err, errStop) && !errors.Is(err, context.Canceled):
					t.Errorf("%s stopped at request %d: %v", name, n, err)
				}
				a.checkTarget(t, dir, name == "pull" && err == nil)
			}
		}
	})
	goleak.VerifyNone(t, before)
}
