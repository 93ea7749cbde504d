package transfer

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

const largeSize = 3 << 20

// large has one file that does not go through a connection at once.
func large() map[string]string {
	return map[string]string{"model.safetensors": noise(largeSize, 4), "config.json": `{"layers": 12}`}
}

// weights is the path of the large file's blob.
func (a *artifact) weights() string { return "/blobs/" + a.canonical.Layers[1].Digest.String() }

// TestPullOutlivesCuts: a connection that is cut ten times within one file, anywhere, costs no pull its success.
func TestPullOutlivesCuts(t *testing.T) {
	a := newArtifact(t, large())
	stock := a.stock(t, kinds["referrers API"])
	for _, reset := range []bool{false, true} {
		proxy := lab.NewProxy(stock.Clone())
		ref := refAt(t, lab.Serve(t, proxy))
		var rules []lab.Rule
		for i := range 10 {
			cut := lab.Fault{Name: "cut", Do: func(x *lab.Exchange) { x.Cut(x.Ask(), largeSize/16+i, reset) }}
			rules = append(rules, lab.Rule{Fault: cut.At(http.MethodGet, a.weights()), At: i + 1})
		}
		proxy.Set(rules...)
		dir := filepath.Join(t.TempDir(), "out")
		d, err := a.pull(t.Context(), ref, dir, options(long), 1)
		if err != nil || d.Verdict() != policy.Yes {
			t.Errorf("cut ten times, with a reset: %v: after %d cuts %s %v", reset, proxy.Struck(), d.Verdict(), err)
		}
		a.checkTarget(t, dir, err == nil)
	}
}

// TestPartsAreNotTrusted: after a cut, the rest is asked for by its range, and every wrong answer to that is found out.
func TestPartsAreNotTrusted(t *testing.T) {
	a := newArtifact(t, large())
	stock := a.stock(t, kinds["referrers API"])
	for _, on := range []bool{false, true} { // lied to once, and always
		for i, lie := range append(lab.Lies(), lab.Broken()...) {
			if lie.When != nil && !lie.When(a.partRequest(t)) {
				continue
			}
			cuts := []int{0, 1, 64 << 10, largeSize / 2, largeSize - 1}
			if stride() > 1 {
				cuts = cuts[i%len(cuts):][:1]
			}
			for _, cut := range cuts {
				g := stock.Clone()
				proxy := lab.NewProxy(g)
				ref := refAt(t, lab.Serve(t, proxy))
				proxy.Set(lab.Rule{Fault: lab.CutAfter(cut).At(http.MethodGet, a.weights()), At: 1},
					lab.Rule{Fault: lie.At(http.MethodGet, a.weights()), At: 2, On: on})
				dir := filepath.Join(t.TempDir(), "out")
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				d, err := a.pull(ctx, ref, dir, options(long), 1)
				if ctx.Err() != nil {
					t.Errorf("cut after %d, then %s: it does not end", cut, lie.Name)
				}
				cancel()
				pulled := err == nil && d.Verdict() == policy.Yes
				a.checkTarget(t, dir, pulled)
				proxy.Set()
				if !pulled {
					if d, err = a.pull(t.Context(), ref, dir, options(long), 1); err != nil || d.Verdict() != policy.Yes {
						t.Errorf("cut after %d, then %s: it fails also afterwards: %v", cut, lie.Name, err)
					}
					a.checkTarget(t, dir, err == nil)
				}
			}
		}
	}
}

// partRequest is what a client asks that goes on behind a cut.
func (a *artifact) partRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/v2/"+repository+"/blobs/"+a.canonical.Layers[0].Digest.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=1-")
	return r
}

// TestRegistriesWithoutRangesAreEnough: a registry that knows no parts, and one that is slow to say so, serve a pull.
func TestRegistriesWithoutRangesAreEnough(t *testing.T) {
	a := newArtifact(t, large())
	o := kinds["referrers API"]
	o.IgnoreRange = true
	proxy := lab.NewProxy(a.stock(t, o))
	ref := refAt(t, lab.Serve(t, proxy))
	for _, rules := range [][]lab.Rule{nil, {{Fault: lab.CutAfter(largeSize/2).At(http.MethodGet, a.weights()), At: 1}}} {
		proxy.Set(rules...)
		dir := filepath.Join(t.TempDir(), "out")
		d, err := a.pull(t.Context(), ref, dir, options(long), 0)
		if err != nil || d.Verdict() != policy.Yes {
			t.Errorf("with %d cuts: %s %v", len(rules), d.Verdict(), err)
		}
		a.checkTarget(t, dir, err == nil)
	}
}

// TestPushOutlivesCuts: an upload that is cut, early or late, is sent again; and if it was not, a second push completes.
func TestPushOutlivesCuts(t *testing.T) {
	a := newArtifact(t, large())
	for _, at := range []int64{0, 1, 64 << 10, largeSize / 2, largeSize - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			g := lab.New(lab.Options{})
			proxy := lab.NewProxy(g)
			ref := refAt(t, lab.Serve(t, proxy))
			proxy.Set(lab.Rule{Fault: lab.CutUpload(at).At("", "/blobs/uploads/"), At: 1})
			_, err := a.push(t.Context(), ref, options(long))
			if proxy.Struck() != 1 {
				t.Fatal("nothing was cut")
			}
			if err != nil {
				t.Errorf("cut after %d bytes: %v", at, err)
				if len(g.Tags(repository)) > 0 {
					t.Error("the tag is there")
				}
				if _, err := a.push(t.Context(), ref, options(long)); err != nil {
					t.Errorf("again: %v", err)
				}
			}
			a.mustHaveAll(t, g)
		})
	}
}

// TestASecondPushSendsNoBytes: what is there is not sent again.
func TestASecondPushSendsNoBytes(t *testing.T) {
	a := newArtifact(t, large())
	g := lab.New(lab.Options{})
	ref := refAt(t, lab.Serve(t, g))
	for range 2 {
		if _, err := a.push(t.Context(), ref, options(long)); err != nil {
			t.Fatal(err)
		}
	}
	uploads := 0
	for _, r := range g.Requests() {
		if r.Method == http.MethodPut && strings.Contains(r.URI, "/blobs/uploads/") {
			uploads++
		}
	}
	want := len(a.canonical.Layers) + 1 + len(a.evidence) + 1 // files, config, bundles, the bundles' empty config
	if uploads != want {
		t.Errorf("%d uploads in two pushes of %d blobs", uploads, want)
	}
}
