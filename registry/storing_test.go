package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"
)

// storingFor is a registry that takes every upload and needs so long to store it.
type storingFor time.Duration

func (d storingFor) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return nil, err
	}
	_ = r.Body.Close()
	select {
	case <-r.Context().Done():
		return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: r.Context().Err()}
	case <-time.After(time.Duration(d)): // of the bubble's clock
	}
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody, Request: r}, nil
}

// TestUploadsAreStoredInPeace: who has all of an upload may be silent for as long as it takes to store so much.
func TestUploadsAreStoredInPeace(t *testing.T) {
	const timeout = time.Second
	ref := mustRef(t, "registry.example/team/chat:v1")
	for name, row := range map[string]struct {
		size  int64
		body  bool
		takes time.Duration
		ok    bool
	}{
		"small, at once":        {1000, true, timeout - 1, true},
		"small, too late":       {1000, true, timeout + 1, false},
		"16 MiB":                {16 << 20, true, timeout + 2*time.Second - 1, true},
		"16 MiB, too late":      {16 << 20, true, timeout + 2*time.Second + 1, false},
		"sent before":           {1 << 30, false, timeout + 128*time.Second - 1, true},
		"sent before, too late": {1 << 30, false, timeout + 128*time.Second + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := open(t, ref, Options{Transport: storingFor(row.takes), Timeout: timeout, Retries: -1}).store.(*remote)
				d := Descriptor{Digest: sumOf(nil), Size: row.size}
				var body func() (io.ReadCloser, error)
				if row.body {
					body = opener(make([]byte, row.size))
				}
				err := r.closeUpload(context.Background(), r.under("blobs", "uploads", "1"), d, body)
				if row.ok != (err == nil) || !row.ok && !errors.Is(err, ErrTimeout) {
					t.Errorf("upload ended with %v", err)
				}
			})
		})
	}
}
