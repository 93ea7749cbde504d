package lanes

import (
	"sync"
	"time"
)

// Most is how many digests [WriteEach] computes side by side at most.
const Most = 16

// WideFrom returns how many digests side by side cost less than two at a time, on this machine: up to [Most], or one more
// where they never do. What a register of AVX-512 gains over the SHA instructions differs between CPUs by more than there is
// to gain, so the first call measures it, which takes a tenth of a millisecond.
func WideFrom() int { return wideFrom() }

var wideFrom = sync.OnceValue(func() int {
	if !vectors512 {
		return Most + 1
	}
	const blocks, tries = 32, 5
	var text [blocks * block]byte
	var state [8][Most]uint32
	var at [Most]*byte
	for i := range at {
		at[i] = &text[0]
	}
	var a, b [8]uint32
	wide, pair := time.Duration(1<<62), time.Duration(1<<62)
	for range tries { // the least is what the machine can do when nobody disturbs it
		began := time.Now()
		block16(&state, &at, blocks)
		wide = min(wide, time.Since(began))
		began = time.Now()
		block2(&a, &b, &text[0], &text[0], blocks)
		pair = min(pair, time.Since(began))
	}
	return min(int(2*wide/max(pair, 1))+1, Most+1)
})

// WriteEach is d[i].Write(p[i]) for each i. All p should have the same length, and d must not have one twice. As many as
// [WideFrom] says, or more, up to [Most], are written at the price of [Most]; other numbers two at a time.
func WriteEach(d []*Digest, p [][]byte) {
	for from := wideFrom(); from <= Most && len(d) >= from; {
		n := min(len(d), Most)
		writeWide(d[:n], p[:n])
		d, p = d[n:], p[n:]
	}
	for ; len(d) > 1; d, p = d[2:], p[2:] {
		WritePair(d[0], p[0], d[1], p[1])
	}
	if len(d) > 0 {
		d[0].Write(p[0])
	}
}

// writeWide is WriteEach for up to Most digests, none of them crypto/sha256's.
func writeWide(d []*Digest, p [][]byte) {
	var rest [Most][]byte
	whole := len(p[0])
	for i, d := range d {
		rest[i] = d.fill(p[i])
		whole = min(whole, len(rest[i])/block)
	}
	if whole > 0 {
		blocksWide(d, rest[:len(d)], whole)
	}
	for i, d := range d {
		d.Write(rest[i])
	}
}

// blocksWide adds whole blocks of each of p, of which there is one at least, and takes them away from p.
func blocksWide(d []*Digest, p [][]byte, whole int) {
	var state [8][Most]uint32
	var at [Most]*byte
	for i := range at {
		at[i] = &p[0][0] // for lanes that are free, whose state nobody looks at
	}
	for i, d := range d {
		at[i] = &p[i][0]
		for word := range state {
			state[word][i] = d.state[word]
		}
	}
	block16(&state, &at, whole)
	for i, d := range d {
		for word := range state {
			d.state[word] = state[word][i]
		}
		p[i] = d.advance(p[i], whole)
	}
}
