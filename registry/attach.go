package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// fallbackPrefix begins the tags that stand in for the referrers API (distribution-spec 1.1, Referrers Tag Schema).
	fallbackPrefix = "sha256-"
	// bundleTagDigits is how much of a manifest's digest names its own tag.
	bundleTagDigits = 32
	// maxMerges is how often a writer that was overwritten writes the fallback index again, and how often a reader
	// looks for a tag that was listed.
	maxMerges = 16
	// mergePause is the longest pause before the third try; it grows with every further one.
	mergePause = 10 * time.Millisecond
)

// Attach stores a bundle as evidence of subject, in the form that cosign v3 gives it, and returns the digest of the
// manifest that refers to subject. The same bundle attached again changes nothing. When Attach returns, Bundles finds
// it: where the registry has no referrers API, under the subject's fallback tag and under a tag of its own.
//
// The bundle is not opened here; it only has to be a Sigstore bundle. predicateType is for other tools to select by.
func (r *Repo) Attach(ctx context.Context, subject Descriptor, bundle []byte, predicateType string) (string, error) {
	digest, err := r.attach(ctx, subject, bundle, predicateType)
	return digest, doing(err, "attach bundle to %s of %s", subject.Digest, r.Name())
}

func (r *Repo) attach(ctx context.Context, subject Descriptor, bundle []byte, predicateType string) (string, error) {
	if err := subject.check(); err != nil {
		return "", err
	}
	if predicateType == "" || subject.MediaType == "" {
		return "", errors.New("predicate type and the subject's media type are needed")
	}
	if err := checkBundle(bundle); err != nil {
		return "", err
	}
	raw, m, err := newBundleManifest(&subject, bundle, predicateType)
	if err != nil {
		return "", err
	}
	for _, b := range []struct {
		d       Descriptor
		content []byte
	}{{m.Layers[0], bundle}, {m.Config, emptyConfig}} {
		if err := r.pushBlob(ctx, b.d, opener(b.content), newMeter(nil)); err != nil {
			return "", err
		}
	}
	entry := m.entry(raw)
	noted, err := r.store.putManifest(ctx, raw, entry.Descriptor, "")
	if err != nil {
		return "", err
	}
	if noted {
		return entry.Digest, nil
	}
	if r.require {
		return "", ErrNoReferrers
	}
	if err := r.attachFallback(ctx, subject.Digest, raw, entry); err != nil {
		return "", err
	}
	return entry.Digest, r.confirm(ctx, subject.Digest, entry.Digest)
}

// attachManifest stores a manifest that refers to subject, as it is, so that readers find it. A bundle's gets a tag of
// its own where that is needed, as Attach gives it; what is no bundle's is listed in the fallback index alone, as other
// tools do.
func (r *Repo) attachManifest(ctx context.Context, subject string, raw []byte, entry referrer) error {
	noted, err := r.store.putManifest(ctx, raw, entry.Descriptor, "")
	if err != nil || noted {
		return err
	}
	if r.require {
		return ErrNoReferrers
	}
	if m, err := parseBundleManifest(raw, subject); err == nil {
		return r.attachFallback(ctx, subject, raw, m.entry(raw))
	}
	return r.mergeFallback(ctx, subject, entry)
}

// confirm makes sure that readers will find an entry although the registry did not say that it took note of it.
func (r *Repo) confirm(ctx context.Context, subject, digest string) error {
	found, err := r.referrers(ctx, subject)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !slices.ContainsFunc(found, func(f referrer) bool { return f.Digest == digest }) {
		return fmt.Errorf("registry took %s and does not list it", digest)
	}
	return nil
}

func fallbackTag(subject string) string {
	return fallbackPrefix + strings.TrimPrefix(subject, "sha256:")
}

// bundleTag is a bundle's own tag. Nobody else writes it, so no writer can lose another's.
func bundleTag(subject, referrer string) string {
	return fallbackTag(subject) + "." + strings.TrimPrefix(referrer, "sha256:")[:bundleTagDigits]
}

// attachFallback puts an entry where a registry without the referrers API keeps it. First the tag of its own, which
// makes it safe; then the fallback index, which other tools read: read, merge, write, read back, as often as another
// writer's version comes out. Every writer also brings in what it finds under bundles' own tags and the index lacks.
func (r *Repo) attachFallback(ctx context.Context, subject string, raw []byte, entry referrer) error {
	if _, err := r.store.putManifest(ctx, raw, entry.Descriptor, bundleTag(subject, entry.Digest)); err != nil {
		return doing(err, "write tag %s", bundleTag(subject, entry.Digest))
	}
	return r.mergeFallback(ctx, subject, entry)
}

