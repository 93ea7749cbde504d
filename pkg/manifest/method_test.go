package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// TestEveryMethodAndAlgorithm holds the resources to digests that are made from slices of the bytes, and the ID to the
// one that SHA-256 alone gives.
func TestEveryMethodAndAlgorithm(t *testing.T) {
	files := map[string][]byte{
		"empty": nil, "one": []byte("1"), "a:0:3": []byte("colons"), "sub/ten": []byte("0123456789"), "sub-x": bytes.Repeat([]byte("x"), 2100),
	}
	dir := writeTree(t, files)
	want := id(t, dir)
	for _, algorithm := range []hashing.Algorithm{hashing.SHA256, hashing.BLAKE2b, hashing.BLAKE3} {
		for _, shard := range []int64{0, 1, 5, 1000, manifest.DefaultShardSize} {
			for _, noID := range []bool{false, true} {
				o := manifest.Options{Algorithm: algorithm, ShardSize: shard, NoID: noID}
				if shard > 0 {
					o.Method = manifest.Shards
				}
				m := build(t, dir, o)
				if got := resources(m.Resources); !slices.Equal(got, expected(t, files, algorithm, shard)) {
					t.Errorf("%s in shards of %d: resources\n%s", algorithm, shard, strings.Join(got, "\n"))
				}
				checkRoot(t, m)
				got, err := m.ID()
				if noID && !errors.Is(err, manifest.ErrNoID) || !noID && (err != nil || got != want) {
					t.Errorf("%s in shards of %d, without ID %t: ID %s, %v; want %s", algorithm, shard, noID, got, err, want)
				}
				for _, f := range m.Files {
					if (f.SHA256 == hashing.Sum{}) != noID {
						t.Errorf("%s in shards of %d, without ID %t: %s has SHA-256 %s", algorithm, shard, noID, f.Name, f.SHA256)
					}
				}
				if s := m.Serialization; s.Algorithm != algorithm || s.ShardSize != shard || (s.Method == manifest.Shards) != (shard > 0) {
					t.Errorf("recorded %+v", s)
				}
			}
		}
	}
}

func resources(list []manifest.Resource) []string {
	var out []string
	for _, r := range list {
		out = append(out, fmt.Sprintf("%s %s:%x", r.Name, r.Algorithm, r.Digest))
	}
	return out
}

// expected are the resources of files, as OMS §6.3 and §6.4 say.
func expected(t *testing.T, files map[string][]byte, algorithm hashing.Algorithm, shard int64) []string {
	t.Helper()
	parts := map[string][]byte{}
	for name, data := range files {
		if shard == 0 {
			parts[name] = data
			continue
		}
		for start := int64(0); start < int64(len(data)); start += shard {
			end := min(start+shard, int64(len(data)))
			parts[fmt.Sprintf("%s:%d:%d", name, start, end)] = data[start:end]
		}
	}
	var names []string
	for name := range parts {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		h, err := algorithm.New()
		must(t, err)
		h.Write(parts[name])
		out = append(out, fmt.Sprintf("%s %s:%x", name, algorithm, h.Sum(nil)))
	}
	return out
}

func checkRoot(t *testing.T, m *manifest.Manifest) {
	t.Helper()
	var all []byte
	for _, r := range m.Resources {
		all = append(all, r.Digest...)
	}
	if got := m.RootDigest(); got != hashing.Sum(sha256.Sum256(all)) {
		t.Errorf("root digest %s is not that of the resources in order (OMS §6.5.1)", got)
	}
}

// TestRootDigestBindsNoNames is why it names nothing here.
func TestRootDigestBindsNoNames(t *testing.T) {
	one := build(t, writeTree(t, map[string][]byte{"README.md": []byte("same")}), manifest.Options{})
	two := build(t, writeTree(t, map[string][]byte{"__init__.py": []byte("same")}), manifest.Options{})
	if one.RootDigest() != two.RootDigest() {
		t.Error("the root digest depends on names: OMS §6.5.1 says otherwise")
	}
	a, err := one.ID()
	must(t, err)
	b, err := two.ID()
	must(t, err)
	if a == b {
		t.Error("two names, one ID")
	}
}

func TestShardsLeaveEmptyFilesOut(t *testing.T) {
	m := build(t, writeTree(t, map[string][]byte{"empty": nil}), manifest.Options{Method: manifest.Shards})
	if len(m.Resources) != 0 || len(m.Files) != 1 || m.Serialization.ShardSize != manifest.DefaultShardSize {
		t.Errorf("manifest %+v", m)
	}
}

// TestPackedWithEveryPlan has small files packed while other digests are made of them.
func TestPackedWithEveryPlan(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 16,000 files")
	}
	files := map[string][]byte{"big.bin": make([]byte, 4<<20)}
	for i := range 16_000 {
		files[fmt.Sprintf("data/%05d.json", i)] = fmt.Appendf(nil, "%d", i)
	}
	dir := writeTree(t, files)
	plain := build(t, dir, manifest.Options{})
	c, err := plain.OCI()
	must(t, err)
	if n := len(c.Layers); n != 2 || !c.Layers[1].Pack || len(c.Layers[1].Files) != 16_000 || c.Layers[0].Name != "big.bin" {
		t.Fatalf("%d layers", n)
	}
	for _, o := range []manifest.Options{{Algorithm: hashing.BLAKE3}, {Method: manifest.Shards, ShardSize: 1000}, {Workers: 1}} {
		if got, err := build(t, dir, o).ID(); err != nil || got != c.ID {
			t.Errorf("%+v: ID %s, %v; want %s", o, got, err, c.ID)
		}
	}
}
