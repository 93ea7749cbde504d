package blake3_test

import (
	"bytes"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"testing"

	reference "lukechampine.com/blake3"
	"pgregory.net/rapid"

	"github.com/hallmark-project/hallmark/pkg/hashing/blake3"
)

var _ hash.Hash = (*blake3.Digest)(nil)

// vectors are from the reference implementation's test_vectors.json: the first 32 bytes of the digest of n bytes that count
// from 0 to 250 and begin again.
var vectors = map[int]string{
	0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
	1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
	1023:   "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
	1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
	1025:   "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
	2048:   "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
	2049:   "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030",
	31744:  "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47",
	102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// sum is the digest as another program makes it: one node after the other, with its own tree.
func sum(b []byte) []byte {
	s := reference.Sum256(b)
	return s[:]
}

// sizes are around every boundary of the tree that fits into a few groups, and a few more.
func sizes() (all []int) {
	for _, n := range []int{0, 64, 1024, 2048, 3072, 15 << 10, 16 << 10, 17 << 10, 32 << 10, 48 << 10, 63 << 10, 64 << 10, 80 << 10, 256 << 10, 272 << 10, 512 << 10, 784 << 10, 1 << 20, 3<<20 + 16<<10} {
		for _, off := range []int{-1, 0, 1} {
			if n+off >= 0 {
				all = append(all, n+off)
			}
		}
	}
	return all
}

func TestDigestsOfTheReferenceVectors(t *testing.T) {
	for n, want := range vectors {
		d := blake3.New()
		d.Write(text(n))
		if got := hex.EncodeToString(d.Sum(nil)); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

func TestDigestsOfSizesAroundEveryBoundary(t *testing.T) {
	for _, n := range sizes() {
		b := text(n)
		d := blake3.New()
		for range 2 { // the second time after Reset, and in another rhythm
			if got := d.Sum([]byte("x")); !bytes.Equal(got, append([]byte("x"), sum(nil)...)) {
				t.Fatalf("nothing: %x", got)
			}
			for rest := b; len(rest) > 0; {
				step := min(len(rest), 1+n/3)
				d.Write(rest[:step])
				rest = rest[step:]
			}
			if got := d.Sum(nil); !bytes.Equal(got, sum(b)) {
				t.Errorf("%d bytes: %x, want %x", n, got, sum(b))
			}
			if got := d.Sum(nil); !bytes.Equal(got, sum(b)) {
				t.Errorf("%d bytes, asked again: %x, want %x", n, got, sum(b))
			}
			d.Reset()
		}
	}
}

// join digests b in parts of one size.
func join(b []byte, size int) ([]byte, error) {
	var parts [][]byte
	for at := 0; at < len(b); at += size {
		p := blake3.NewPart(int64(at))
		p.Write(b[at:min(at+size, len(b))])
		parts = append(parts, p.Sum(nil))
	}
	return blake3.Join(parts)
}

func TestJoinIsTheDigestOfTheWhole(t *testing.T) {
	for _, size := range []int{blake3.MinPart, 2 * blake3.MinPart, 8 * blake3.MinPart, 32 * blake3.MinPart} {
		for _, n := range sizes() {
			b := text(n)
			if n <= size {
				continue
			}
			if got, err := join(b, size); err != nil || !bytes.Equal(got, sum(b)) {
				t.Errorf("%d bytes in parts of %d: %x, %v, want %x", n, size, got, err, sum(b))
			}
		}
	}
}

func TestJoinRefusesWhatIsNoPart(t *testing.T) {
	ok := make([]byte, blake3.Size)
	for name, parts := range map[string][][]byte{
		"none": nil, "one": {ok}, "a short value first": {ok[1:], ok}, "a long value last": {ok, append(ok, 0)},
	} {
		if got, err := blake3.Join(parts); err == nil {
			t.Errorf("%s: %x", name, got)
		}
	}
	if _, err := blake3.Join([][]byte{ok, ok}); err != nil {
		t.Error(err)
	}
}

// TestPartIsNoDigest: the value of a part is not what BLAKE3 of its bytes would be, so none is taken for the other.
func TestPartIsNoDigest(t *testing.T) {
	p := blake3.NewPart(0)
	p.Write(text(100))
	if bytes.Equal(p.Sum(nil), sum(text(100))) {
		t.Error("a part's value is the digest of its bytes")
	}
}

func TestDigestsAndPartsInAnyRhythmOfWrites(t *testing.T) {
	data := make([]byte, 1300<<10)
	rand.NewChaCha8([32]byte{1}).Read(data)
	rapid.Check(t, func(t *rapid.T) {
		b := data[:rapid.IntRange(0, len(data)).Draw(t, "size")]
		d := blake3.New()
		for rest := b; len(rest) > 0; {
			step := rapid.IntRange(1, len(rest)).Draw(t, "step")
			d.Write(rest[:step])
			rest = rest[step:]
		}
		if got := d.Sum(nil); !bytes.Equal(got, sum(b)) {
			t.Errorf("whole: %x, want %x", got, sum(b))
		}
		size := blake3.MinPart << rapid.IntRange(0, 3).Draw(t, "part")
		if len(b) <= size {
			return
		}
		if got, err := join(b, size); err != nil || !bytes.Equal(got, sum(b)) {
			t.Errorf("parts of %d: %x, %v, want %x", size, got, err, sum(b))
		}
	})
}
