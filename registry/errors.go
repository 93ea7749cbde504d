package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Kinds of failure that callers tell apart, found in an error with errors.Is.
var (
	// ErrNotFound: the registry or layout answered, and has no such manifest, blob or tag.
	ErrNotFound = errors.New("not found")
	// ErrOffline: the network was needed, and Options.Offline forbids it.
	ErrOffline = errors.New("offline")
	// ErrTimeout: a network step did not move for Options.Timeout.
	ErrTimeout = errors.New("timed out")
	// ErrTooLarge: there is more than a cap lets in. What lies behind the cap was not seen.
	ErrTooLarge = errors.New("too large")
	// ErrDigest: bytes are not what their digest or size says.
	ErrDigest = errors.New("bytes do not match their digest")
	// ErrNoReferrers: the registry has no referrers API, and Options.RequireReferrersAPI forbids the fallback.
	ErrNoReferrers = errors.New("registry has no referrers API, which was required")
	// ErrExists: something lies where a new file or directory was to be made.
	ErrExists = errors.New("already exists")
)

// Error is a failed operation on a repository.
type Error struct {
	Doing string // what was being done, and to what: "resolve registry.example/llm/chat:prod"
	Err   error  // the cause
}

func (e *Error) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason returns the code of what could not be established: every Error is a don't know, none is a no.
func (e *Error) Reason() policy.Reason {
	var transfer *url.Error
	switch {
	case errors.Is(e.Err, ErrTooLarge):
		return policy.CapReached
	case errors.Is(e.Err, hashing.ErrChanged):
		return policy.Changed
	case errors.Is(e.Err, ErrTimeout), errors.Is(e.Err, context.DeadlineExceeded):
		return policy.TimedOut
	case errors.Is(e.Err, ErrOffline), errors.As(e.Err, &transfer), errors.Is(e.Err, errInterrupted):
		return policy.Unreachable
	}
	return policy.Unreadable
}

// errInterrupted marks a connection that broke within an answer.
var errInterrupted = errors.New("connection interrupted")

// StatusError is an answer of a registry that says no.
type StatusError struct {
	Code       int           // HTTP status
	Detail     string        // the registry's own words, quoted; may be empty
	RetryAfter time.Duration // what the registry asks to wait; 0: nothing
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("registry answered %d %s", e.Code, http.StatusText(e.Code))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.RetryAfter > 0 {
		text += fmt.Sprintf(" (try again after %s)", e.RetryAfter)
	}
	return text
}

// Is reports that a 404 is an ErrNotFound.
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && e.Code == http.StatusNotFound
}

// doing names in err what was being done. A nil err stays nil.
func doing(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Doing: fmt.Sprintf(format, args...), Err: err}
}

func tooLarge(what string, limit int64) error {
	return fmt.Errorf("%w: %s, at most %d are read", ErrTooLarge, what, limit)
}

// isRefusal reports whether a registry answered, and said no.
func isRefusal(err error) bool {
	var status *StatusError
	return errors.As(err, &status)
}
