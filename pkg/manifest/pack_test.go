package manifest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// layersOf are raw layers, one a file.
func layersOf(files []File) []Layer {
	var layers []Layer
	for _, f := range files {
		layers = append(layers, Layer{MediaType: mediaType(f.Name), Digest: f.SHA256, Size: f.Size, Name: f.Name})
	}
	return layers
}

// filesFor are files whose manifest, with a layer each, has exactly so many bytes.
func filesFor(t *testing.T, size int) []File {
	t.Helper()
	var files []File
	for i := range 15_000 {
		files = append(files, File{Name: fmt.Sprintf("%05d", i), Size: 1})
	}
	left := size - len(encode(layersOf(files)).Manifest)
	for i := 0; left > 0; i++ { // a byte of a name is two of the manifest, which has it twice
		if left == 1 {
			files[i].Size = 10 // one more digit
			left = 0
			continue
		}
		n := min(left/2, 1000)
		files[i].Name += strings.Repeat("x", n)
		left -= 2 * n
	}
	if got := len(encode(layersOf(files)).Manifest); got != size {
		t.Fatalf("a manifest of %d bytes, want %d", got, size)
	}
	return files
}

func TestPackingStartsAtTheLimit(t *testing.T) {
	for size, want := range map[int]bool{MaxCanonical - 1: false, MaxCanonical: false, MaxCanonical + 1: true, MaxCanonical + 2: true} {
		files := filesFor(t, size)
		if got := needsPacks(files); got != want {
			t.Errorf("a manifest of %d bytes needs packs: %t", size, got)
		}
		_, err := canonical(files, nil)
		if (err != nil) != want {
			t.Errorf("a manifest of %d bytes without packs: %v", size, err)
		}
	}
}

func TestPackingIsKnownFromNamesAndSizes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := []File{}
		for i, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 20, 60), 1, 40, rapid.ID).Draw(t, "names") {
			files = append(files, File{Name: fmt.Sprint(i, name), Size: rapid.Int64Min(0).Draw(t, "size")})
		}
		manifest := len(encode(layersOf(files)).Manifest)
		if want := manifest > MaxCanonical; needsPacks(files) != want {
			t.Fatalf("needs packs %t at %d bytes", !want, manifest)
		}
		if predicted := predictSize(files); predicted != manifest {
			t.Fatalf("predicted %d bytes, written %d", predicted, manifest)
		}
	})
}

func TestPacksOfFiles(t *testing.T) {
	const mib = 1 << 20
	sizes := []int64{3 * mib, packBelow, 0, packBelow - 1, 5 << 30}
	for range 100 {
		sizes = append(sizes, 3*mib)
	}
	var files []File
	for i, size := range sizes {
		files = append(files, File{Name: fmt.Sprintf("%04d", i), Size: size})
	}
	groups := packGroups(files)
	if len(groups) != 2 {
		t.Fatalf("%d packs, want 2", len(groups))
	}
	if all := slices.Concat(groups...); slices.Contains(all, 1) || slices.Contains(all, 4) || len(all) != len(files)-2 || !slices.IsSorted(all) {
		t.Errorf("members %v", all)
	}
	sum := func(group []int) (n int64) {
		for _, i := range group {
			n += files[i].Size
		}
		return n
	}
	// 3 MiB, nothing, 4 MiB - 1, and 83 times 3 MiB are 256 MiB - 1: nothing else fits.
	if sum(groups[0]) != packLimit-1 || len(groups[0]) != 86 || sum(groups[0])+files[groups[1][0]].Size <= packLimit {
		t.Errorf("the first pack has %d bytes in %d files", sum(groups[0]), len(groups[0]))
	}
	exact := []File{{Name: "a", Size: 2 * mib}, {Name: "z", Size: 1}}
	for i := range 127 {
		exact = slices.Insert(exact, 1, File{Name: fmt.Sprintf("b%03d", 126-i), Size: 2 * mib})
	}
	if groups := packGroups(exact); len(groups) != 2 || len(groups[0]) != 128 || len(groups[1]) != 1 {
		t.Errorf("%d packs where the limit is met exactly", len(groups))
	}
	if groups := packGroups(files[4:5]); len(groups) != 0 {
		t.Errorf("packs %v of a large file", groups)
	}
}

