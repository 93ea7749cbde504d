package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hallmark-project/hallmark/pkg/retry"
)

// How long a client waits before it tries again. Each pause is four times the one before, and a random part of it is
// left out, so that clients that failed together do not come back together.
const (
	defaultRetries = 5 // while nothing moves
	firstPause     = 100 * time.Millisecond
	longestPause   = 15 * time.Second
)

// patience says how often a failed request is made again, and how a client waits.
type patience struct {
	retries int
	wait    func(context.Context, time.Duration) error
}

func newPatience(o Options) patience {
	p := patience{retries: o.Retries, wait: o.Wait}
	switch {
	case p.retries == 0:
		p.retries = defaultRetries
	case p.retries < 0:
		p.retries = 0
	}
	if p.wait == nil {
		p.wait = sleep
	}
	return p
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// tries counts what one operation has tried in vain since something moved.
type tries struct {
	patience
	failed int
	moving bool
}

// again waits until the operation may be tried once more and returns nil. Where trying again is no use, where it was
// tried often enough, and where the registry asks for more time than anybody has, it returns err.
func (t *tries) again(ctx context.Context, err error) error {
	after, ok := temporary(err)
	if !ok || t.failed >= t.retries || after > retry.MaxAfter || ctx.Err() != nil {
		return err
	}
	pause := min(firstPause<<(2*t.failed), longestPause)
	pause -= rand.N(pause / 2)
	if t.moving { // what just worked most likely works again
		pause = 0
	}
	t.failed, t.moving = t.failed+1, false
	if seen, ok := ctx.Value(observerKey{}).(func(error)); ok {
		seen(err)
	}
	if pause = max(pause, after); pause == 0 {
		return nil
	}
	return t.wait(ctx, pause)
}

// moved says that the last try came further than the one before.
func (t *tries) moved() { t.failed, t.moving = 0, true }

// retry makes attempts until one succeeds or again gives up.
func (p patience) retry(ctx context.Context, attempt func() error) error {
	t := tries{patience: p}
	for {
		err := attempt()
		if err == nil {
			return nil
		}
		if err := t.again(ctx, err); err != nil {
			return err
		}
	}
}

type observerKey struct{}

// observing makes every retry on behalf of the context known to seen, as httptrace does with requests.
func observing(ctx context.Context, seen func(error)) context.Context {
	return context.WithValue(ctx, observerKey{}, seen)
}

// temporary reports whether an operation that ended with err may succeed if nothing but time passes, and how much time
// the registry asks for. A registry that is overloaded says so by status; a connection that broke was marked.
func temporary(err error) (after time.Duration, ok bool) {
	if errors.Is(err, errInterrupted) {
		return 0, true
	}
	var status *StatusError
	if !errors.As(err, &status) {
		return 0, false
	}
	switch status.Code {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return status.RetryAfter, true
	}
	return 0, false
}

// interrupted marks an error of the transport that stands for a broken connection. A registry that was never reached is
// rather not there; whom TLS does not trust is not trusted next time either.
func interrupted(err error, reached bool) error {
	var transfer *url.Error
	if !errors.As(err, &transfer) || errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, errInside) || isTLS(err) {
		return err
	}
	var step *net.OpError
	if errors.As(err, &step) && step.Op != "read" && step.Op != "write" && !reached {
		return err
	}
	return fmt.Errorf("%w: %w", errInterrupted, err)
}
