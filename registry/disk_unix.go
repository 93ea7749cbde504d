//go:build unix

package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
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

// tryLockDirectory is lockDirectory without waiting: a lock that somebody has is an ErrBusy.
func tryLockDirectory(root *os.Root) (unlock func(), err error) {
	d, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("lock directory %q: %w", root.Name(), err)
	}
	if err := tryLock(d); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("lock directory %q: %w", root.Name(), err)
	}
	return func() { _ = d.Close() }, nil
}

// tryLock takes the exclusive lock of a file or directory until it is closed. One that somebody has is an ErrBusy.
func tryLock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrBusy
		default:
			return err
		}
	}
}

// checkOwn returns an error unless a directory is this user's and nobody else can write to it. In a directory where
// everybody can make things, another user could have made it, to exchange what was checked before it gets its name.
func checkOwn(info os.FileInfo) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.ErrUnsupported
	}
	if int(s.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to it (mode %s)", info.Mode())
	}
	return nil
}

// hasOtherNames reports whether a file has more names than the one it was looked up by.
func hasOtherNames(info os.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}
