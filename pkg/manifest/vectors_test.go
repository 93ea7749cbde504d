package manifest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

type vector struct {
	Title        string `json:"title"`
	ArtifactID   string `json:"artifactID"`
	ConfigDigest string `json:"configDigest"`
	ManifestSize int    `json:"manifestSize"`
	Packed       bool   `json:"packed"`
	Root         string `json:"omsRootDigest"`
	Rule         string `json:"rule"`
	Manifest     string `json:"manifest"`
	Files        []struct {
		Name string `json:"name"`
		Hex  string `json:"hex"`
	} `json:"files"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "artifact-id.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Version int      `json:"version"`
		Vectors []vector `json:"vectors"`
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if all.Version != 1 || len(all.Vectors) < 10 {
		t.Fatalf("version %d with %d vectors", all.Version, len(all.Vectors))
	}
	return all.Vectors
}

// contents are a vector's files by name: listed, or made by its rule.
func (v vector) contents(t *testing.T) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, f := range v.Files {
		data, err := hex.DecodeString(f.Hex)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = data
	}
	if v.Rule != "" {
		for i := range 20000 {
			files[fmt.Sprintf("data/%05d.txt", i)] = fmt.Appendf(nil, "%d\n", i)
		}
		if v.Title == "packed beside a raw layer" {
			files["w.safetensors"] = make([]byte, 5<<20)
		}
	}
	return files
}

func TestIDVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Title, func(t *testing.T) {
			files := v.contents(t)
			dir := writeTree(t, files)
			m, err := manifest.Build(context.Background(), dir, manifest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c, err := m.OCI()
			if err != nil {
				t.Fatal(err)
			}
			config := sha256.Sum256(c.Config)
			if c.ID != v.ArtifactID || len(c.Manifest) != v.ManifestSize || "sha256:"+hex.EncodeToString(config[:]) != v.ConfigDigest {
				t.Errorf("ID %s with %d bytes of manifest, want %s with %d", c.ID, len(c.Manifest), v.ArtifactID, v.ManifestSize)
			}
			if v.Manifest != "" && v.Manifest != string(c.Manifest) {
				t.Errorf("manifest\n%s\nwant\n%s", c.Manifest, v.Manifest)
			}
			if got := m.RootDigest().String(); got != v.Root {
				t.Errorf("root digest %s, want %s", got, v.Root)
			}
			checkLayers(t, c, files, v.Packed)
			again, err := manifest.ParseCanonical(c.Manifest)
			if err != nil {
				t.Fatalf("parse its own manifest: %v", err)
			}
			if again.ID != c.ID || !bytes.Equal(again.Config, c.Config) || len(again.Layers) != len(c.Layers) {
				t.Errorf("parsed as %s with %d layers, want %s with %d", again.ID, len(again.Layers), c.ID, len(c.Layers))
			}
		})
	}
}

// checkLayers holds every layer's digest against bytes: a file's, or the tar that WritePack makes.
func checkLayers(t *testing.T, c *manifest.Canonical, files map[string][]byte, packed bool) {
	t.Helper()
	packs := 0
	for _, l := range c.Layers {
		h := sha256.New()
		if !l.Pack {
			h.Write(files[l.Name])
		} else {
			packs++
			err := manifest.WritePack(h, l, func(name string) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(files[name])), nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := hashing.Sum(h.Sum(nil)); got != l.Digest {
			t.Errorf("layer %s: bytes hash to %s, listed %s", l.Name, got, l.Digest)
		}
	}
	if (packs > 0) != packed {
		t.Errorf("%d packs, packed %t", packs, packed)
	}
}

func TestIDIgnoresTimesModesAndOwners(t *testing.T) {
	files := map[string][]byte{"a.bin": []byte("a"), "sub/b.json": []byte("{}")}
	dir := writeTree(t, files)
	before := id(t, dir)
	for name, mode := range map[string]os.FileMode{"a.bin": 0o600, "sub/b.json": 0o755} {
		path := filepath.Join(dir, name)
		must(t, os.Chmod(path, mode))
		must(t, os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)))
		if os.Geteuid() == 0 {
			must(t, os.Chown(path, 12345, 12345))
		}
	}
	if after := id(t, dir); after != before {
		t.Errorf("ID %s after other times and modes, want %s", after, before)
	}
	must(t, os.Rename(filepath.Join(dir, "a.bin"), filepath.Join(dir, "b.bin")))
	if after := id(t, dir); after == before {
		t.Error("the same ID under another name")
	}
}

// TestIDVectorsAreTheSharedOnes holds the project's copy of page and vectors to the ones that other implementations
// share.
func TestIDVectorsAreTheSharedOnes(t *testing.T) {
	shared := sharedVectors(t)
	ours, err := os.ReadFile(filepath.Join("testdata", "artifact-id.json"))
	must(t, err)
	theirs, err := os.ReadFile(filepath.Join(shared, "artifact-id", "vectors.json"))
	must(t, err)
	if !bytes.Equal(ours, theirs) {
		t.Error("testdata/artifact-id.json is not the shared vectors.json")
	}
	page := func(path string) string {
		text, err := os.ReadFile(path)
		must(t, err)
		var rules []string
		for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			if !strings.HasPrefix(line, "Frozen: ") { // says where the vectors lie
				rules = append(rules, line)
			}
		}
		return strings.Join(rules, "\n")
	}
	if original := filepath.Join(shared, "..", "ARTIFACT-ID.md"); page("ARTIFACT-ID.md") != page(original) {
		t.Errorf("ARTIFACT-ID.md has other rules than %s", original)
	}
}

// sharedVectors is the folder of test vectors that lies outside of the project.
func sharedVectors(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HALLMARK_VECTORS"); dir != "" {
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("HALLMARK_VECTORS: %v", err)
		}
		return dir
	}
	root, err := os.Getwd()
	must(t, err)
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above the test")
		}
		root = filepath.Dir(root)
	}
	dir := filepath.Join(root, "..", "shared", "vectors")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no shared test vectors at %s: set HALLMARK_VECTORS to their folder", dir)
	}
	return dir
}
