package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// repoShelf is a repository, in which artifacts are looked for by digest.
type repoShelf struct{ repo *Repo }

func (s repoShelf) find(ctx context.Context, id string) (chain.Found, bool, error) {
	raw, err := s.repo.Manifest(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound): // what is said of it may be there without it
		items, err := s.repo.Bundles(ctx, id)
		if err != nil && !errors.Is(err, ErrNotFound) || len(items) == 0 {
			return chain.Found{}, false, ignore(err, ErrNotFound)
		}
		return chain.Found{Sources: []chain.Source{bundles(items)}}, true, nil
	case err != nil:
		return chain.Found{}, false, err
	}
	pinned := s.repo.ref.Pinned(id)
	return chain.Found{Artifact: chain.NewManifest(raw, pinned, pinned, ""), Sources: []chain.Source{s.repo.Evidence(id)}}, true, nil
}

func ignore(err, kind error) error {
	if errors.Is(err, kind) {
		return nil
	}
	return err
}

// bundles are evidence that was read already.
type bundles []chain.Item

func (b bundles) Evidence(context.Context) ([]chain.Item, error) { return b, nil }

// filesShelf is one artifact on disk. It is hashed when something is looked for first, with the exclusions that its
// signature records: what they leave out is no part of what the ID that it then has names.
type filesShelf struct {
	path     string
	progress func(done, total int64)

	once  sync.Once
	built *chain.Manifest
	id    string
	err   error
	asked atomic.Bool // somebody looked for it
}

func (s *filesShelf) find(ctx context.Context, id string) (chain.Found, bool, error) {
	s.once.Do(func() { s.err = s.hash(ctx) })
	if s.err != nil {
		return chain.Found{}, false, fmt.Errorf("read evidence %q: %w", s.path, s.err)
	}
	if s.id != id {
		return chain.Found{}, false, nil
	}
	s.asked.Store(true)
	return chain.Found{Artifact: s.built, Sources: []chain.Source{Beside{Path: s.path}}}, true, nil
}

func (s *filesShelf) hash(ctx context.Context) error {
	o := manifest.Options{Progress: s.progress}
	raw, err := ReadSignature(s.path, "")
	if err != nil {
		return err
	}
	if raw != nil {
		u, err := raw.Peek()
		if err != nil {
			return err
		}
		o.AllowSymlinks = u.AllowSymlinks
		for _, p := range u.IgnorePaths {
			if clean, err := manifest.CleanExclusions(s.path, []string{p}); err == nil { // others exclude nothing (OMS §6.2.1)
				o.IgnorePaths = append(o.IgnorePaths, clean...)
			}
		}
	}
	m, err := manifest.Build(ctx, s.path, o)
	if err != nil {
		return err
	}
	if s.built, err = chain.NewBuilt(m, s.path); err != nil {
		return err
	}
	a, _ := s.built.Describe()
	s.id = a.ID
	return nil
}

// looseShelf is a file of bundles, which lie with no artifact: each is found by what it says that it is about.
type looseShelf map[string]bundles

func newLooseShelf(items []chain.Item) looseShelf {
	s := looseShelf{}
	for _, item := range items {
		u, err := item.Bundle.Peek()
		if err != nil {
			continue // it says nothing of anything
		}
		for _, subject := range u.Subject {
			id := string(hashing.SHA256) + ":" + subject.Digest[string(hashing.SHA256)]
			s[id] = append(s[id], item)
		}
	}
	return s
}

func (s looseShelf) find(_ context.Context, id string) (chain.Found, bool, error) {
	items, known := s[id]
	if !known {
		return chain.Found{}, false, nil
	}
	return chain.Found{Sources: []chain.Source{items}}, true, nil
}
