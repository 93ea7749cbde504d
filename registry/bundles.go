package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
)

// bundleTypes begins the artifact type of every version of the bundle format.
const bundleTypes = "application/vnd.dev.sigstore.bundle"

// Bundles returns every bundle that refers to the manifest with the given digest, in the order of their manifests'
// digests; none is no error. They come from the referrers API or, where the registry has none, from the fallback tag
// and the bundles' own tags together.
//
// Any trouble is an error, for what was not read may have mattered: a page that failed, a bundle that is listed and not
// there, bytes that do not match, more than a cap lets in. What is listed as a bundle and was read and is none comes
// with its reason in Where and no bytes, so that nobody takes it for evidence and everybody can see it.
func (r *Repo) Bundles(ctx context.Context, subject string) ([]chain.Item, error) {
	items, err := r.bundles(ctx, subject)
	return items, doing(err, "read evidence of %s of %s", subject, r.Name())
}

// Evidence returns the manifest's bundles as a source of evidence.
func (r *Repo) Evidence(subject string) chain.Source { return referred{r, subject} }

type referred struct {
	repo    *Repo
	subject string
}

func (s referred) Evidence(ctx context.Context) ([]chain.Item, error) {
	return s.repo.Bundles(ctx, s.subject)
}

func (r *Repo) bundles(ctx context.Context, subject string) ([]chain.Item, error) {
	if err := (Descriptor{Digest: subject}).check(); err != nil {
		return nil, err
	}
	listed, err := r.referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	return r.bundlesAt(ctx, subject, digestsOf(listed))
}

// bundlesAt reads those of the listed referrers of subject that are bundles.
func (r *Repo) bundlesAt(ctx context.Context, subject string, listed []string) ([]chain.Item, error) {
	if len(listed) > maxBundles {
		return nil, tooLarge(fmt.Sprintf("%d bundles", len(listed)), maxBundles)
	}
	items := make([]chain.Item, len(listed))
	left := &budget{left: maxEvidence}
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(defaultWorkers)
	for i, digest := range listed {
		work.Go(func() error {
			item, err := r.bundle(inner, subject, digest, left)
			items[i] = item
			return doing(err, "referrer %s", digest)
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(items, func(i chain.Item) bool { return i.Where == "" }), nil
}

func digestsOf(listed []referrer) []string {
	out := make([]string, len(listed))
	for i, l := range listed {
		out[i] = l.Digest
	}
	return out
}

// referrers lists what may be a bundle of subject, each once, sorted by digest.
func (r *Repo) referrers(ctx context.Context, subject string) ([]referrer, error) {
	found, err := r.everyReferrer(ctx, subject)
	return bundlesAmong(found), err
}

// everyReferrer lists what refers to subject, of whatever type, each once, sorted by digest.
func (r *Repo) everyReferrer(ctx context.Context, subject string) ([]referrer, error) {
	found, supported, err := r.store.referrers(ctx, subject)
	if err != nil {
		return nil, fmt.Errorf("list referrers: %w", err)
	}
	if !supported && r.require {
		return nil, ErrNoReferrers
	}
	// Other tools write the fallback tag into layouts too.
	if !supported || r.ref.dir != "" {
		x, err := r.fallbackIndex(ctx, subject)
		if err != nil {
			return nil, err
		}
		found = append(found, x.Manifests...)
		own, err := r.ownTags(ctx, subject, bundlesAmong(found), true)
		if err != nil {
			return nil, err
		}
		found = append(own, found...) // of two entries for one digest, the one that was made from the manifest stays
	}
	slices.SortStableFunc(found, func(a, b referrer) int { return cmp.Compare(a.Digest, b.Digest) })
	return slices.CompactFunc(found, func(a, b referrer) bool { return a.Digest == b.Digest }), nil
}

// bundlesAmong returns the entries that need no bundle's own tag to be looked at. Of any other entry the type may be a
// lie that somebody wrote into the fallback index: it hides no bundle that has a tag.
func bundlesAmong(entries []referrer) []referrer {
	return slices.DeleteFunc(slices.Clone(entries), func(f referrer) bool { return !mayBeBundle(f) })
}

// mayBeBundle reports whether a list's entry has to be looked at. Some registries leave the type out or put the
// config's in its place; those entries' manifests say what they are.
func mayBeBundle(f referrer) bool {
	return f.ArtifactType == "" || f.ArtifactType == ocispec.MediaTypeEmptyJSON || strings.HasPrefix(f.ArtifactType, bundleTypes)
}

// budget is how many bytes may still be read.
type budget struct {
	mu   sync.Mutex
	left int64
}

func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left -= n
	return b.left >= 0
}

// errForeign is about a referrer that claims to be no bundle. Evidence of other kinds is nobody's business here.
var errForeign = errors.New("not a bundle's manifest")

// bundle reads one listed bundle. The zero Item is for what turns out not to claim to be one.
func (r *Repo) bundle(ctx context.Context, subject, digest string, left *budget) (chain.Item, error) {
	item := chain.Item{Where: "registry " + digest}
	raw, _, err := r.store.manifest(ctx, digest)
	if err == nil {
		err = checkSum(raw, digest)
	}
	if err != nil {
		return item, err
	}
	m, err := parseBundleManifest(raw, subject)
	if errors.Is(err, errForeign) {
		return chain.Item{}, nil
	}
	if err != nil {
		item.Where = fmt.Sprintf("%s (not a bundle: %v)", item.Where, err)
		return item, nil
	}
	item.Bundle, err = r.bundleBlob(ctx, m.Layers[0], left)
	return item, err
}

// bundleBlob reads the bytes of a bundle.
func (r *Repo) bundleBlob(ctx context.Context, layer Descriptor, left *budget) ([]byte, error) {
	if layer.Size > attestations.MaxSignatureBundle {
		return nil, tooLarge(fmt.Sprintf("bundle of %d bytes", layer.Size), attestations.MaxSignatureBundle)
	}
	if !left.take(layer.Size) {
		return nil, tooLarge("all bundles together", maxEvidence)
	}
	from, err := r.store.openBlob(ctx, layer)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	bundle, err := io.ReadAll(newCheckedReader(from, layer.Digest, layer.Size))
	if err != nil {
		return nil, err
	}
	return bundle, checkBundleSize(bundle)
}

// parseBundleManifest reads the manifest of a bundle that refers to subject; empty: to nothing. Every deviation is an error; errForeign
// where the manifest does not even claim to be one.
func parseBundleManifest(raw []byte, subject string) (*bundleManifest, error) {
	var m bundleManifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("decode manifest: %w", err)
	}
	switch {
	case !strings.HasPrefix(m.ArtifactType, bundleTypes):
		return nil, errForeign
	case m.SchemaVersion != 2 || m.MediaType != ocispec.MediaTypeImageManifest:
		return nil, fmt.Errorf("media type %q is not an OCI manifest's", m.MediaType)
	case subject == "" && m.Subject != nil, subject != "" && (m.Subject == nil || m.Subject.Digest != subject):
		return nil, errors.New("it refers to another artifact")
	case len(m.Layers) != 1 || !strings.HasPrefix(m.Layers[0].MediaType, bundleTypes):
		return nil, errors.New("it has not exactly one layer, a bundle")
	}
	return &m, m.Layers[0].check()
}
