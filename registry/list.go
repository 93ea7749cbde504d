package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
)

// uriScheme begins URIs of what lies in a registry, as statements and policies write them.
const uriScheme = "oci://"

// PublishBundle stores a bundle that is about no artifact, such as a list of what is revoked, under a tag of its own, in the
// form that cosign v3 gives to bundles, without a subject. What the tag named before it names no more.
func PublishBundle(ctx context.Context, ref Ref, bundle attestations.Bundle, o Options) error {
	if ref.Tag() == "" || ref.Digest() != "" {
		return fmt.Errorf("publish bundle: %s names no tag", ref)
	}
	u, err := bundle.Peek()
	if err != nil {
		return fmt.Errorf("publish bundle: %w", err)
	}
	if err := checkBundle(bundle); err != nil {
		return fmt.Errorf("publish bundle: %w", err)
	}
	repo, err := Open(ref, o)
	if err != nil {
		return err
	}
	defer repo.Close()
	return doing(repo.publishBundle(ctx, bundle, u.PredicateType, ref.Tag()), "publish bundle as %s", ref)
}

func (r *Repo) publishBundle(ctx context.Context, bundle []byte, predicateType, tag string) error {
	raw, m, err := newBundleManifest(nil, bundle, predicateType)
	if err != nil {
		return err
	}
	for _, b := range []struct {
		d       Descriptor
		content []byte
	}{{m.Layers[0], bundle}, {m.Config, emptyConfig}} {
		if err := r.pushBlob(ctx, b.d, opener(b.content), newMeter(nil)); err != nil {
			return err
		}
	}
	if _, err := r.store.putManifest(ctx, raw, m.entry(raw).Descriptor, tag); err != nil {
		return err
	}
	return r.Finish()
}

// FetchBundle reads the bundle that PublishBundle stored under ref. Anything else under that name is an error.
func FetchBundle(ctx context.Context, ref Ref, o Options) (chain.Item, error) {
	repo, err := Open(ref, o)
	if err != nil {
		return chain.Item{}, err
	}
	defer repo.Close()
	item := chain.Item{Where: ref.String()}
	item.Bundle, err = repo.fetchBundle(ctx, ref)
	return item, doing(err, "fetch bundle %s", ref)
}

func (r *Repo) fetchBundle(ctx context.Context, ref Ref) ([]byte, error) {
	d, err := r.Resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	raw, err := r.Manifest(ctx, d.Digest)
	if err != nil {
		return nil, err
	}
	m, err := parseBundleManifest(raw, "")
	if err != nil {
		return nil, err
	}
	return r.bundleBlob(ctx, m.Layers[0], &budget{left: maxEvidence})
}

// ParseURI reads the reference in a URI: what ParseRef reads, with or without oci:// before the host of a registry. What
// names neither tag nor digest is taken to mean digest, where that is not empty.
func ParseURI(uri, digest string) (Ref, error) {
	s, _ := strings.CutPrefix(uri, uriScheme)
	ref, err := ParseRef(s)
	if err != nil && digest != "" {
		if named, err := ParseRef(s + "@" + digest); err == nil {
			return named, nil
		}
	}
	return ref, err
}

// Lists is where a policy says that lists of what is revoked lie: as a source, every bundle that is there.
type Lists struct {
	From    string // a file of bundles, one a line, or a reference, with or without oci:// before a registry's host
	Dir     string // folder of the policy, from which relative paths lead
	Options Options
}

// Ref returns the reference that From is, and whether it is one; else it is a file.
func (l Lists) Ref() (Ref, bool) {
	ref, err := ParseURI(l.From, "")
	if err != nil {
		return Ref{}, false
	}
	if ref.dir != "" && !filepath.IsAbs(ref.dir) {
		ref.dir = filepath.Join(l.Dir, ref.dir)
	}
	return ref, true
}

// Path returns the file that From is, where it is no reference.
func (l Lists) Path() string {
	if filepath.IsAbs(l.From) {
		return l.From
	}
	return filepath.Join(l.Dir, filepath.FromSlash(l.From))
}

// Evidence reads the lists. That there is none is an error: whoever looks for what is revoked has to find a list, be it
// an empty one.
func (l Lists) Evidence(ctx context.Context) ([]chain.Item, error) {
	if l.From == "" {
		return nil, errors.New("read list of what is revoked: nobody says where it is")
	}
	if ref, ok := l.Ref(); ok {
		item, err := FetchBundle(ctx, ref, l.Options)
		if err != nil {
			return nil, fmt.Errorf("read list of what is revoked: %w", err)
		}
		return []chain.Item{item}, nil
	}
	items, err := ReadBundles(l.Path())
	if err != nil {
		return nil, fmt.Errorf("read list of what is revoked: %w", err)
	}
	return items, nil
}

// Replace makes bundle the one list that lies there.
func (l Lists) Replace(ctx context.Context, bundle attestations.Bundle) error {
	if ref, ok := l.Ref(); ok {
		return PublishBundle(ctx, ref, bundle, l.Options)
	}
	return WriteBundles(ctx, l.Path(), bundle)
}

// IsNotFound reports whether err says that nothing lies where something was looked for, as opposed to that it could not be
// looked for.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, fs.ErrNotExist) }
