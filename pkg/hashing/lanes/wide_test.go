package lanes

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// everyShape runs a test with each way that WriteEach has on this machine, whatever each gains: sixteen at a time, four, two.
func everyShape(t *testing.T, test func(t *testing.T)) {
	ways := map[string]measured{"two at a time": {wideFrom: Most + 1}}
	if vectors512 {
		ways["four at a time"] = measured{four: true, wideFrom: Most + 1}
		ways["all side by side"] = measured{four: true, wideFrom: 5}
	}
	for name, m := range ways {
		t.Run(name, func(t *testing.T) {
			shape(t, m)
			test(t)
		})
	}
}

func shape(t testing.TB, m measured) {
	before := shapes
	shapes = func() measured { return m }
	t.Cleanup(func() { shapes = before })
}

// TestDigestsSideBySideOfEveryLength writes to every number of digests, up to more than there are lanes, messages of every
// length up to some blocks, each beside longer and shorter ones.
func TestDigestsSideBySideOfEveryLength(t *testing.T) {
	everyShape(t, func(t *testing.T) {
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
	})
}

// TestDigestsSideBySideThatHoldPartsOfABlock begins with another number of bytes held in each lane, and ends with another.
func TestDigestsSideBySideThatHoldPartsOfABlock(t *testing.T) {
	everyShape(t, func(t *testing.T) {
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
	})
}

// TestDigestsSideBySideInAnyOrder draws rounds of writes to any of the digests.
func TestDigestsSideBySideInAnyOrder(t *testing.T) {
	everyShape(t, func(t *testing.T) {
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
	})
}

func TestVectorsSideBySide(t *testing.T) {
	everyShape(t, func(t *testing.T) {
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
	})
}

// TestAtOnceIsWithinReach: where the machine has no such registers, no number of digests is enough for more than two.
func TestAtOnceIsWithinReach(t *testing.T) {
	wide := WideFrom()
	if wide < 2 || wide > Most+1 || !vectors512 && wide != Most+1 {
		t.Errorf("%d digests side by side", wide)
	}
	if again := WideFrom(); again != wide {
		t.Errorf("%d, then %d", wide, again)
	}
	for n := range 3 * Most {
		switch most := AtOnce(n); {
		case most > n || most > Most || most == 0 && n > 0:
			t.Errorf("%d of %d digests at once", most, n)
		case wide <= Most && n >= wide && most != min(n, Most), wide > Most && most > 4, !vectors512 && most > 2:
			t.Errorf("%d of %d digests at once, and side by side from %d", most, n, wide)
		}
	}
}

func TestAtOnceIsWhatGains(t *testing.T) {
	for _, c := range []struct {
		m    measured
		n    int
		want int
	}{
		{measured{false, Most + 1}, 0, 0},
		{measured{false, Most + 1}, 1, 1},
		{measured{false, Most + 1}, 4, 2},
		{measured{false, Most + 1}, Most, 2},
		{measured{false, Most + 1}, 2 * Most, 2},
		{measured{true, Most + 1}, 2 * Most, 4},
		{measured{true, Most + 1}, 3, 2},
		{measured{true, Most + 1}, 4, 4},
		{measured{true, Most + 1}, Most, 4},
		{measured{true, 10}, 9, 4},
		{measured{true, 10}, 10, 10},
		{measured{true, 10}, Most + 1, Most},
		{measured{false, 10}, 9, 2},
	} {
		shape(t, c.m)
		if got := AtOnce(c.n); got != c.want {
			t.Errorf("%+v: %d of %d at once, want %d", c.m, got, c.n, c.want)
		}
	}
}

func FuzzSideBySide(f *testing.F) {
	f.Add(text(23, 300), 17, 70)
	f.Add([]byte("abc"), 1, 0)
	f.Fuzz(func(t *testing.T, p []byte, n, cut int) {
		if vectors512 {
			shape(t, measured{four: true, wideFrom: 5 + max(cut, 0)%Most})
		}
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
