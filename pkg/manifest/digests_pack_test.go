package manifest

import (
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// zeros is a file's content without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestPackSizeIsTheTars: what the signing host computes is what packing writes, for names of every kind.
func TestPackSizeIsTheTars(t *testing.T) {
	var files []File
	var members []int
	for i, name := range []string{"a", "b/" + strings.Repeat("long", 60), "c/ünïcode\n", strings.Repeat("deep/", 40) + "d", "zero"} {
		files = append(files, File{Name: name, Size: []int64{0, 1, 511, 512, 513}[i]})
		members = append(members, i)
	}
	got, err := packSize(files, members)
	if err != nil {
		t.Fatal(err)
	}
	want := hashing.NewStream()
	err = WritePack(want, Layer{Name: "pack-00001.tar", Pack: true, Files: files}, func(name string) (io.ReadCloser, error) {
		i := slices.IndexFunc(files, func(f File) bool { return f.Name == name })
		return io.NopCloser(io.LimitReader(zeros{}, files[i].Size)), nil
	})
	if err != nil || got != want.Size() {
		t.Errorf("computed %d bytes, the tar has %d: %v", got, want.Size(), err)
	}
}

func TestParseDigestsHoldsPacksToTheirFiles(t *testing.T) {
	good := Digests{Name: "many", Files: filesFor(t, MaxCanonical+1)}
	members := make([]int, len(good.Files))
	for i := range members {
		members[i] = i
	}
	size, err := packSize(good.Files, members)
	if err != nil {
		t.Fatal(err)
	}
	good.Packs = []Pack{{Name: "pack-00001.tar", Size: size}}
	parse := func(d Digests) (*Digests, error) {
		raw, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return ParseDigests(raw)
	}
	if _, err := parse(good); err != nil {
		t.Fatalf("packs without a fault: %v", err)
	}
	for name, spoil := range map[string]func(d *Digests){
		"no packs":       func(d *Digests) { d.Packs = nil },
		"too many":       func(d *Digests) { d.Packs = append(d.Packs, d.Packs[0]) },
		"another size":   func(d *Digests) { d.Packs[0].Size++ },
		"another name":   func(d *Digests) { d.Packs[0].Name = "pack-00002.tar" },
		"a file resized": func(d *Digests) { d.Files[0].Size += 4096 },
		"too few files":  func(d *Digests) { d.Files = d.Files[:100] },
	} {
		spoilt := Digests{Name: good.Name, Files: slices.Clone(good.Files), Packs: slices.Clone(good.Packs)}
		spoil(&spoilt)
		if _, err := parse(spoilt); err == nil || !strings.Contains(err.Error(), "pack") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A pack's digest is the holder's word. Another makes another ID, which no directory and no registry has.
	var ids []string
	for range 2 {
		m, err := good.Manifest(DigestsOptions{})
		if err != nil {
			t.Fatal(err)
		}
		id, err := m.ID()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		good.Packs[0].SHA256[0] ^= 1
	}
	if ids[0] == ids[1] {
		t.Error("two digests of a pack make one ID")
	}
}
