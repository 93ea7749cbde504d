package hashing

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps n bytes of a file for reading, from an offset that is a multiple of the page size.
func mapFile(f *os.File, at int64, n int) (p []byte, err error) {
	failed := withDescriptor(f, func(fd int) { p, err = unix.Mmap(fd, at, n, unix.PROT_READ, unix.MAP_SHARED) })
	if failed != nil {
		return nil, failed
	}
	return p, err
}

// unmapFile ends what mapFile began.
func unmapFile(p []byte) {
	_ = unix.Munmap(p) // errs only on what is no mapping
}

// fetch has the system read bytes of a file before they are asked for. It is a hint: nothing depends on it. Where the last
// of them is in memory it asks for none: what comes before came before, and to have each page looked up costs a thirtieth
// of the time in which it is hashed.
func fetch(f *os.File, at, n int64) {
	_ = withDescriptor(f, func(fd int) {
		var last [1]byte
		if _, err := unix.Preadv2(fd, [][]byte{last[:]}, at+n-1, unix.RWF_NOWAIT); err != nil {
			_ = unix.Fadvise(fd, at, n, unix.FADV_WILLNEED)
		}
	})
}

func withDescriptor(f *os.File, do func(fd int)) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Control(func(fd uintptr) { do(int(fd)) })
}
