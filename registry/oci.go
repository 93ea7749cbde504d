package registry

import (
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// Caps on what is read from a registry or layout.
const (
	maxManifest      = 8 << 20 // bytes of a manifest or index
	maxReferrerPages = 1000
	maxReferrers     = 10_000 // entries of a list of referrers
	maxTagPages      = 1000
	maxTags          = 1_000_000
	maxBundles       = 1000      // bundles fetched for one artifact
	maxEvidence      = 256 << 20 // bytes of all bundles of one artifact
)

// The annotations of a bundle's manifest (cosign v3).
const (
	annotationContent       = "dev.sigstore.bundle.content"
	annotationPredicateType = "dev.sigstore.bundle.predicateType"
	contentDSSE             = "dsse-envelope"
)

// emptyConfig is the config of manifests that need none (image-spec 1.1, Guidance for an Empty Descriptor).
var emptyConfig = []byte("{}")

// manifestTypes are what may be asked for under a digest or tag. That not all of them are artifacts is for the caller
// to say: an image where a model is expected is better named than not found.
var manifestTypes = []string{
	ocispec.MediaTypeImageManifest,
	ocispec.MediaTypeImageIndex,
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.list.v2+json",
}

// indexTypes are those of them that list others.
var indexTypes = []string{ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json"}

// Descriptor is a thing by its digest (image-spec 1.1, OCI Content Descriptors).
type Descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"` // sha256:HEX
	Size      int64  `json:"size"`   // bytes
}

// mediaTypeOf returns what a manifest says it is; nothing where it says nothing. What is no JSON object is an error.
func mediaTypeOf(raw []byte) (string, error) {
	var m struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("decode manifest: %w", err)
	}
	return m.MediaType, nil
}

func (d Descriptor) check() error {
	if _, err := hashing.ParseSum(d.Digest); err != nil {
		return fmt.Errorf("digest of descriptor: %w", err)
	}
	if d.Size < 0 {
		return fmt.Errorf("descriptor of %s has size %d", d.Digest, d.Size)
	}
	return nil
}

// referrer is an entry of a list of referrers or of a layout's index. What is not read here is kept as it is.
type referrer struct {
	Descriptor   `json:",embed"`
	ArtifactType string            `json:"artifactType,omitzero"`
	Annotations  map[string]string `json:"annotations,omitzero"`
	Rest         jsontext.Value    `json:",embed"`
}

// indexFile is an OCI image index, as the answer of a referrers API, under a fallback tag, or as a layout's index.json.
type indexFile struct {
	SchemaVersion int            `json:"schemaVersion"`
	MediaType     string         `json:"mediaType,omitzero"`
	Manifests     []referrer     `json:"manifests"`
	Rest          jsontext.Value `json:",embed"`
}

func newIndex() *indexFile {
	return &indexFile{SchemaVersion: 2, MediaType: ocispec.MediaTypeImageIndex, Manifests: []referrer{}}
}

// parseIndex reads an index strictly. Anything else than an index is an error: an error page is no empty list.
func parseIndex(raw []byte) (*indexFile, error) {
	var x indexFile
	if err := json.Unmarshal(raw, &x); err != nil {
		return nil, fmt.Errorf("decode index: %w", err)
	}
	switch {
	case x.SchemaVersion != 2 || (x.MediaType != "" && x.MediaType != ocispec.MediaTypeImageIndex):
		return nil, fmt.Errorf("decode index: schema %d of media type %q is no OCI index", x.SchemaVersion, x.MediaType)
	case x.Manifests == nil:
		return nil, fmt.Errorf("decode index: it lists no manifests")
	case len(x.Manifests) > maxReferrers:
		return nil, tooLarge(fmt.Sprintf("index of %d entries", len(x.Manifests)), maxReferrers)
	}
	for _, m := range x.Manifests {
		if err := m.check(); err != nil {
			return nil, fmt.Errorf("decode index: %w", err)
		}
	}
	return &x, nil
}

func (x *indexFile) marshal() ([]byte, error) {
	raw, err := json.Marshal(x, json.Deterministic(true))
	if err != nil {
		return nil, fmt.Errorf("encode index: %w", err)
	}
	if len(raw) > maxManifest {
		return nil, tooLarge(fmt.Sprintf("index of %d bytes", len(raw)), maxManifest)
	}
	return raw, nil
}

// bundleManifest is the manifest that refers from a bundle to its subject, if it has one: cosign v3's form of an OCI 1.1
// referrer. It
// holds no time, so that the same bundle on the same subject has the same digest whoever attaches it and when.
type bundleManifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType"`
	Config        Descriptor        `json:"config"`
	Layers        []Descriptor      `json:"layers"`
	Subject       *Descriptor       `json:"subject,omitzero"` // nil: it stands for itself, under a tag
	Annotations   map[string]string `json:"annotations"`
}

func newBundleManifest(subject *Descriptor, bundle []byte, predicateType string) (raw []byte, m *bundleManifest, err error) {
	m = &bundleManifest{
		SchemaVersion: 2,
		MediaType:     ocispec.MediaTypeImageManifest,
		ArtifactType:  attestations.BundleMediaType,
		Config:        Descriptor{ocispec.MediaTypeEmptyJSON, sumOf(emptyConfig), int64(len(emptyConfig))},
		Layers:        []Descriptor{{attestations.BundleMediaType, sumOf(bundle), int64(len(bundle))}},
		Subject:       subject,
		Annotations:   map[string]string{annotationContent: contentDSSE, annotationPredicateType: predicateType},
	}
	raw, err = json.Marshal(m, json.Deterministic(true))
	if err != nil {
		return nil, nil, fmt.Errorf("encode manifest of bundle: %w", err)
	}
	return raw, m, nil
}

// entry is how lists of referrers describe the manifest.
func (m *bundleManifest) entry(raw []byte) referrer {
	return referrer{
		Descriptor:   Descriptor{m.MediaType, sumOf(raw), int64(len(raw))},
		ArtifactType: m.ArtifactType,
		Annotations:  m.Annotations,
	}
}
