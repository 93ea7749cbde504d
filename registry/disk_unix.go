//go:build unix

package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// noFollow makes opening a link an error.
const noFollow = unix.O_NOFOLLOW

// lockPause is how long to wait before a lock is tried again.
const lockPause = 5 * time.Millisecond

// lockDirectory takes the exclusive lock of the directory that root is, and returns what gives it back. The lock lies
// on the directory itself: no lock file is left behind, and a process that dies gives it back. It binds those who ask
// for it, on one machine.
func lockDirectory(ctx context.Context, root *os.Root) (unlock func(), err error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("lock directory %q: %w", root.Name(), err)
	}
	for {
		err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = d.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = d.Close()
			return nil, fmt.Errorf("lock directory %q: %w", root.Name(), err)
		}
		timer := time.NewTimer(lockPause)
		select {
		case <-ctx.Done():
			timer.Stop()
			_ = d.Close()
			return nil, fmt.Errorf("lock directory %q: %w", root.Name(), context.Cause(ctx))
		case <-timer.C:
		}
	}
}
