//go:build !unix

package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// noFollow is not to be had here; what was opened is compared with what was looked at.
const noFollow = 0

// lockDirectory is not to be had here; writing without a lock would lose what others write.
func lockDirectory(_ context.Context, root *os.Root) (unlock func(), err error) {
	return nil, fmt.Errorf("lock directory %q: %w", root.Name(), errors.ErrUnsupported)
}

// tryLockDirectory is not to be had here.
func tryLockDirectory(root *os.Root) (unlock func(), err error) {
	return nil, fmt.Errorf("lock directory %q: %w", root.Name(), errors.ErrUnsupported)
}

// tryLock is not to be had here.
func tryLock(*os.File) error { return errors.ErrUnsupported }

// checkOwn knows no owners here.
func checkOwn(os.FileInfo) error { return nil }

// hasOtherNames knows no links here.
func hasOtherNames(os.FileInfo) bool { return false }
