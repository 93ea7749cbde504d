package manifest

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// stamp tells whether a file is still the one that was listed.
type stamp struct {
	dev, ino     uint64
	size         int64 // in bytes
	mtime, ctime int64 // in nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino, s.ctime = uint64(st.Dev), st.Ino, st.Ctim.Nano()
	}
	return s
}

// same reports whether both are one file or folder, whatever is in it.
func (s stamp) same(o stamp) bool { return s.dev == o.dev && s.ino == o.ino && s.ino != 0 }

// weakStat reports whether the file system at path has no stable inode numbers and change times: what is served by a
// user-space or network protocol without them. Where it cannot be told, the full comparison stands: it can only refuse
// too much.
func weakStat(path string) bool {
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return false
	}
	return weakMagic(uint32(st.Type))
}

func weakMagic(magic uint32) bool {
	switch magic {
	case unix.FUSE_SUPER_MAGIC, unix.V9FS_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return true
	}
	return false
}

// farStat reports whether the file system at path is none of those that are known to take their times from this machine's
// clock: whether a file was left alone for a while cannot be told there.
func farStat(path string) bool {
	const zfs, bcachefs = 0x2fc12fc1, 0xca451a4e
	var st unix.Statfs_t
	if unix.Statfs(path, &st) != nil {
		return true
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC,
		unix.OVERLAYFS_SUPER_MAGIC, zfs, bcachefs:
		return false
	}
	return true
}

// Flags for opening what was seen to be a file or folder. O_NONBLOCK keeps a pipe that was put in its place from
// blocking for ever. Links are not os.Root's to refuse (it follows them inside the root whatever the flags), so every
// handle is held against the listing's stamp.
const (
	fileFlags   = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOFOLLOW
	folderFlags = fileFlags | unix.O_DIRECTORY
)
