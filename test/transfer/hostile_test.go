package transfer

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

const (
	asManifest = "application/vnd.oci.image.manifest.v1+json"
	asIndex    = "application/vnd.oci.image.index.v1+json"
)

// offer puts a manifest under the artifact's tag and hangs all its evidence on it, as somebody does who can write to the
// repository and holds no key.
func (a *artifact) offer(t *testing.T, g *lab.Registry, mediaType string, raw []byte) registry.Ref {
	t.Helper()
	digest := g.PutManifest(repository, mediaType, raw, tag)
	ref := refAt(t, lab.Serve(t, g))
	repo, err := registry.Open(ref, options(long))
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	for _, e := range a.evidence {
		subject := registry.Descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(raw))}
		if _, err := repo.Attach(t.Context(), subject, e.Bundle, claimType); err != nil {
			t.Fatal(err)
		}
	}
	return ref
}

// edits are the ways to change one thing of the canonical manifest of the small artifact: what stands there, and what
// comes in its place. A foreign URL leads to bait.
func (a *artifact) edits(bait string) map[string][2]string {
	empty := lab.Digest([]byte("{}"))
	config := lab.Digest(a.canonical.Config)
	return map[string][2]string{
		"another config":          {fmt.Sprintf("%q,\"size\":%d},\"layers\"", config, len(a.canonical.Config)), fmt.Sprintf("%q,\"size\":2},\"layers\"", empty)},
		"an image's config":       {manifest.ConfigMediaType, "application/vnd.oci.image.config.v1+json"},
		"an image's type":         {`"artifactType":"` + manifest.ArtifactType + `",`, ""},
		"another artifact type":   {manifest.ArtifactType, "application/vnd.cncf.model.manifest.v2+json"},
		"Docker's media type":     {asManifest, "application/vnd.docker.distribution.manifest.v2+json"},
		"another title":           {`title":"model.safetensors"`, `title":"model.py"`},
		"another path":            {`filepath":"model.safetensors"`, `filepath":"other.safetensors"`},
		"another name":            {`"model.safetensors","org.opencontainers.image.title":"model.safetensors"`, `"mosel.safetensors","org.opencontainers.image.title":"mosel.safetensors"`},
		"a name that climbs":      {`"model.safetensors","org.opencontainers.image.title":"model.safetensors"`, `"../model.safetensors","org.opencontainers.image.title":"../model.safetensors"`},
		"an absolute name":        {`"model.safetensors","org.opencontainers.image.title":"model.safetensors"`, `"/tmp/x","org.opencontainers.image.title":"/tmp/x"`},
		"a reserved name":         {`"model.safetensors","org.opencontainers.image.title":"model.safetensors"`, `"model.sig","org.opencontainers.image.title":"model.sig"`},
		"a foreign URL":           {`"annotations":{"org.cncf.model.filepath":"model.safetensors"`, `"urls":["` + bait + `/x"],"annotations":{"org.cncf.model.filepath":"model.safetensors"`},
		"bytes in the descriptor": {`"annotations":{"org.cncf.model.filepath":"empty.txt"`, `"data":"eA==","annotations":{"org.cncf.model.filepath":"empty.txt"`},
		"another kind":            {"application/vnd.cncf.model.weight.v1.raw", "application/vnd.cncf.model.code.v1.raw"},
		"a tar instead of raw":    {"application/vnd.cncf.model.weight.v1.raw", "application/vnd.cncf.model.weight.v1.tar"},
		"called a pack":           {"application/vnd.cncf.model.weight.v1.raw", manifest.PackMediaType},
		"another size":            {`"size":150000`, `"size":150001`},
		"the size as a float":     {`"size":150000`, `"size":150000.0`},
		"a digest in upper case":  {a.canonical.Layers[1].Digest.String(), "sha256:" + strings.ToUpper(a.canonical.Layers[1].Digest.Hex())},
		"another layer's bytes":   {a.canonical.Layers[1].Digest.String(), a.canonical.Layers[2].Digest.String()},
		"an annotation more":      {`"layers":[`, `"annotations":{"a":"b"},"layers":[`},
		"a subject":               {`"layers":[`, `"subject":{"mediaType":"` + asManifest + `","digest":"` + empty + `","size":2},"layers":[`},
		"white space":             {`,"layers"`, `, "layers"`},
		"a needless escape":       {`"model.safetensors"`, `"mode\u006c.safetensors"`},
		"a line break behind":     {`]}`, "]}\n"},
	}
}

