package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
)

// maxFailures is how often in a row a registry may fail to answer before it is asked no more in an audit: each time costs
// all the waiting that a single request is worth.
const maxFailures = 12

// held is one manifest that a repository holds.
type held struct {
	repo      *registry.Repo
	ref       registry.Ref // of the repository, with the manifest's digest
	tags      []string
	mediaType string
	other     string   // why it is no artifact; empty: it is one, or calls itself one
	referrers []string // digests of what may be its bundles, sorted
	err       error    // why those are not known
}

// inventory is what registries hold, as far as they say.
type inventory struct {
	mu     sync.Mutex
	held   map[string]*held // by repository and digest
	byID   map[string][]*held
	repos  map[string]bool // by name: those that were listed, to the last of their tags
	unread []Row
	open   []*registry.Repo
	tags   int // that were looked at
	named  int // that are known of
	silent map[string]*silence
}

// silence counts how often in a row a host failed to answer.
type silence struct{ times int }

// silentError says that a host is asked no more.
type silentError struct {
	host  string
	times int
}

func (e *silentError) Error() string {
	return fmt.Sprintf("%s failed to answer %d times in a row, and was asked no more", e.host, e.times)
}

// Reason makes it a don't know.
func (e *silentError) Reason() policy.Reason { return policy.Unreachable }

// look asks for everything in scopes, workers requests at a time.
func (a *audit) look(ctx context.Context, scopes []registry.Scope) error {
	v := &inventory{held: map[string]*held{}, byID: map[string][]*held{}, repos: map[string]bool{}, silent: map[string]*silence{}}
	a.found = v
	gate := make(chan struct{}, a.workers())
	repositories, inner := errgroup.WithContext(ctx)
	repositories.SetLimit(a.workers())
	seen := map[string]bool{}
	for _, scope := range scopes {
		c, err := registry.Repositories(inner, scope, a.o.Registry)
		if err != nil {
			v.fail(scope.String(), "", err)
		}
		for _, name := range c.Refused {
			v.fail(fmt.Sprintf("%s (%q)", scope, name), "", fmt.Errorf("list repositories of %s: no repository may be called %q", scope, name))
		}
		for _, ref := range c.Repos {
			if seen[ref.Name()] {
				continue
			}
			seen[ref.Name()] = true
			repositories.Go(func() error {
				a.lookInto(inner, ref, gate)
				return inner.Err()
			})
		}
	}
	_ = repositories.Wait() // what failed is in rows
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, h := range v.held {
		slices.Sort(h.tags)
		h.tags = slices.Compact(h.tags)
		if h.other == "" {
			v.byID[h.ref.Digest()] = append(v.byID[h.ref.Digest()], h)
		}
	}
	for _, all := range v.byID {
		slices.SortFunc(all, func(a, b *held) int { return strings.Compare(a.key(), b.key()) })
	}
	return nil
}

// lookInto asks for everything in one repository. gate lets in one request each.
func (a *audit) lookInto(ctx context.Context, ref registry.Ref, gate chan struct{}) {
	v := a.found
	if err := v.answers(ref.Host()); err != nil {
		v.fail(ref.Name(), "", err)
		return
	}
	repo, err := registry.Open(ref, a.o.Registry)
	if err != nil {
		v.fail(ref.Name(), "", err)
		return
	}
	v.mu.Lock()
	v.open = append(v.open, repo)
	v.mu.Unlock()
	refs, err := repo.Refs(ctx)
	v.heard(ref.Host(), err)
	if err != nil {
		v.fail(ref.Name(), "", err)
		return
	}
	v.mu.Lock()
	v.named += len(refs)
	v.mu.Unlock()
	var work sync.WaitGroup
	for _, r := range refs {
		select {
		case gate <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-gate }()
			a.lookAt(ctx, repo, r)
		})
	}
	work.Wait()
	if ctx.Err() == nil {
		v.mu.Lock()
		v.repos[ref.Name()] = true
		v.mu.Unlock()
	}
}

// lookAt asks what one reference stands for, and what evidence there is of it.
func (a *audit) lookAt(ctx context.Context, repo *registry.Repo, ref registry.Ref) {
	v := a.found
	err := v.answers(ref.Host())
	if err == nil {
		none := true
		err = repo.Visit(ctx, ref, func(d registry.Descriptor, raw []byte) error {
			none = false
			v.note(ctx, repo, ref, d, raw)
			return ctx.Err()
		})
		v.heard(ref.Host(), err)
		if err == nil && none {
			v.empty(repo.Name(), ref.Tag())
		}
	}
	if err != nil && ctx.Err() == nil {
		v.fail(repo.Name(), ref.Tag(), err)
	}
	v.mu.Lock()
	v.tags++
	done, total := v.tags, v.named
	v.mu.Unlock()
	a.progress("listed", done, total)
}

// note notes a manifest under the tag that led to it, and who comes first asks for what refers to it.
func (v *inventory) note(ctx context.Context, repo *registry.Repo, ref registry.Ref, d registry.Descriptor, raw []byte) {
	key := repo.Name() + " " + d.Digest
	v.mu.Lock()
	h := v.held[key]
	first := h == nil
	if first {
		at, _ := registry.ParseRef(repo.Name() + "@" + d.Digest)
		h = &held{repo: repo, ref: at, mediaType: d.MediaType}
		v.held[key] = h
	}
	if tag := ref.Tag(); tag != "" {
		h.tags = append(h.tags, tag)
	}
	v.mu.Unlock()
	if !first {
		return
	}
	if _, problems := chain.NewManifest(raw, key, key, "").Describe(); len(problems) > 0 && problems[0].Code == policy.WrongArtifact {
		h.other = problems[0].Detail
		return
	}
	h.referrers, h.err = repo.Referrers(ctx, d.Digest)
}

// answers is the error that a host is asked no more; nil: it is.
func (v *inventory) answers(host string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.silent[host]; s != nil && s.times >= maxFailures {
		return &silentError{host, s.times}
	}
	return nil
}

// heard notes whether a host answered.
func (v *inventory) heard(host string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.silent[host] == nil {
		v.silent[host] = &silence{}
	}
	if err != nil && slices.Contains([]policy.Reason{policy.Unreachable, policy.TimedOut}, chain.Problem(err).Code) {
		v.silent[host].times++
		return
	}
	v.silent[host].times = 0
}

// fail adds a row for what could not be read.
func (v *inventory) fail(repository, tag string, err error) {
	p := chain.Problem(err)
	row := Row{Class: ClassUnread, Repository: repository, Verdict: policy.Unknown, Reasons: []policy.Reason{p.Code}, Detail: p.Detail}
	if tag != "" {
		row.Tags = []string{tag}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.unread = append(v.unread, row)
}

// empty adds a row for an index that lists nothing.
func (v *inventory) empty(repository, tag string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.unread = append(v.unread, Row{Class: ClassOther, Repository: repository, Tags: []string{tag},
		Reasons: []policy.Reason{policy.WrongArtifact}, Detail: "an index that lists nothing"})
}

func (v *inventory) close() {
	for _, r := range v.open {
		_ = r.Close()
	}
}

// evidenceOf is a digest of which evidence there is of an artifact, wherever the audited repositories hold it; empty where
// they do not, or where that could not be read.
func (v *inventory) evidenceOf(id string) string {
	all := v.byID[id]
	if len(all) == 0 {
		return ""
	}
	h := sha256.New()
	for _, one := range all {
		if one.err != nil {
			return ""
		}
		fmt.Fprintf(h, "%q %q\n", one.ref.Name(), one.referrers)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (h *held) key() string { return h.ref.Name() + " " + h.ref.Digest() }
