package lanes

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// alwaysWide has WriteEach compute all digests side by side that the machine can, whatever that gains.
func alwaysWide(t testing.TB) {
	t.Helper()
	if !vectors512 {
		return // what is tested then is that two at a time do the same
	}
	before := wideFrom
	wideFrom = func() int { return 1 }
	t.Cleanup(func() { wideFrom = before })
}

// TestDigestsSideBySideOfEveryLength writes to every number of digests, up to more than there are lanes, messages of every
// length up to some blocks, each beside longer and shorter ones.
func TestDigestsSideBySideOfEveryLength(t *testing.T) {
	alwaysWide(t)
	const most = 4096
	p := text(20, most+Most)
	for n := range most + 1 {
		lanes := 1 + n%(2*Most+1)
		d, from, want := make([]*Digest, lanes), make([][]byte, lanes), make([][]byte, lanes)
		for i := range d {
			d[i] = New()
			from[i] = p[i%Most:][:n] // all different
			want[i] = from[i]
			if i > 0 && n%3 == 0 { // and of different lengths
				from[i] = from[i][:(n*i)%(n+1)]
				want[i] = from[i]
			}
		}
		WriteEach(d, from)
		for i := range d {
			equal(t, fmt.Sprintf("digest %d of %d", i, lanes), d[i], want[i])
		}
	}
}

// TestDigestsSideBySideThatHoldPartsOfABlock begins with another number of bytes held in each lane, and ends with another.
func TestDigestsSideBySideThatHoldPartsOfABlock(t *testing.T) {
	alwaysWide(t)
	p := text(21, 8*block)
	for first := range block {
		d, from := make([]*Digest, Most), make([][]byte, Most)
		for i := range d {
			d[i] = New()
			held := (first + 5*i) % block
			d[i].Write(p[:held])
			from[i] = p[held : 6*block+(held*7+i)%block]
		}
		WriteEach(d, from)
		for i := range d {
			held := (first + 5*i) % block
			equal(t, fmt.Sprintf("lane %d with %d held", i, held), d[i], p[:6*block+(held*7+i)%block])
		}
	}
}

// TestDigestsSideBySideInAnyOrder draws rounds of writes to any of the digests.
func TestDigestsSideBySideInAnyOrder(t *testing.T) {
	alwaysWide(t)
	p := text(22, 10*block)
	rapid.Check(t, func(t *rapid.T) {
		all, written := make([]*Digest, Most+2), make([][]byte, Most+2)
		for i := range all {
			all[i] = New()
		}
		for range rapid.IntRange(1, 8).Draw(t, "rounds") {
			var d []*Digest
			var from [][]byte
			for i := range all {
				if rapid.Bool().Draw(t, "in") {
					at := rapid.IntRange(0, len(p)).Draw(t, "at")
					piece := p[at:rapid.IntRange(at, len(p)).Draw(t, "to")]
					d, from = append(d, all[i]), append(from, piece)
					written[i] = append(written[i], piece...)
				}
			}
			WriteEach(d, from)
		}
		for i, d := range all {
			if want := sha256.Sum256(written[i]); string(d.Sum(nil)) != string(want[:]) {
				t.Fatalf("digest %d: %x, want %x", i, d.Sum(nil), want)
			}
		}
	})
}

func TestVectorsSideBySide(t *testing.T) {
	alwaysWide(t)
	for range 3 { // a map's order is another each time
		var d []*Digest
		var from [][]byte
		var want []string
		for message, digest := range vectors {
			d, from, want = append(d, New()), append(from, []byte(message)), append(want, digest)
		}
		WriteEach(d, from)
		for i := range d {
			if got := fmt.Sprintf("%x", d[i].Sum(nil)); got != want[i] {
				t.Errorf("of %d bytes: %s, want %s", len(from[i]), got, want[i])
			}
		}
	}
}

// TestWideFromIsWithinReach: where the machine has no such registers, no number of digests is enough.
func TestWideFromIsWithinReach(t *testing.T) {
	n := WideFrom()
	if n < 2 || n > Most+1 || !vectors512 && n != Most+1 {
		t.Errorf("%d digests side by side", n)
	}
	if again := WideFrom(); again != n {
		t.Errorf("%d, then %d", n, again)
	}
}

func FuzzSideBySide(f *testing.F) {
	f.Add(text(23, 300), 17, 70)
	f.Add([]byte("abc"), 1, 0)
	f.Fuzz(func(t *testing.T, p []byte, n, cut int) {
		alwaysWide(t)
		n = min(max(n, 0), 2*Most)
		cut = min(max(cut, 0), len(p))
		d, first, second := make([]*Digest, n), make([][]byte, n), make([][]byte, n)
		for i := range d {
			d[i] = New()
			first[i], second[i] = p[:cut*i/n], p[cut*i/n:]
		}
		WriteEach(d, first)
		WriteEach(d, second)
		for i := range d {
			equal(t, fmt.Sprint("digest ", i), d[i], p)
		}
	})
}
