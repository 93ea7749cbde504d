package hashing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/blake2b"
)

// Algorithm is a hash function by OMS's identifier (OMS algorithm registry).
type Algorithm string

// The algorithms of OMS.
const (
	SHA256  Algorithm = "sha256"
	BLAKE2b Algorithm = "blake2b" // 512 bits
	BLAKE3  Algorithm = "blake3"  // 256 bits
)

// ParseAlgorithm returns the algorithm of that exact name; every other name, the empty one too, is an error.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, BLAKE2b, BLAKE3:
		return a, nil
	}
	return "", fmt.Errorf("hash algorithm %q: it is sha256, blake2b or blake3", s)
}

// New returns a fresh hash; "" means SHA256 and an unknown algorithm is an error.
func (a Algorithm) New() (hash.Hash, error) {
	switch a {
	case "", SHA256:
		return sha256.New(), nil
	case BLAKE2b:
		return blake2b.New512(nil)
	case BLAKE3:
		return blake3.New(), nil
	}
	_, err := ParseAlgorithm(string(a))
	return nil, err
}

// Size is the digest's length in bytes, 0 for an unknown algorithm; "" means SHA256.
func (a Algorithm) Size() int {
	switch a {
	case "", SHA256, BLAKE3:
		return 32
	case BLAKE2b:
		return 64
	}
	return 0
}

// Sum is the SHA-256 of a whole file.
type Sum [sha256.Size]byte

// Hex is 64 lower-case hex digits.
func (s Sum) Hex() string { return hex.EncodeToString(s[:]) }

// String is "sha256:" and Hex, as OCI writes digests.
func (s Sum) String() string { return "sha256:" + s.Hex() }

// ParseSum reads what String writes and nothing else.
func ParseSum(text string) (Sum, error) {
	var s Sum
	digits, ok := strings.CutPrefix(text, "sha256:")
	if !ok || len(digits) != 2*len(s) || strings.ToLower(digits) != digits {
		return Sum{}, fmt.Errorf("%q is not sha256: and 64 lower-case hex digits", text)
	}
	if _, err := hex.Decode(s[:], []byte(digits)); err != nil {
		return Sum{}, fmt.Errorf("%q is not sha256: and 64 lower-case hex digits", text)
	}
	return s, nil
}