// mergeFallback brings an entry into the fallback index.
func (r *Repo) mergeFallback(ctx context.Context, subject string, entry referrer) error {
	for try := range maxMerges {
		if err := pause(ctx, try); err != nil {
			return err
		}
		x, err := r.fallbackIndex(ctx, subject)
		if err != nil {
			return err
		}
		if try > 0 && x.lists(entry.Digest) {
			return nil
		}
		missing, err := r.ownTags(ctx, subject, bundlesAmong(x.Manifests), false)
		if err != nil {
			return err
		}
		if !x.lists(entry.Digest) && !slices.ContainsFunc(missing, func(m referrer) bool { return m.Digest == entry.Digest }) {
			missing = append(missing, entry)
		}
		if len(missing) == 0 {
			return nil
		}
		x.Manifests = slices.DeleteFunc(x.Manifests, func(m referrer) bool { // listed with a type that is not its own
			return slices.ContainsFunc(missing, func(n referrer) bool { return n.Digest == m.Digest })
		})
		x.Manifests = append(x.Manifests, missing...)
		if len(x.Manifests) > maxReferrers {
			return tooLarge("fallback index", maxReferrers)
		}
		next, err := x.marshal()
		if err != nil {
			return err
		}
		d := Descriptor{ocispec.MediaTypeImageIndex, sumOf(next), int64(len(next))}
		if _, err := r.store.putManifest(ctx, next, d, fallbackTag(subject)); err != nil {
			return doing(err, "write tag %s", fallbackTag(subject))
		}
	}
	return fmt.Errorf("tag %s was overwritten by others %d times", fallbackTag(subject), maxMerges)
}

func (x *indexFile) lists(digest string) bool {
	return slices.ContainsFunc(x.Manifests, func(m referrer) bool { return m.Digest == digest })
}

// pause keeps writers that met from meeting again.
func pause(ctx context.Context, try int) error {
	if try < 2 { // the first reading, and the first reading back
		return ctx.Err()
	}
	return sleep(ctx, rand.N(mergePause*time.Duration(try-1)))
}

// fallbackIndex reads the index under the fallback tag; where there is none it is empty.
func (r *Repo) fallbackIndex(ctx context.Context, subject string) (*indexFile, error) {
	tag := fallbackTag(subject)
	raw, _, err := r.store.manifest(ctx, tag)
	if errors.Is(err, ErrNotFound) {
		return newIndex(), nil
	}
	if err != nil {
		return nil, doing(err, "read tag %s", tag)
	}
	x, err := parseIndex(raw)
	return x, doing(err, "read tag %s", tag)
}

// ownTags returns the bundles that have a tag of their own and are not among those known. A tag may be listed a moment
// before it can be read (distribution v3.1.2): a reader must wait for it, for what is not read may matter; a writer, who
// only repairs what it finds, need not.
func (r *Repo) ownTags(ctx context.Context, subject string, known []referrer, must bool) ([]referrer, error) {
	tags, err := r.store.tags(ctx, fallbackTag(subject)+".")
	if err != nil {
		return nil, doing(err, "list tags")
	}
	listed := make(map[string]bool, len(known))
	for _, k := range known {
		listed[bundleTag(subject, k.Digest)] = true
	}
	var found []referrer
	for _, tag := range tags {
		digits := strings.TrimPrefix(tag, fallbackTag(subject)+".")
		if listed[tag] || len(digits) != bundleTagDigits || strings.Trim(digits, "0123456789abcdef") != "" {
			continue // known, or another tool's
		}
		if len(found) == maxBundles {
			return nil, tooLarge("tags of bundles", maxBundles)
		}
		raw, err := r.readTag(ctx, tag, must)
		if errors.Is(err, ErrNotFound) && !must {
			continue
		}
		if err != nil {
			return nil, doing(err, "read tag %s", tag)
		}
		m, err := parseBundleManifest(raw, subject)
		if err != nil || bundleTag(subject, sumOf(raw)) != tag {
			continue // whoever moved the tag could as well have deleted it
		}
		found = append(found, m.entry(raw))
	}
	return found, nil
}

// readTag reads the manifest under a tag that was listed; one that must be there is waited for.
func (r *Repo) readTag(ctx context.Context, tag string, must bool) (raw []byte, err error) {
	for try := range maxMerges {
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
		if raw, _, err = r.store.manifest(ctx, tag); !must || !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return raw, err
}