// TestTheSameLayersInAnotherManifestAreNotTheArtifact changes one thing of a canonical manifest at a time.
func TestTheSameLayersInAnotherManifestAreNotTheArtifact(t *testing.T) {
	a := newArtifact(t, small())
	stock := a.stock(t, kinds["referrers API"])
	raw := string(a.canonical.Manifest)
	bait := &lab.Recorder{}
	for name, edit := range a.edits("http://" + lab.ServeAt(t, elsewhere, bait)) {
		t.Run(name, func(t *testing.T) {
			at := strings.Index(raw, edit[0])
			if at < 0 || strings.Contains(name, "behind") {
				at = strings.LastIndex(raw, edit[0])
			}
			if at < 0 {
				t.Fatalf("%s is not in %s", edit[0], raw)
			}
			mediaType := asManifest
			if name == "Docker's media type" {
				mediaType = edit[1]
			}
			a.mustRefuse(t, stock.Clone(), mediaType, []byte(raw[:at]+edit[1]+raw[at+len(edit[0]):]))
		})
	}
	t.Run("a key twice", func(t *testing.T) { // which of the two counts, nobody can tell
		ref := a.offer(t, stock.Clone(), asManifest, []byte(strings.Replace(raw, `{`, `{"schemaVersion":2,`, 1)))
		if d, _, err := a.verify(t.Context(), ref, options(long)); err != nil || d.Verdict() == policy.Yes {
			t.Errorf("the verdict is %s (%v)", d.Verdict(), err)
		}
	})
	t.Run("an index around it", func(t *testing.T) {
		a.mustRefuse(t, stock.Clone(), asIndex, fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
			asIndex, manifest.ArtifactType, asManifest, a.canonical.ID, len(raw)))
	})
	if seen := bait.Requests(); len(seen) > 0 {
		t.Errorf("the foreign URL was asked: %v", seen)
	}
	ref := a.offer(t, stock.Clone(), asManifest, a.canonical.Manifest)
	if d, _, err := a.verify(t.Context(), ref, options(long)); err != nil || d.Verdict() != policy.Yes {
		t.Errorf("the canonical one is %s because of %v (%v)", d.Verdict(), d.Reasons(), err)
	}
}

// mustRefuse fails unless the manifest, with all evidence, is a no, and nothing comes out of it.
func (a *artifact) mustRefuse(t *testing.T, g *lab.Registry, mediaType string, raw []byte) {
	t.Helper()
	if bytes.Equal(raw, a.canonical.Manifest) {
		t.Fatal("nothing was changed")
	}
	ref := a.offer(t, g, mediaType, raw)
	parent := t.TempDir()
	d, err := a.pull(t.Context(), ref, filepath.Join(parent, "out"), options(long), 0)
	if err != nil || d.Verdict() != policy.No || len(d.Reasons()) == 0 {
		t.Errorf("the verdict is %s because of %v (%v)", d.Verdict(), d.Reasons(), err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("%v came out of it (%v)", left, err)
	}
}

// TestOtherFilesInACanonicalManifestAreNotTheArtifact: manifests that are in perfect order, of other files.
func TestOtherFilesInACanonicalManifestAreNotTheArtifact(t *testing.T) {
	a := newArtifact(t, small())
	stock := a.stock(t, kinds["referrers API"])
	for name, change := range map[string]func(files map[string]string){
		"one more":        func(f map[string]string) { f["__init__.py"] = "import os" },
		"one more, empty": func(f map[string]string) { f["__init__.py"] = "" },
		"one less":        func(f map[string]string) { delete(f, "sub/tokenizer.json") },
		"the empty less":  func(f map[string]string) { delete(f, "empty.txt") },
		"renamed":         func(f map[string]string) { f["__init__.py"] = f["empty.txt"]; delete(f, "empty.txt") },
		"exchanged": func(f map[string]string) {
			f["model.safetensors"], f["sub/tokenizer.json"] = f["sub/tokenizer.json"], f["model.safetensors"]
		},
		"one byte": func(f map[string]string) { f["model.safetensors"] = "x" + f["model.safetensors"][1:] },
		"one only": func(f map[string]string) { clear(f); f["empty.txt"] = "" },
	} {
		t.Run(name, func(t *testing.T) {
			files := small()
			change(files)
			other := newArtifact(t, files)
			g := stock.Clone()
			for n, content := range files {
				if g.PutBlob(repository, []byte(content)) == "" {
					t.Fatal(n)
				}
			}
			g.PutBlob(repository, other.canonical.Config)
			a.mustRefuse(t, g, asManifest, other.canonical.Manifest)
		})
	}
}

// TestATagMovesBetweenTwoRequests: what comes out is one of the two artifacts as a whole, and what was decided on.
func TestATagMovesBetweenTwoRequests(t *testing.T) {
	a := newArtifact(t, small())
	files := small()
	files["model.safetensors"] = noise(150_000, 9)
	b := newArtifact(t, files)
	both := *a
	both.roots.Keys = append(both.roots.Keys[:1:1], b.roots.Keys...)
	both.policy.Signers = append(both.policy.Signers[:1:1], b.policy.Signers...)
	for kind, o := range kinds {
		stock := a.stock(t, o)
		if _, err := b.push(t.Context(), refAt(t, lab.Serve(t, stock)), options(long)); err != nil {
			t.Fatal(err)
		}
		outcomes := map[string]int{}
		for n, struck := 1, true; struck; n++ {
			g := stock.Clone()
			g.Tag(repository, tag, a.canonical.ID)
			proxy := lab.NewProxy(g)
			ref := refAt(t, lab.Serve(t, proxy))
			proxy.Set(lab.Rule{Fault: lab.Meanwhile("tag moves", func() { g.Tag(repository, tag, b.canonical.ID) }), At: n})
			dir := filepath.Join(t.TempDir(), "out")
			d, err := both.pull(t.Context(), ref, dir, options(long), 1)
			struck = proxy.Struck() > 0
			if err != nil || d.Verdict() != policy.Yes {
				t.Errorf("%s, request %d: %s %v", kind, n, d.Verdict(), err)
				continue
			}
			came := a
			if d.Artifact.ID == b.canonical.ID {
				came = b
			}
			came.mustBeTrue(t, d, ref)
			came.checkTarget(t, dir, true)
			outcomes[d.Artifact.ID]++
		}
		if len(outcomes) != 2 {
			t.Errorf("%s: outcomes %v: the tag did not move in time", kind, outcomes)
		}
	}
}

// TestEvidenceOutlivesAnOverwrittenIndex: a client that knows of nothing writes the fallback tag anew. Readers still
// find everything, and the next writer brings it back for everybody.
func TestEvidenceOutlivesAnOverwrittenIndex(t *testing.T) {
	a := newArtifact(t, small())
	g := a.stock(t, kinds["fallback tag"])
	index := strings.Replace(a.canonical.ID, ":", "-", 1)
	g.PutManifest(repository, asIndex, fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, asIndex), index)
	ref := refAt(t, lab.Serve(t, g))
	if d, _, err := a.verify(t.Context(), ref, options(long)); err != nil || d.Verdict() != policy.Yes {
		t.Errorf("%s because of %v (%v)", d.Verdict(), d.Reasons(), err)
	}
	more := a.claim(t, 2)
	if _, err := a.attach(t.Context(), ref, more, options(long)); err != nil {
		t.Fatal(err)
	}
	a.mustHaveAll(t, g, more)
	if raw, _ := g.Manifest(repository, index); bytes.Count(raw, []byte(`"artifactType"`)) != len(a.evidence)+1 {
		t.Errorf("the index lists %s", raw)
	}
}

