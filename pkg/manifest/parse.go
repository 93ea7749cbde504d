package manifest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// NotCanonicalError says which rule of the canonical manifest a registry's manifest breaks.
type NotCanonicalError struct {
	Rule    string
	Foreign bool // it does not even claim to be a ModelPack artifact
}

func (e *NotCanonicalError) Error() string {
	if e.Foreign {
		return "manifest is no model's, adapter's or dataset's: " + e.Rule
	}
	return "manifest is not canonical: " + e.Rule
}

// wireManifest is what is decoded of a manifest: every member that the canonical one has, and no other.
type wireManifest struct {
	SchemaVersion int            `json:"schemaVersion"`
	MediaType     string         `json:"mediaType"`
	ArtifactType  string         `json:"artifactType"`
	Config        wireDescriptor `json:"config"`
	Layers        []wireLayer    `json:"layers"`
}

type wireDescriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

type wireLayer struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations"`
}

// ParseCanonical reads a registry's manifest. It errs with a *NotCanonicalError unless raw is, byte for byte, the
// canonical manifest of the layers that it names, config included. A pack's members are not known from it.
//
// The proof is that writing the layers again gives the same bytes. The checks before it only find words for what is
// wrong, and whatever they miss (white space, another order, an escape too many) the comparison does not.
func ParseCanonical(raw []byte) (*Canonical, error) {
	broken := func(format string, args ...any) (*Canonical, error) {
		return nil, notCanonical(raw, fmt.Sprintf(format, args...))
	}
	if len(raw) > MaxCanonical {
		return nil, &NotCanonicalError{Rule: fmt.Sprintf("it has %d bytes, at most %d", len(raw), MaxCanonical)}
	}
	var w wireManifest
	if err := json.Unmarshal(raw, &w, json.RejectUnknownMembers(true)); err != nil {
		return broken("%v", err)
	}
	if rule := w.head(); rule != "" {
		return broken("%s", rule)
	}
	layers := make([]Layer, len(w.Layers))
	for i, l := range w.Layers {
		layer, err := l.read()
		if err != nil {
			return broken("layer %d: %v", i+1, err)
		}
		layers[i] = layer
	}
	if rule := checkLayers(layers); rule != "" {
		return broken("%s", rule)
	}
	c := encode(layers)
	switch config := hashing.Sum(sha256.Sum256(c.Config)).String(); {
	case w.Config.Digest != config || w.Config.Size != int64(len(c.Config)):
		return broken("its config %q of %d bytes is not the one of its layers, %s of %d bytes", w.Config.Digest, w.Config.Size, config, len(c.Config))
	case !bytes.Equal(c.Manifest, raw):
		return broken("its bytes are not in canonical form")
	}
	return c, nil
}

// head returns the rule that the fixed members break, or nothing.
func (w *wireManifest) head() string {
	switch {
	case w.SchemaVersion != 2:
		return fmt.Sprintf("its schema version is %d", w.SchemaVersion)
	case w.MediaType != v1.MediaTypeImageManifest:
		return fmt.Sprintf("its media type is %q", w.MediaType)
	case w.ArtifactType != ArtifactType:
		return fmt.Sprintf("its artifact type is %q", w.ArtifactType)
	case w.Config.MediaType != ConfigMediaType:
		return fmt.Sprintf("its config is of type %q", w.Config.MediaType)
	case len(w.Layers) == 0:
		return "it has no layers"
	}
	return ""
}

func (l wireLayer) read() (Layer, error) {
	name := l.Annotations[annotationPath]
	if title := l.Annotations[v1.AnnotationTitle]; title != name || len(l.Annotations) != 2 {
		return Layer{}, fmt.Errorf("its title %q and path %q are not the same, or not its only annotations", title, name)
	}
	if err := CleanName(name); err != nil {
		return Layer{}, err
	}
	digest, err := hashing.ParseSum(l.Digest)
	if err != nil {
		return Layer{}, err
	}
	if l.Size < 0 {
		return Layer{}, fmt.Errorf("its size is %d", l.Size)
	}
	out := Layer{MediaType: l.MediaType, Digest: digest, Size: l.Size, Name: name, Pack: l.MediaType == PackMediaType}
	if !out.Pack && l.MediaType != mediaType(name) {
		return Layer{}, fmt.Errorf("%q is of type %q, not %s", name, l.MediaType, mediaType(name))
	}
	return out, nil
}

// checkLayers returns the rule that the order and naming of layers break, or nothing.
func checkLayers(layers []Layer) string {
	var files []File
	packs := 0
	for _, l := range layers {
		switch {
		case l.Pack && l.Name != packLayerName(packs):
			return fmt.Sprintf("pack %q stands where %s belongs", l.Name, packLayerName(packs))
		case l.Pack:
			packs++
		case packs > 0:
			return fmt.Sprintf("file %q stands behind a pack", l.Name)
		default:
			files = append(files, File{Name: l.Name, Size: l.Size})
		}
	}
	if packs > 0 {
		for _, f := range files {
			if f.Size < packBelow {
				return fmt.Sprintf("%q is small and not packed", f.Name)
			}
		}
	}
	if err := checkTree(files, packs > 0); err != nil {
		return err.Error()
	}
	return ""
}

// notCanonical says which rule a manifest breaks, or what it is where it is no ModelPack artifact at all.
func notCanonical(raw []byte, rule string) *NotCanonicalError {
	var m foreignManifest
	if json.Unmarshal(raw, &m) != nil {
		return &NotCanonicalError{Rule: rule}
	}
	if !m.claimsModelPack() {
		return &NotCanonicalError{Rule: "it is " + m.describe(), Foreign: true}
	}
	return &NotCanonicalError{Rule: rule}
}
