package registry

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// CopyOptions says how to copy.
type CopyOptions struct {
	From, To  Options
	Canonical bool                    // republish a ModelPack artifact of raw files under its canonical manifest
	Progress  func(done, total int64) // bytes of layers; nil: none
}

// Copied is what Copy put where.
type Copied struct {
	Digest   string   // of the manifest at the target
	Pinned   string   // the reference to it
	Tag      string   // the tag that names it now; empty if the target's reference had none
	Evidence int      // manifests that refer to it and came along
	Left     []string // what lies at the source and did not come along, in words
}

// maxReferrerDepth is how far Copy follows what refers to what refers to the artifact.
const maxReferrerDepth = 4

// Copy carries an artifact and everything that refers to it from one registry, layout or archive to another. Digests
// stay. The tag moves last. What was not carried is said in Left; what could not be read is an error.
//
// With Canonical the files of any ModelPack artifact are published under their canonical manifest instead: another
// manifest, to which nothing that was said about the old one applies, so no evidence comes along.
func Copy(ctx context.Context, from, to Ref, o CopyOptions) (Copied, error) {
	source, err := Open(from, o.From)
	if err != nil {
		return Copied{}, err
	}
	defer source.Close()
	target, err := Open(to, o.To)
	if err != nil {
		return Copied{}, err
	}
	defer target.Close()
	d, err := source.Resolve(ctx, from)
	if err != nil {
		return Copied{}, err
	}
	raw, err := source.Manifest(ctx, d.Digest)
	if err != nil {
		return Copied{}, err
	}
	c := copier{from: source, to: target, options: o}
	if o.Canonical {
		return c.canonical(ctx, raw, to)
	}
	if to.Digest() != "" && to.Digest() != d.Digest {
		return Copied{}, fmt.Errorf("copy to %s: the artifact is %s", to, d.Digest)
	}
	if err := c.manifest(ctx, raw, d); err != nil {
		return Copied{}, doing(err, "copy %s to %s", from, to)
	}
	if err := c.referrers(ctx, d.Digest, 1); err != nil {
		return Copied{}, doing(err, "copy evidence of %s to %s", from, to)
	}
	if err := c.legacy(ctx, d.Digest); err != nil {
		return Copied{}, doing(err, "copy evidence of %s to %s", from, to)
	}
	return c.finish(ctx, d.Digest, to)
}

// copier carries one artifact.
type copier struct {
	from, to *Repo
	options  CopyOptions
	copied   Copied
}

// finish moves the tag and, for an archive, gives it its name.
func (c *copier) finish(ctx context.Context, digest string, to Ref) (Copied, error) {
	if to.Tag() != "" {
		if err := c.to.Tag(ctx, digest, to.Tag()); err != nil {
			return Copied{}, err
		}
	}
	if err := c.to.Finish(); err != nil {
		return Copied{}, err
	}
	c.copied.Digest, c.copied.Pinned, c.copied.Tag = digest, to.Pinned(digest), to.Tag()
	return c.copied, nil
}

// contents is what a manifest names.
type contents struct {
	MediaType string       `json:"mediaType"`
	Config    *Descriptor  `json:"config"`
	Layers    []Descriptor `json:"layers"`
	Manifests []Descriptor `json:"manifests"`
	Blobs     []Descriptor `json:"blobs"`
}

// manifest carries a manifest and what it names. The blobs go first: nobody sees a manifest without them.
func (c *copier) manifest(ctx context.Context, raw []byte, d Descriptor) error {
	var m contents
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("decode manifest %s: %w", d.Digest, err)
	}
	if len(m.Manifests) > 0 || m.MediaType == ocispec.MediaTypeImageIndex {
		return fmt.Errorf("manifest %s is an index: name one of its manifests by digest", d.Digest)
	}
	if err := c.blobs(ctx, m); err != nil {
		return err
	}
	_, err := c.to.store.putManifest(ctx, raw, d, "")
	return err
}

func (c *copier) blobs(ctx context.Context, m contents) error {
	all := slices.Concat(m.Layers, m.Blobs)
	if m.Config != nil {
		all = append(all, *m.Config)
	}
	meter := newMeter(c.options.Progress)
	for _, b := range all {
		if err := b.check(); err != nil {
			return err
		}
		meter.total += b.Size
	}
	for _, b := range all {
		if err := c.blob(ctx, b, meter); err != nil {
			return doing(err, "blob %s", b.Digest)
		}
	}
	return nil
}

