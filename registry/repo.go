package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// defaultTimeout is how long a network step may stand still.
const defaultTimeout = 2 * time.Minute

// Options says how to reach a repository. The zero Options uses TLS, Docker's and Podman's logins, and the proxies
// that the environment names.
type Options struct {
	InsecureHTTP bool              // allow HTTP without TLS where the registry does not speak TLS; to this machine it is always allowed
	Keychain     authn.Keychain    // where logins are found; nil: the file REGISTRY_AUTH_FILE names, or Docker's and Podman's, and their helpers
	Transport    http.RoundTripper // nil: the standard one
	Timeout      time.Duration     // for a network step that does not move; 0: 2 minutes; layouts have none
	Offline      bool              // never use the network: opening a registry is an ErrOffline

	RegistryCA        string // file of certificates in PEM that are trusted for TLS, besides the machine's; empty: none
	ClientCertificate string // file of a certificate in PEM, and its chain, that the registry is shown; empty: none
	ClientKey         string // file of that certificate's private key in PEM, not encrypted

	// Alone has nothing dialled but the registry itself: no redirect is followed, no token service of another host asked.
	Alone bool

	RequireReferrersAPI bool // refuse a registry without the referrers API instead of using the fallback tags

	// Retries is how often a request is made again, and a transfer taken up again, while nothing moves: after a broken
	// connection, and after the answers 429, 500, 502, 503 and 504. 0: 5 times; negative: never.
	Retries int
	// Wait waits before a retry, or until ctx ends, whose cause it then returns. nil: by the clock.
	Wait func(ctx context.Context, d time.Duration) error

	shared *shared // nil: every repository has connections of its own
}

// Repo is a repository of a registry, or an OCI image layout on disk. Its methods are safe for concurrent use. Close it
// when it is no longer needed.
type Repo struct {
	ref     Ref
	store   store
	require bool // Options.RequireReferrersAPI

	mu   sync.Mutex
	last *rawManifest // the one read last: it is resolved first and read next
}

type rawManifest struct {
	descriptor Descriptor
	raw        []byte
}

// Open returns the repository that ref lies in. Nothing is read or sent yet: a registry that is not there, or a layout
// that does not exist, shows with the first use. Push makes a layout that does not exist.
func Open(ref Ref, o Options) (*Repo, error) {
	switch {
	case ref.archive:
		return &Repo{ref: ref, store: &archive{path: ref.dir}}, nil
	case ref.dir != "":
		return &Repo{ref: ref, store: &layout{dir: ref.dir}}, nil
	case ref.host == "":
		return nil, errors.New("open repository: empty reference")
	case o.Offline:
		return nil, doing(ErrOffline, "open %s", ref.Name())
	case o.Timeout < 0:
		return nil, fmt.Errorf("open %s: timeout %s is negative", ref.Name(), o.Timeout)
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	r, err := newRemote(ref, o)
	if err != nil {
		return nil, doing(err, "open %s", ref.Name())
	}
	return &Repo{ref: ref, store: r, require: o.RequireReferrersAPI}, nil
}

// Close ends idle connections. Operations under way go on.
func (r *Repo) Close() error {
	r.store.close()
	return nil
}

// Name returns HOST/NAME or oci:DIR.
func (r *Repo) Name() string { return r.ref.Name() }

// Resolve returns the manifest that ref names. A digest wins over a tag beside it; a layout's reference without either
// names its only artifact. The tag is asked for once, and what it answers is held to the digest of its own bytes: go on
// with the digest, for the tag may move. A tag or digest that is not there is an ErrNotFound. ref must lie in this
// repository.
func (r *Repo) Resolve(ctx context.Context, ref Ref) (Descriptor, error) {
	if ref.Name() != r.ref.Name() {
		return Descriptor{}, fmt.Errorf("resolve %s: not in %s", ref, r.Name())
	}
	target := ref.digest
	if target == "" {
		target = ref.tag
	}
	if target == "" {
		var err error
		if target, err = r.store.sole(ctx); err != nil {
			return Descriptor{}, doing(err, "resolve %s", ref)
		}
	}
	m, err := r.read(ctx, target)
	if err != nil {
		return Descriptor{}, doing(err, "resolve %s", ref)
	}
	return m.descriptor, nil
}

// Manifest returns the bytes of the manifest with the given digest, which were checked against it, at most 8 MiB. They
// need not be a manifest's, or well-formed. Do not modify them.
func (r *Repo) Manifest(ctx context.Context, digest string) ([]byte, error) {
	m, err := r.byDigest(ctx, digest)
	if err != nil {
		return nil, doing(err, "read manifest %s of %s", digest, r.Name())
	}
	return m.raw, nil
}

// byDigest reads a manifest, from memory if it is the one that was read last.
func (r *Repo) byDigest(ctx context.Context, digest string) (*rawManifest, error) {
	if err := (Descriptor{Digest: digest}).check(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	last := r.last
	r.mu.Unlock()
	if last != nil && last.descriptor.Digest == digest {
		return last, nil
	}
	return r.read(ctx, digest)
}

// read reads a manifest by digest or tag from the store.
func (r *Repo) read(ctx context.Context, target string) (*rawManifest, error) {
	raw, mediaType, err := r.store.manifest(ctx, target)
	if err != nil {
		return nil, err
	}
	m := &rawManifest{Descriptor{mediaType, sumOf(raw), int64(len(raw))}, raw}
	if (Descriptor{Digest: target}).check() == nil {
		if err := checkSum(raw, target); err != nil {
			return nil, err
		}
	}
	own, err := mediaTypeOf(raw)
	if err != nil && r.holds(ctx, target, m) {
		err = nil // it is what is there, so it can be refused: that is for those who know what it should be
	}
	switch {
	case err != nil:
		return nil, err
	case own != "" && mediaType != "" && own != mediaType:
		return nil, fmt.Errorf("manifest of type %q is served as %q", own, mediaType)
	case own != "":
		m.descriptor.MediaType = own
	}
	r.mu.Lock()
	r.last = m
	r.mu.Unlock()
	return m, nil
}

// holds reports whether m, which is no well-formed manifest, is what the repository has under target, and not the page
// of some proxy or an answer that broke off. Its digest proves that; where a tag was asked for, what the registry calls
// a manifest must be there under its digest too.
func (r *Repo) holds(ctx context.Context, target string, m *rawManifest) bool {
	if target == m.descriptor.Digest {
		return true
	}
	if !slices.Contains(manifestTypes, m.descriptor.MediaType) {
		return false
	}
	again, _, err := r.store.manifest(ctx, m.descriptor.Digest)
	return err == nil && bytes.Equal(again, m.raw)
}

// Tag makes tag name the manifest with the given digest, which is in the repository already. It comes last: whoever
// sees the tag sees everything that was put there before.
func (r *Repo) Tag(ctx context.Context, digest, tag string) error {
	if !isTag(tag) {
		return fmt.Errorf("tag %s of %s: %q is no tag", digest, r.Name(), tag)
	}
	m, err := r.byDigest(ctx, digest)
	if err == nil {
		_, err = r.store.putManifest(ctx, m.raw, m.descriptor, tag)
	}
	return doing(err, "tag %s of %s as %s", digest, r.Name(), tag)
}
