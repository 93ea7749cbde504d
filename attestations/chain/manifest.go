package chain

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Manifest is an artifact in a registry, by the manifest that names its files. No file is read.
type Manifest struct {
	describe  policy.Artifact
	canonical *manifest.Canonical
	refused   error
	files     []string // "sha256:…" of every file; nil: not known
}

// NewManifest returns the artifact whose manifest is raw. The caller has checked raw against its digest. ref, pinned and
// tag are for the decision. That a manifest is not canonical stands in the way of every yes, and is no error.
func NewManifest(raw []byte, ref, pinned, tag string) *Manifest {
	m := &Manifest{describe: policy.Artifact{Ref: ref, Pinned: pinned, Tag: tag, Bytes: policy.BytesUnread}}
	m.canonical, m.refused = manifest.ParseCanonical(raw)
	if m.refused == nil {
		m.describe.ID = m.canonical.ID
		for _, l := range m.canonical.Layers {
			m.describe.Size += l.Size
			if !l.Pack {
				m.describe.Files++
				m.files = append(m.files, l.Digest.String())
			}
		}
		if m.packed() {
			m.files = nil
		}
	}
	return m
}

// NewBuilt returns the artifact on disk whose files were read and are m, by its canonical manifest. path is for the
// decision. It errs where m has no ID.
func NewBuilt(m *manifest.Manifest, path string) (*Manifest, error) {
	canonical, err := m.OCI()
	if err != nil {
		return nil, err
	}
	return &Manifest{canonical: canonical, files: fileDigests(m), describe: policy.Artifact{
		Ref: path, ID: canonical.ID, Bytes: policy.BytesRead, Files: len(m.Files), Size: m.Bytes(), Uncovered: m.Uncovered,
	}}, nil
}

// Canonical returns the manifest as it was parsed, or the error that says why it is not canonical.
func (m *Manifest) Canonical() (*manifest.Canonical, error) { return m.canonical, m.refused }

// Describe returns what the manifest says of itself, and that it is not canonical if it is not.
func (m *Manifest) Describe() (policy.Artifact, []policy.Finding) {
	if m.refused == nil {
		return m.describe, nil
	}
	code := policy.NotCanonical
	var broken *manifest.NotCanonicalError
	if errors.As(m.refused, &broken) && broken.Foreign {
		code = policy.WrongArtifact
	}
	return m.describe, []policy.Finding{{Code: code, Detail: m.refused.Error()}}
}

// Compare holds the manifest against the signed list. The artifact is the signed one only if its manifest is the
// canonical one of exactly the signed files; exclusions never apply to layers. Where the list cannot tell, because
// files are packed or signed by other digests than whole-file SHA-256, the ID that the signer wrote must be the
// manifest's digest, and without one only the bytes could tell.
func (m *Manifest) Compare(_ context.Context, s *attestations.Signature) (Comparison, error) {
	out := Comparison{Artifact: m.describe, Files: m.files}
	if m.refused != nil {
		_, out.Findings = m.Describe()
		return out, nil
	}
	signed, err := s.Files()
	if err != nil {
		return out, err
	}
	if s.Single() {
		if len(m.canonical.Layers) != 1 {
			return out, errors.New("compare manifest: one file is signed, without a name")
		}
		signed[0].Name = m.canonical.Layers[0].Name
	}
	out.compareLayers(m.canonical, signed, s)
	if out.Files == nil && s.WholeSHA256() { // where files are packed the signer's ID, which is the manifest's, vouches for the list
		for _, w := range signed {
			out.Files = append(out.Files, digest(s, w.Digests[0]))
		}
	}
	whole := s.WholeSHA256() && !m.packed()
	switch {
	case len(out.Findings) > 0:
	case s.ArtifactID != "" && s.ArtifactID != m.canonical.ID:
		out.Findings = append(out.Findings, policy.Finding{Code: policy.IDMismatch, Want: s.ArtifactID, Got: m.canonical.ID,
			Detail: "the signer wrote another artifact ID than this manifest's digest"})
	case s.ArtifactID == "" && !whole:
		out.Findings = append(out.Findings, policy.Finding{Code: policy.BytesNeeded,
			Detail: "the signature lists no whole-file SHA-256 of every layer and no artifact ID: only the files themselves can be compared"})
	}
	return out, nil
}

func (m *Manifest) packed() bool {
	for _, l := range m.canonical.Layers {
		if l.Pack {
			return true
		}
	}
	return false
}

// compareLayers compares what the manifest names file by file with the signed list.
func (c *Comparison) compareLayers(canonical *manifest.Canonical, signed []attestations.SignedFile, s *attestations.Signature) {
	layers := make(map[string]manifest.Layer, len(canonical.Layers))
	packed := false
	for _, l := range canonical.Layers {
		if l.Pack {
			packed = true
			continue
		}
		layers[l.Name] = l
	}
	for _, w := range signed {
		l, ok := layers[w.Name]
		delete(layers, w.Name)
		switch {
		case !ok && !packed:
			c.Findings = append(c.Findings, policy.Finding{Code: policy.FileMissing, File: w.Name, Detail: "signed, but no layer"})
		case !ok:
		case s.WholeSHA256() && !bytes.Equal(w.Digests[0], l.Digest[:]):
			c.add(policy.DigestMismatch, w.Name, digest(s, w.Digests[0]), l.Digest.String())
		case w.Size >= 0 && w.Size != l.Size:
			c.add(policy.DigestMismatch, w.Name, fmt.Sprintf("%d bytes", w.Size), fmt.Sprintf("%d bytes", l.Size))
		}
	}
	for _, l := range canonical.Layers {
		_, extra := layers[l.Name]
		if !l.Pack && extra && (l.Size > 0 || s.Serialization.Method != manifest.Shards) {
			c.Findings = append(c.Findings, policy.Finding{Code: policy.NotCanonical, File: l.Name, Detail: "a layer that is not signed"})
		}
	}
	if packed { // the files inside are known only to the signer's list
		c.Artifact.Files = len(signed)
	}
}
