package hashing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// Sum is the SHA-256 of a whole file. It is comparable. The zero Sum is no file's digest that anybody knows, but the
// type does not say whether a sum was computed: see [Result.HasSHA256].
type Sum [sha256.Size]byte

const sumPrefix = "sha256:"

// Hex returns the digest as 64 lower-case hex digits.
func (s Sum) Hex() string { return hex.EncodeToString(s[:]) }

// String returns the digest as OCI writes it: "sha256:" and [Sum.Hex].
func (s Sum) String() string { return sumPrefix + s.Hex() }

// Stream is a SHA-256 that goes on over the jobs of one group (see [Job]) and over what its owner writes between them: the
// digest of an archive of the files, for one, made in the pass that makes the files' own. Make one with [NewStream]. It is
// not safe for concurrent use.
type Stream struct {
	digest *lanes.Digest
	size   int64
}

// NewStream returns a stream of nothing yet.
func NewStream() *Stream { return &Stream{digest: lanes.New()} }

// Write adds p. It never errs.
func (s *Stream) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.digest.Write(p)
}

// WriteBoth is a.Write(p) and b.Write(p), at nearly the price of one where both have the same number of bytes, modulo 64, and
// the machine has the instructions (package lanes). a and b must not be the same.
func WriteBoth(a, b *Stream, p []byte) {
	a.size += int64(len(p))
	b.writeWith(a.digest, p)
}

// writeWith is a Write to both.
func (s *Stream) writeWith(other *lanes.Digest, p []byte) {
	s.size += int64(len(p))
	lanes.WriteSame(other, s.digest, p)
}

// Size returns how many bytes were written.
func (s *Stream) Size() int64 { return s.size }

// Sum returns the digest of what was written so far.
func (s *Stream) Sum() Sum { return Sum(s.digest.Sum(nil)) }

// ParseSum returns the sum that [Sum.String] wrote. Anything else is an error; upper-case digits too, so that one sum
// has one spelling and digests may be compared as text.
func ParseSum(text string) (Sum, error) {
	var s Sum
	digits, ok := strings.CutPrefix(text, sumPrefix)
	if !ok || len(digits) != hex.EncodedLen(len(s)) || strings.Trim(digits, "0123456789abcdef") != "" {
		return Sum{}, fmt.Errorf("parse digest %q: not sha256: and 64 lower-case hex digits", clip(text))
	}
	if _, err := hex.Decode(s[:], []byte(digits)); err != nil {
		return Sum{}, fmt.Errorf("parse digest %q: %w", text, err)
	}
	return s, nil
}

// clip shortens text from outside to what an error message can carry.
func clip(text string) string {
	const longest = 100 // bytes
	if len(text) > longest {
		return text[:longest] + "…"
	}
	return text
}
