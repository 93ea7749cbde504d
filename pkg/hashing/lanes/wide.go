package lanes

import (
	"sync"
	"time"
)

// Most is how many digests [WriteEach] computes side by side at most.
const Most = 16

// AtOnce returns how many of n digests [WriteEach] had best be given at once on this machine: 0 to [Most].
func AtOnce(n int) int {
	switch s := shapes(); {
	case s.wideFrom <= Most && n >= s.wideFrom:
		return min(n, Most)
	case n >= 4 && s.four:
		return 4
	default:
		return min(n, 2)
	}
}

// WideFrom returns how many digests side by side cost less than a few at a time, on this machine: up to [Most], or one more
// where they never do.
func WideFrom() int { return shapes().wideFrom }

// measured says which shapes of the block function gain something here. What a register of AVX-512 gains over the SHA
// instructions, and whether it takes from them what they need, differs between CPUs by more than there is to gain.
type measured struct {
	four     bool // four at a time cost less than two and two
	wideFrom int
}

// shapes measures at the first call, which takes a tenth of a millisecond.
var shapes = sync.OnceValue(func() measured {
	if !vectors512 {
		return measured{wideFrom: Most + 1}
	}
	const blocks, tries = 32, 5
	var text [blocks * block]byte
	var state [8][Most]uint32
	var at [Most]*byte
	for i := range at {
		at[i] = &text[0]
	}
	var each [4][8]uint32
	states := [4]*[8]uint32{&each[0], &each[1], &each[2], &each[3]}
	few := [4]*byte(at[:4])
	wide, four, pair := time.Duration(1<<62), time.Duration(1<<62), time.Duration(1<<62)
	for range tries { // the least is what the machine can do when nobody disturbs it
		began := time.Now()
		block16(&state, &at, blocks)
		wide = min(wide, time.Since(began))
		began = time.Now()
		block4(&states, &few, blocks)
		four = min(four, time.Since(began))
		began = time.Now()
		block2(&each[0], &each[1], &text[0], &text[0], blocks)
		pair = min(pair, time.Since(began))
	}
	m := measured{four: four < 2*pair}
	if !m.four {
		four = 2 * pair
	}
	m.wideFrom = min(int(4*wide/max(four, 1))+1, Most+1)
	return m
})

// WriteEach is d[i].Write(p[i]) for each i. All p should have the same length, and d must not have one twice. As many as
// [AtOnce] says are written at a time.
func WriteEach(d []*Digest, p [][]byte) {
	for len(d) > 0 {
		n := AtOnce(len(d))
		switch n {
		case 1:
			d[0].Write(p[0])
		case 2:
			WritePair(d[0], p[0], d[1], p[1])
		default:
			writeMany(d[:n], p[:n])
		}
		d, p = d[n:], p[n:]
	}
}

// writeMany is WriteEach for up to Most digests, none of them crypto/sha256's.
func writeMany(d []*Digest, p [][]byte) {
	var rest [Most][]byte
	whole := len(p[0])
	for i, d := range d {
		rest[i] = d.fill(p[i])
		whole = min(whole, len(rest[i])/block)
	}
	switch {
	case whole == 0:
	case len(d) == 4:
		blocksFour(d, rest[:4], whole)
	default:
		blocksWide(d, rest[:len(d)], whole)
	}
	for i, d := range d {
		d.Write(rest[i])
	}
}

// blocksFour adds whole blocks of each of p, of which there is one at least, and takes them away from p.
func blocksFour(d []*Digest, p [][]byte, whole int) {
	var state [4]*[8]uint32
	var at [4]*byte
	for i, d := range d {
		state[i], at[i] = &d.state, &p[i][0]
	}
	block4(&state, &at, whole)
	for i, d := range d {
		p[i] = d.advance(p[i], whole)
	}
}

// blocksWide is blocksFour for any number of digests up to Most.
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
