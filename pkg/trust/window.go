package trust

import (
	"errors"
	"fmt"
	"time"
)

// Window is when a key may have signed. The zero Window is no limit. Its instants are compared as they are, to the
// nanosecond; authorities write seconds.
type Window struct {
	ValidFrom  time.Time // not before: the first instant that counts; zero: none
	ValidUntil time.Time // the last instant that counts; zero: none
	RevokedAt  time.Time // the first instant that no longer counts, whatever ValidUntil says; zero: not revoked
}

// IsZero reports whether w is no limit at all.
func (w Window) IsZero() bool {
	return w.ValidFrom.IsZero() && w.ValidUntil.IsZero() && w.RevokedAt.IsZero()
}

// String says in words what w asks, with a space before; empty for the zero Window.
func (w Window) String() string {
	words := ""
	for _, part := range []struct {
		name string
		at   time.Time
	}{{"from", w.ValidFrom}, {"until", w.ValidUntil}, {"revoked", w.RevokedAt}} {
		if !part.at.IsZero() {
			words += " " + part.name + " " + rfc3339(part.at)
		}
	}
	return words
}

// Validate returns an error where w ends before it begins. A key that was revoked before its window began is no
// contradiction: it never counts.
func (w Window) Validate() error {
	if !w.ValidFrom.IsZero() && !w.ValidUntil.IsZero() && w.ValidUntil.Before(w.ValidFrom) {
		return fmt.Errorf("key is valid until %s and only from %s", rfc3339(w.ValidUntil), rfc3339(w.ValidFrom))
	}
	return nil
}

// Why a signature is outside a Window, or was not shown to be inside.
var (
	ErrKeyTime    = errors.New("nobody trusted says when the key was used")
	ErrKeyEarly   = errors.New("key was not valid yet")
	ErrKeyExpired = errors.New("key was no longer valid")
	ErrKeyRevoked = errors.New("key was revoked")
)

// Span is what trusted time says of when a signature was made: between two instants. Either may be zero: unbounded.
//
// A timestamp or log entry on the signature is a NotAfter: the signature was there, and may be older. A NotBefore takes
// something inside what was signed that nobody could have known earlier, such as a timestamp that was got first.
type Span struct {
	NotBefore time.Time
	NotAfter  time.Time
}

// Check returns nil if the whole of s lies in w, so that the signature was made in w whenever in s it was made. An error
// wraps ErrKeyRevoked, ErrKeyExpired or ErrKeyEarly where s lies outside or reaches out, and ErrKeyTime where the bound
// that would tell is missing.
//
// Who holds a key can have an old signature timestamped again, or backdate what it says of itself. So the end of a window
// and a revocation take a NotAfter inside them, which nobody can get later; its beginning takes a NotBefore, and is never
// believed for a timestamp on the signature alone.
func (w Window) Check(s Span) error {
	if !s.NotAfter.IsZero() && !w.ValidFrom.IsZero() && s.NotAfter.Before(w.ValidFrom) {
		return fmt.Errorf("%w: it signed by %s, and is valid from %s", ErrKeyEarly, rfc3339(s.NotAfter), rfc3339(w.ValidFrom))
	}
	if s.NotAfter.IsZero() && (!w.ValidUntil.IsZero() || !w.RevokedAt.IsZero()) {
		return fmt.Errorf("%w: without a trusted time it could be after the end of its validity", ErrKeyTime)
	}
	switch {
	case !w.RevokedAt.IsZero() && !s.NotAfter.Before(w.RevokedAt):
		return fmt.Errorf("%w at %s, and nothing shows that it signed before: the earliest trusted time is %s",
			ErrKeyRevoked, rfc3339(w.RevokedAt), rfc3339(s.NotAfter))
	case !w.ValidUntil.IsZero() && s.NotAfter.After(w.ValidUntil):
		return fmt.Errorf("%w: it was until %s, and the earliest trusted time is %s", ErrKeyExpired, rfc3339(w.ValidUntil), rfc3339(s.NotAfter))
	case w.ValidFrom.IsZero():
		return nil
	case s.NotBefore.IsZero():
		return fmt.Errorf("%w: nothing that was signed shows that it was not before %s", ErrKeyTime, rfc3339(w.ValidFrom))
	case s.NotBefore.Before(w.ValidFrom):
		return fmt.Errorf("%w: it is from %s, and may have signed since %s", ErrKeyEarly, rfc3339(w.ValidFrom), rfc3339(s.NotBefore))
	}
	return nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
