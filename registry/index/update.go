package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
)

// UpdateOptions says whom to believe and how to ask. The zero UpdateOptions trusts nobody: every bundle is then recorded as
// refused, and nothing of lineage is known.
type UpdateOptions struct {
	Roots    trust.Roots   // opens bundles
	Policy   policy.Policy // whose statements are followed, of those that opened; what it asks of signatures holds for all of them
	Registry registry.Options
	Workers  int                   // artifacts at the same time; 0: 4
	Progress func(done, total int) // artifacts, as far as they are listed; nil: none; one call at a time
}

// Report is what an update found.
type Report struct {
	Scope     string
	Repos     int
	Artifacts int      // manifests that are named, or below an index that is
	Unchanged int      // of them those whose evidence is what it was: only their digests were asked for
	Opened    int      // bundles that were read and opened
	Refused   int      // bundles that were read and are no evidence
	New       int      // events that were written
	Problems  []string // what could not be read; none: all of it was
}

// Update looks at everything in scope and records what is new: what references name, which evidence lies with it, and what
// opened evidence says. An artifact whose evidence is that of the last time, under the same trust, is asked for its digest
// and its list of evidence and no more. What was recorded stays, whatever became of its bundle: only Rebuild forgets.
//
// What cannot be read is a problem in the Report and in the log, and the rest goes on. The error is that the index could
// not be read or written, or the end of ctx; what was recorded until then stays, and the next update goes on from there.
func (x *Index) Update(ctx context.Context, scope registry.Scope, o UpdateOptions) (Report, error) {
	u := &update{x: x, o: o, trust: trustText(o.Roots, o.Policy), report: Report{Scope: scope.String()}}
	began := x.now()
	found, err := registry.Repositories(ctx, scope, o.Registry)
	if err != nil {
		u.problem(err)
	}
	for _, name := range found.Refused {
		u.problem(fmt.Errorf("repository %q: no repository may have that name", name))
	}
	u.report.Repos = len(found.Repos)
	work, inner := errgroup.WithContext(ctx)
	work.SetLimit(cmp.Or(max(o.Workers, 0), 4))
	for _, ref := range found.Repos {
		if err := u.repository(inner, ref, work); err != nil {
			break // which work says too, or the end of ctx
		}
	}
	err = work.Wait()
	for _, r := range u.open {
		_ = r.Close()
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err == nil && len(u.report.Problems) == 0 {
		err = u.gone(ctx, scope)
	}
	if err == nil {
		slices.Sort(u.report.Problems)
		err = u.record(ctx, Updated{u.report.Scope, began, u.report.Artifacts, u.report.Problems})
	}
	if err == nil {
		err = u.flush(ctx)
	}
	return u.report, err
}

// update is one run of Update.
type update struct {
	x     *Index
	o     UpdateOptions
	trust string
	open  []*registry.Repo

	mu      sync.Mutex
	report  Report
	done    int
	waiting []Entry
	seen    map[string]bool // references
}

// trustText is whom roots and p trust: it changes when that does.
func trustText(roots trust.Roots, p policy.Policy) string {
	all := []string{"policy " + p.String(), fmt.Sprintf("thresholds %d %d %v", p.LogThreshold, p.TimeThreshold, p.RequireLog)}
	for _, i := range p.Signers {
		all = append(all, fmt.Sprintf("signer %q %q %q %q %v %v", i.Key, i.CA, i.Issuer, i.Subject, i.AnySubject, i.Window))
	}
	for _, k := range roots.Keys {
		all = append(all, "key "+k.Fingerprint())
	}
	for _, a := range roots.Authorities {
		all = append(all, "ca "+a.Fingerprint())
	}
	if o := roots.Origin(); o != nil {
		all = append(all, "root "+o.Digest)
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func (u *update) problem(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.report.Problems = append(u.report.Problems, err.Error())
}

// repository lists a repository and has its artifacts looked at. Its error is that there is no use in going on.
func (u *update) repository(ctx context.Context, ref registry.Ref, work *errgroup.Group) error {
	repo, err := registry.Open(ref, u.o.Registry)
	if err != nil {
		u.problem(err)
		return nil
	}
	u.open = append(u.open, repo)
	refs, err := repo.Refs(ctx)
	if err != nil {
		u.problem(err)
		return ctx.Err()
	}
	all := &asked{repo: repo, once: map[string]bool{}}
	u.mu.Lock()
	u.report.Artifacts += len(refs)
	u.mu.Unlock()
	for _, r := range refs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		work.Go(func() error {
			err := u.reference(ctx, all, r)
			u.mu.Lock()
			defer u.mu.Unlock()
			u.done++
			if u.o.Progress != nil {
				u.o.Progress(u.done, u.report.Artifacts)
			}
			return err
		})
	}
	return nil
}

// asked is a repository and what of it was looked at.
type asked struct {
	repo *registry.Repo

	mu   sync.Mutex
	once map[string]bool
}

// first reports whether nobody asked for the digest before.
func (a *asked) first(digest string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := !a.once[digest]
	a.once[digest] = true
	return first
}

// reference looks at what a reference names, and below it.
func (u *update) reference(ctx context.Context, from *asked, ref registry.Ref) error {
	digest, err := ref.Digest(), error(nil)
	if digest == "" {
		digest, err = from.repo.Digest(ctx, ref)
	}
	if err != nil {
		return u.failed(ctx, err)
	}
	u.mu.Lock()
	if u.seen == nil {
		u.seen = map[string]bool{}
	}
	u.seen[ref.String()] = true
	u.mu.Unlock()
	if err := u.record(ctx, Named{ref.String(), digest}); err != nil {
		return err
	}
	before, known, err := u.x.listing(ctx, from.repo.Name(), digest)
	if err != nil {
		return err
	}
	var holds []string
	if known { // a digest names the same for ever
		holds = before.holds
	} else {
		below, err := from.repo.Below(ctx, digest)
		if err != nil {
			return u.failed(ctx, err)
		}
		for _, d := range below {
			if d.Digest != digest {
				holds = append(holds, d.Digest)
			}
		}
	}
	if err := u.artifact(ctx, from, digest, holds); err != nil {
		return err
	}
	for _, h := range holds {
		u.mu.Lock()
		u.report.Artifacts++
		u.done++
		u.mu.Unlock()
		if err := u.artifact(ctx, from, h, nil); err != nil {
			return err
		}
	}
	return nil
}

// failed notes what could not be read; the end of ctx is an error.
func (u *update) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	u.problem(err)
	return nil
}

// artifact reads the evidence of an artifact if it is another than it was. What is recorded of it becomes known at once,
// its list last.
func (u *update) artifact(ctx context.Context, from *asked, digest string, holds []string) error {
	if !from.first(digest) {
		u.mu.Lock()
		u.report.Artifacts--
		u.done--
		u.mu.Unlock()
		return nil
	}
	referrers, err := from.repo.Referrers(ctx, digest)
	if err != nil {
		return u.failed(ctx, err)
	}
	list := Listed{Repo: from.repo.Name(), Artifact: digest, Holds: holds, Referrers: referrers, Trust: u.trust}
	before, known, err := u.x.listing(ctx, list.Repo, digest)
	if err != nil {
		return err
	}
	if known && before.evidence == list.fingerprint() {
		u.mu.Lock()
		u.report.Unchanged++
		u.mu.Unlock()
		return nil
	}
	items, err := from.repo.Bundles(ctx, digest)
	if err != nil {
		return u.failed(ctx, err)
	}
	var entries []Entry
	opened := 0
	for _, item := range items {
		e := EntryOf(digest, from.repo.Name(), item, u.o.Roots, u.o.Policy)
		if _, ok := e.(Opened); ok {
			opened++
		}
		entries = append(entries, e)
	}
	u.mu.Lock()
	u.report.Opened += opened
	u.report.Refused += len(entries) - opened
	u.mu.Unlock()
	return u.record(ctx, append(entries, list)...)
}

// EntryOf opens a bundle that lies with the artifact whose manifest has the digest about, in a repository (HOST/NAME or
// oci:DIR), and returns what to record of it: an Opened, or a Refused that says why it is no evidence. Update does this with
// all that it reads; it is for bundles that were got in another way.
func EntryOf(about, repo string, item chain.Item, roots trust.Roots, p policy.Policy) Entry {
	r := Refused{About: about, Where: repo + " " + item.Where}
	because := func(reason policy.Reason, why string) Refused {
		r.Reason, r.Why = reason, why
		return r
	}
	peeked, err := item.Bundle.Peek()
	if err != nil {
		return because(policy.BundleMalformed, err.Error())
	}
	r.Bundle, r.PredicateType = peeked.Name, peeked.PredicateType
	a, err := attestations.Open(item.Bundle, roots)
	var refused *attestations.OpenError
	switch {
	case errors.As(err, &refused):
		return because(refused.Reason, err.Error())
	case err != nil:
		return because(policy.BundleMalformed, err.Error())
	}
	if f := refusedBy(p, a); f != nil {
		return because(f.Code, f.Detail)
	}
	o, err := NewOpened(about, r.Where, a)
	var malformed *attestations.StatementError
	switch {
	case errors.As(err, &malformed):
		return because(policy.StatementMalformed, err.Error())
	case err != nil:
		return because(policy.IDMismatch, err.Error())
	}
	return o
}

// refusedBy says why a does not count for p; nil where it does. Roots open more than is trusted: every identity of a
// Sigstore instance, every leaf under a CA.
func refusedBy(p policy.Policy, a *attestations.Attestation) *policy.Finding {
	by := a.Signer()
	if !p.Trusts(by) {
		return &policy.Finding{Code: policy.UntrustedSigner, Detail: "signed by " + by.String()}
	}
	e := policy.Evidence{Signer: &by, LoggedBy: a.Logs(), TimedBy: a.Clocks()}
	if t, source, ok := a.Time(); ok {
		e.Time, e.TimeSource = &t, source
	}
	if found := p.Refuses(e); len(found) > 0 {
		return &found[0]
	}
	return nil
}

// record has entries written together, now or soon.
func (u *update) record(ctx context.Context, entries ...Entry) error {
	const enough = 500
	u.mu.Lock()
	u.waiting = append(u.waiting, entries...)
	full := len(u.waiting) >= enough
	u.mu.Unlock()
	if full {
		return u.flush(ctx)
	}
	return nil
}

func (u *update) flush(ctx context.Context) error {
	u.mu.Lock()
	now := u.waiting
	u.waiting = nil
	u.mu.Unlock()
	n, err := u.x.Record(ctx, now...)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.report.New += n
	return err
}

// gone records that references of scope are no longer there, once all of it could be read.
func (u *update) gone(ctx context.Context, scope registry.Scope) error {
	var lost []Entry
	err := u.x.known(ctx, func(s *state) error {
		for ref, history := range s.names {
			if !u.seen[ref] && history[len(history)-1].Artifact != "" && scope.Has(ref) {
				lost = append(lost, Named{Ref: ref})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(lost, func(a, b Entry) int { return strings.Compare(a.(Named).Ref, b.(Named).Ref) })
	return u.record(ctx, lost...)
}

// listing returns what was last recorded of the evidence of an artifact in a repository.
func (x *Index) listing(ctx context.Context, repo, digest string) (listing, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == nil {
		if err := x.catchUp(ctx, x.store); err != nil {
			return listing{}, false, x.doing("read", err)
		}
	}
	l, ok := x.state.listed[place{repo, digest}]
	return l, ok, nil
}
