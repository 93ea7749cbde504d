package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/test/lab"
)

// stocked is a proxy before a registry that has one of everything.
func stocked(t *testing.T) (p *lab.Proxy, at, blob, subject string) {
	t.Helper()
	g := lab.New(lab.Options{Referrers: true})
	blob = g.PutBlob("m", bytes.Repeat([]byte("weights "), 2000))
	g.PutBlob("m", []byte("{}"))
	subject = g.PutManifest("m", asManifest, referring(blob, "a/b", 0), "v1")
	for i := range 3 {
		g.PutManifest("m", asManifest, referring(subject, "a/b", i), "")
	}
	p = lab.NewProxy(g)
	return p, "http://" + lab.Serve(t, p), blob, subject
}

func TestProxyStrikesWhenItIsTheTurn(t *testing.T) {
	p, at, blob, _ := stocked(t)
	statuses := func() (found []int) {
		for i := range 4 {
			a, err := ask(t, "GET", at+"/v2/m/blobs/"+blob, nil)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, a.status)
			if _, err := ask(t, "GET", at+"/v2/m/manifests/v1", nil); err != nil && i == 0 {
				t.Fatal(err)
			}
		}
		return found
	}
	unavailable := lab.Status(503, "")
	for _, row := range []struct {
		rules  []lab.Rule
		want   []int
		struck int
	}{
		{nil, []int{200, 200, 200, 200}, 0},
		{[]lab.Rule{{Fault: unavailable.At("GET", "/blobs/"), At: 2}}, []int{200, 503, 200, 200}, 1},
		{[]lab.Rule{{Fault: unavailable.At("GET", "/blobs/"), At: 3, On: true}}, []int{200, 200, 503, 503}, 2},
		{[]lab.Rule{{Fault: unavailable, At: 3}}, []int{200, 503, 200, 200}, 1}, // every second one asks for something else
		{[]lab.Rule{{Fault: unavailable.At("GET", "/blobs/")}}, []int{503, 503, 503, 503}, 4},
		{[]lab.Rule{{Fault: unavailable.At("PUT", "/blobs/")}}, []int{200, 200, 200, 200}, 0},
		{[]lab.Rule{{Fault: unavailable.At("", "/blobs/"), At: 1}, {Fault: lab.Status(500, "").At("GET", "/blobs/"), At: 2}}, []int{503, 500, 200, 200}, 2},
	} {
		p.Set(row.rules...)
		if got := statuses(); !slices.Equal(got, row.want) || p.Struck() != row.struck {
			t.Errorf("%v: statuses %v after %d faults, want %v after %d", row.rules, got, p.Struck(), row.want, row.struck)
		}
		if n := len(p.Requests()); n != 8 {
			t.Errorf("%d requests were counted", n)
		}
	}
}

// A fault that changes nothing would test nothing.
func TestEveryFaultIsOne(t *testing.T) {
	p, at, blob, subject := stocked(t)
	names := map[string]bool{}
	requests := []func() (answer, error){
		func() (answer, error) { return ask(t, "GET", at+"/v2/m/blobs/"+blob, nil) },
		func() (answer, error) { return ask(t, "GET", at+"/v2/m/blobs/"+blob, nil, "Range: bytes=100-199") },
		func() (answer, error) { return ask(t, "GET", at+"/v2/m/manifests/v1", nil) },
		func() (answer, error) { return ask(t, "GET", at+"/v2/m/referrers/"+subject, nil) },
		func() (answer, error) { return ask(t, "POST", at+"/v2/m/blobs/uploads/", nil) },
	}
	faults := slices.Concat(lab.Broken(), lab.Lies(), []lab.Fault{lab.CutAfter(10), lab.LocationAt("http://127.0.0.2"),
		lab.LinkAt("http://127.0.0.2"), lab.RealmAt("http://127.0.0.2"), lab.Redirected(307, "http://127.0.0.2"), lab.BasicWanted()})
	for _, f := range faults {
		if f.Name == "" || names[f.Name] {
			t.Errorf("name %q is empty or there twice", f.Name)
		}
		names[f.Name] = true
		shows := 0
		for _, request := range requests {
			p.Set()
			sound, err := request()
			if err != nil {
				t.Fatal(err)
			}
			p.Set(lab.Rule{Fault: f})
			got, err := request()
			if p.Struck() > 0 && (err != nil || got.status != sound.status || !bytes.Equal(got.body, sound.body) || fmt.Sprint(got.header) != fmt.Sprint(sound.header)) {
				shows++
			}
		}
		if shows == 0 {
			t.Errorf("%s: no request shows it", f.Name)
		}
	}
}

