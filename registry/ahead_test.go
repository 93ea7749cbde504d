package registry

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/test/lab"
)

// aheadSize is that of a file that is sent ahead.
const aheadSize = largeLayer + 4321

// inBodies counts the bytes that uploads bring, by method.
func inBodies(inner http.Handler) (http.Handler, func(method string) int64) {
	var mu sync.Mutex
	brought := map[string]int64{}
	count := func(method string) countBody {
		return func(n int64) {
			mu.Lock()
			defer mu.Unlock()
			brought[method] += n
		}
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/blobs/uploads/") {
			r.Body = &metered{r.Body, count(r.Method)}
		}
		inner.ServeHTTP(w, r)
	})
	return h, func(method string) int64 {
		mu.Lock()
		defer mu.Unlock()
		defer func() { brought[method] = 0 }()
		return brought[method]
	}
}

type countBody func(int64)

func (c countBody) moved(n int64) { c(n) }

func publishedFiles(t *testing.T, dir string, ref Ref, o PushOptions) (Published, error) {
	t.Helper()
	return PublishFiles(context.Background(), dir, manifest.Options{}, nil, ref, PublishOptions{
		Options: Options{Keychain: anonymous{}, Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }}, PushOptions: o,
	})
}

func TestFirstPushReadsLargeFilesOnce(t *testing.T) {
	leaves := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaves) })
	dir := model(t, map[string]string{"a.safetensors": noise(1, aheadSize), "config.json": "{}"})
	want := canonical(t, dir)
	f := &faulty{inner: lab.New(lab.Options{Dir: t.TempDir()})}
	h, brought := inBodies(f)
	ref := mustRef(t, lab.Serve(t, h)+"/team/chat:v1")
	rest := int64(len(want.Config) + 2*len("{}")) // the config, config.json, and the empty config

	// It is interrupted when all blobs are there.
	f.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	if _, err := publishedFiles(t, dir, ref, PushOptions{}); err == nil {
		t.Fatal("pushed without a manifest")
	}
	if ahead, put := brought(http.MethodPatch), brought(http.MethodPut); ahead != aheadSize || put > rest {
		t.Errorf("%d bytes were sent ahead and %d later, of a file of %d", ahead, put, aheadSize)
	}
	f.set(nil)
	for range 2 { // to completion, and once more
		p, err := publishedFiles(t, dir, ref, PushOptions{})
		if err != nil || p.ID != want.ID {
			t.Fatalf("pushed %s, %v; it is %s", p.ID, err, want.ID)
		}
		if ahead, put := brought(http.MethodPatch), brought(http.MethodPut); ahead != 0 || put != 0 {
			t.Errorf("%d and %d bytes were sent of what was there", ahead, put)
		}
	}
	target := filepath.Join(t.TempDir(), "out")
	if err := open(t, ref, Options{}).Pull(context.Background(), want, target, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	mustEqualTree(t, dir, target)
}

