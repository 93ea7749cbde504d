package manifest

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// The fixed strings of the canonical manifest (ARTIFACT-ID.md; CNCF ModelPack).
const (
	ArtifactType    = "application/vnd.cncf.model.manifest.v1+json"
	ConfigMediaType = "application/vnd.cncf.model.config.v1+json"
	PackMediaType   = "application/vnd.cncf.model.dataset.v1.tar"

	annotationPath  = "org.cncf.model.filepath"
	mediaTypeStem   = "application/vnd.cncf.model."
	mediaTypeSuffix = ".v1.raw"

	configHead   = `{"descriptor":{},"modelfs":{"type":"layers","diffIds":[`
	configTail   = `]},"config":{}}`
	manifestTail = "]}"
)

// MaxCanonical is the longest canonical manifest, in bytes. One that would be longer has its small files packed.
const MaxCanonical = 4_000_000

// Layer is one layer of a canonical manifest: a file, or a pack of small ones.
type Layer struct {
	MediaType string
	Digest    hashing.Sum
	Size      int64 // in bytes
	Name      string
	Pack      bool
	Files     []File // a pack's members, in order; empty where only the manifest is known
}

// Canonical is an artifact's canonical OCI manifest.
type Canonical struct {
	ID       string // "sha256:" and hex: the digest of Manifest
	Manifest []byte
	Config   []byte
	Layers   []Layer
}

// canonical builds the manifest of files, sorted by name, of which those in packs are in packs.
func canonical(files []File, packs []Layer) (*Canonical, error) {
	if len(files) == 0 {
		return nil, fmt.Errorf("name artifact: %w", ErrEmpty)
	}
	if err := checkTree(files, len(packs) > 0); err != nil {
		return nil, fmt.Errorf("name artifact: %w", err)
	}
	var layers []Layer
	for _, f := range files {
		if len(packs) == 0 || f.Size >= packBelow {
			layers = append(layers, Layer{MediaType: mediaType(f.Name), Digest: f.SHA256, Size: f.Size, Name: f.Name})
		}
	}
	layers = append(layers, packs...)
	c := encode(layers)
	if len(c.Manifest) > MaxCanonical {
		return nil, fmt.Errorf("name artifact: its manifest is %d bytes long, at most %d", len(c.Manifest), MaxCanonical)
	}
	return c, nil
}

// checkTree refuses what has no ID: unclean names, names out of byte order or there twice, a file that is also a folder,
// sizes below nothing or together beyond what is countable, and with packs a file of a pack's name.
func checkTree(files []File, packed bool) error {
	var total int64
	for i, f := range files {
		if err := CleanName(f.Name); err != nil {
			return err
		}
		if i > 0 && files[i-1].Name >= f.Name {
			return fmt.Errorf("%q does not come after %q in byte order", f.Name, files[i-1].Name)
		}
		if packed && isPackName(f.Name) {
			return fmt.Errorf("a file is named %q, as the pack of small files would be", f.Name)
		}
		if f.Size < 0 || f.Size > math.MaxInt64-total {
			return fmt.Errorf("%q has an impossible size of %d bytes", f.Name, f.Size)
		}
		total += f.Size
	}
	for _, f := range files {
		for i := range len(f.Name) {
			if f.Name[i] != '/' {
				continue
			}
			if _, both := slices.BinarySearchFunc(files, f.Name[:i], func(f File, name string) int { return strings.Compare(f.Name, name) }); both {
				return fmt.Errorf("%q is a file and a folder", f.Name[:i])
			}
		}
	}
	return nil
}

// encode writes config and manifest, byte for byte as ARTIFACT-ID.md says.
func encode(layers []Layer) *Canonical {
	config := []byte(configHead)
	for i, l := range layers {
		if i > 0 {
			config = append(config, ',')
		}
		config = append(append(append(config, '"'), l.Digest.String()...), '"')
	}
	config = append(config, configTail...)

	m := appendHead(nil, sha256.Sum256(config), len(config))
	for i, l := range layers {
		if i > 0 {
			m = append(m, ',')
		}
		m = appendLayer(m, l)
	}
	m = append(m, manifestTail...)
	return &Canonical{ID: hashing.Sum(sha256.Sum256(m)).String(), Manifest: m, Config: config, Layers: layers}
}

func appendHead(b []byte, config hashing.Sum, size int) []byte {
	return fmt.Appendf(b, `{"schemaVersion":2,"mediaType":"%s","artifactType":"%s","config":{"mediaType":"%s","digest":"%s","size":%d},"layers":[`,
		v1.MediaTypeImageManifest, ArtifactType, ConfigMediaType, config, size)
}

func appendLayer(b []byte, l Layer) []byte {
	b = append(append(append(b, `{"mediaType":"`...), l.MediaType...), `","digest":"`...)
	b = append(append(append(b, l.Digest.String()...), `","size":`...), strconv.FormatInt(l.Size, 10)...)
	b = appendString(append(b, `,"annotations":{"`+annotationPath+`":`...), l.Name)
	b = appendString(append(b, `,"`+v1.AnnotationTitle+`":`...), l.Name)
	return append(b, "}}"...)
}

// appendString escapes as little as JSON allows, in RFC 8785's form.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, '\\', 'b')
		case '\t':
			b = append(b, '\\', 't')
		case '\n':
			b = append(b, '\\', 'n')
		case '\f':
			b = append(b, '\\', 'f')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, c)
			}
		}
	}
	return append(b, '"')
}

var endings = func() map[string]string {
	kinds := map[string]string{}
	for kind, list := range map[string]string{
		"dataset":       "parquet arrow feather csv tsv jsonl ndjson tfrecord avro orc lance",
		"doc":           "md rst pdf html",
		"code":          "py ipynb sh js ts go rs c h cc cpp hpp cu r jl lua",
		"weight.config": "json yaml yml toml txt ini cfg xml jinja vocab merges spm tiktoken",
	} {
		for _, ending := range strings.Fields(list) {
			kinds[ending] = kind
		}
	}
	return kinds
}()

// mediaType is a raw layer's media type, by the file's base name alone.
func mediaType(name string) string {
	base := lower(name[strings.LastIndexByte(name, '/')+1:])
	kind := "weight"
	if i := strings.LastIndexByte(base, '.'); i >= 0 {
		if k, ok := endings[base[i+1:]]; ok {
			kind = k
		}
	}
	for _, doc := range []string{"license", "notice", "readme"} {
		if rest, ok := strings.CutPrefix(base, doc); ok && (rest == "" || rest[0] == '.') {
			kind = "doc"
		}
	}
	return mediaTypeStem + kind + mediaTypeSuffix
}

// lower maps ASCII letters only: names that differ in any other way are compared as they are.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
