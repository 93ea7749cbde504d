package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// DefaultAudience is whom a token has to be for where Options.Audience is empty: Sigstore's certificate authorities take
// no other unless configured to.
const DefaultAudience = "sigstore"

// DefaultTimeout is what getting a token from a machine may take where Options.Timeout is zero. People have
// LoginTimeout.
const DefaultTimeout = 30 * time.Second

// Options says what kind of token is wanted. The zero Options is Sigstore's.
type Options struct {
	Audience  string              // whom the token has to be for; "": DefaultAudience
	Timeout   time.Duration       // to get it, with all repetitions; 0: DefaultTimeout
	Getenv    func(string) string // the environment; nil: os.Getenv
	Transport http.RoundTripper   // how to reach issuers; nil: http.DefaultTransport, for a metadata server without proxy

	pause func(context.Context, time.Duration) error // between two tries; nil: by the clock
	files files
}

// files are the places that providers look at. The zero files are the real ones.
type files struct{ kubernetes, product string }

func (o Options) complete() Options {
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.pause == nil {
		o.pause = pause
	}
	if o.files.kubernetes == "" {
		o.files.kubernetes = kubernetesFile
	}
	if o.files.product == "" {
		o.files.product = productFile
	}
	return o
}

// Source is one way to get an identity token. It may be used by several goroutines and as often as needed: every Token
// is asked for anew.
type Source struct {
	name    string
	options Options
	timeout time.Duration
	fetch   func(context.Context) (string, error)
	check   func(Token) error // what else has to be true of the token; nil: nothing
	login   bool
}

// Name is the source as people know it, such as "GitHub Actions".
func (s *Source) Name() string { return s.name }

// IsLogin reports whether a person has to log in for each token. One who would not do so once need not be asked again.
func (s *Source) IsLogin() bool { return s.login }

// Token fetches a token. Call it when the token is needed, not before: it may live for a minute. It errs, naming the
// source and the step, where none can be had in time, and where what came is malformed, is for another audience, or
// names nobody. Nothing verifies the token here, not even whether it has expired.
func (s *Source) Token(ctx context.Context) (Token, error) {
	late := fmt.Errorf("no answer within %s: %w", s.timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, late)
	defer cancel()
	t, err := s.get(ctx)
	if err != nil {
		return Token{}, fmt.Errorf("get an identity token from %s: %w", s.name, err)
	}
	return t, nil
}

func (s *Source) get(ctx context.Context) (Token, error) {
	raw, err := s.fetch(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return Token{}, err
	}
	t, err := Parse(raw)
	if err != nil {
		return Token{}, err
	}
	if err := t.isFor(s.options.Audience); err != nil {
		return Token{}, err
	}
	if t.Name() == "" {
		return Token{}, errors.New("it names nobody")
	}
	if s.check != nil {
		return t, s.check(t)
	}
	return t, nil
}

// newSource is a source that a machine answers.
func newSource(name string, o Options, fetch func(context.Context) (string, error)) *Source {
	o = o.complete()
	return &Source{name: name, options: o, timeout: o.Timeout, fetch: fetch}
}

// Static is a token that the caller has. It goes stale: a File can be renewed by whoever writes it.
func Static(raw string, o Options) *Source {
	return newSource("the command line", o, func(context.Context) (string, error) { return raw, nil })
}

// File is the token in the file or pipe at path, read anew each time, after whatever renews it.
func File(path string, o Options) *Source {
	return newSource("the file "+fmt.Sprintf("%q", path), o, func(ctx context.Context) (string, error) { return readFile(ctx, path) })
}

// readFile reads a small file, or a pipe that somebody writes a token to; ctx ends the wait for them. More bytes than a
// token can have are an error.
func readFile(ctx context.Context, path string) (string, error) {
	type content struct {
		raw []byte
		err error
	}
	done := make(chan content, 1)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			done <- content{nil, err}
			return
		}
		raw, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
		done <- content{raw, errors.Join(err, f.Close())}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case c := <-done:
		if c.err == nil && len(c.raw) > MaxSize {
			c.err = fmt.Errorf("read %q: larger than %d bytes", path, MaxSize)
		}
		return strings.TrimSpace(string(c.raw)), c.err
	}
}

// pause waits for d or for ctx, whichever is over first.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
