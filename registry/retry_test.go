package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab"
)

// waits remembers how long it was asked to wait, and does not.
type waits struct{ all []time.Duration }

func (w *waits) wait(ctx context.Context, d time.Duration) error {
	w.all = append(w.all, d)
	return context.Cause(ctx)
}

func TestRegistriesAreGivenTheTimeTheyAskFor(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		status int
		header http.Header
		times  int           // that the registry refuses
		asked  int           // requests that it gets
		least  time.Duration // of the first wait
		most   time.Duration
	}{
		"seconds":        {429, http.Header{"Retry-After": {"7"}}, 1, 2, 7 * time.Second, 7 * time.Second},
		"date":           {503, http.Header{"Retry-After": {now.Add(9 * time.Second).Format(http.TimeFormat)}, "Date": {now.Format(http.TimeFormat)}}, 1, 2, 9 * time.Second, 9 * time.Second},
		"date gone by":   {503, http.Header{"Retry-After": {now.Add(-time.Hour).Format(http.TimeFormat)}, "Date": {now.Format(http.TimeFormat)}}, 1, 2, 1, firstPause},
		"nonsense":       {503, http.Header{"Retry-After": {"-3"}}, 1, 2, 1, firstPause},
		"without":        {429, nil, 1, 2, firstPause / 2, firstPause},
		"500":            {500, nil, 1, 2, firstPause / 2, firstPause},
		"502":            {502, nil, 1, 2, firstPause / 2, firstPause},
		"504":            {504, nil, 1, 2, firstPause / 2, firstPause},
		"as often as is": {503, nil, defaultRetries, 1 + defaultRetries, firstPause / 2, firstPause},
		"once too often": {503, nil, defaultRetries + 1, 1 + defaultRetries, firstPause / 2, firstPause},
		"too long":       {429, http.Header{"Retry-After": {"61"}}, 1, 1, 0, 0},
		"far too long":   {429, http.Header{"Retry-After": {"2147483647"}}, 1, 1, 0, 0},
		"not here":       {404, http.Header{"Retry-After": {"1"}}, 1, 1, 0, 0},
		"forbidden":      {403, nil, 1, 1, 0, 0},
		"too slow":       {408, nil, 1, 1, 0, 0},
		"not built":      {501, nil, 1, 1, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f, ref, c := filled(t, quiet())
			asked := 0
			f.set(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				if asked++; asked > row.times {
					return false
				}
				for k, v := range row.header {
					w.Header()[k] = v
				}
				w.WriteHeader(row.status)
				return true
			})
			var w waits
			_, err := open(t, ref, Options{Wait: w.wait}).Manifest(context.Background(), c.ID)
			if (err == nil) != (row.asked > row.times) || asked != row.asked || len(w.all) != row.asked-1 {
				t.Fatalf("%d requests, waits %v, %v", asked, w.all, err)
			}
			if len(w.all) > 0 && (w.all[0] < row.least || w.all[0] > row.most) {
				t.Errorf("waited %v", w.all)
			}
			for i := 1; i < len(w.all); i++ {
				if w.all[i] < w.all[i-1] || w.all[i] > longestPause {
					t.Errorf("waited %v", w.all)
				}
			}
			if row.header.Get("Retry-After") == "61" && !strings.Contains(fmt.Sprint(err), "1m1s") {
				t.Errorf("the error does not say how long: %v", err)
			}
		})
	}
}

func TestRetriesCanBeSwitchedOff(t *testing.T) {
	f, ref, c := filled(t, quiet())
	for retries, want := range map[int]int64{-1: 1, 2: 3, 0: 1 + defaultRetries} {
		var asked atomic.Int64
		f.set(answer("/manifests/", func(http.ResponseWriter, *http.Request) { asked.Add(1); panic(http.ErrAbortHandler) }))
		_, err := open(t, ref, Options{Retries: retries}).Manifest(context.Background(), c.ID)
		if !errors.Is(err, errInterrupted) || asked.Load() < want {
			t.Errorf("Retries %d: %d requests, %v", retries, asked.Load(), err)
		}
		// The transport itself repeats a request on a connection that it had used before, once.
		if asked.Load() > want+1 {
			t.Errorf("Retries %d: %d requests", retries, asked.Load())
		}
	}
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	f, ref, c := filled(t, quiet())
	f.set(answer("/manifests/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "50")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	r := open(t, ref, Options{Wait: func(ctx context.Context, d time.Duration) error {
		cancel()
		return sleep(ctx, d)
	}})
	if _, err := r.Manifest(ctx, c.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// A registry that was never there is not waited for; one that went away is.
func TestRegistriesThatWentAwayAreWaitedFor(t *testing.T) {
	l := &line{inner: quiet()}
	ref := mustRef(t, lab.Serve(t, l)+"/team/chat:v1")
	c, _ := pushed(t, open(t, ref, Options{}), model(t, map[string]string{"a.bin": "a"}))
	away := 0
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	dial := func(fail func() bool) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Scheme == "http" && fail() {
				away++
				return nil, refusedDial()
			}
			return transport.RoundTrip(r)
		})
	}
	w := waits{}
	if _, err := open(t, ref, Options{Transport: dial(func() bool { return true }), Wait: w.wait}).Manifest(context.Background(), c.ID); err == nil || len(w.all) > 0 {
		t.Errorf("waited %v for a registry that was never there (%v)", w.all, err)
	}
	calls := 0
	r := open(t, ref, Options{Wait: w.wait, Transport: dial(func() bool { calls++; return calls > 1 && calls < 4 })})
	if err := r.Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := r.Manifest(context.Background(), c.ID); err != nil || len(w.all) != 2 {
		t.Errorf("waited %v (%v)", w.all, err)
	}
}
