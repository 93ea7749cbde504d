package signer

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestKeylessTokenIsAskedForAfterHashing: hashing takes longer than any token lives, and what is signed is fresh.
func TestKeylessTokenIsAskedForAfterHashing(t *testing.T) {
	w := newWorld(t)
	early := token(w.time().Add(time.Minute))
	var at []time.Time
	o := w.options(2)
	o.Token = func(context.Context) (string, error) {
		at = append(at, w.time())
		return token(w.time().Add(time.Minute)), nil
	}
	s := w.signer(o)
	w.pass(3 * time.Hour) // hashing
	mustSign(t, s, statement)
	if len(at) != 1 || !at[0].Equal(worldTime.Add(3*time.Hour)) {
		t.Errorf("tokens were asked for at %v, want once, after hashing", at)
	}
	// The same with a token from before hashing.
	o.Token = func(context.Context) (string, error) { return early, nil }
	if _, err := w.signer(o).Sign(t.Context(), inToto, []byte(statement)); !errors.Is(err, ErrTokenExpired) {
		t.Errorf("a token from before hashing: %v", err)
	}
}
