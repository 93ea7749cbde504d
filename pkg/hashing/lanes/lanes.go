// Package lanes computes SHA-256 (FIPS 180-4), several digests at a time on one core. A core with SHA instructions spends half
// of a digest's time waiting for the digest's own last result; with a second digest to go on with, it computes both in
// little more than the time of one. With four it hardly ever waits, if it has AVX-512's registers to keep their messages in. A core
// on which those are as wide inside as outside computes sixteen, each more slowly, and all together in half of the time that they
// take by two.
//
// Start with [New], [WriteSame] for two digests of the same bytes, [WritePair] for two of different bytes, and [WriteEach] for
// many: [AtOnce] says how many it had best be given. Where the machine has no SHA instructions of amd64, under the build tag
// purego, and in FIPS 140-3 mode, crypto/sha256 computes the same, one after the other. So it does on arm64: it uses that CPU's
// SHA instructions, and whether two digests at a time would gain anything there has not been measured.
//
// Without AVX-512 a third lane of the SHA instructions has no place: each takes six registers, three are for all, and there are
// sixteen. C compilers, which move some to memory and back, were measured at 3.7 GB/s a core with three lanes, where two have
// 3.5 and one has 1.8 to 2.0.
//
// The package reads and writes memory only.
package lanes

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// size and block are SHA-256's, in bytes.
const (
	size  = sha256.Size
	block = sha256.BlockSize
)

// Paired reports whether two digests at a time cost less than one after the other on this machine.
func Paired() bool { return extensions }

// Digest is one SHA-256 under way. It is a [hash.Hash]; make one with [New]. It is not safe for concurrent use.
type Digest struct {
	plain hash.Hash // crypto/sha256, where this machine has no code of ours; else nil

	state  [8]uint32
	part   [block]byte // the bytes of a block that is not full
	held   int         // how many they are
	length uint64      // of everything written, in bytes
}

// New returns a digest of nothing yet.
func New() *Digest {
	d := new(Digest)
	if !extensions {
		d.plain = sha256.New()
	}
	d.Reset()
	return d
}

// Reset makes d as New returned it.
func (d *Digest) Reset() {
	if d.plain != nil {
		d.plain.Reset()
		return
	}
	d.state = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} // FIPS 180-4, §5.3.3
	d.held, d.length = 0, 0
}

// Size returns 32.
func (d *Digest) Size() int { return size }

// BlockSize returns 64.
func (d *Digest) BlockSize() int { return block }

// Write adds p to what is digested. It never errs.
func (d *Digest) Write(p []byte) (int, error) {
	if d.plain != nil {
		return d.plain.Write(p)
	}
	n := len(p)
	p = d.fill(p)
	if whole := len(p) / block; whole > 0 {
		block1(&d.state, &p[0], whole)
		p = d.advance(p, whole)
	}
	d.keep(p)
	return n, nil
}

// WriteSame is a.Write(p) and b.Write(p), at nearly the price of one where both have the same number of bytes, modulo 64.
// a and b must not be the same.
func WriteSame(a, b *Digest, p []byte) {
	if a.plain != nil || b.plain != nil || a.held != b.held {
		a.Write(p)
		b.Write(p)
		return
	}
	b.fill(p)
	p = a.fill(p)
	if whole := len(p) / block; whole > 0 {
		blockSame(&a.state, &b.state, &p[0], whole)
		b.advance(p, whole)
		p = a.advance(p, whole)
	}
	a.keep(p)
	b.keep(p)
}

// WritePair is a.Write(p) and b.Write(q), at nearly the price of the longer. a and b must not be the same.
func WritePair(a *Digest, p []byte, b *Digest, q []byte) {
	if a.plain == nil && b.plain == nil {
		p, q = a.fill(p), b.fill(q)
		if whole := min(len(p), len(q)) / block; whole > 0 {
			block2(&a.state, &b.state, &p[0], &q[0], whole)
			p, q = a.advance(p, whole), b.advance(q, whole)
		}
	}
	a.Write(p)
	b.Write(q)
}

// fill completes a block that was begun, as far as p goes, and returns what is left of p. Afterwards the block is done or
// p is empty.
func (d *Digest) fill(p []byte) []byte {
	if d.held == 0 {
		return p
	}
	n := copy(d.part[d.held:], p)
	d.held += n
	d.length += uint64(n)
	if d.held == block {
		block1(&d.state, &d.part[0], 1)
		d.held = 0
	}
	return p[n:]
}

// advance counts whole blocks of p that went into the state, and returns what is left of p.
func (d *Digest) advance(p []byte, whole int) []byte {
	d.length += uint64(whole) * block
	return p[whole*block:]
}

// keep holds what is left, less than a block, until more comes.
func (d *Digest) keep(p []byte) {
	n := copy(d.part[d.held:], p)
	d.held += n
	d.length += uint64(n)
}

// Sum appends the digest of what was written so far to b. More may be written afterwards.
func (d *Digest) Sum(b []byte) []byte {
	if d.plain != nil {
		return d.plain.Sum(b)
	}
	// The message ends with a bit that is set, zeros, and its length in bits, to the end of a block (FIPS 180-4, §5.1.1).
	var end [2 * block]byte
	n := copy(end[:], d.part[:d.held])
	end[n] = 0x80
	blocks := 1
	if n+1+8 > block {
		blocks = 2
	}
	binary.BigEndian.PutUint64(end[blocks*block-8:], d.length<<3)
	state := d.state
	block1(&state, &end[0], blocks)
	for _, word := range state {
		b = binary.BigEndian.AppendUint32(b, word)
	}
	return b
}
