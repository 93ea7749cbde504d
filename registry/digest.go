package registry

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// sumOf returns the digest of b as sha256:HEX.
func sumOf(b []byte) string { return hashing.Sum(sha256.Sum256(b)).String() }

// checkSum returns an ErrDigest unless b is what digest says.
func checkSum(b []byte, digest string) error {
	if got := sumOf(b); got != digest {
		return fmt.Errorf("%w: %s expected, %s found", ErrDigest, digest, got)
	}
	return nil
}

// checkedReader passes on exactly the bytes that a digest and a size promise. It gives its last bytes only after all of
// them were checked, so that whoever receives them, also at the other end of a connection, never holds a complete copy
// of something else.
type checkedReader struct {
	from io.Reader
	hash digester
	want string
	size int64
	left int64
	err  atomic.Pointer[error] // the first failure; the reader may be in another goroutine's hands
}

// digester is a SHA-256 under way: a [hashing.Stream], or a packDigest.
type digester interface {
	io.Writer
	Sum() hashing.Sum
}

func newCheckedReader(from io.Reader, digest string, size int64) *checkedReader {
	return &checkedReader{from: from, hash: hashing.NewStream(), want: digest, size: size, left: size}
}

// Read reads; after the last promised byte it asks once whether there are more.
func (c *checkedReader) Read(p []byte) (int, error) {
	if err := c.failure(); err != nil {
		return 0, err
	}
	if c.left == 0 && c.size > 0 {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := c.from.Read(p[:min(int64(len(p)), max(c.left, 1))])
	switch {
	case int64(n) > c.left:
		return 0, c.fail(fmt.Errorf("%w: more than the %d bytes of %s", ErrDigest, c.size, c.want))
	case err != nil && err != io.EOF:
		return 0, c.fail(err)
	}
	c.hash.Write(p[:n])
	c.left -= int64(n)
	switch {
	case c.left > 0 && err == io.EOF:
		return 0, c.fail(fmt.Errorf("%w: %d of the %d bytes of %s are missing", ErrDigest, c.left, c.size, c.want))
	case c.left > 0:
		return n, nil
	}
	if err == nil {
		if err := c.expectEnd(); err != nil {
			return 0, c.fail(err)
		}
	}
	if got := c.hash.Sum().String(); got != c.want {
		return 0, c.fail(fmt.Errorf("%w: %s expected, %s found", ErrDigest, c.want, got))
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// expectEnd reads on until the end or another byte shows.
func (c *checkedReader) expectEnd() error {
	var one [1]byte
	for range maxEmptyReads {
		n, err := c.from.Read(one[:])
		switch {
		case n > 0:
			return fmt.Errorf("%w: more than the %d bytes of %s", ErrDigest, c.size, c.want)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// maxEmptyReads is how often a reader may return neither bytes nor an end.
const maxEmptyReads = 100

func (c *checkedReader) fail(err error) error {
	c.err.CompareAndSwap(nil, &err)
	return err
}

// failure returns the first error, if there was one. It may be called concurrently with Read.
func (c *checkedReader) failure() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

// readCapped reads all of r, or returns an ErrTooLarge if there is more than limit.
func readCapped(r io.Reader, what string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, tooLarge(fmt.Sprintf("%s has more bytes", what), limit)
	}
	return b, nil
}