// TestEvidenceOutlivesAnIndexOfWrongTypes: an index that calls every bundle something else hides none that has a tag of its
// own, and the next writer sets it right.
func TestEvidenceOutlivesAnIndexOfWrongTypes(t *testing.T) {
	a := newArtifact(t, small())
	g := a.stock(t, kinds["fallback tag"])
	index := strings.Replace(a.canonical.ID, ":", "-", 1)
	raw, _ := g.Manifest(repository, index)
	const bundle, sbom = "application/vnd.dev.sigstore.bundle.v0.3+json", "application/spdx+json"
	g.PutManifest(repository, asIndex, bytes.ReplaceAll(raw, []byte(bundle), []byte(sbom)), index)
	ref := refAt(t, lab.Serve(t, g))
	if d, _, err := a.verify(t.Context(), ref, options(long)); err != nil || d.Verdict() != policy.Yes {
		t.Errorf("%s because of %v (%v)", d.Verdict(), d.Reasons(), err)
	}
	more := a.claim(t, 2)
	if _, err := a.attach(t.Context(), ref, more, options(long)); err != nil {
		t.Fatal(err)
	}
	a.mustHaveAll(t, g, more)
	raw, _ = g.Manifest(repository, index)
	if bytes.Count(raw, []byte(bundle)) != len(a.evidence)+1 || bytes.Contains(raw, []byte(sbom)) {
		t.Errorf("the index lists %s", raw)
	}
}

// TestEvidenceArrivesBetweenTwoPages: a list that grows while it is read, so that what was on one page is on the next. What
// was there before counts; what came meanwhile may.
func TestEvidenceArrivesBetweenTwoPages(t *testing.T) {
	a := newArtifact(t, small())
	stock := a.stock(t, kinds["referrers API"])
	struck := true
	for n := 1; struck; n++ {
		g := stock.Clone()
		around := refAt(t, lab.Serve(t, g))
		proxy := lab.NewProxy(g)
		ref := refAt(t, lab.Serve(t, proxy))
		happen := func() {
			for i := range 3 { // their digests fall before, between and behind the others
				if _, err := a.attach(t.Context(), around, a.claim(t, 20+i), options(long)); err != nil {
					t.Error(err)
				}
			}
		}
		proxy.Set(lab.Rule{Fault: lab.Meanwhile("evidence arrives", happen).At(http.MethodGet, "/referrers/"), At: n})
		d, stored, err := a.verify(t.Context(), ref, options(long))
		if err != nil || d.Verdict() != policy.Yes {
			t.Errorf("before page %d: %s because of %v (%v)", n, d.Verdict(), d.Reasons(), err)
			return
		}
		items, err := stored.Evidence(t.Context())
		if err != nil || len(items) < len(a.evidence) || len(items) > len(a.evidence)+3 {
			t.Errorf("before page %d: %d bundles (%v)", n, len(items), err)
		}
		_ = stored.Close()
		struck = proxy.Struck() > 0
		if n > 1 && n < 3 && !struck {
			t.Error("the list has one page only")
		}
	}
}
