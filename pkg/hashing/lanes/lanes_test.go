package lanes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var _ hash.Hash = (*Digest)(nil)

// text returns n bytes that are the same in every run.
func text(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func equal(t testing.TB, what string, d *Digest, of []byte) {
	t.Helper()
	if want := sha256.Sum256(of); !bytes.Equal(d.Sum(nil), want[:]) {
		t.Fatalf("%s: %x, want %x (of %d bytes)", what, d.Sum(nil), want, len(of))
	}
}

// TestDigestsOfEveryLength compares one stream, two of the same bytes and two of different bytes with crypto/sha256.
func TestDigestsOfEveryLength(t *testing.T) {
	p, q := text(1, 4096), text(2, 4096)
	for n := range len(p) + 1 {
		one := New()
		one.Write(p[:n])
		equal(t, "one", one, p[:n])

		a, b := New(), New()
		WriteSame(a, b, p[:n])
		equal(t, "same, first", a, p[:n])
		equal(t, "same, second", b, p[:n])

		a.Reset()
		b.Reset()
		WritePair(a, p[:n], b, q[:len(q)-n])
		equal(t, "pair, first", a, p[:n])
		equal(t, "pair, second", b, q[:len(q)-n])
	}
}

// TestPairOfEveryLengthWithEveryLengthModuloABlock has every length from 0 to 4096 in either lane, beside one of every
// number of bytes modulo 64 in the other.
func TestPairOfEveryLengthWithEveryLengthModuloABlock(t *testing.T) {
	const most = 4096
	p, q := text(10, most), text(11, most)
	wantP, wantQ := make([][size]byte, most+1), make([][size]byte, most+1)
	for n := range most + 1 {
		wantP[n], wantQ[n] = sha256.Sum256(p[:n]), sha256.Sum256(q[:n])
	}
	a, b := New(), New()
	var sum [size]byte
	check := func(lane string, d *Digest, want [size]byte, n, m int) {
		if d.Sum(sum[:0]); sum != want {
			t.Fatalf("%s lane: %x, want %x (of %d bytes beside %d)", lane, sum, want, n, m)
		}
	}
	for n := range most + 1 {
		for j := range block {
			m := (n*7%block)*block + j // shorter and longer ones
			a.Reset()
			b.Reset()
			WritePair(a, p[:n], b, q[:m])
			check("first", a, wantP[n], n, m)
			check("second", b, wantQ[m], m, n)
			a.Reset()
			b.Reset()
			WritePair(a, p[:m], b, q[:n])
			check("first", a, wantP[m], m, n)
			check("second", b, wantQ[n], n, m)
		}
	}
}

// vectors are FIPS 180-4's examples, as NIST publishes them.
var vectors = map[string]string{
	"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
	"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":                                                         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
	"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu": "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
	strings.Repeat("a", 1_000_000): "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
}

func TestVectorsInEitherLane(t *testing.T) {
	for message, want := range vectors {
		for other := range vectors {
			a, b, c, d := New(), New(), New(), New()
			WritePair(a, []byte(message), b, []byte(other))
			WriteSame(c, d, []byte(message))
			for lane, sum := range map[string]string{
				"first": hex.EncodeToString(a.Sum(nil)), "same, first": hex.EncodeToString(c.Sum(nil)), "same, second": hex.EncodeToString(d.Sum(nil)),
			} {
				if sum != want {
					t.Errorf("%s, of %d bytes beside %d: %s, want %s", lane, len(message), len(other), sum, want)
				}
			}
			if got := hex.EncodeToString(b.Sum(nil)); got != vectors[other] {
				t.Errorf("second, of %d bytes beside %d: %s, want %s", len(other), len(message), got, vectors[other])
			}
		}
	}
}

// TestPairOfEveryTwoLengthsModuloABlock writes both lanes in two steps, so that each begins the second step with every
// number of bytes held and ends with every other.
func TestPairOfEveryTwoLengthsModuloABlock(t *testing.T) {
	p, q := text(3, 5*block), text(4, 5*block)
	for i := range block {
		for j := range block {
			a, b := New(), New()
			WritePair(a, p[:i], b, q[:j])
			WritePair(a, p[i:3*block+j], b, q[j:4*block+i])
			equal(t, "first", a, p[:3*block+j])
			equal(t, "second", b, q[:4*block+i])

			a.Reset()
			b.Reset()
			a.Write(p[:i])
			b.Write(q[:j])
			WriteSame(a, b, p[i:3*block+j])
			equal(t, "same, first", a, p[:3*block+j])
			equal(t, "same, second", b, append(bytes.Clone(q[:j]), p[i:3*block+j]...))
		}
	}
}

// TestDigestsInAnyOrderOfWrites draws writes of all three kinds, resets and sums between them.
func TestDigestsInAnyOrderOfWrites(t *testing.T) {
	p := text(5, 10*block)
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.Custom(func(t *rapid.T) []byte {
			from := rapid.IntRange(0, len(p)).Draw(t, "from")
			return p[from:rapid.IntRange(from, len(p)).Draw(t, "to")]
		})
		digests, written := [2]*Digest{New(), New()}, [2][]byte{}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			i := rapid.IntRange(0, 1).Draw(t, "lane")
			x, y := piece.Draw(t, "x"), piece.Draw(t, "y")
			switch rapid.SampledFrom([]string{"one", "same", "pair", "reset"}).Draw(t, "step") {
			case "one":
				digests[i].Write(x)
				written[i] = append(written[i], x...)
			case "same":
				WriteSame(digests[i], digests[1-i], x)
				written[0], written[1] = append(written[0], x...), append(written[1], x...)
			case "pair":
				WritePair(digests[i], x, digests[1-i], y)
				written[i], written[1-i] = append(written[i], x...), append(written[1-i], y...)
			case "reset":
				digests[i].Reset()
				written[i] = nil
			}
			for n, d := range digests {
				if want := sha256.Sum256(written[n]); !bytes.Equal(d.Sum([]byte("before")), append([]byte("before"), want[:]...)) {
					t.Fatalf("lane %d: %x, want %x", n, d.Sum(nil), want)
				}
			}
		}
	})
}

