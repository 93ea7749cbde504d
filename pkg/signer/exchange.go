package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hallmark-project/hallmark/pkg/retry"
)

// Caps on what is taken from a server.
const (
	maxAnswer  = 1 << 20 // bytes of an answer
	maxMessage = 300     // bytes of an answer that an error shows
)

// tries is how often a request is sent that meets an overloaded or failing server: a training job of a week should not
// end in one 503. The pause between doubles from firstPause, or is what the server asks for where that is longer
// (Retry-After). The step's timeout goes over all of it.
const (
	tries      = 3
	firstPause = time.Second
)

// ServerError is a step over the network that came to nothing. errors.Is finds context.DeadlineExceeded in it where
// the step's timeout was over.
type ServerError struct {
	Step   string // what was asked, such as "get a certificate from"
	Server string // the server's URL
	Err    error  // why there is none
}

func (e *ServerError) Error() string {
	// The cause can hold text that the server chose; an error is printed to terminals.
	cause := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, e.Err.Error())
	return fmt.Sprintf("%s %q: %s", e.Step, e.Server, cause)
}

// Unwrap returns the cause.
func (e *ServerError) Unwrap() error { return e.Err }

// statusError is an answer with a status that the step has no use for.
type statusError struct {
	status  int
	message string        // the beginning of the body, without secrets
	after   time.Duration // what the server asks to wait; 0: nothing
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("the answer was %d %s: %q", e.status, http.StatusText(e.status), e.message)
	if e.after > 0 {
		text += fmt.Sprintf(" (try again after %s)", e.after)
	}
	return text
}

var errTooLong = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)

// exchangeError marks what went wrong in the exchange itself, to tell it from the wrapping of clients on top.
type exchangeError struct{ err error }

func (e *exchangeError) Error() string { return e.err.Error() }
func (e *exchangeError) Unwrap() error { return e.err }

// isConflict reports whether a server said that it has what it was sent.
func isConflict(err error) bool {
	var status *statusError
	return errors.As(err, &status) && status.status == http.StatusConflict
}

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// network is the way to servers. What is taken over it is capped, repeated where that helps, and bound to a context.
type network struct {
	timeout   time.Duration // for one step with its repetitions
	transport http.RoundTripper
	pause     func(ctx context.Context, d time.Duration) error // between two tries
}

// newNetwork returns a network with defaults for what is zero. A negative timeout is an error.
func newNetwork(timeout time.Duration, transport http.RoundTripper) (network, error) {
	if timeout < 0 {
		return network{}, fmt.Errorf("timeout %s is negative", timeout)
	}
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if transport == nil {
		transport = http.DefaultTransport
	}
	return network{timeout: timeout, transport: transport, pause: pause}, nil
}

// step runs do, one exchange with one server, under the timeout. do gets the only way to the network that it may use.
// Whatever goes wrong comes back as a *ServerError.
func (n *network) step(ctx context.Context, name, server string, accept []int, do func(context.Context, http.RoundTripper) error) error {
	if err := ctx.Err(); err != nil {
		return &ServerError{name, server, context.Cause(ctx)}
	}
	late := fmt.Errorf("no answer within %s: %w", n.timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, n.timeout, late)
	defer cancel()
	err := do(ctx, n.exchange(ctx, accept))
	if err == nil {
		return nil
	}
	var exchange *exchangeError
	switch {
	case ctx.Err() != nil:
		var status *statusError
		if errors.As(err, &status) {
			err = fmt.Errorf("%w; before that, %v", context.Cause(ctx), status)
		} else {
			err = context.Cause(ctx)
		}
	case errors.As(err, &exchange):
		err = exchange.err
	}
	return &ServerError{name, server, err}
}

// exchange returns a RoundTripper that is bound to ctx whatever the request's own context is: sigstore-go's Fulcio and
// timestamp clients make requests without one. It hands back complete answers only, with a status from accept; a
// redirect is none of them, so that no credential follows one.
func (n *network) exchange(ctx context.Context, accept []int) http.RoundTripper {
	return roundTrip(func(req *http.Request) (*http.Response, error) {
		body, err := takeBody(req)
		if err != nil {
			return nil, &exchangeError{err}
		}
		for try, wait := 1, firstPause; ; try, wait = try+1, 2*wait {
			resp, err := n.once(ctx, req, body, accept)
			if err == nil {
				return resp, nil
			}
			if try == tries || ctx.Err() != nil || !isPassing(ctx, err) || n.pause(ctx, max(wait, asked(err))) != nil {
				return nil, &exchangeError{err}
			}
		}
	})
}

// takeBody reads a request's body, to be sent as often as needed.
func takeBody(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(req.Body) // our own request, no larger than the payload makes it
	if err := errors.Join(err, req.Body.Close()); err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return body, nil
}

// once sends the request one time and reads the answer to its end.
func (n *network) once(ctx context.Context, req *http.Request, body []byte, accept []int) (*http.Response, error) {
	out := req.Clone(ctx)
	out.Body, out.ContentLength = nil, int64(len(body))
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	resp, err := n.transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if !slices.Contains(accept, resp.StatusCode) {
		secret := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		return nil, &statusError{resp.StatusCode, excerpt(answer, secret), retry.After(resp.Header)}
	}
	if len(answer) > maxAnswer {
		return nil, errTooLong
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(answer)), int64(len(answer))
	return resp, nil
}

// isPassing reports whether it makes sense to try again: the server said so, or did not get to say anything. It makes none
// where the server asks for more time than anybody has, or than ctx.
func isPassing(ctx context.Context, err error) bool {
	var status *statusError
	if !errors.As(err, &status) {
		return !errors.Is(err, errTooLong)
	}
	if end, ok := ctx.Deadline(); status.after > retry.MaxAfter || ok && status.after > time.Until(end) {
		return false
	}
	return status.status >= 500 || slices.Contains(passing, status.status)
}

// asked is how long the server asks to wait.
func asked(err error) time.Duration {
	var status *statusError
	if errors.As(err, &status) {
		return status.after
	}
	return 0
}

// clientClosed is what a gateway answers to a client that it takes to be gone. Whoever reads it is not: Rekor v2 answers so
// when another's request, which it served together with this one, was broken off.
const clientClosed = 499

// passing are the statuses below 500 that say nothing against the request.
var passing = []int{http.StatusRequestTimeout, http.StatusTooManyRequests, clientClosed}

// excerpt is the beginning of an answer, for people. What is cut off is cut off after redaction: half a secret could
// no longer be told from other text.
func excerpt(answer []byte, secret string) string {
	text := redact(string(answer[:min(len(answer), 4*maxMessage)]), secret)
	return strings.ToValidUTF8(text[:min(len(text), maxMessage)], "")
}
