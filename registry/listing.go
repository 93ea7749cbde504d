package registry

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations/chain"
)

// Caps on what one index may lead to.
const (
	maxNested  = 1000 // manifests
	maxNesting = 3    // indexes below each other
)

// Refs lists what the repository names, sorted: every tag that is not evidence's, and in a layout also what has no tag
// and refers to nothing, by digest. A registry lists no digests, so what has no tag there is not among them. A repository
// that is not there is an ErrNotFound; some registries say that of one without tags too.
func (r *Repo) Refs(ctx context.Context) ([]Ref, error) {
	refs, err := r.refs(ctx)
	return refs, doing(err, "list tags of %s", r.Name())
}

func (r *Repo) refs(ctx context.Context) ([]Ref, error) {
	named := r.ref
	named.tag, named.digest = "", ""
	tags, err := r.store.tags(ctx, "")
	if err != nil {
		return nil, err
	}
	if far, ok := r.store.(*remote); ok && len(tags) == 0 {
		if err := far.known(ctx); err != nil {
			return nil, err
		}
	}
	var out []Ref
	for _, t := range tags {
		if !strings.HasPrefix(t, fallbackPrefix) {
			ref := named
			ref.tag = t
			out = append(out, ref)
		}
	}
	if s, ok := r.store.(interface {
		each(context.Context, func(m referrer, subject string)) error
	}); ok {
		err := s.each(ctx, func(m referrer, subject string) {
			if subject == "" && m.Annotations[ocispec.AnnotationRefName] == "" {
				ref := named
				ref.digest = m.Digest
				out = append(out, ref)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Ref) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(out), nil
}

// known errs where the registry does not know the repository.
func (r *remote) known(ctx context.Context) error {
	first := r.under("tags", "list")
	return r.client.retry(ctx, func() error {
		resp, err := r.client.do(ctx, call{method: http.MethodGet, url: first})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return refusal(resp)
		}
		drain(resp)
		return nil
	})
}

// Digest asks which manifest ref names now, and for nothing else: of a tag that did not move, nothing has to be read. Only
// the registry's word says so; what is then read under the digest is held to it. A tag that is not there is an ErrNotFound.
func (r *Repo) Digest(ctx context.Context, ref Ref) (string, error) {
	if ref.digest == "" && ref.tag != "" && ref.Name() == r.ref.Name() {
		if far, ok := r.store.(*remote); ok {
			digest, err := far.head(ctx, ref.tag)
			if err != nil || digest != "" {
				return digest, doing(err, "resolve %s", ref)
			}
		}
	}
	d, err := r.Resolve(ctx, ref)
	return d.Digest, err
}

// head returns what the registry says is under a tag; nothing where it does not say.
func (r *remote) head(ctx context.Context, tag string) (digest string, err error) {
	err = r.client.retry(ctx, func() error {
		resp, err := r.client.do(ctx, call{
			method: http.MethodHead, url: r.under("manifests", tag), header: http.Header{"Accept": manifestTypes},
		})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return refusal(resp)
		}
		drain(resp)
		digest = resp.Header.Get("Docker-Content-Digest")
		if (Descriptor{Digest: digest}).check() != nil {
			digest = ""
		}
		return nil
	})
	return digest, err
}

// Below returns the manifests that the manifest with the given digest stands for: itself, or where it is an index those
// that it lists, and those of indexes among them; each once, in their order. More than 1000, or more than three indexes
// below each other, is an ErrTooLarge.
func (r *Repo) Below(ctx context.Context, digest string) ([]Descriptor, error) {
	var out []Descriptor
	ref := r.ref
	ref.tag, ref.digest = "", digest
	err := r.Visit(ctx, ref, func(d Descriptor, _ []byte) error {
		out = append(out, d)
		return nil
	})
	return out, err
}

// Visit calls visit for each of the manifests that ref stands for, as Below lists them, with the bytes that were checked
// against its digest. They are visit's for the call. An error of visit ends it and is returned.
func (r *Repo) Visit(ctx context.Context, ref Ref, visit func(d Descriptor, raw []byte) error) error {
	target := ref.digest
	if target == "" {
		target = ref.tag
	}
	if ref.Name() != r.ref.Name() || target == "" {
		return fmt.Errorf("list manifests of %s: no tag and no digest in %s", ref, r.Name())
	}
	return doing(r.visit(ctx, target, 0, map[string]bool{}, visit), "list manifests of %s", ref)
}

func (r *Repo) visit(ctx context.Context, target string, depth int, seen map[string]bool, visit func(Descriptor, []byte) error) error {
	if seen[target] {
		return nil
	}
	read := r.read
	if (Descriptor{Digest: target}).check() == nil {
		read = r.byDigest
	}
	m, err := read(ctx, target)
	if err != nil {
		return err
	}
	seen[m.descriptor.Digest] = true
	if !slices.Contains(indexTypes, m.descriptor.MediaType) {
		return visit(m.descriptor, m.raw)
	}
	if depth == maxNesting {
		return tooLarge("indexes below each other", maxNesting)
	}
	var x struct {
		Manifests []Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(m.raw, &x); err != nil {
		return fmt.Errorf("decode index: %w", err)
	}
	if len(x.Manifests) > maxNested || len(seen)+len(x.Manifests) > maxNested+1 {
		return tooLarge("manifests below an index", maxNested)
	}
	for _, d := range x.Manifests {
		if err := d.check(); err != nil {
			return fmt.Errorf("decode index: %w", err)
		}
		if err := r.visit(ctx, d.Digest, depth+1, seen, visit); err != nil {
			return fmt.Errorf("%s: %w", d.Digest, err)
		}
	}
	return nil
}

// Referrers returns the digests of the manifests that may be bundles of the manifest with the given digest, sorted. While
// they are the same, so is what Bundles returns: no bundle has to be read again. It errs as Bundles does.
func (r *Repo) Referrers(ctx context.Context, subject string) ([]string, error) {
	if err := (Descriptor{Digest: subject}).check(); err != nil {
		return nil, err
	}
	listed, err := r.referrers(ctx, subject)
	if err != nil {
		return nil, doing(err, "list evidence of %s of %s", subject, r.Name())
	}
	return digestsOf(listed), nil
}

// BundlesOf returns the bundles of the manifest with the given digest among those of its Referrers that are named, as
// Bundles returns all.
func (r *Repo) BundlesOf(ctx context.Context, subject string, referrers []string) ([]chain.Item, error) {
	for _, digest := range append([]string{subject}, referrers...) {
		if err := (Descriptor{Digest: digest}).check(); err != nil {
			return nil, err
		}
	}
	items, err := r.bundlesAt(ctx, subject, referrers)
	return items, doing(err, "read evidence of %s of %s", subject, r.Name())
}
