package blake3

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"lukechampine.com/blake3/guts"
)

// TestTreeIsMadeOfTheSameNodes compares the values of trees of every height, at the beginning of a message and where the
// number of a leaf needs more than 32 bits, with the library's, node by node.
func TestTreeIsMadeOfTheSameNodes(t *testing.T) {
	data := make([]byte, group<<maxTree+1) // the last byte says that what is before it is not the end
	rand.NewChaCha8([32]byte{3}).Read(data)
	for height := range maxTree + 1 {
		for _, leaf := range []uint64{0, guts.MaxSIMD << height, 1<<32 - guts.MaxSIMD, 1<<32 - guts.MaxSIMD/2, 1 << 32, 1<<53 - guts.MaxSIMD<<height} {
			p := data[:group<<height+1]
			var want forest
			for at := 0; at < len(p)-1; at += group {
				node := guts.CompressBuffer((*[group]byte)(p[at:]), group, &guts.IV, leaf+uint64(at/guts.ChunkSize), 0)
				want.add(guts.ChainingValue(node), 0)
			}
			d := NewPart(int64(leaf * guts.ChunkSize))
			d.Write(p)
			if d.trees.count != want.count || d.trees.trees[height] != want.trees[height] {
				t.Errorf("height %d from leaf %d: %x, want %x", height, leaf, d.trees.trees[height], want.trees[height])
			}
		}
	}
}

// TestAssemblyIsWhatTheGeneratorPrints keeps hands out of the file.
func TestAssemblyIsWhatTheGeneratorPrints(t *testing.T) {
	want, err := exec.Command("go", "run", "generate.go").Output()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("hash16_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("hash16_amd64.s is not what go generate makes")
	}
}
