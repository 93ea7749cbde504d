//go:build !linux

package manifest

import (
	"io/fs"
	"os"
)

// stamp tells whether a file is still the one that was listed, as far as size and modification time go.
type stamp struct {
	dev, ino     uint64
	size         int64 // in bytes
	mtime, ctime int64 // in nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	return stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
}

// same is never known here: a circle of links ends at MaxDepth.
func (s stamp) same(stamp) bool { return false }

// weakStat is true where inode numbers and change times are not read.
func weakStat(string) bool { return true }

// farStat is never asked where weakStat is true.
func farStat(string) bool { return true }

const (
	fileFlags   = os.O_RDONLY
	folderFlags = os.O_RDONLY
)
