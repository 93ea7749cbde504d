//go:build !unix

package cache

import "io/fs"

// checkOwner refuses: elsewhere whose something is cannot be told by its mode.
func checkOwner(fs.FileInfo) error {
	return privacyError{"has no owner that can be told on this system"}
}