// TestBlockFileIsWhatTheGeneratorPrints keeps hands out of the file.
func TestBlockFileIsWhatTheGeneratorPrints(t *testing.T) {
	want, err := exec.Command("go", "run", "generate.go", "generate_four.go", "generate_wide.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("block_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("block_amd64.s is not what go generate makes")
	}
}

func FuzzPair(f *testing.F) {
	f.Add([]byte("abc"), []byte(""), 1)
	f.Add(text(6, 200), text(7, 300), 70)
	f.Fuzz(func(t *testing.T, p, q []byte, cut int) {
		i, j := min(max(cut, 0), len(p)), min(max(cut, 0), len(q))
		a, b := New(), New()
		WritePair(a, p[:i], b, q[:j])
		WritePair(a, p[i:], b, q[j:])
		equal(t, "first", a, p)
		equal(t, "second", b, q)
	})
}

const benchSize = 64 << 10

func BenchmarkStandard(b *testing.B) {
	p, d := text(8, benchSize), sha256.New()
	b.SetBytes(benchSize)
	for b.Loop() {
		d.Write(p)
	}
}

func BenchmarkOne(b *testing.B) {
	p, d := text(8, benchSize), New()
	b.SetBytes(benchSize)
	for b.Loop() {
		d.Write(p)
	}
}

func BenchmarkSame(b *testing.B) {
	p, x, y := text(8, benchSize), New(), New()
	b.SetBytes(benchSize)
	for b.Loop() {
		WriteSame(x, y, p)
	}
}

func BenchmarkFour(b *testing.B) { benchmarkEach(b, 4) }

func BenchmarkWide(b *testing.B) { benchmarkEach(b, Most) }

func benchmarkEach(b *testing.B, n int) {
	d, p := make([]*Digest, n), make([][]byte, n)
	for i := range d {
		d[i], p[i] = New(), text(byte(10+i), benchSize)
	}
	b.SetBytes(int64(n) * benchSize)
	for b.Loop() {
		WriteEach(d, p)
	}
}

func BenchmarkPair(b *testing.B) {
	p, q, x, y := text(8, benchSize), text(9, benchSize), New(), New()
	b.SetBytes(2 * benchSize)
	for b.Loop() {
		WritePair(x, p, y, q)
	}
}
