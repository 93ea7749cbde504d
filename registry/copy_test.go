package registry

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// stores are all kinds of place that Copy reads and writes, each empty.
func stores() []place {
	return append(places(), place{"archive", func(t *testing.T) Ref {
		return mustRef(t, "oci-archive:"+filepath.Join(t.TempDir(), "artifact.tar")+":v1")
	}})
}

// stocked is a place with a model, two bundles, and an SBOM of another tool with a signature on it.
func stocked(t *testing.T, p place) (Ref, *manifest.Canonical, string) {
	t.Helper()
	ctx := context.Background()
	r := open(t, p.ref(t), Options{})
	dir := model(t, nil)
	c, subject := pushed(t, r, dir)
	for i := range 2 {
		if _, err := r.Attach(ctx, subject, testBundle(i), testPredicate); err != nil {
			t.Fatal(err)
		}
	}
	sbom := foreignReferrer(t, r, subject, "application/vnd.example.sbom", "a list of parts")
	foreignReferrer(t, r, sbom, "application/vnd.example.signature", "on the list")
	if err := r.Finish(); err != nil {
		t.Fatal(err)
	}
	return r.ref, c, dir
}

// foreignReferrer attaches what is no bundle.
func foreignReferrer(t *testing.T, r *Repo, subject Descriptor, kind, content string) Descriptor {
	t.Helper()
	ctx := context.Background()
	blob := Descriptor{kind, sumOf([]byte(content)), int64(len(content))}
	m := &bundleManifest{
		SchemaVersion: 2, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: kind,
		Config: Descriptor{ocispec.MediaTypeEmptyJSON, sumOf(emptyConfig), int64(len(emptyConfig))},
		Layers: []Descriptor{blob}, Subject: &subject,
	}
	raw := mustJSON(t, m)
	for _, b := range [][]byte{[]byte(content), emptyConfig} {
		if err := r.store.putBlob(ctx, Descriptor{Digest: sumOf(b), Size: int64(len(b))}, opener(b)); err != nil {
			t.Fatal(err)
		}
	}
	entry := m.entry(raw)
	if err := r.attachManifest(ctx, subject.Digest, raw, entry); err != nil {
		t.Fatal(err)
	}
	return entry.Descriptor
}

func TestCopyCarriesEverythingEverywhere(t *testing.T) {
	ctx := context.Background()
	for _, from := range stores() {
		for _, to := range stores() {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				source, c, dir := stocked(t, from)
				target := to.ref(t)
				copied, err := Copy(ctx, source, target, CopyOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if copied.Digest != c.ID || copied.Evidence != 4 || len(copied.Left) != 0 || copied.Tag != "v1" || copied.Pinned != target.Pinned(c.ID) {
					t.Errorf("copied %+v", copied)
				}
				r := open(t, target, Options{})
				d, err := r.Resolve(ctx, target)
				if err != nil || d.Digest != c.ID {
					t.Fatalf("resolved %+v: %v", d, err)
				}
				items, err := r.Bundles(ctx, c.ID)
				if err != nil || len(items) != 2 || !bundlesOf(items)[string(testBundle(0))] {
					t.Errorf("%d bundles: %v", len(items), err)
				}
				all, err := r.everyReferrer(ctx, c.ID)
				if err != nil || len(all) != 3 {
					t.Errorf("%d referrers, want 3: %v", len(all), err)
				}
				out := filepath.Join(t.TempDir(), "out")
				if err := r.Pull(ctx, c, out, PullOptions{}); err != nil {
					t.Fatal(err)
				}
				want := tree(t, dir)
				for name, content := range tree(t, out) {
					if want[name] != content {
						t.Errorf("%q differs", name)
					}
				}
				// Once more changes nothing, but an archive is written once.
				again, err := Copy(ctx, source, target, CopyOptions{})
				if to.name == "archive" {
					if !errors.Is(err, ErrExists) {
						t.Errorf("written over: %v", err)
					}
				} else if err != nil || again.Digest != c.ID {
					t.Errorf("copied again as %+v: %v", again, err)
				}
			})
		}
	}
}

func TestCopySaysWhatItLeaves(t *testing.T) {
	ctx := context.Background()
	source, c, _ := stocked(t, places()[0])
	r := open(t, source, Options{})
	if err := r.Tag(ctx, c.ID, fallbackTag(c.ID)+".sig"); err != nil {
		t.Fatal(err)
	}
	copied, err := Copy(ctx, mustRef(t, r.ref.Pinned(c.ID)), mustRef(t, "oci:"+filepath.Join(t.TempDir(), "to")+":v2"), CopyOptions{})
	if err != nil || len(copied.Left) != 1 || !strings.Contains(copied.Left[0], "older cosign") {
		t.Errorf("left %q: %v", copied.Left, err)
	}
}

