package transfer

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

// What other tools write and read by (ModelPack model-spec v0.0.7, spec.md and annotations.md).
const (
	modelArtifact = "application/vnd.cncf.model.manifest.v1+json"
	modelConfig   = "application/vnd.cncf.model.config.v1+json"
	pathKey       = "org.cncf.model.filepath"
	metadataKey   = "org.cncf.model.file.metadata+json"
)

// packDescriptor and packManifest are an artifact of another tool's, as JSON has it.
type packDescriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type packManifest struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	ArtifactType  string           `json:"artifactType,omitempty"`
	Config        packDescriptor   `json:"config"`
	Layers        []packDescriptor `json:"layers"`
}

// readModelPack gets the files of an artifact as a tool does that knows the specification and nothing of us: a raw layer is
// the file at its path, a tar layer holds files. It shares no code with the project.
func readModelPack(t *testing.T, host, target string) map[string]string {
	t.Helper()
	get := func(path string) []byte {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v2/"+repository+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", asManifest)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		raw, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v", path, resp.Status, err)
		}
		return raw
	}
	var m packManifest
	if err := json.Unmarshal(get("/manifests/"+target), &m); err != nil {
		t.Fatal(err)
	}
	if m.ArtifactType != modelArtifact || m.Config.MediaType != modelConfig || m.MediaType != asManifest {
		t.Fatalf("it is %q with a config of %q", m.ArtifactType, m.Config.MediaType)
	}
	var config struct {
		ModelFS struct {
			Type    string   `json:"type"`
			DiffIDs []string `json:"diffIds"`
		} `json:"modelfs"`
	}
	if err := json.Unmarshal(get("/blobs/"+m.Config.Digest), &config); err != nil || config.ModelFS.Type != "layers" {
		t.Fatalf("the config names %q (%v)", config.ModelFS.Type, err)
	}
	files := map[string]string{}
	for i, l := range m.Layers {
		if config.ModelFS.DiffIDs[i] != l.Digest { // none is compressed
			t.Errorf("layer %d is %s, in the config %s", i, l.Digest, config.ModelFS.DiffIDs[i])
		}
		switch raw := get("/blobs/" + l.Digest); {
		case strings.HasSuffix(l.MediaType, ".v1.raw"):
			files[l.Annotations[pathKey]] = string(raw)
		case strings.HasSuffix(l.MediaType, ".v1.tar"):
			untar(t, raw, files)
		default:
			t.Errorf("layer %d is of type %q", i, l.MediaType)
		}
	}
	return files
}

func untar(t *testing.T, raw []byte, files map[string]string) {
	t.Helper()
	for r := tar.NewReader(bytes.NewReader(raw)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

// TestToolsOfTheSpecificationGetTheFiles: also where there are so many that they are packed.
func TestToolsOfTheSpecificationGetTheFiles(t *testing.T) {
	many := map[string]string{"model.safetensors": noise(5<<20, 1)} // too large for a pack
	for i := range 7000 {
		many[fmt.Sprintf("%s/%05d.json", strings.Repeat("long", 50), i)] = fmt.Sprint(i)
	}
	for name, files := range map[string]map[string]string{"raw": small(), "packed": many} {
		t.Run(name, func(t *testing.T) {
			a := newArtifact(t, files)
			if packed := slices.ContainsFunc(a.canonical.Layers, func(l manifest.Layer) bool { return l.Pack }); packed != (name == "packed") {
				t.Fatalf("packed: %t", packed)
			}
			got := readModelPack(t, lab.Serve(t, a.stock(t, kinds["fallback tag"])), tag)
			if !maps.Equal(got, files) {
				t.Errorf("%d files came, not %d, or others", len(got), len(files))
			}
		})
	}
}

// modctl is a manifest as modctl writes it: each raw layer says besides whose the file is and when it changed.
func modctl(g *lab.Registry, files map[string]string) packManifest {
	m := packManifest{SchemaVersion: 2, MediaType: asManifest, ArtifactType: modelArtifact}
	var ids []string
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(files))) { // in an order of its own
		d := g.PutBlob(repository, []byte(files[name]))
		ids = append(ids, d)
		m.Layers = append(m.Layers, packDescriptor{"application/vnd.cncf.model.weight.v1.raw", d, len(files[name]), map[string]string{
			pathKey:                                  name,
			metadataKey:                              fmt.Sprintf(`{"name":%q,"mode":420,"uid":1000,"gid":1000,"size":%d,"mtime":"2026-11-01T09:00:00Z","typeflag":48}`, name, len(files[name])),
			"org.cncf.model.file.mediatype.untested": "false",
		}})
	}
	raw, _ := json.Marshal(map[string]any{
		"descriptor": map[string]string{"name": "chat", "createdAt": "2026-11-01T09:00:00Z"}, "config": map[string]string{"format": "safetensors"},
		"modelfs": map[string]any{"type": "layers", "diffIds": ids},
	})
	m.Config = packDescriptor{MediaType: modelConfig, Digest: g.PutBlob(repository, raw), Size: len(raw)}
	return m
}

