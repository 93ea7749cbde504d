package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/distribution"
)

// far is a world whose registry is not distribution.
func far(t *testing.T, h http.Handler) *remote {
	t.Helper()
	return &remote{dir: t.TempDir(), server: &distribution.Server{Host: lab.Serve(t, h), Storage: t.TempDir()}}
}

func TestBareTransfersCarryEveryFile(t *testing.T) {
	g := lab.New(lab.Options{})
	host := lab.Serve(t, g)
	d := &dataset{Name: "d", Files: 3, Size: 1500}
	if err := d.generate(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Chdir(d.dir)
	if err := bareUpload(t.Context(), []string{host + "/m:v1", "2"}, d.list()); err != nil {
		t.Fatal(err)
	}
	if got := len(g.Blobs("m")); got != 3 {
		t.Errorf("%d blobs arrived", got)
	}
	var layers []string
	for _, name := range d.names {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		layers = append(layers, fmt.Sprintf(`{"digest":%q,"annotations":{"org.opencontainers.image.title":"sub/%s"}}`, lab.Digest(raw), name))
	}
	g.PutManifest("m", "application/vnd.oci.image.manifest.v1+json", fmt.Appendf(nil, `{"layers":[%s]}`, strings.Join(layers, ",")), "v1")
	out := t.TempDir()
	if err := bareDownload(t.Context(), []string{host + "/m:v1", out, "2"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range d.names {
		want, _ := os.ReadFile(name)
		if got, err := os.ReadFile(filepath.Join(out, "sub", name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes (%v)", name, len(got), err)
		}
	}
	proxy := lab.NewProxy(g)
	proxy.Set(lab.Rule{Fault: lab.Lies()[2].At(http.MethodGet, "/blobs/")}) // one bit flipped
	if err := bareDownload(t.Context(), []string{lab.Serve(t, proxy) + "/m:v1", t.TempDir(), "1"}); err == nil {
		t.Error("other bytes are taken")
	}
	for _, args := range [][]string{nil, {"m", out, "1"}, {host + "/m:v1", out, "0"}} {
		if bareDownload(t.Context(), args) == nil || bareUpload(t.Context(), args, strings.NewReader("")) == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// TestPlantedBlobsLieWhereDistributionLooks: the place that Server.Storage names, with all of the size and none of the room.
func TestPlantedBlobsLieWhereDistributionLooks(t *testing.T) {
	f := far(t, lab.New(lab.Options{}))
	d := &dataset{Name: "zeros", Files: 1, Size: 3 << 20, sparse: true}
	if err := d.generate(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if err := f.plant(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(make([]byte, d.Size)))
	data, err := os.Open(filepath.Join(f.server.Storage, "blobs/sha256", digest[:2], digest, "data"))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	if n, err := io.Copy(io.Discard, data); n != d.Size || err != nil {
		t.Errorf("the blob has %d bytes (%v)", n, err)
	}
	link, err := os.ReadFile(filepath.Join(f.server.Storage, "repositories/bench/zeros-hallmark/_layers/sha256", digest, "link"))
	if string(link) != "sha256:"+digest {
		t.Errorf("the repository has %q (%v)", link, err)
	}
}

// TestARunThatWasNotCutIsNone: a pull that nothing was cut from shows nothing about cuts.
func TestARunThatWasNotCutIsNone(t *testing.T) {
	needShell(t)
	g := lab.New(lab.Options{})
	digest := g.PutBlob("m", bytes.Repeat([]byte("x"), 1100))
	f := far(t, g)
	f.cutting = lab.NewProxy(lab.Reverse(f.server.Host))
	at := "http://" + lab.Serve(t, f.cutting) + "/v2/m/blobs/" + digest
	cleared := 0
	for pulled, want := range map[int]bool{0: false, 10: true} {
		work := f.cutTen(&task{args: []string{"true"}, after: func() error { cleared++; return nil }}, &dataset{Files: 1, Size: 1100}, true)
		arm := work.before
		work.before = func() {
			arm()
			for range pulled { // each is cut after a tenth
				resp, err := http.Get(at)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, resp.Body); err == nil {
					t.Error("it was not cut")
				}
				_ = resp.Body.Close()
			}
		}
		if _, err := work.measure(t.Context()); (err == nil) != want {
			t.Errorf("pulled %d times: %v", pulled, err)
		}
	}
	if cleared != 2 {
		t.Errorf("cleared after %d of 2 runs", cleared)
	}
}

func TestRegistryRowsHaveTheirTargets(t *testing.T) {
	at := func(name string, peer bool, d time.Duration) *entry {
		e := measured(name, peer, 1)
		e.wall = []time.Duration{d}
		return e
	}
	ms := time.Millisecond
	for _, c := range []struct {
		r      *row
		wanted string
		met    bool
	}{
		{rowOf("two", push, 2, at(hallmarkName, false, 1000*ms), at(orasName, true, 1000*ms)), "not slower than oras", true},
		{rowOf("two", push, 2, at(hallmarkName, false, 1020*ms), at(orasName, true, 1000*ms)), "not slower than oras", false},
		{rowOf("two", pull, 2, at(hallmarkName, false, 1040*ms), at(orasName, true, 2000*ms), at(bareDownloadName, true, 1000*ms)), "within 5 % of the better peer", true},
		{rowOf("two", pull, 2, at(hallmarkName, false, 1060*ms), at(orasName, true, 2000*ms), at(bareDownloadName, true, 1000*ms)), "within 5 % of the better peer", false},
		{rowOf("two", pullCut, 2, at(hallmarkName, false, 1140*ms), at(uncutName, false, 1000*ms)), "10 cuts cost less than 15 %", true},
		{rowOf("two", pullCut, 2, at(hallmarkName, false, 1160*ms), at(uncutName, false, 1000*ms)), "10 cuts cost less than 15 %", false},
		{rowOf("two", pushAgain, 2, at(hallmarkName, false, 999*ms), at(orasName, true, ms)), "at most 1s", true},
		{rowOf("two", pushAgain, 2, at(hallmarkName, false, 1001*ms)), "at most 1s", false},
		{rowOf("ten", verifyRef, 1, at(hallmarkName, false, 50*ms)), "at most 50ms", true},
		{rowOf("ten", verifyRef, 1, at(hallmarkName, false, 51*ms)), "at most 50ms", false},
	} {
		if got := find(t, judge([]*row{c.r}, 2), c.r.name()+": "+c.wanted); got.Met != c.met || got.Unknown {
			t.Errorf("%s at %v: %+v", c.wanted, c.r.entry(hallmarkName).median(), got)
		}
	}
	missing := at(orasName, true, 0)
	missing.Reason = "not to be had"
	if got := find(t, judge([]*row{rowOf("two", pull, 2, at(hallmarkName, false, ms), at(bareDownloadName, true, 2*ms), missing)}, 2), "two/pull: within"); !got.Unknown {
		t.Errorf("met without the better peer, perhaps: %+v", got)
	}
	for grown, met := range map[time.Duration]bool{5 * ms: true, 6 * ms: false} {
		tiny, ten := rowOf("tiny", verifyRef, 1, at(hallmarkName, false, 20*ms)), rowOf("ten", verifyRef, 1, at(hallmarkName, false, 20*ms+grown))
		tiny.Bytes, ten.Bytes = 1, 10
		if got := find(t, judge([]*row{tiny, ten}, 2), "ten/verify-ref: at most 5ms more than tiny/verify-ref"); got.Met != met {
			t.Errorf("%v more: %+v", grown, got)
		}
	}
}
