package transfer

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

// Layers of so many bytes are fetched in parts of so many, several at the same time.
const (
	hugeSize = 64<<20 + 1000
	partSize = 16 << 20
)

// TestEveryPartOfALargeLayerIsHeldToIt strikes each of the parts in which one large layer comes, once and for good. The
// file is right or DIR is not there, and once the fault is gone a pull goes on with what came.
func TestEveryPartOfALargeLayerIsHeldToIt(t *testing.T) {
	a := newArtifact(t, map[string]string{"model.safetensors": noise(hugeSize, 8)})
	stock := a.stock(t, kinds["referrers API"])
	of := a.layer("model.safetensors")
	parts := a.parts(t, stock, of)
	if len(parts) != hugeSize/partSize+1 {
		t.Fatalf("it comes in the parts %q", parts)
	}
	for i, f := range slices.Concat(lab.Slow(), lab.Broken(), lab.Lies()) {
		if f.When != nil && !f.When(a.partRequest(t)) {
			continue
		}
		for j, part := range parts {
			if stride() > 1 && j != i%len(parts) {
				continue
			}
			for _, on := range []bool{false, true} {
				if stride() > 1 && on != (i/len(parts)%2 == 0) {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/for good %t", f.Name, strings.TrimPrefix(part, "bytes="), on), func(t *testing.T) {
					a.strikePart(t, stock.Clone(), onPart(f.At(http.MethodGet, of), part), on)
				})
			}
		}
	}
}

// onPart is a fault for requests of one range only.
func onPart(f lab.Fault, part string) lab.Fault {
	before := f.When
	f.When = func(r *http.Request) bool { return r.Header.Get("Range") == part && before(r) }
	return f
}

// parts pulls without a fault and returns the ranges that were asked for, sorted by where they begin.
func (a *artifact) parts(t *testing.T, g *lab.Registry, of string) []string {
	t.Helper()
	proxy := lab.NewProxy(g.Clone())
	dir := filepath.Join(t.TempDir(), "out")
	if d, err := a.pull(t.Context(), refAt(t, lab.Serve(t, proxy)), dir, options(long), 0); err != nil || d.Verdict() != policy.Yes {
		t.Fatalf("%s %v", d.Verdict(), err)
	}
	a.checkTarget(t, dir, true)
	var asked []string
	for _, r := range proxy.Requests() {
		if r.Method == http.MethodGet && strings.Contains(r.URI, of) {
			asked = append(asked, r.Header.Get("Range"))
		}
	}
	slices.SortFunc(asked, func(a, b string) int { return len(a) - len(b) })
	return asked
}

func (a *artifact) strikePart(t *testing.T, g *lab.Registry, f lab.Fault, on bool) {
	t.Helper()
	proxy := lab.NewProxy(g)
	ref := refAt(t, lab.Serve(t, proxy))
	proxy.Set(lab.Rule{Fault: f, At: 1, On: on})
	dir := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	o := options(long)
	if slices.ContainsFunc(lab.Slow(), func(s lab.Fault) bool { return s.Name == f.Name }) {
		o.Timeout, o.Retries = 5*short, 1 // the sound parts take their time too
	}
	d, err := a.pull(ctx, ref, dir, o, 0)
	mustSayWhy(t, ctx, err)
	if d.Verdict() != policy.Yes {
		t.Errorf("the verdict is %s because of %v", d.Verdict(), d.Reasons())
	}
	if proxy.Struck() == 0 {
		t.Error("it did not strike")
	}
	a.checkTarget(t, dir, err == nil)
	if err == nil {
		return
	}
	proxy.Set()
	if d, err = a.pull(t.Context(), ref, dir, options(long), 0); err != nil || d.Verdict() != policy.Yes {
		t.Errorf("it fails also without the fault: %s %v", d.Verdict(), err)
	}
	a.checkTarget(t, dir, err == nil)
}