// modelKit is a manifest as KitOps writes it.
func modelKit(g *lab.Registry, _ map[string]string) packManifest {
	return packManifest{SchemaVersion: 2, MediaType: asManifest,
		Config: packDescriptor{"application/vnd.kitops.modelkit.config.v1+json", g.PutBlob(repository, []byte(`{"manifestVersion":"1.0.0"}`)), 27, nil},
		Layers: []packDescriptor{{"application/vnd.kitops.modelkit.model.v1.tar", g.PutBlob(repository, make([]byte, 1024)), 1024, nil}},
	}
}

// TestArtifactsOfOtherToolsAreNamed: what another tool wrote is a no, whatever hangs on it, and the reason says what it is.
// Only what consists of single files can be published anew, to be signed and pulled then like any other.
func TestArtifactsOfOtherToolsAreNamed(t *testing.T) {
	a := newArtifact(t, small())
	for name, foreign := range map[string]struct {
		write  func(g *lab.Registry, files map[string]string) packManifest
		said   string
		copied string // what is said where it cannot be published anew; empty: it can
	}{
		"modctl, raw": {modctl, "not canonical", ""},
		"modctl, tar": {func(g *lab.Registry, files map[string]string) packManifest {
			m := modctl(g, files)
			m.Layers[0].MediaType = "application/vnd.cncf.model.weight.v1.tar"
			return m
		}, "not canonical", "single uncompressed files"},
		"KitOps": {modelKit, "a KitOps ModelKit", "a KitOps ModelKit"},
	} {
		t.Run(name, func(t *testing.T) {
			g := a.stock(t, kinds["referrers API"])
			raw := mustJSON(t, foreign.write(g, small()))
			a.mustRefuse(t, g.Clone(), asManifest, raw)
			ref := a.offer(t, g, asManifest, raw)
			d, stored, err := a.verify(t.Context(), ref, options(long))
			if err != nil || !strings.Contains(string(mustJSON(t, d)), foreign.said) {
				t.Errorf("it is not said that it is %q: %s (%v)", foreign.said, mustJSON(t, d), err)
			}
			defer stored.Close()
			if _, err := stored.List(); err == nil {
				t.Error("it can be signed as it is")
			}
			to := mustRef(t, ref.Host()+"/team/anew:"+tag)
			copied, err := registry.Copy(t.Context(), ref, to, registry.CopyOptions{From: options(long), To: options(long), Canonical: true})
			if foreign.copied != "" {
				if err == nil || !strings.Contains(err.Error(), foreign.copied) {
					t.Errorf("published anew: %v", err)
				}
				return
			}
			if err != nil || copied.Digest != a.canonical.ID {
				t.Fatalf("published anew as %s: %v", copied.Digest, err)
			}
			a.signAndPull(t, to)
		})
	}
}

// signAndPull is a publisher who signs what was published anew, and whoever pulls it.
func (a *artifact) signAndPull(t *testing.T, ref registry.Ref) {
	t.Helper()
	x := &trial{artifact: a, ref: ref, timeout: long}
	dir := filepath.Join(t.TempDir(), "out")
	if d, err := a.pull(t.Context(), ref, dir, options(long), 0); err != nil || d.Verdict() != policy.No {
		t.Errorf("unsigned: %s %v", d.Verdict(), err)
	}
	made, err := x.signInPlace(t.Context())
	if err != nil || made.ID != a.canonical.ID {
		t.Fatalf("signed %s: %v", made.ID, err)
	}
	anew := *a
	anew.evidence = []chain.Item{{Where: "the new signature", Bundle: made.Signature}}
	if d, err := anew.pull(t.Context(), ref, dir, options(long), 0); err != nil || d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v (%v)", d.Verdict(), d.Reasons(), err)
	}
	anew.checkTarget(t, dir, true)
}
