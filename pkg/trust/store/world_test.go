package store

import (
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab/tuf"
)

// now is the present of the tests; what repositories publish holds for a week.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const week = 7 * 24 * time.Hour

func trustedRoot(t *testing.T, name string) []byte {
	t.Helper()
	return tuf.TrustedRoot(t, name, now.Add(-week), now.Add(52*week))
}

func newRepository(t *testing.T) *tuf.Repository {
	t.Helper()
	return tuf.New(t, now.Add(52*week), now.Add(week))
}

func options(r *tuf.Repository) UpdateOptions {
	return UpdateOptions{Mirror: r.URL, Anchor: r.Anchor()}
}

// newStore is an empty store whose clock stands still at the time that is returned.
func newStore(t *testing.T) (Store, *time.Time) {
	t.Helper()
	clock := now
	return Store{Dir: t.TempDir() + "/hallmark", Now: func() time.Time { return clock }}, &clock
}
