package signer

import (
	"context"
	"testing"
	"time"
)

// TestKeylessClockThatIsOff signs by a clock an hour from the servers': a certificate is used for as long as it lasts by
// theirs, no longer and no shorter.
func TestKeylessClockThatIsOff(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		w := newWorld(t)
		o := w.options(2)
		o.Now = func() time.Time { return w.time().Add(off) }
		o.Token = func(context.Context) (string, error) { return token(w.time().Add(2 * time.Hour)), nil }
		s := w.signer(o)
		mustSign(t, s, statement)
		w.pass(8 * time.Minute)
		mustSign(t, s, statement)
		if n := w.asked("fulcio"); n != 1 {
			t.Errorf("%s: %d certificates in eight minutes, want 1", off, n)
		}
		w.pass(time.Minute)
		if err := opens(t, w, mustSign(t, s, statement)); err != nil || w.asked("fulcio") != 2 {
			t.Errorf("%s: %d certificates in nine minutes, want 2: %v", off, w.asked("fulcio"), err)
		}
	}
}
