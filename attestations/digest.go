package attestations

import (
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// DigestClass says of what kind of thing a digest is. Digests are compared only within their class: an artifact ID and
// the SHA-256 of a file look the same and name different things.
type DigestClass string

// The classes of digest.
const (
	ClassArtifact  DigestClass = "artifact"  // artifact ID, or the digest of any OCI manifest: SHA-256
	ClassFile      DigestClass = "file"      // SHA-256 of a file's bytes
	ClassGitCommit DigestClass = "gitCommit" // a git commit's object name: SHA-1 or SHA-256

	ClassAttestation DigestClass = "attestation" // a bundle's own name: SHA-256. For revocations alone
)

// Digest is a digest and its class. It is comparable; the zero Digest is none.
type Digest struct {
	Class DigestClass `json:"class"`
	Hex   string      `json:"hex"` // lower-case hex digits, of the length that the class has
}

// ParseArtifactID returns the digest of class artifact that id is, "sha256:" and 64 lower-case hex digits.
func ParseArtifactID(id string) (Digest, error) {
	sum, err := hashing.ParseSum(id)
	if err != nil {
		return Digest{}, fmt.Errorf("artifact ID %q: %w", clip(id), err)
	}
	return Digest{ClassArtifact, sum.Hex()}, nil
}

// ParseDigest returns the digest of a class that s is, in the form of String.
func ParseDigest(class DigestClass, s string) (Digest, error) {
	algorithm, digits, _ := strings.Cut(s, ":")
	d := Digest{Class: class, Hex: digits}
	if algorithm != d.algorithm() {
		return Digest{}, fmt.Errorf("digest %q: one of class %s begins with %q", clip(s), clip(string(class)), d.algorithm()+":")
	}
	if err := d.check(); err != nil {
		return Digest{}, fmt.Errorf("digest %q: %w", clip(s), err)
	}
	return d, nil
}

// String returns d as people read it: "sha256:…" or "gitCommit:…".
func (d Digest) String() string { return d.algorithm() + ":" + d.Hex }

// algorithm is the key of d in in-toto's DigestSet.
func (d Digest) algorithm() string {
	if d.Class == ClassGitCommit {
		return string(ClassGitCommit)
	}
	return string(hashing.SHA256)
}

// check takes digests of what an artifact can be made from or be measured on.
func (d Digest) check() error {
	switch d.Class {
	case ClassArtifact, ClassFile, ClassGitCommit:
		return checkHex(d.algorithm(), d.Hex)
	case "":
		return fmt.Errorf("no digest: without one it could be anything")
	}
	return fmt.Errorf("digest class %q: it is artifact, file or gitCommit", clip(string(d.Class)))
}

// hexLengths are the digest algorithms that are taken and how many hex digits each may have (in-toto v1, DigestSet). MD5
// is not one of them.
var hexLengths = map[string][]int{
	"sha256": {64}, "sha384": {96}, "sha512": {128}, "sha3_256": {64}, "blake2b": {128},
	"sha1": {40}, "gitCommit": {40, 64}, "gitTree": {40, 64}, "gitBlob": {40, 64}, "gitTag": {40, 64},
}

// checkHex refuses what is no digest by the algorithm in lower-case hex, so that one digest has one spelling.
func checkHex(algorithm, digits string) error {
	for _, n := range hexLengths[algorithm] {
		if len(digits) == n && strings.Trim(digits, "0123456789abcdef") == "" {
			return nil
		}
	}
	return fmt.Errorf("%q is no %s digest in lower-case hex", clip(digits), clip(algorithm))
}

// DigestSet is in-toto's: hex digests of one thing by algorithm. At least one has to be by an algorithm that is known
// here; those by others are carried along and prove nothing.
type DigestSet map[string]string

func (s DigestSet) check() error {
	known := false
	for _, algorithm := range sortedKeys(s) {
		if hexLengths[algorithm] == nil {
			continue
		}
		if err := checkHex(algorithm, s[algorithm]); err != nil {
			return err
		}
		known = true
	}
	if !known {
		return fmt.Errorf("no digest by a known algorithm: a name or URI alone could be anything")
	}
	return nil
}
