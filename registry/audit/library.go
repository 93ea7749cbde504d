package audit

import (
	"context"
	"errors"
	"sync"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// maxKept is how many bytes of manifests and bundles are kept in memory: what many artifacts were made from is not fetched
// for each of them.
const maxKept = 16 << 20

// shelves find inputs: in the audited repositories, and elsewhere what those do not hold.
type shelves struct {
	found *inventory
	other chain.Library // nil: nowhere

	mu    sync.Mutex
	kept  map[string]chain.Found
	bytes int
}

// Find implements chain.Library. What is found in one reading is the same for all who ask while it is kept.
func (s *shelves) Find(ctx context.Context, want policy.Want) (chain.Found, error) {
	all := s.found.byID[want.ID]
	if len(all) == 0 {
		if s.other == nil {
			return chain.Found{}, nil
		}
		return s.other.Find(ctx, want)
	}
	s.mu.Lock()
	f, ok := s.kept[want.ID]
	s.mu.Unlock()
	if ok {
		return f, nil
	}
	var errs []error
	size := 0
	for _, h := range all {
		target, n, err := h.fetch(ctx)
		if f.Artifact == nil {
			f.Artifact = target.Artifact
		}
		for _, source := range target.Sources {
			if u, failed := source.(unread); failed {
				errs = append(errs, u.err)
				continue
			}
			f.Sources = append(f.Sources, source)
		}
		size += n
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if err == nil {
		s.keep(want.ID, f, size)
	}
	return f, err
}

func (s *shelves) keep(id string, f chain.Found, size int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || s.bytes+size > maxKept {
		s.kept, s.bytes = map[string]chain.Found{}, 0
	}
	if size <= maxKept {
		s.kept[id] = f
		s.bytes += size
	}
}

// items are bundles that were read.
type items []chain.Item

// Evidence returns them.
func (i items) Evidence(context.Context) ([]chain.Item, error) { return i, nil }

// unread is a source that could not be read.
type unread struct{ err error }

// Evidence returns the error.
func (u unread) Evidence(context.Context) ([]chain.Item, error) { return nil, u.err }

// fetch reads an artifact's manifest and bundles, and returns their bytes. An error is that the manifest could not be read;
// that its bundles could not is the source's to say.
func (h *held) fetch(ctx context.Context) (t chain.Target, size int, err error) {
	raw, err := h.repo.Manifest(ctx, h.ref.Digest())
	if err != nil {
		return t, 0, err
	}
	tag, pinned := "", h.ref.String()
	if len(h.tags) > 0 {
		tag = h.tags[0]
	}
	t.Artifact = chain.NewManifest(raw, pinned, pinned, tag)
	size = len(raw)
	if h.err != nil {
		t.Sources = []chain.Source{unread{h.err}}
		return t, size, nil
	}
	found, err := h.repo.BundlesOf(ctx, h.ref.Digest(), h.referrers)
	if err != nil {
		t.Sources = []chain.Source{unread{err}}
		return t, size, nil
	}
	for _, item := range found {
		size += len(item.Bundle)
	}
	t.Sources = []chain.Source{items(found)}
	return t, size, nil
}