func TestSlowFaultsEndWithTheirClient(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("", func(t *testing.T) {
		p, at, blob, _ := stocked(t)
		for _, f := range lab.Slow() {
			p.Set(lab.Rule{Fault: f})
			ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
			r, err := http.NewRequestWithContext(ctx, "GET", at+"/v2/m/blobs/"+blob, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultTransport.RoundTrip(r)
			n := 0
			if err == nil {
				var b bytes.Buffer
				_, err = b.ReadFrom(resp.Body)
				n = b.Len()
				_ = resp.Body.Close()
			}
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || n >= 16_000 {
				t.Errorf("%s: %d bytes, %v", f.Name, n, err)
			}
		}
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestReverseLeadsBackThroughTheProxy(t *testing.T) {
	g := lab.New(lab.Options{Tokens: true})
	host := lab.Serve(t, g)
	p := lab.NewProxy(lab.Reverse(host))
	before := lab.Serve(t, p)
	a := must(t, 401, "GET", "http://"+before+"/v2/m/tags/list", nil)
	if c := a.header.Get("WWW-Authenticate"); !strings.Contains(c, before) {
		t.Errorf("challenge %s leads past the proxy", c)
	}
	p.Set(lab.Rule{Fault: lab.Status(503, "7")})
	if a := must(t, 503, "GET", "http://"+before+"/v2/", nil); a.header.Get("Retry-After") != "7" {
		t.Error("Retry-After is missing")
	}
}

func TestRecorderRemembers(t *testing.T) {
	c := &lab.Recorder{}
	at := "http://" + lab.ServeAt(t, "127.0.0.2", c)
	must(t, 404, "POST", at+"/x?y", []byte("body"), "Authorization: Basic x")
	seen := c.Requests()
	if len(seen) != 1 || seen[0].String() != "POST /x?y" || seen[0].Header.Get("Authorization") != "Basic x" || string(seen[0].Body) != "body" {
		t.Errorf("it remembers %v", seen)
	}
}

// TestCutsAreCountedOverAllConnections: three answers of 1,000 bytes, cut at every 700th byte, twice.
func TestCutsAreCountedOverAllConnections(t *testing.T) {
	g := lab.New(lab.Options{})
	content := bytes.Repeat([]byte("0123456789"), 100)
	digest := g.PutBlob("m", content)
	proxy := lab.NewProxy(g)
	at := "http://" + lab.Serve(t, proxy) + "/v2/m/blobs/" + digest
	cuts := &lab.Cuts{Every: 700, Times: 2}
	proxy.Set(lab.Rule{Fault: cuts.Fault()})
	for i, want := range []struct {
		bytes int
		cut   bool
	}{{700, true}, {700, true}, {1000, false}, {1000, false}} {
		got, err := ask(t, "GET", at, nil)
		if !bytes.Equal(got.body, content[:want.bytes]) || (err != nil) != want.cut {
			t.Errorf("answer %d has %d bytes (%v)", i+1, len(got.body), err)
		}
	}
	if cuts.Struck() != 2 {
		t.Errorf("%d cuts", cuts.Struck())
	}
	must(t, 200, "HEAD", at, nil)
}
