package transfer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// member is an entry of a tar.
type member struct {
	header tar.Header
	body   string
}

func file(name, body string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(body)), Mode: 0o644, Format: tar.FormatPAX}, body}
}

func special(kind byte, name, link string) member {
	return member{tar.Header{Typeflag: kind, Name: name, Linkname: link, Devmajor: 1, Devminor: 5}, ""}
}

func pack(t *testing.T, members ...member) []byte {
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

// packed publishes an artifact that is one pack, whatever the pack holds, with a trusted signature on exactly its ID and
// on the files that it is said to hold. Only whoever unpacks it can refuse it.
func (a *artifact) packed(t *testing.T, g *lab.Registry, pack []byte, signed map[string]string) registry.Ref {
	t.Helper()
	config := fmt.Appendf(nil, `{"descriptor":{},"modelfs":{"type":"layers","diffIds":[%q]},"config":{}}`, lab.Digest(pack))
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"org.cncf.model.filepath":"pack-00001.tar","org.opencontainers.image.title":"pack-00001.tar"}}]}`,
		asManifest, manifest.ArtifactType, manifest.ConfigMediaType, lab.Digest(config), len(config), manifest.PackMediaType, lab.Digest(pack), len(pack))
	if _, err := manifest.ParseCanonical(raw); err != nil {
		t.Fatal(err)
	}
	g.PutBlob(repository, pack)
	g.PutBlob(repository, config)
	other := *a
	other.evidence = []chain.Item{{Where: "memory", Bundle: a.seal(t, a.statement(t, lab.Digest(raw), signed))}}
	return other.offer(t, g, asManifest, raw)
}

// statement is the OMS statement on other files under another artifact ID.
func (a *artifact) statement(t *testing.T, id string, files map[string]string) []byte {
	t.Helper()
	sound, err := attestations.NewSignature(a.manifest, attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(sound.Payload(), &doc); err != nil {
		t.Fatal(err)
	}
	predicate := doc["predicate"].(map[string]any)
	annotations := predicate["resources"].([]any)[0].(map[string]any)["annotations"].(map[string]any)
	for k, v := range annotations {
		if v == a.canonical.ID {
			annotations[k] = id
		}
	}
	root := sha256.New()
	var resources []any
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256([]byte(files[name]))
		root.Write(sum[:])
		resources = append(resources, map[string]any{"name": name, "algorithm": "sha256", "digest": hex.EncodeToString(sum[:])})
	}
	resources[0].(map[string]any)["annotations"] = annotations
	predicate["resources"] = resources
	doc["subject"] = []any{map[string]any{"name": "chat", "digest": map[string]string{"sha256": hex.EncodeToString(root.Sum(nil))}}}
	return mustJSON(t, doc)
}

// offered is a pack, and the files that a trusted signer says it holds.
type offered struct {
	pack   []byte
	signed map[string]string
}

// badPacks are packs that must not be unpacked. Some want to get at the victim, a file in the folder outside.
func badPacks(t *testing.T, outside, victim string) map[string]offered {
	t.Helper()
	good := file("a/b.txt", "hello")
	signed := map[string]string{"a/b.txt": "hello"}
	with := func(m ...member) offered { return offered{pack(t, append([]member{good}, m...)...), signed} }
	also := func(m member) offered { // the member is signed too, wherever its name can be
		return offered{pack(t, good, m), map[string]string{"a/b.txt": "hello", m.header.Name: m.body}}
	}
	return map[string]offered{
		"a link out":                  with(special(tar.TypeSymlink, "out", outside)),
		"a link out, and through it":  with(special(tar.TypeSymlink, "out", outside), file("out/victim", "theirs")),
		"a link over a folder":        with(special(tar.TypeSymlink, "a", outside)),
		"a link inside":               with(special(tar.TypeSymlink, "l", "a/b.txt")),
		"a hard link":                 with(special(tar.TypeLink, "l", "a/b.txt")),
		"a hard link out":             with(special(tar.TypeLink, "l", victim)),
		"a character device":          with(special(tar.TypeChar, "zero", "")),
		"a block device":              with(special(tar.TypeBlock, "disk", "")),
		"a FIFO":                      with(special(tar.TypeFifo, "fifo", "")),
		"a folder":                    with(special(tar.TypeDir, "d/", "")),
		"a name that climbs":          with(file("../victim", "theirs")),
		"a name that climbs inside":   with(file("a/../../victim", "theirs")),
		"an absolute name":            with(file(victim, "theirs")),
		"a name with a dot":           with(file("./c.txt", "x")),
		"a name with two slashes":     with(file("a//c.txt", "x")),
		"a back slash for a slash":    with(file(`..\victim`, "theirs")),
		"an entry twice":              with(good),
		"an entry twice, differing":   with(file("a/b.txt", "other")),
		"a file that is a folder":     with(file("a/b.txt/c", "x")),
		"one more than signed":        with(file("c.txt", "x")),
		"one more than signed, empty": with(file("__init__.py", "")),
		"one less than signed":        {pack(t, good), map[string]string{"a/b.txt": "hello", "c.txt": "x"}},
		"none":                        {pack(t), signed},
		"other bytes than signed":     {pack(t, file("a/b.txt", "hallo")), signed},
		"other length than signed":    {pack(t, file("a/b.txt", "hello!")), signed},
		"the place of the signature":  also(file("model.sig", "{}")),
		"a sparse file of a terabyte": {sparse(t), signed},
		"an old sparse file":          {retyped(t, 'S'), signed},
		"an unknown kind":             {retyped(t, 'Z'), signed},
		"a size beyond the tar":       {resized(t, 1<<40), signed},
		"a size below nothing":        {resized(t, -1), signed},
		"a huge header":               {append(hugeHeader(t), pack(t, good)...), signed},
		"a size in two places":        {twoSizes(t), signed},
		"compressed":                  {zipped(t, pack(t, good)), signed},
		"cut off within a file":       {pack(t, good)[:514], signed},
		"no tar":                      {bytes.Repeat([]byte("garbage"), 1000), signed},
		"a broken checksum":           {bytes.Replace(pack(t, good), []byte("a/b.txt"), []byte("a/c.txt"), 1), signed},
		"nothing at all":              {[]byte{}, signed},
	}
}

// TestPacksAreHeldToTheirList signs each pack as it is, so that its digest is right, and sees what comes out.
func TestPacksAreHeldToTheirList(t *testing.T) {
	a := newArtifact(t, small())
	outside := t.TempDir()
	victim := filepath.Join(outside, "victim")
	write(t, victim, "mine")
	for name, r := range badPacks(t, outside, victim) {
		t.Run(name, func(t *testing.T) {
			g := lab.New(kinds["referrers API"])
			ref := a.packed(t, g, r.pack, r.signed)
			parent := t.TempDir()
			d, err := a.pull(t.Context(), ref, filepath.Join(parent, "out"), options(long), 0)
			if d.Verdict() != policy.Yes {
				t.Fatalf("refused before it was unpacked: %v %v", d.Reasons(), d.Checks)
			}
			if err == nil {
				t.Error("pulled")
			}
			for _, left := range left(t, parent) {
				if left != "out.partial" {
					t.Errorf("%q was left behind", left)
				}
			}
			if raw, err := os.ReadFile(victim); string(raw) != "mine" || len(left(t, outside)) != 1 {
				t.Errorf("outside lies %v; the victim is %q (%v)", left(t, outside), raw, err)
			}
		})
	}
}

// TestSoundPacksAreUnpacked: the pair of the above; of what a header says besides name and size, nothing is taken over.
func TestSoundPacksAreUnpacked(t *testing.T) {
	a := newArtifact(t, small())
	good := file("a/b.txt", "hello")
	heavy := file("c/d.bin", noise(100_000, 3))
	heavy.header.Mode, heavy.header.Uid, heavy.header.ModTime = 0o6777, 12345, present
	heavy.header.PAXRecords = map[string]string{"SCHILY.xattr.user.x": "y"}
	ref := a.packed(t, lab.New(kinds["referrers API"]), pack(t, good, heavy), map[string]string{"a/b.txt": "hello", "c/d.bin": heavy.body})
	dir := filepath.Join(t.TempDir(), "out")
	if d, err := a.pull(t.Context(), ref, dir, options(long), 0); err != nil || d.Verdict() != policy.Yes {
		t.Fatalf("%s %v", d.Verdict(), err)
	}
	if got := tree(t, dir); got["a/b.txt"] != "hello" || got["c/d.bin"] != heavy.body || len(got) != 3 {
		t.Errorf("came out: %v", slices.Sorted(maps.Keys(got)))
	}
	info, err := os.Stat(filepath.Join(dir, "c/d.bin"))
	if err != nil || info.Mode()&^0o644 != 0 || info.ModTime().Equal(present) {
		t.Errorf("mode %v and time %v were taken over (%v)", info.Mode(), info.ModTime(), err)
	}
}

func left(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sparse is a tar with a member of a terabyte that takes no room in it; Go's writer would not make it.
func sparse(t *testing.T) []byte {
	t.Helper()
	m := member{tar.Header{Typeflag: tar.TypeReg, Name: "a/b.txt", Format: tar.FormatPAX, PAXRecords: map[string]string{
		"XXX.sparse.size": "1000000000000", "XXX.sparse.numblocks": "0", "XXX.sparse.map": "0,0"}}, ""}
	return bytes.ReplaceAll(pack(t, m), []byte("XXX.sparse"), []byte("GNU.sparse"))
}

// ustar is one file of five bytes without extended records, so that its header can be edited in place.
func ustar(t *testing.T) []byte {
	t.Helper()
	m := file("a/b.txt", "hello")
	m.header.Format = tar.FormatUSTAR
	return pack(t, m)
}

// retyped gives the only member another kind.
func retyped(t *testing.T, kind byte) []byte {
	t.Helper()
	raw := ustar(t)
	raw[156] = kind
	return resummed(raw)
}

// resized gives the only member another size, in GNU's base-256 form.
func resized(t *testing.T, size int64) []byte {
	t.Helper()
	raw := ustar(t)
	for i := range 12 {
		raw[124+i] = byte(size >> min(8*(11-i), 63))
	}
	raw[124] |= 0x80
	return resummed(raw)
}

// resummed makes the checksum of the first header right.
func resummed(raw []byte) []byte {
	copy(raw[148:156], "        ")
	sum := 0
	for _, b := range raw[:512] {
		sum += int(b)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return raw
}

// hugeHeader is an extended header of 64 MiB, which a reader that trusts it would hold in memory.
func hugeHeader(t *testing.T) []byte {
	t.Helper()
	const size = 64 << 20
	raw := ustar(t)[:512]
	raw[156] = 'x'
	copy(raw[124:136], fmt.Sprintf("%011o\x00", size))
	record := fmt.Sprintf("%d comment=", size)
	body := record + strings.Repeat("x", size-len(record)-1) + "\n"
	return append(resummed(raw), body...)
}

// twoSizes says one size in the header and another in the record before it.
func twoSizes(t *testing.T) []byte {
	t.Helper()
	raw := pack(t, member{tar.Header{Typeflag: tar.TypeReg, Name: "a/b.txt", Size: 5, Format: tar.FormatPAX, PAXRecords: map[string]string{"XXXX": "5000000"}}, "hello"})
	return bytes.Replace(raw, []byte("XXXX="), []byte("size="), 1)
}

func zipped(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