// Whatever becomes of sending ahead, the push is complete.
func TestSendingAheadIsNoDuty(t *testing.T) {
	leaves := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaves) })
	dir := model(t, map[string]string{"a.safetensors": noise(1, aheadSize), "config.json": "{}"})
	status := func(method, part string, code int) fault {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || !strings.Contains(r.URL.RequestURI(), part) {
				return false
			}
			w.WriteHeader(code)
			return true
		}
	}
	for name, row := range map[string]struct {
		fault fault
		push  PushOptions
		ahead bool // something is sent ahead
	}{
		"as it should be":        {nil, PushOptions{}, true},
		"no list of tags":        {status(http.MethodGet, "/tags/list", http.StatusForbidden), PushOptions{}, false},
		"mountable":              {nil, PushOptions{MountFrom: []string{"team/other"}}, false},
		"no PATCH":               {status(http.MethodPatch, "", http.StatusMethodNotAllowed), PushOptions{}, false},
		"PATCH redirected":       {status(http.MethodPatch, "", http.StatusTemporaryRedirect), PushOptions{}, false},
		"credentials that ended": {status(http.MethodPatch, "", http.StatusUnauthorized), PushOptions{}, false},
		"connection that broke": {func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPatch {
				_, _ = io.CopyN(io.Discard, r.Body, 1<<20)
				panic(http.ErrAbortHandler)
			}
			return false
		}, PushOptions{}, true},
		"upload lost": {func() fault {
			var mu sync.Mutex
			refused := 0
			return func(w http.ResponseWriter, r *http.Request) bool {
				mu.Lock()
				defer mu.Unlock()
				if r.Method != http.MethodPut || r.ContentLength != 0 || refused == 2 {
					return false
				}
				refused++
				w.WriteHeader(http.StatusNotFound)
				return true
			}
		}(), PushOptions{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{inner: lab.New(lab.Options{Dir: t.TempDir()})}
			f.set(row.fault)
			h, brought := inBodies(f)
			ref := mustRef(t, lab.Serve(t, h)+"/team/chat:v1")
			p, err := publishedFiles(t, dir, ref, row.push)
			if err != nil {
				t.Fatal(err)
			}
			if ahead := brought(http.MethodPatch); ahead > 0 != row.ahead {
				t.Errorf("%d bytes were sent ahead", ahead)
			}
			f.set(nil)
			target := filepath.Join(t.TempDir(), "out")
			r := open(t, ref, Options{})
			raw, err := r.Manifest(context.Background(), p.ID)
			if err != nil {
				t.Fatal(err)
			}
			c, err := manifest.ParseCanonical(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Pull(context.Background(), c, target, PullOptions{}); err != nil {
				t.Fatal(err)
			}
			mustEqualTree(t, dir, target)
		})
	}
}

func TestOnlyFirstPushesSendAhead(t *testing.T) {
	small := model(t, map[string]string{"config.json": "{}"})
	dir := model(t, map[string]string{"a.safetensors": noise(1, aheadSize), "config.json": "{}"})
	h, brought := inBodies(lab.New(lab.Options{Dir: t.TempDir()}))
	host := lab.Serve(t, h)
	pushed(t, open(t, mustRef(t, host+"/team/chat:v1"), Options{}), small)
	if _, err := publishedFiles(t, dir, mustRef(t, host+"/team/chat:v2"), PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if ahead, put := brought(http.MethodPatch), brought(http.MethodPut); ahead != 0 || put < aheadSize {
		t.Errorf("%d bytes were sent ahead and %d later to a repository that has an artifact", ahead, put)
	}
	if _, err := publishedFiles(t, dir, mustRef(t, host+"/team/new:v2"), PushOptions{}); err != nil {
		t.Fatal(err)
	}
	if ahead := brought(http.MethodPatch); ahead != aheadSize {
		t.Errorf("%d bytes were sent ahead to a new repository", ahead)
	}
	layout := mustRef(t, "oci:"+filepath.Join(t.TempDir(), "layout")+":v1")
	if _, err := publishedFiles(t, dir, layout, PushOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A file that is written to while it is sent ahead is no artifact's: nothing is stored under any digest of it.
func TestSendingAheadRefusesWhatChanges(t *testing.T) {
	leaves := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaves) })
	dir := model(t, map[string]string{"a.safetensors": noise(1, aheadSize), "config.json": "{}"})
	registry := lab.New(lab.Options{Dir: t.TempDir()})
	f := &faulty{inner: registry}
	ref := mustRef(t, lab.Serve(t, f)+"/team/chat:v1")
	f.set(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPatch {
			if err := os.WriteFile(filepath.Join(dir, "a.safetensors"), []byte(noise(2, aheadSize)), 0o600); err != nil {
				t.Error(err)
			}
		}
		return false
	})
	_, err := publishedFiles(t, dir, ref, PushOptions{})
	if !errors.Is(err, hashing.ErrChanged) {
		t.Errorf("push ended with %v", err)
	}
	var stored []string
	for _, r := range registry.Requests() {
		if r.Method == http.MethodPut {
			stored = append(stored, r.URI)
		}
	}
	if len(stored) != 1 || !strings.Contains(stored[0], sumOf(emptyConfig)[len("sha256:"):]) {
		t.Errorf("stored %q", stored)
	}
	f.set(nil)
	if _, err := publishedFiles(t, dir, ref, PushOptions{}); err != nil {
		t.Errorf("push of what does not change: %v", err)
	}
	if got := slices.Sorted(maps.Keys(tree(t, dir))); len(got) != 2 {
		t.Errorf("the directory has %q", got)
	}
}
