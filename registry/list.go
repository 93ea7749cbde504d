package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
)

// uriScheme begins URIs of what lies in a registry, as statements and policies write them.
const uriScheme = "oci://"

// PublishBundle stores a bundle that is about no artifact, such as a list of what is revoked, under a tag of its own, in the
// form that cosign v3 gives to bundles, without a subject. What the tag named before it names no more.
func PublishBundle(ctx context.Context, ref Ref, bundle attestations.Bundle, o Options) error {
	return publishUnder(ctx, ref, bundle, o, nil)
}

// publishUnder is PublishBundle; see Repo.publishBundle for was.
func publishUnder(ctx context.Context, ref Ref, bundle attestations.Bundle, o Options, was *string) error {
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
	return doing(repo.publishBundle(ctx, bundle, u.PredicateType, ref, was), "publish bundle as %s", ref)
}

// publishBundle stores a bundle under ref's tag: where was is not nil, only if the tag names that manifest, or nothing if it
// is empty. A layout's lock keeps others away in between. A registry has no such thing: it is asked just before and just
// after.
func (r *Repo) publishBundle(ctx context.Context, bundle []byte, predicateType string, ref Ref, was *string) error {
	raw, m, err := newBundleManifest(nil, bundle, predicateType)
	if err != nil {
		return err
	}
	d := m.entry(raw).Descriptor
	for _, b := range []struct {
		d       Descriptor
		content []byte
	}{{m.Layers[0], bundle}, {m.Config, emptyConfig}} {
		if err := r.pushBlob(ctx, b.d, opener(b.content), newMeter(nil)); err != nil {
			return err
		}
	}
	l, local := r.store.(*layout)
	switch {
	case was == nil:
		_, err = r.store.putManifest(ctx, raw, d, ref.Tag())
	case local:
		err = l.put(ctx, raw, d, ref.Tag(), func(names string) error { return still(names, *was) })
	default:
		return r.overtake(ctx, raw, d, ref, *was)
	}
	if err != nil {
		return err
	}
	return r.Finish()
}

// overtake puts a manifest under a tag, in place of the one that was there, and looks whether it stays there.
func (r *Repo) overtake(ctx context.Context, raw []byte, d Descriptor, ref Ref, was string) error {
	names, err := r.names(ctx, ref)
	if err == nil {
		err = still(names, was)
	}
	if err == nil {
		_, err = r.store.putManifest(ctx, raw, d, ref.Tag())
	}
	if err == nil {
		err = r.Finish()
	}
	if err != nil {
		return err
	}
	names, err = r.names(ctx, ref)
	switch {
	case err != nil:
		return fmt.Errorf("it was stored, and what is there now cannot be read: %w", err)
	case names == d.Digest:
		return nil
	case names == was:
		return fmt.Errorf("it was stored, and %s still names what it did", ref)
	}
	return fmt.Errorf("%w: this one was stored, and %s names %s now", ErrOvertaken, ref, names)
}

// names returns the digest of what a tag names; nothing where it names nothing.
func (r *Repo) names(ctx context.Context, ref Ref) (string, error) {
	digest, err := r.Digest(ctx, ref)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	return digest, err
}

func still(names, was string) error {
	if names != was {
		return errOvertakenBefore
	}
	return nil
}

// ErrOvertaken is of a list that somebody else put another one in place of at the same time.
var ErrOvertaken = errors.New("somebody else wrote another list at the same time")

var errOvertakenBefore = fmt.Errorf("%w: nothing was changed", ErrOvertaken)

// FetchBundle reads the bundle that PublishBundle stored under ref. Anything else under that name is an error.
func FetchBundle(ctx context.Context, ref Ref, o Options) (chain.Item, error) {
	item, _, err := fetchBundle(ctx, ref, o)
	return item, err
}

// fetchBundle returns the digest of the bundle's manifest too.
func fetchBundle(ctx context.Context, ref Ref, o Options) (item chain.Item, manifest string, err error) {
	repo, err := Open(ref, o)
	if err != nil {
		return item, "", err
	}
	defer repo.Close()
	item.Where = ref.String()
	item.Bundle, manifest, err = repo.fetchBundle(ctx, ref)
	return item, manifest, doing(err, "fetch bundle %s", ref)
}

func (r *Repo) fetchBundle(ctx context.Context, ref Ref) (bundle []byte, manifest string, err error) {
	d, err := r.Resolve(ctx, ref)
	if err != nil {
		return nil, "", err
	}
	raw, err := r.Manifest(ctx, d.Digest)
	if err != nil {
		return nil, "", err
	}
	m, err := parseBundleManifest(raw, "")
	if err != nil {
		return nil, "", err
	}
	bundle, err = r.bundleBlob(ctx, m.Layers[0], &budget{left: maxEvidence})
	return bundle, d.Digest, err
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

// Edition is what lay at a place of lists when it was read. The zero Edition is that nothing did.
type Edition struct {
	Items []chain.Item

	manifest string // digest, where the place is a reference
}

// Evidence reads the lists. That there is none is an error: whoever looks for what is revoked has to find a list, be it
// an empty one.
func (l Lists) Evidence(ctx context.Context) ([]chain.Item, error) {
	e, err := l.Read(ctx)
	return e.Items, err
}

// Read is Evidence, for somebody who means to put another list in its place.
func (l Lists) Read(ctx context.Context) (e Edition, err error) {
	if l.From == "" {
		return e, errors.New("read list of what is revoked: nobody says where it is")
	}
	if ref, ok := l.Ref(); ok {
		var item chain.Item
		item, e.manifest, err = fetchBundle(ctx, ref, l.Options)
		e.Items = []chain.Item{item}
	} else {
		e.Items, err = ReadBundles(l.Path())
	}
	if err != nil {
		return Edition{}, fmt.Errorf("read list of what is revoked: %w", err)
	}
	return e, nil
}

// Replace makes bundle the one list that lies there, in place of was, which Read returned or which is zero. Where something
// else lies there by now nothing is changed, and the error is ErrOvertaken.
//
// Of a file and a layout that is sure. A registry moves a tag without a condition, so it is asked what the tag names just
// before and just after; where it is somebody else's list after, that is an ErrOvertaken too. A writer who is done, with both
// questions, between the one before and the write that follows it loses its list, and nobody is told.
func (l Lists) Replace(ctx context.Context, bundle attestations.Bundle, was Edition) error {
	if ref, ok := l.Ref(); ok {
		return publishUnder(ctx, ref, bundle, l.Options, &was.manifest)
	}
	return doing(replaceBundles(ctx, l.Path(), bundle, was.Items), "write list %s", l.Path())
}

// replaceBundles is WriteBundles of one bundle, if what the file holds is still what was read.
func replaceBundles(ctx context.Context, at string, bundle attestations.Bundle, was []chain.Item) error {
	line, err := claimLine(bundle)
	if err != nil {
		return err
	}
	return rewrite(ctx, at, func(old []byte) ([]byte, error) {
		items, err := splitBundles(at, old)
		if err != nil {
			return nil, err
		}
		if !slices.EqualFunc(items, was, func(a, b chain.Item) bool { return bytes.Equal(a.Bundle, b.Bundle) }) {
			return nil, errOvertakenBefore
		}
		return line, nil
	})
}

// IsNotFound reports whether err says that nothing lies where something was looked for, as opposed to that it could not be
// looked for.
func IsNotFound(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, fs.ErrNotExist) }