// TestCopyHoldsBytesToTheirDigests has the source give other bytes than it names.
func TestCopyHoldsBytesToTheirDigests(t *testing.T) {
	ctx := context.Background()
	for _, to := range stores() {
		t.Run(to.name, func(t *testing.T) {
			source, c, _ := stocked(t, places()[0])
			if _, err := Copy(ctx, source, to.ref(t), CopyOptions{}); err != nil {
				t.Fatalf("before: %v", err)
			}
			blob := filepath.Join(source.Layout(), "blobs", "sha256", c.Layers[len(c.Layers)-1].Digest.Hex())
			if err := os.WriteFile(blob, []byte("DEEP"), 0o644); err != nil {
				t.Fatal(err)
			}
			target := to.ref(t)
			if _, err := Copy(ctx, source, target, CopyOptions{}); !errors.Is(err, ErrDigest) {
				t.Errorf("copied: %v", err)
			}
			if _, err := open(t, target, Options{}).Resolve(ctx, target); err == nil {
				t.Error("the tag names something all the same")
			}
		})
	}
}

func TestCopyCanonicalPublishesTheSameFiles(t *testing.T) {
	ctx := context.Background()
	source, c, dir := stocked(t, places()[0])
	r := open(t, source, Options{})
	foreign := bytes.Replace(c.Manifest, []byte(`"layers":[`), []byte(`"annotations":{"made.by":"another tool"},"layers":[`), 1)
	d := Descriptor{ocispec.MediaTypeImageManifest, sumOf(foreign), int64(len(foreign))}
	if _, err := r.store.putManifest(ctx, foreign, d, "foreign"); err != nil {
		t.Fatal(err)
	}
	from := mustRef(t, r.Name()+":foreign")
	target := mustRef(t, "oci:"+filepath.Join(t.TempDir(), "to")+":v1")
	copied, err := Copy(ctx, from, target, CopyOptions{Canonical: true})
	if err != nil || copied.Digest != c.ID || copied.Evidence != 0 || len(copied.Left) != 1 {
		t.Fatalf("copied %+v: %v", copied, err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := open(t, target, Options{}).Pull(ctx, c, out, PullOptions{}); err != nil || len(tree(t, out)) != len(tree(t, dir)) {
		t.Errorf("pulled %d files: %v", len(tree(t, out)), err)
	}
	if _, err := Copy(ctx, from, mustRef(t, "oci:"+filepath.Join(t.TempDir(), "to")+"@"+d.Digest), CopyOptions{Canonical: true}); err == nil {
		t.Error("published under a digest that is not its own")
	}
}

// entry is one file of a test's tar.
type entry struct {
	name, content string
	kind          byte
}

func writeTar(t *testing.T, members []entry) Ref {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Typeflag: m.kind, Size: int64(len(m.content)), Mode: 0o644}
		if m.kind != tar.TypeReg {
			h.Size, h.Linkname = 0, "index.json"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if m.kind == tar.TypeReg {
			if _, err := w.Write([]byte(m.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return mustRef(t, "oci-archive:"+path+":v1")
}

func TestArchiveRefusesWhatIsNoLayout(t *testing.T) {
	ctx := context.Background()
	raw := []byte(`{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `","layers":[]}`)
	index := newIndex()
	index.put(Descriptor{ocispec.MediaTypeImageManifest, sumOf(raw), int64(len(raw))}, "v1")
	listed, err := index.marshal()
	if err != nil {
		t.Fatal(err)
	}
	sound := []entry{
		{"oci-layout", layoutMarker, tar.TypeReg}, {"index.json", string(listed), tar.TypeReg}, {blobPath(sumOf(raw)), string(raw), tar.TypeReg},
	}
	resolve := func(members []entry) error {
		ref := writeTar(t, members)
		_, err := open(t, ref, Options{}).Resolve(ctx, ref)
		return err
	}
	if err := resolve(sound); err != nil {
		t.Fatal(err)
	}
	if err := resolve([]entry{{"./oci-layout", layoutMarker, tar.TypeReg}, {"./index.json", string(listed), tar.TypeReg}, {"./" + blobPath(sumOf(raw)), string(raw), tar.TypeReg}}); err != nil {
		t.Errorf("as tar writes names of a folder: %v", err)
	}
	for name, members := range map[string][]entry{
		"no marker":        sound[1:],
		"no index":         {sound[0], sound[2]},
		"an index twice":   append(append([]entry{}, sound...), sound[1]),
		"a link":           append(append([]entry{}, sound...), entry{"blobs/sha256/x", "", tar.TypeSymlink}),
		"other bytes":      {sound[0], sound[1], {sound[2].name, strings.ToUpper(string(raw)), tar.TypeReg}},
		"no such manifest": sound[:2],
		"nothing":          nil,
	} {
		if err := resolve(members); err == nil {
			t.Errorf("%s: resolved", name)
		}
	}
}

// TestArchiveIsNamedWhenItIsWhole: what was not finished leaves nothing behind.
func TestArchiveIsNamedWhenItIsWhole(t *testing.T) {
	ctx := context.Background()
	ref := stores()[len(stores())-1].ref(t)
	r := open(t, ref, Options{})
	if _, err := r.Push(ctx, canonical(t, model(t, nil)), Files{model(t, nil)}, PushOptions{}); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, filepath.Dir(ref.Layout()), "artifact.tar.partial")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, filepath.Dir(ref.Layout()))
}
