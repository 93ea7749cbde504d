package chain_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// signed is a bundle of any payload.
func (w *world) signed(payload string) chain.Item {
	w.t.Helper()
	bundle, err := w.by.Sign(ctx, attestations.PayloadType, []byte(payload))
	if err != nil {
		w.t.Fatal(err)
	}
	return chain.Item{Where: "claims.sig", Bundle: bundle}
}

// TestOneFileMayBeSignedWithoutAName as old bundles do: it is then that file wherever it lies, and no file of a directory.
func TestOneFileMayBeSignedWithoutAName(t *testing.T) {
	w := newWorld(t, map[string]string{"model.bin": "weights", "config.json": "{}\n"})
	file := filepath.Join(w.path, "model.bin")
	m, err := manifest.Build(ctx, file, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	nameless := items{w.sign(m, func(p []byte) []byte { return bytes.ReplaceAll(p, []byte(`"name":"model.bin"`), []byte(`"name":"."`)) })}
	stored := canonical(t, m)
	for name, c := range map[string]struct {
		at      chain.Artifact
		verdict policy.Verdict
		reasons []policy.Reason
	}{
		"the file":                  {&chain.Files{Path: file}, policy.Yes, nil},
		"its manifest":              {chain.NewManifest(stored.Manifest, "r/n:v1", "", "v1"), policy.Yes, nil},
		"its folder":                {&chain.Files{Path: w.path}, policy.No, []policy.Reason{policy.FileUnsigned, policy.FileMissing}},
		"the manifest of two files": {chain.NewManifest(canonical(t, w.build(manifest.Options{})).Manifest, "r/n:v1", "", "v1"), policy.Unknown, []policy.Reason{policy.Unreadable}},
		"another file":              {&chain.Files{Path: filepath.Join(w.path, "config.json")}, policy.No, []policy.Reason{policy.DigestMismatch}},
		"nothing":                   {&chain.Files{Path: filepath.Join(w.path, "gone")}, policy.Unknown, []policy.Reason{policy.Unreadable}},
	} {
		t.Run(name, func(t *testing.T) { want(t, w.verify(c.at, nameless), c.verdict, c.reasons...) })
	}
}

// TestAListOutOfOrderHoldsAndIsNoted: one implementation sorts by the parts of paths.
func TestAListOutOfOrderHoldsAndIsNoted(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	sorted := w.sign(m, nil)
	slices.Reverse(m.Resources)
	for i, item := range []chain.Item{sorted, w.sign(m, nil)} {
		d := w.verify(&chain.Files{Path: w.path}, items{item})
		want(t, d, policy.Yes)
		if noted := slices.Contains(d.Notes, "model.sig: its files are not in code-point order (OMS §5.2.1)"); noted != (i == 1) {
			t.Errorf("notes %q", d.Notes)
		}
	}
}

// TestWhatALibraryHasCountsTowardsTheCap of an artifact's bundles together with those that lie with it.
func TestWhatALibraryHasCountsTowardsTheCap(t *testing.T) {
	w := newWorld(t, small)
	broken := make(items, chain.MaxBundles+1)
	for i := range broken {
		broken[i] = chain.Item{Where: "x", Bundle: []byte(strings.Repeat(" ", i) + "{")}
	}
	for beyond := range 2 {
		lib := shelf{numbered(1): {Sources: []chain.Source{broken[100 : chain.MaxBundles+beyond]}}}
		f := w.search(lib).Target(ctx, chain.Target{Artifact: named(numbered(1)), Sources: []chain.Source{broken[:100]}})
		if len(f.Evidence) != chain.MaxBundles || len(f.Problems) != beyond {
			t.Fatalf("%d bundles beyond: %d are opened, problems %v", beyond, len(f.Evidence), f.Problems)
		}
		if beyond == 1 && (f.Problems[0].Code != policy.CapReached || f.Problems[0].Detail != "257 bundles, at most 256 are opened for one artifact") {
			t.Errorf("%+v", f.Problems[0])
		}
	}
}

// TestEmptyBundlesAreEachShown: they are alike in nothing but that nobody wrote them to the end.
func TestEmptyBundlesAreEachShown(t *testing.T) {
	w := newWorld(t, small)
	empty := items{{Where: "claims.sig: line 1"}, {Where: "claims.sig: line 2"}}
	f := w.search(nil).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{empty}})
	if len(f.Evidence) != 2 || f.Evidence[0].Where == f.Evidence[1].Where || !slices.Equal(codes(f.Evidence[1].Findings), []policy.Reason{policy.BundleMalformed}) {
		t.Errorf("%+v", f.Evidence)
	}
}

// packed is an artifact whose small files are packed.
type packed struct {
	*world
	*manifest.Manifest
	raw []byte // its canonical manifest
}

func packedWorld(t *testing.T) packed {
	t.Helper()
	files := map[string]string{"w.bin": strings.Repeat("w", 4<<20)}
	deep := strings.Repeat(strings.Repeat("\x01", 250)+"/", 14) // long names that JSON escapes fill a manifest with few files
	for i := range 100 {
		files[fmt.Sprintf("%s%05d.txt", deep, i)] = fmt.Sprint(i)
	}
	w := newWorld(t, files)
	m := w.build(manifest.Options{})
	stored := canonical(t, m)
	if !stored.Layers[len(stored.Layers)-1].Pack {
		t.Fatal("nothing was packed")
	}
	return packed{w, m, stored.Manifest}
}

func TestVerifyPackedManifest(t *testing.T) {
	w := packedWorld(t)
	at := chain.NewManifest(w.raw, "r/n:v1", "", "v1")
	d := w.verify(at, items{w.sign(w.Manifest, nil)})
	want(t, d, policy.Yes)
	if d.Artifact.Files != len(w.Files) {
		t.Errorf("%d files, want %d", d.Artifact.Files, len(w.Files))
	}
	want(t, w.verify(at, items{w.sign(w.Manifest, withoutAnnotations(t))}), policy.Unknown, policy.BytesNeeded)
	want(t, w.verify(&chain.Files{Path: w.path}, items{w.sign(w.Manifest, nil)}), policy.Yes)
}

// TestNoSignerOfWhatIsPackedHidesAFile: the manifest does not name what is packed, so each signer's list is looked up among
// what is revoked.
func TestNoSignerOfWhatIsPackedHidesAFile(t *testing.T) {
	w := packedWorld(t)
	honest, lie := w.Files[0].SHA256.String(), "sha256:"+strings.Repeat("5", 64)
	other := *w.Manifest
	other.Resources = slices.Clone(w.Resources)
	other.Resources[0].Digest = bytes.Repeat([]byte{0x55}, 32)
	one, another := w.sign(w.Manifest, nil), w.sign(&other, nil)
	for _, signed := range []items{{one, another}, {another, one}} {
		f := w.search(nil).Target(ctx, chain.Target{Artifact: chain.NewManifest(w.raw, "r/n:v1", "", "v1"), Sources: []chain.Source{signed}})
		if !slices.Contains(f.Files, honest) || !slices.Contains(f.Files, lie) || len(f.Files) != len(w.Files)+1 || len(f.Problems) > 0 {
			t.Errorf("%d files of %d, problems %v", len(f.Files), len(w.Files), f.Problems)
		}
	}
}