// blob carries one blob. It is held to its digest on the way, whatever the target would say.
func (c *copier) blob(ctx context.Context, d Descriptor, m *meter) error {
	there, err := c.to.store.hasBlob(ctx, d)
	if err != nil {
		return err
	}
	if there {
		m.moved(d.Size)
		return nil
	}
	return c.to.store.putBlob(ctx, d, func() (io.ReadCloser, error) {
		if d.Size == 0 {
			return opener(nil)()
		}
		from, err := c.from.store.openBlob(ctx, d)
		if err != nil {
			return nil, err
		}
		checked := struct {
			io.Reader
			io.Closer
		}{newCheckedReader(from, d.Digest, d.Size), from}
		return &metered{ReadCloser: checked, m: m}, nil
	})
}

// referrers carries everything that refers to subject, and what refers to that.
func (c *copier) referrers(ctx context.Context, subject string, depth int) error {
	listed, err := c.from.everyReferrer(ctx, subject)
	if err != nil {
		return err
	}
	if len(listed) > 0 && depth > maxReferrerDepth {
		return tooLarge("depth of what refers to what refers to the artifact", maxReferrerDepth)
	}
	for _, l := range listed {
		raw, err := c.from.Manifest(ctx, l.Digest)
		if err != nil {
			return err
		}
		of, err := subjectOf(raw)
		if err != nil || of != subject {
			c.copied.Left = append(c.copied.Left, fmt.Sprintf("%s is listed as evidence and refers to something else", l.Digest))
			continue
		}
		if err := c.referrer(ctx, raw, l, subject); err != nil {
			return doing(err, "referrer %s", l.Digest)
		}
		c.copied.Evidence++
		if err := c.referrers(ctx, l.Digest, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) referrer(ctx context.Context, raw []byte, l referrer, subject string) error {
	var m contents
	if err := json.Unmarshal(raw, &m); err != nil {
		return fmt.Errorf("decode manifest: %w", err)
	}
	if err := c.blobs(ctx, m); err != nil {
		return err
	}
	return c.to.attachManifest(ctx, subject, raw, l)
}

// legacy names what cosign before v3 keeps under tags beside the artifact: it is not copied.
func (c *copier) legacy(ctx context.Context, subject string) error {
	tags, err := c.from.store.tags(ctx, fallbackTag(subject))
	if err != nil {
		return err
	}
	for _, t := range tags {
		rest := strings.TrimPrefix(t, fallbackTag(subject))
		if slices.Contains([]string{".sig", ".att", ".sbom"}, rest) {
			c.copied.Left = append(c.copied.Left, fmt.Sprintf("tag %s, as older cosign writes it", t))
		}
	}
	return nil
}

// canonical publishes the same files under their canonical manifest.
func (c *copier) canonical(ctx context.Context, raw []byte, to Ref) (Copied, error) {
	canonical, err := manifest.Canonicalize(raw)
	if err != nil {
		return Copied{}, err
	}
	if to.Digest() != "" && to.Digest() != canonical.ID {
		return Copied{}, fmt.Errorf("copy to %s: the artifact is %s", to, canonical.ID)
	}
	var m contents
	for _, l := range canonical.Layers {
		m.Layers = append(m.Layers, Descriptor{l.MediaType, l.Digest.String(), l.Size})
	}
	if err := c.blobs(ctx, m); err != nil {
		return Copied{}, doing(err, "copy to %s", to)
	}
	if err := c.to.putCanonical(ctx, canonical); err != nil {
		return Copied{}, doing(err, "copy to %s", to)
	}
	c.copied.Left = append(c.copied.Left, "all evidence: it is on another manifest")
	return c.finish(ctx, canonical.ID, to)
}

// Finish ends what is written to an archive, which gets its name only now. For registries and layouts it does nothing.
func (r *Repo) Finish() error {
	a, ok := r.store.(*archive)
	if !ok {
		return nil
	}
	return doing(a.finish(), "write %s", r.Name())
}