func TestPackedManifestWithoutAnID(t *testing.T) {
	small := filesFor(t, MaxCanonical+100)
	pack := Layer{MediaType: PackMediaType, Name: packLayerName(0), Size: 10240, Pack: true, Files: small}
	if _, err := canonical(small, []Layer{pack}); err != nil {
		t.Fatal(err)
	}
	named := append(slices.Clone(small), File{Name: "pack-00007.tar", Size: 1})
	if _, err := canonical(named, []Layer{pack}); err == nil || !strings.Contains(err.Error(), "pack-00007.tar") {
		t.Errorf("with a file that is named as a pack: %v", err)
	}
	named[len(named)-1].Name = "sub/pack-00001.tar"
	if _, err := canonical(named, []Layer{pack}); err != nil {
		t.Errorf("with such a name in a folder: %v", err)
	}
	large := slices.Clone(small)
	for i := range large {
		large[i].Size = packBelow
	}
	if _, err := canonical(large, []Layer{pack}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("with large files only: %v", err)
	}
}

func TestCanonicalRefusesWhatHasNoID(t *testing.T) {
	if _, err := canonical([]File{{Name: "a"}, {Name: "a-b"}, {Name: "a.c"}, {Name: "b/c"}}, nil); err != nil {
		t.Fatal(err)
	}
	for title, files := range map[string][]File{
		"nothing":              nil,
		"an unclean name":      {{Name: "../a"}},
		"not in byte order":    {{Name: "b"}, {Name: "a"}},
		"twice":                {{Name: "a"}, {Name: "a"}},
		"file and folder":      {{Name: "a"}, {Name: "a-b"}, {Name: "a/c"}},
		"file and far folder":  {{Name: "a/b"}, {Name: "a/b-c"}, {Name: "a/b/c/d"}},
		"a size below nothing": {{Name: "a", Size: -1}},
		"sizes beyond count":   {{Name: "a", Size: 1 << 62}, {Name: "b", Size: 1 << 62}},
	} {
		if c, err := canonical(files, nil); err == nil {
			t.Errorf("%s has the ID %s", title, c.ID)
		}
	}
}

// failAfter takes so many bytes and then no more.
type failAfter int

var errFull = errors.New("no space left")

func (f *failAfter) Write(p []byte) (int, error) {
	if *f < failAfter(len(p)) {
		return 0, errFull
	}
	*f -= failAfter(len(p))
	return len(p), nil
}

func TestWritePack(t *testing.T) {
	long := strings.Repeat("long/", 60) + "é"
	l := Layer{Name: packLayerName(0), Pack: true, Files: []File{{Name: "a", Size: 1}, {Name: long, Size: 3}, {Name: "z"}}}
	bytesOf := map[string]string{"a": "a", long: "bcd", "z": ""}
	open := func(name string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(bytesOf[name])), nil }
	var out bytes.Buffer
	if err := WritePack(&out, l, open); err != nil {
		t.Fatal(err)
	}
	size := out.Len()
	r := tar.NewReader(&out)
	for _, f := range l.Files {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || h.Name != f.Name || string(data) != bytesOf[f.Name] || h.Mode != 0o644 || h.Uid != 0 || h.Gid != 0 || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("member %+v of %q, %v", h, data, err)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last member: %v", err)
	}
	full := failAfter(size - 1)
	if err := WritePack(&full, l, open); !errors.Is(err, errFull) {
		t.Errorf("into a full writer: %v", err)
	}
	for title, c := range map[string]struct {
		layer Layer
		open  func(string) (io.ReadCloser, error)
		want  string
	}{
		"unknown members": {Layer{Name: l.Name, Pack: true}, open, "not known"},
		"no pack":         {Layer{Name: "a", Files: l.Files}, open, "not known"},
		"a short member": {l, func(name string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(bytesOf[name][:len(bytesOf[name])/2])), nil
		}, `"a" into pack-00001.tar: it has not the 1 bytes`},
		"a short last member": {Layer{Name: l.Name, Pack: true, Files: l.Files[1:2]}, func(string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("bc")), nil
		}, "it has not the 3 bytes"},
		"a long member": {l, func(name string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(bytesOf[name] + "x")), nil
		}, "it has not the 1 bytes"},
		"no such file": {l, func(string) (io.ReadCloser, error) { return nil, errFull }, errFull.Error()},
	} {
		if err := WritePack(io.Discard, c.layer, c.open); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", title, err, c.want)
		}
	}
}
