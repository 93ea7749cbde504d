package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

type member struct {
	header tar.Header
	body   string
}

func regular(name, body string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o644}, body}
}

func tarOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if err := w.WriteHeader(&m.header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(m.body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packLayer(pack []byte, name string) manifest.Layer {
	return manifest.Layer{Digest: hashing.Sum(sha256.Sum256(pack)), Size: int64(len(pack)), Name: name, Pack: true}
}

// pullPack pulls an artifact that is one pack, under the digest that it has.
func pullPack(t *testing.T, pack []byte, o PullOptions) (map[string]string, error) {
	t.Helper()
	ctx := context.Background()
	r := open(t, places()[0].ref(t), Options{})
	d := Descriptor{Digest: sumOf(pack), Size: int64(len(pack))}
	if err := r.store.putBlob(ctx, d, opener(pack)); err != nil {
		t.Fatal(err)
	}
	c := &manifest.Canonical{Layers: []manifest.Layer{packLayer(pack, "pack-00001.tar")}}
	parent := t.TempDir()
	err := r.Pull(ctx, c, filepath.Join(parent, "out"), o)
	if err != nil {
		nothingLeft(t, parent)
		return nil, err
	}
	nothingLeft(t, parent, "out")
	return tree(t, filepath.Join(parent, "out")), nil
}

func fileOf(name, body string) manifest.File {
	return manifest.File{Name: name, Size: int64(len(body)), SHA256: hashing.Sum(sha256.Sum256([]byte(body)))}
}

func TestUnpackRefusesWhatIsNoPlainFile(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	good := regular("a/b.txt", "hello")
	for name, members := range map[string][]member{
		"link":           {good, {tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: outside}, ""}},
		"hard link":      {good, {tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: "a/b.txt"}, ""}},
		"device":         {good, {tar.Header{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}, ""}},
		"FIFO":           {good, {tar.Header{Typeflag: tar.TypeFifo, Name: "fifo"}, ""}},
		"directory":      {good, {tar.Header{Typeflag: tar.TypeDir, Name: "d/"}, ""}},
		"climbs":         {good, regular("../outside", "x")},
		"climbs inside":  {good, regular("a/../../outside", "x")},
		"absolute":       {good, regular(outside, "x")},
		"not clean":      {good, regular("a//c", "x")},
		"twice":          {good, regular("a/b.txt", "hello")},
		"file and above": {good, regular("a/b.txt/c", "x")},
		"sparse": {good, {tar.Header{Typeflag: tar.TypeReg, Name: "s", Format: tar.FormatPAX, PAXRecords: map[string]string{
			"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.name": "s", "GNU.sparse.size": "1000000000000", "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""}}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "sparse" {
				if _, err := pullPack(t, sparseTar(t), PullOptions{}); err == nil {
					t.Error("unpacked")
				}
				return
			}
			if _, err := pullPack(t, tarOf(t, members...), PullOptions{}); err == nil {
				t.Error("unpacked")
			}
			if _, err := os.Lstat(outside); err == nil {
				t.Error("something was made outside")
			}
		})
	}
	got, err := pullPack(t, tarOf(t, good, regular("c", "")), PullOptions{})
	if err != nil || len(got) != 2 || got["a/b.txt"] != "hello" {
		t.Errorf("plain files: %v %v", got, err)
	}
}

// sparseTar is a tar of a few hundred bytes with a member of a terabyte; Go's writer would not make it.
func sparseTar(t *testing.T) []byte {
	t.Helper()
	raw := tarOf(t, member{tar.Header{Typeflag: tar.TypeReg, Name: "s", Format: tar.FormatPAX, PAXRecords: map[string]string{
		"XXX.sparse.size": "1000000000000", "XXX.sparse.numblocks": "0", "XXX.sparse.map": "0,0"}}, ""})
	if !bytes.Contains(raw, []byte("XXX.sparse")) {
		t.Fatal("records are missing")
	}
	return bytes.ReplaceAll(raw, []byte("XXX.sparse"), []byte("GNU.sparse"))
}

func TestUnpackHoldsMembersToTheSignedList(t *testing.T) {
	pack := tarOf(t, regular("a", "hello"), regular("b", "world"))
	a, b := fileOf("a", "hello"), fileOf("b", "world")
	unsized := b
	unsized.Size = -1
	for name, row := range map[string]struct {
		signed []manifest.File
		ok     bool
	}{
		"the same":       {[]manifest.File{a, b}, true},
		"without a size": {[]manifest.File{a, unsized}, true},
		"fewer":          {[]manifest.File{a}, false},
		"more":           {[]manifest.File{a, b, fileOf("c", "")}, false},
		"other bytes":    {[]manifest.File{a, fileOf("b", "World")}, false},
		"other size":     {[]manifest.File{a, {Name: "b", Size: 4, SHA256: b.SHA256}}, false},
		"none":           {[]manifest.File{}, false},
		"twice":          {[]manifest.File{a, b, b}, false},
	} {
		if _, err := pullPack(t, pack, PullOptions{Files: row.signed}); (err == nil) != row.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnpackRefusesBrokenTars(t *testing.T) {
	good := tarOf(t, regular("a", strings.Repeat("x", 2000)))
	for name, raw := range map[string][]byte{
		"cut in a member": good[:1200],
		"no tar":          []byte(strings.Repeat("garbage", 1000)),
	} {
		if _, err := pullPack(t, raw, PullOptions{}); err == nil {
			t.Errorf("%s: unpacked", name)
		}
	}
	if _, err := pullPack(t, good, PullOptions{}); err != nil {
		t.Error(err)
	}
}

// TestUnpackDigestsPackAndMembersHoweverTheyArrive has reads end in the middle of blocks of the tar and of SHA-256.
func TestUnpackDigestsPackAndMembersHoweverTheyArrive(t *testing.T) {
	var members []member
	for _, n := range []int{0, 1, 63, 64, 65, 511, 512, 513, 5000} {
		members = append(members, regular(fmt.Sprintf("%d.txt", n), strings.Repeat("x", n)))
	}
	pack := tarOf(t, members...)
	for name, slow := range map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "by bytes": iotest.OneByteReader, "by halves": iotest.HalfReader,
	} {
		root, err := os.OpenRoot(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		p, whole := &puller{root: root, expected: &expectation{free: true}}, newPackDigest()
		got, err := p.unpack(t.Context(), io.TeeReader(slow(bytes.NewReader(pack)), whole), whole, packLayer(pack, "pack"))
		if err != nil || whole.Sum() != hashing.Sum(sha256.Sum256(pack)) {
			t.Errorf("%s: %v, %s", name, err, whole.Sum())
		}
		for i, m := range members {
			if len(got) != len(members) || got[i] != fileOf(m.header.Name, m.body) {
				t.Errorf("%s: %v, member %d is %s", name, got, i, m.header.Name)
			}
		}
	}
}

func FuzzUnpack(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Size: 1, Mode: 0o644})
	_, _ = w.Write([]byte("x"))
	_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "/etc"})
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		p := &puller{root: root, expected: &expectation{free: true}}
		whole := newPackDigest()
		members, _ := p.unpack(context.Background(), io.TeeReader(bytes.NewReader(raw), whole), whole, manifest.Layer{Size: int64(len(raw))})
		for _, m := range members {
			if b, err := os.ReadFile(filepath.Join(dir, m.Name)); err != nil || fileOf(m.Name, string(b)) != m {
				t.Errorf("%v was written: %v", m, err)
			}
		}
		var bytes int64
		_ = filepath.WalkDir(dir, func(at string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil || (!info.IsDir() && !info.Mode().IsRegular()) {
				t.Errorf("%s is %v", at, info.Mode())
			}
			if info.Mode().IsRegular() {
				bytes += info.Size()
			}
			return nil
		})
		if bytes > int64(len(raw)) {
			t.Errorf("%d bytes came out of %d", bytes, len(raw))
		}
	})
}
