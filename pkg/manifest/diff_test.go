package manifest_test

import (
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func TestDiffNamesEveryChange(t *testing.T) {
	want := writeTree(t, map[string][]byte{"same": []byte("s"), "gone": []byte("g"), "other": []byte("one"), "longer": []byte("l"), "empty": nil})
	got := writeTree(t, map[string][]byte{"same": []byte("s"), "new": []byte("nn"), "other": []byte("two"), "longer": []byte("ll"), "empty": nil})
	sum := func(data string) string { return file("", data).SHA256.String() }
	if changes := manifest.Diff(build(t, want, manifest.Options{}), build(t, want, manifest.Options{})); len(changes) != 0 {
		t.Errorf("of equal files: %v", changes)
	}
	expected := []manifest.Change{
		{Name: "gone", Kind: manifest.Missing, Want: sum("g"), WantSize: 1},
		{Name: "longer", Kind: manifest.Different, Want: sum("l"), Got: sum("ll"), WantSize: 1, GotSize: 2},
		{Name: "new", Kind: manifest.Unsigned, Got: sum("nn"), GotSize: 2},
		{Name: "other", Kind: manifest.Different, Want: sum("one"), Got: sum("two"), WantSize: 3, GotSize: 3},
	}
	if changes := manifest.Diff(build(t, want, manifest.Options{}), build(t, got, manifest.Options{})); !slices.Equal(changes, expected) {
		t.Errorf("changes\n%v, want\n%v", changes, expected)
	}
	// Whole-file digests are compared where both have them, however else the files were hashed.
	shards := build(t, got, manifest.Options{Method: manifest.Shards, Algorithm: hashing.BLAKE3, ShardSize: 2})
	if changes := manifest.Diff(build(t, want, manifest.Options{}), shards); !slices.Equal(changes, expected) {
		t.Errorf("with shards: changes\n%v, want\n%v", changes, expected)
	}
}

func TestDiffWithoutWholeDigestsComparesResources(t *testing.T) {
	want := writeTree(t, map[string][]byte{"a:b": []byte("aabbcc"), "same": []byte("xxyy"), "empty": nil})
	got := writeTree(t, map[string][]byte{"a:b": []byte("aaBBcc"), "same": []byte("xxyy"), "empty": nil})
	digest := func(data string) string {
		t.Helper()
		return resources(build(t, writeTree(t, map[string][]byte{"f": []byte(data)}), manifest.Options{Algorithm: hashing.BLAKE3}).Resources)[0][len("f "):]
	}
	o := manifest.Options{Method: manifest.Shards, Algorithm: hashing.BLAKE3, ShardSize: 2, NoID: true}
	if changes := manifest.Diff(build(t, want, o), build(t, want, o)); len(changes) != 0 {
		t.Errorf("of equal files: %v", changes)
	}
	expected := []manifest.Change{{Name: "a:b", Kind: manifest.Different, Want: digest("bb"), Got: digest("BB"), WantSize: 6, GotSize: 6}}
	if changes := manifest.Diff(build(t, want, o), build(t, got, o)); !slices.Equal(changes, expected) {
		t.Errorf("changes\n%v, want\n%v", changes, expected)
	}
	one := manifest.Options{Method: manifest.Shards, Algorithm: hashing.BLAKE3, ShardSize: 2}
	if changes := manifest.Diff(build(t, want, one), build(t, got, o)); !slices.Equal(changes, expected) {
		t.Errorf("where one has whole digests: changes\n%v, want\n%v", changes, expected)
	}
	if changes := manifest.Diff(build(t, want, o), build(t, want, one)); len(changes) != 0 {
		t.Errorf("of equal files, where one has whole digests: %v", changes)
	}
	// What cannot be compared is not equal.
	other := o
	other.ShardSize = 3
	if changes := manifest.Diff(build(t, want, o), build(t, want, other)); len(changes) != 3 || changes[0].Kind != manifest.Different {
		t.Errorf("shards of other sizes: %v", changes)
	}
	bare := &manifest.Manifest{NoID: true, Files: []manifest.File{{Name: "a", Size: 1}}}
	if changes := manifest.Diff(bare, bare); len(changes) != 1 || changes[0].Kind != manifest.Different {
		t.Errorf("without any digests: %v", changes)
	}
}
