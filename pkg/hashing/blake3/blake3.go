// Package blake3 computes BLAKE3 without a key and with 256 bits of output (the BLAKE3 specification, §2), on one core or on
// several: the digest is the root of a tree, and any part of a message can be hashed where and when it suits, as long as it
// is known where in the message it lies.
//
// Start with [New] for a message from front to back, and with [NewPart] and [Join] for one in parts.
//
// The package reads and writes memory only. The compression function is lukechampine.com/blake3's, and for what is in the
// middle of long messages one of ours, where the machine has AVX-512.
package blake3

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"lukechampine.com/blake3/guts"
)

// Size is the length of a digest and of a part's value, in bytes.
const Size = 32

// MinPart is the smallest size that parts may have, in bytes. Larger ones are powers of two.
const MinPart = group

// group is how many bytes are compressed at once: sixteen leaves of the tree, or what there is at the end.
const group = guts.MaxSIMD * guts.ChunkSize

type value = [8]uint32 // what a node of the tree hands to its parent

// Digest is one BLAKE3 under way. It is a [hash.Hash]; make one with [New] or [NewPart]. It is not safe for concurrent use.
type Digest struct {
	part  bool   // Sum is the part's value, not the message's digest
	leaf  uint64 // of the message, the first of this digest
	trees forest // of the groups so far
	last  [group]byte
	held  int // bytes in last. Only when another one comes it is known that they are not the end, which is another node.
}

// New returns the digest of nothing yet.
func New() *Digest { return new(Digest) }

// NewPart returns a part of a message, from an offset that is a multiple of the part's size. Its Sum is for [Join].
func NewPart(at int64) *Digest { return &Digest{part: true, leaf: uint64(at) / guts.ChunkSize} }

// Size returns 32.
func (d *Digest) Size() int { return Size }

// BlockSize returns 64.
func (d *Digest) BlockSize() int { return guts.BlockSize }

// Reset makes d as New or NewPart returned it.
func (d *Digest) Reset() { d.trees.count, d.held = 0, 0 }

// Write adds p to what is digested. It never errs.
func (d *Digest) Write(p []byte) (int, error) {
	n := len(p)
	if d.held > 0 {
		filled := copy(d.last[d.held:], p)
		d.held, p = d.held+filled, p[filled:]
		if len(p) > 0 {
			d.add(&d.last)
			d.held = 0
		}
	}
	for len(p) > group {
		if wide {
			height := d.fits(len(p))
			d.trees.add(tree(p[:group<<height], height, d.leaf+d.trees.count*guts.MaxSIMD), height)
			p = p[group<<height:]
			continue
		}
		// Compressed where it lies, what is in memory and in no cache takes twice as long: sixteen leaves are read side by
		// side, and to none of them does the CPU read ahead. A copy it does.
		p = p[copy(d.last[:], p):]
		d.add(&d.last)
	}
	d.held += copy(d.last[d.held:], p)
	return n, nil
}

// fits returns the height above groups of the largest tree that begins here and of which n bytes, more than a group, are
// more than it holds: the end of a message may be another node.
func (d *Digest) fits(n int) int {
	height := 0
	for height < maxTree && d.trees.count>>height&1 == 0 && n > group<<(height+1) {
		height++
	}
	return height
}

// add takes a full group that is not the end.
func (d *Digest) add(g *[group]byte) { d.trees.add(guts.ChainingValue(d.compress(g, group)), 0) }

// compress returns the node over the first n bytes of the group that comes next.
func (d *Digest) compress(g *[group]byte, n int) guts.Node {
	return guts.CompressBuffer(g, n, &guts.IV, d.leaf+d.trees.count*guts.MaxSIMD, 0)
}

// Sum appends the digest of what was written so far to b, or for a part its value. More may be written afterwards.
func (d *Digest) Sum(b []byte) []byte {
	top := d.trees.under(d.compress(&d.last, d.held))
	if !d.part {
		top.Flags |= guts.FlagRoot
	}
	return appendValue(b, guts.ChainingValue(top))
}

// Join returns the digest of a message from the values of its parts, in order. All parts have the same size, which is
// MinPart times a power of two, but the last, which has one byte at least and that many at most. There must be two or more:
// a message in one part is no part of anything. Another number of them, or a value that is none, is an error.
func Join(parts [][]byte) ([]byte, error) {
	if len(parts) < 2 {
		return nil, fmt.Errorf("join parts of BLAKE3: %d of them", len(parts))
	}
	var trees forest
	for _, p := range parts[:len(parts)-1] {
		v, err := parseValue(p)
		if err != nil {
			return nil, err
		}
		trees.add(v, 0)
	}
	last, err := parseValue(parts[len(parts)-1])
	if err != nil {
		return nil, err
	}
	top := trees.over(last)
	top.Flags |= guts.FlagRoot
	return appendValue(nil, guts.ChainingValue(top)), nil
}

// forest is the complete trees over some number of equal nodes, of which none is the last: at most one of each height, as
// the number's binary digits say.
type forest struct {
	count uint64
	trees [64]value // by height
}

// add puts a tree of a height behind the others; there must be none that is lower.
func (f *forest) add(v value, height int) {
	size := uint64(1) << height
	for ; f.count>>height&1 == 1; height++ {
		v = guts.ChainingValue(guts.ParentNode(f.trees[height], v, &guts.IV, 0))
	}
	f.trees[height] = v
	f.count += size
}

// under returns the node over the forest and the last node behind it; that node itself where there is no forest.
func (f *forest) under(last guts.Node) guts.Node {
	if f.count == 0 {
		return last
	}
	return f.over(guts.ChainingValue(last))
}

// over returns the node over the forest, which is not empty, and the value of the last node behind it.
func (f *forest) over(last value) (top guts.Node) {
	for left := f.count; left > 0; left &= left - 1 {
		top = guts.ParentNode(f.trees[bits.TrailingZeros64(left)], last, &guts.IV, 0)
		last = guts.ChainingValue(top)
	}
	return top
}

func appendValue(b []byte, v value) []byte {
	for _, word := range v {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return b
}

func parseValue(b []byte) (v value, err error) {
	if len(b) != Size {
		return v, fmt.Errorf("join parts of BLAKE3: a value of %d bytes", len(b))
	}
	for i := range v {
		v[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return v, nil
}
