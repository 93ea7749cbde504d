package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// foreignManifest is as much of any OCI or Docker manifest as tells what it is.
type foreignManifest struct {
	MediaType    string `json:"mediaType"`
	ArtifactType string `json:"artifactType"`
	Config       struct {
		MediaType string `json:"mediaType"`
	} `json:"config"`
	Layers []struct {
		MediaType   string            `json:"mediaType"`
		Digest      string            `json:"digest"`
		Size        int64             `json:"size"`
		Annotations map[string]string `json:"annotations"`
	} `json:"layers"`
}

// claimsModelPack reports whether the manifest says that it is a ModelPack artifact, canonical or not.
func (m *foreignManifest) claimsModelPack() bool {
	return m.ArtifactType == ArtifactType || m.ArtifactType == "" && m.Config.MediaType == ConfigMediaType
}

// describe names what a manifest that is not canonical is, for people.
func (m *foreignManifest) describe() string {
	layer := ""
	if len(m.Layers) > 0 {
		layer = m.Layers[0].MediaType
	}
	switch {
	case m.claimsModelPack():
		return "a ModelPack artifact, as modctl writes them"
	case strings.HasPrefix(m.Config.MediaType, "application/vnd.kitops.modelkit."):
		return "a KitOps ModelKit"
	case strings.HasPrefix(layer, "application/vnd.dev.cosign.") || strings.HasPrefix(layer, "application/vnd.dev.sigstore.bundle"):
		return "a signature, not what it signs"
	case m.MediaType == v1.MediaTypeImageIndex || strings.HasSuffix(m.MediaType, "manifest.list.v2+json"):
		return "an index of several manifests"
	case m.Config.MediaType == v1.MediaTypeImageConfig || strings.HasPrefix(m.Config.MediaType, "application/vnd.docker.container."):
		return "a container image"
	case m.ArtifactType != "":
		return fmt.Sprintf("an artifact of type %q", m.ArtifactType)
	case m.Config.MediaType != "":
		return fmt.Sprintf("an artifact with a config of type %q", m.Config.MediaType)
	}
	return "no OCI manifest"
}

// Canonicalize returns the canonical manifest of the files that a ModelPack artifact names, whoever wrote it. It errs
// where raw is no ModelPack manifest, where a layer is not one uncompressed file with its path, and where the files are
// so many that a canonical manifest packs them, for which their bytes are needed.
//
// The result is another manifest with another digest: what was said about raw says nothing about it.
func Canonicalize(raw []byte) (*Canonical, error) {
	var m foreignManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if !m.claimsModelPack() {
		return nil, fmt.Errorf("read manifest: it is %s, not a ModelPack artifact", m.describe())
	}
	var files []File
	for i, l := range m.Layers {
		digest, err := hashing.ParseSum(l.Digest)
		name := l.Annotations[annotationPath]
		switch {
		case err != nil:
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		case !strings.HasPrefix(l.MediaType, mediaTypeStem) || !strings.HasSuffix(l.MediaType, mediaTypeSuffix):
			return nil, fmt.Errorf("layer %d is of type %q: only single uncompressed files can be named anew", i+1, l.MediaType)
		case l.Size < 0:
			return nil, fmt.Errorf("layer %d: its size is %d", i+1, l.Size)
		}
		files = append(files, File{Name: name, Size: l.Size, SHA256: digest})
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	if len(files) > 0 && needsPacks(files) {
		return nil, errPacked
	}
	return canonical(files, nil)
}

var errPacked = errors.New("its many small files are packed: the files themselves are needed, so pull or fetch them and work on the directory")

// FromCanonical returns the manifest of an artifact of which only the canonical OCI manifest is at hand, so that it can
// be signed where it lies. name is the artifact's base name. Packs hide their members: with one it is an error.
func FromCanonical(c *Canonical, name string) (*Manifest, error) {
	m := &Manifest{Name: name, Serialization: Serialization{
		Method: Files, Algorithm: hashing.SHA256, IgnorePaths: slices.Sorted(slices.Values(slices.Concat(DefaultExclusions, []string{SignatureName, ClaimsName}))),
	}}
	for _, l := range c.Layers {
		if l.Pack {
			return nil, fmt.Errorf("list files of %s: %w", c.ID, errPacked)
		}
		m.Files = append(m.Files, File{Name: l.Name, Size: l.Size, SHA256: l.Digest})
		m.Resources = append(m.Resources, Resource{Name: l.Name, Algorithm: hashing.SHA256, Digest: slices.Clone(l.Digest[:])})
	}
	id, err := m.ID()
	if err != nil {
		return nil, err
	}
	if id != c.ID {
		return nil, fmt.Errorf("list files of %s: they make artifact ID %s", c.ID, id)
	}
	return m, nil
}
