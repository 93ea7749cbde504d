//go:build unix

package cache

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// checkOwner returns a privacyError unless info is of something that is the user's own, and a file has no other name.
func checkOwner(info fs.FileInfo) error {
	s, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return privacyError{"has no owner that can be told"}
	case int(s.Uid) != os.Geteuid():
		return privacyError{fmt.Sprintf("belongs to user %d", s.Uid)}
	case info.Mode().IsRegular() && s.Nlink != 1:
		return privacyError{"has another name"}
	}
	return nil
}
