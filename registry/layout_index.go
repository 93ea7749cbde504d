package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// subjectOf returns the digest of what a manifest or index refers to, or nothing.
func subjectOf(raw []byte) (string, error) {
	var m struct {
		Subject *Descriptor `json:"subject"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return "", fmt.Errorf("decode manifest: %w", err)
	}
	if m.Subject == nil {
		return "", nil
	}
	return m.Subject.Digest, m.Subject.check()
}

// knownSubject is subjectOf for lists. What is not well-formed refers to nothing: it is nobody's evidence, and whoever
// names it hears what is wrong with it.
func knownSubject(raw []byte) string {
	subject, err := subjectOf(raw)
	if err != nil {
		return ""
	}
	return subject
}

// readIndex reads index.json; a layout that has none yet lists nothing.
func readIndex(root *os.Root) (*indexFile, error) {
	raw, err := readRegular(root, ocispec.ImageIndexFile, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return newIndex(), nil
	}
	if err != nil {
		return nil, err
	}
	x, err := parseIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ocispec.ImageIndexFile, err)
	}
	return x, nil
}

// tags returns the tags that begin with prefix, each once.
func (x *indexFile) tags(prefix string) []string {
	var found []string
	for _, m := range x.Manifests {
		if t := m.Annotations[ocispec.AnnotationRefName]; strings.HasPrefix(t, prefix) && isTag(t) && !slices.Contains(found, t) {
			found = append(found, t)
		}
	}
	return found
}

// put lists d, under tag if there is one, and reports whether that changed anything. What the tag named before stays
// listed without it: evidence may refer to it.
func (x *indexFile) put(d Descriptor, tag string) bool {
	listed, changed := false, false
	for i, m := range x.Manifests {
		name := m.Annotations[ocispec.AnnotationRefName]
		switch {
		case m.Digest == d.Digest && (name == tag || tag == ""):
			listed = true
		case m.Digest == d.Digest && name == "":
			x.Manifests[i].Annotations = withName(m.Annotations, tag)
			listed, changed = true, true
		case name == tag && tag != "":
			x.Manifests[i].Annotations = withName(m.Annotations, "")
			changed = true
		}
	}
	if !listed {
		x.Manifests = append(x.Manifests, referrer{Descriptor: d, Annotations: withName(nil, tag)})
		changed = true
	}
	return changed
}

// withName returns the annotations with another ref name, or with none.
func withName(old map[string]string, tag string) map[string]string {
	next := map[string]string{}
	for k, v := range old {
		next[k] = v
	}
	delete(next, ocispec.AnnotationRefName)
	if tag != "" {
		next[ocispec.AnnotationRefName] = tag
	}
	if len(next) == 0 {
		return nil
	}
	return next
}
