package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// LibraryOptions says where the artifacts that others were made from are looked for. The zero value looks nowhere.
type LibraryOptions struct {
	Paths   []string        // artifacts on disk with the evidence beside them, OCI layouts, exported folders, files of bundles
	Refs    []Ref           // repositories of registries and layouts, in which every digest is looked for; tags do not matter
	Sources []policy.Source // what a policy lets evidence be fetched from, where trusted statements say that it lies

	Registry Options                        // how registries are reached. Its logins go where the caller named a repository, and where a Source has Credentials
	Progress func() func(done, total int64) // returns who hears of the bytes hashed of one artifact on disk; nil: nobody
}

// Library finds artifacts by their IDs, in what its caller named and where a policy lets it go. Nothing else is dialled. It
// may be used by several goroutines. Close it when it is no longer needed.
type Library struct {
	o       LibraryOptions
	shelves []shelf // in the order in which they were named

	mu    sync.Mutex
	repos map[string]*Repo // that were dialled for URIs, by name
}

// shelf is one place of a library.
type shelf interface {
	// find returns what there is of the artifact id, and whether it is known here: that there is nothing may be known too.
	find(ctx context.Context, id string) (found chain.Found, known bool, err error)
}

// OpenLibrary returns a library of what o names. What cannot be what it is named as is an error; nothing is hashed or
// dialled before something is looked for.
func OpenLibrary(o LibraryOptions) (*Library, error) {
	l := &Library{o: o, repos: map[string]*Repo{}}
	for _, path := range o.Paths {
		s, err := openShelf(path, o)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open evidence %q: %w", path, err), l.Close())
		}
		l.shelves = append(l.shelves, s)
	}
	for _, ref := range o.Refs {
		repo, err := Open(ref, o.Registry)
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
		l.shelves = append(l.shelves, repoShelf{repo})
	}
	return l, nil
}

// openShelf tells what lies at a path that the caller named.
func openShelf(path string, o LibraryOptions) (shelf, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	files := &filesShelf{path: path}
	if o.Progress != nil {
		files.progress = o.Progress()
	}
	if !info.IsDir() {
		if items, err := ReadBundles(path); err == nil {
			return newLooseShelf(items), nil
		}
		return files, nil
	}
	if exists(filepath.Join(path, exportName)) {
		return openExport(path)
	}
	if exists(filepath.Join(path, ocispec.ImageLayoutFile)) {
		repo, err := Open(Ref{dir: path}, o.Registry)
		if err != nil {
			return nil, err
		}
		return repoShelf{repo}, nil
	}
	return files, nil
}

// Unasked yields path and artifact ID of each artifact on disk that was named and that no Find has asked for so far, in the
// order in which they were named. Where nothing was looked for yet there is none. Call it while no Find is under way.
func (l *Library) Unasked() iter.Seq2[string, string] {
	return func(yield func(path, id string) bool) {
		for _, s := range l.shelves {
			if f, ok := s.(*filesShelf); ok && f.id != "" && !f.asked.Load() && !yield(f.path, f.id) {
				return
			}
		}
	}
}

// Close ends idle connections.
func (l *Library) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.shelves {
		if r, ok := s.(repoShelf); ok {
			errs = append(errs, r.repo.Close())
		}
	}
	for _, r := range l.repos {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Find looks for the artifact want.ID in every place that was named, and where want.URIs lead, if the policy lets it.
// Offline nothing is asked there: that is an error only where nothing else knows the artifact.
func (l *Library) Find(ctx context.Context, want policy.Want) (chain.Found, error) {
	var out chain.Found
	var errs []error
	known := false
	add := func(f chain.Found, is bool, err error) {
		if out.Artifact == nil {
			out.Artifact = f.Artifact
		}
		out.Sources, out.Notes = append(out.Sources, f.Sources...), append(out.Notes, f.Notes...)
		known = known || is
		errs = append(errs, err)
	}
	for _, s := range l.shelves {
		add(s.find(ctx, want.ID))
	}
	asked := map[string]bool{}
	for _, uri := range want.URIs {
		ref, credentials, why := l.allowed(uri, want.ID)
		switch {
		case why != "":
			out.Notes = append(out.Notes, fmt.Sprintf("%s: not looked for at %q: %s", want.ID, uri, why))
		case asked[ref.Name()]:
		case l.o.Registry.Offline && known:
			out.Notes = append(out.Notes, fmt.Sprintf("%s: not looked for at %q: offline", want.ID, uri))
		default:
			asked[ref.Name()] = true
			repo, err := l.dial(ref, credentials)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			add(repoShelf{repo}.find(ctx, want.ID))
		}
	}
	return out, errors.Join(errs...)
}

// allowed returns the reference that a URI is, if the policy lets the artifact id be fetched there; else why it is not.
func (l *Library) allowed(uri, id string) (ref Ref, credentials bool, why string) {
	ref, err := ParseURI(uri, id)
	switch {
	case err != nil || ref.Host() == "":
		return Ref{}, false, "it is no reference to a registry"
	case ref.Digest() != "" && ref.Digest() != id:
		return Ref{}, false, "it names another digest"
	}
	best := -1
	for _, s := range l.o.Sources {
		if len(s.Prefix) > best && strings.HasSuffix(s.Prefix, "/") && strings.HasPrefix(ref.Name()+"/", s.Prefix) {
			best, credentials = len(s.Prefix), s.Credentials
		}
	}
	if best < 0 {
		return Ref{}, false, "the policy lists no source that it is under"
	}
	return ref, credentials, ""
}

// dial returns the repository of ref, which is asked nothing but by digest, and is alone in being asked.
func (l *Library) dial(ref Ref, credentials bool) (*Repo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.repos[ref.Name()]; r != nil {
		return r, nil
	}
	o := l.o.Registry
	o.Alone = true
	if !credentials {
		o.Keychain, o.ClientCertificate, o.ClientKey = strangers{}, "", ""
	}
	r, err := Open(ref, o)
	if err == nil {
		l.repos[ref.Name()] = r
	}
	return r, err
}

// strangers is a keychain without a login.
type strangers struct{}

// Resolve returns nobody.
func (strangers) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }
