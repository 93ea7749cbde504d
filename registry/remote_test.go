package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// filled is a registry that a model and three bundles were pushed to, and its fault, which is none yet.
func filled(t *testing.T, inner http.Handler) (*faulty, Ref, *manifest.Canonical) {
	t.Helper()
	f := &faulty{inner: inner}
	ref := serve(t, f)
	r := open(t, ref, Options{})
	c, subject := pushed(t, r, model(t, map[string]string{"model.bin": strings.Repeat("weights", 50_000), "config.json": "{}"}))
	for i := range 3 {
		if _, err := r.Attach(context.Background(), subject, testBundle(i), testPredicate); err != nil {
			t.Fatal(err)
		}
	}
	return f, ref, c
}

// answer is a fault in every request of which match says so.
func answer(match string, respond http.HandlerFunc) fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Method+" "+r.URL.Path, match) {
			return false
		}
		respond(w, r)
		return true
	}
}

func TestPullRefusesWrongBytes(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	layer := c.Layers[1] // model.bin
	right := strings.Repeat("weights", 50_000)
	at := "GET /v2/team/chat/blobs/" + layer.Digest.String()
	faults := map[string]struct {
		respond http.HandlerFunc
		want    error
	}{
		"other bytes": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "W"+right[1:]) }, ErrDigest},
		"longer":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, right+"!") }, ErrDigest},
		"shorter": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush() // so that no length is told
			_, _ = io.WriteString(w, right[:1000])
		}, ErrDigest},
		"wrong length told": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "12")
			_, _ = io.WriteString(w, right[:12])
		}, ErrDigest},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(right)))
			_, _ = io.WriteString(w, right[:1000])
		}, errInterrupted},
		"partial answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, right)
		}, nil},
		"gone":          {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, ErrNotFound},
		"server broken": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, nil},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			f.set(answer(at, fault.respond))
			parent := t.TempDir()
			err := open(t, ref, Options{}).Pull(context.Background(), c, filepath.Join(parent, "out"), PullOptions{})
			if err == nil || (fault.want != nil && !errors.Is(err, fault.want)) {
				t.Errorf("pull ended with %v", err)
			}
			if !strings.Contains(fmt.Sprint(err), "model.bin") || !strings.Contains(fmt.Sprint(err), ref.Name()) {
				t.Errorf("error does not say where: %v", err)
			}
			nothingLeft(t, parent)
		})
	}
	f.set(nil)
	if err := open(t, ref, Options{}).Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Errorf("pull without a fault: %v", err)
	}
}

func TestManifestRefusesWrongBytes(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	ctx := context.Background()
	const asManifest = "application/vnd.oci.image.manifest.v1+json"
	for name, fault := range map[string]struct {
		body string
		want error
	}{
		"other":    {`{"mediaType":"` + asManifest + `"}`, ErrDigest},
		"no JSON":  {"<html>", ErrDigest},
		"over cap": {strings.Repeat(" ", maxManifest+1), ErrTooLarge},
		"nothing":  {"", ErrDigest},
	} {
		f.set(answer("GET /v2/team/chat/manifests/"+c.ID, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", asManifest)
			_, _ = io.WriteString(w, fault.body)
		}))
		if _, err := open(t, ref, Options{}).Manifest(ctx, c.ID); !errors.Is(err, fault.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.set(answer("GET /v2/team/chat/manifests/v1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = w.Write(c.Manifest)
	}))
	if _, err := open(t, ref, Options{}).Resolve(ctx, ref); err == nil {
		t.Error("a manifest that is served as an index was resolved")
	}
	f.set(nil)
	if _, err := open(t, ref, Options{}).Manifest(ctx, c.ID); err != nil {
		t.Error(err)
	}
}

func TestStepsThatDoNotMoveTimeOut(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := func(http.ResponseWriter, *http.Request) { <-release }
	stall := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "350000")
		_, _ = io.WriteString(w, strings.Repeat("weights", 1000))
		w.(http.Flusher).Flush()
		<-release
	}
	short := Options{Timeout: 100 * time.Millisecond}
	for name, fault := range map[string]fault{
		"manifest hangs": answer("/manifests/", hang),
		"blob hangs":     answer("/blobs/", hang),
		"blob stalls":    answer("/blobs/"+c.Layers[1].Digest.String(), stall),
	} {
		f.set(fault)
		err := fetchAll(t, open(t, ref, short), c)
		var e *Error
		if !errors.Is(err, ErrTimeout) || !errors.As(err, &e) || e.Reason() != policy.TimedOut {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.set(nil)
	if err := fetchAll(t, open(t, ref, Options{}), c); err != nil {
		t.Error(err)
	}
}

func fetchAll(t *testing.T, r *Repo, c *manifest.Canonical) error {
	t.Helper()
	if _, err := r.Manifest(context.Background(), c.ID); err != nil {
		return err
	}
	return r.Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{})
}

func TestErrorsCarryReasons(t *testing.T) {
	f, ref, c := filled(t, quiet(ggcr.WithReferrersSupport(true)))
	gone := httptest.NewServer(f)
	gone.Close()
	for name, row := range map[string]struct {
		ref  Ref
		code int
		want policy.Reason
	}{
		"nobody listens": {mustRef(t, strings.TrimPrefix(gone.URL, "http://")+"/a:b"), 0, policy.Unreachable},
		"forbidden":      {ref, 403, policy.Unreadable},
		"not found":      {ref, 404, policy.Unreadable},
	} {
		f.set(answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(row.code)
			_, _ = io.WriteString(w, `{"errors":[{"code":"DENIED","message":"no\u001b[31m"}]}`)
		}))
		_, err := open(t, row.ref, Options{}).Manifest(context.Background(), c.ID)
		var e *Error
		if !errors.As(err, &e) || e.Reason() != row.want {
			t.Errorf("%s: %v", name, err)
		}
		if strings.Contains(fmt.Sprint(err), "\x1b") {
			t.Errorf("%s: the registry's words are not quoted: %v", name, err)
		}
	}
}
