package hashing

import (
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/hallmark-project/hallmark/pkg/hashing/blake3"
	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
	"golang.org/x/crypto/blake2b"
)

// Algorithm is a hash function under its OMS name (OMS §7).
type Algorithm string

// The algorithms of OMS.
const (
	SHA256  Algorithm = "sha256"
	BLAKE2b Algorithm = "blake2b" // BLAKE2b-512, without a key
	BLAKE3  Algorithm = "blake3"  // 256 bits of output, without a key
)

// ParseAlgorithm returns the algorithm of exactly that name. Every other name is an error: another letter case,
// surrounding space and the empty string too, for what a signer wrote down is not ours to guess at.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, BLAKE2b, BLAKE3:
		return a, nil
	}
	return "", fmt.Errorf("parse hash algorithm %q: not one of sha256, blake2b, blake3", s)
}

// New returns a fresh hash. "" means SHA256; an unknown algorithm is an error.
func (a Algorithm) New() (hash.Hash, error) {
	switch a {
	case "", SHA256:
		return lanes.New(), nil
	case BLAKE2b:
		return blake2b.New512(nil)
	case BLAKE3:
		return blake3.New(), nil
	}
	_, err := ParseAlgorithm(string(a))
	return nil, err
}

// Size returns the length of a digest in bytes. "" means SHA256; an unknown algorithm has size 0.
func (a Algorithm) Size() int {
	switch a {
	case "", SHA256:
		return sha256.Size
	case BLAKE2b:
		return blake2b.Size
	case BLAKE3:
		return blake3.Size
	}
	return 0
}
