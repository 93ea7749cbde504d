package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Totals is what an audit amounts to. Lists are sorted; references are pinned by digest.
type Totals struct {
	Artifacts int `json:"artifacts"` // that were decided on
	Yes       int `json:"yes"`
	No        int `json:"no"`
	Unknown   int `json:"unknown"`
	Other     int `json:"other"`  // manifests that are no model, adapter or dataset
	Unread    int `json:"unread"` // what could not be read
	Reused    int `json:"reused"` // verdicts of an earlier audit

	Repositories []Coverage `json:"repositories"`
	Predicates   []Count    `json:"predicates"` // by type: artifacts that have opened evidence of it
	Signers      []Count    `json:"signers"`    // artifacts that have opened evidence by them

	Unsigned   []string     `json:"unsigned"`    // artifacts on which nobody signed
	Unexpected []Signing    `json:"unexpected"`  // signed by somebody whom nobody expects
	Broken     []BrokenLink `json:"brokenLinks"` // links that the policy refuses
	Stale      []BrokenLink `json:"staleLinks"`  // links to what is too old
	GoingStale []Change     `json:"goingStale"`  // yes now, and no longer at the horizon with the same evidence
	Ending     []Ending     `json:"ending"`      // keys, authorities, logs and the policy itself that end before the horizon
	Moved      []Move       `json:"moved"`       // tags that name something else than at the last audit
	Shrunk     []Shrinkage  `json:"shrunk"`      // evidence that is no longer there
	Revoked    []Revocation `json:"revoked"`     // what is revoked, and what is below
	Worse      []Change     `json:"worse"`       // what stops working under the simulated policy
}

// Coverage is how many artifacts of a repository there are, by verdict.
type Coverage struct {
	Repository string `json:"repository"`
	Artifacts  int    `json:"artifacts"`
	Yes        int    `json:"yes"`
	No         int    `json:"no"`
	Unknown    int    `json:"unknown"`
	Unsigned   int    `json:"unsigned"`
}

// Count is how many artifacts have something.
type Count struct {
	Name      string `json:"name"`
	Artifacts int    `json:"artifacts"`
}

// Signing is an artifact and who signed something about it, unexpectedly.
type Signing struct {
	Artifact string `json:"artifact"`
	Signer   string `json:"signer"`
	Why      string `json:"why"` // the policy does not know it, or no artifact of the repository had it at the last audit
}

// BrokenLink is a link of an artifact.
type BrokenLink struct {
	Artifact string          `json:"artifact"`
	Role     string          `json:"role"`
	Input    string          `json:"input"` // digest
	Name     string          `json:"name"`
	Reasons  []policy.Reason `json:"reasons"`
}

// Change is an artifact and the outcome that it will have.
type Change struct {
	Artifact string     `json:"artifact"`
	Now      Outcome    `json:"now"`
	Then     Outcome    `json:"then"`
	At       *time.Time `json:"at,omitempty"` // nil: as soon as the simulated policy is used
}

// Move is a tag that moved.
type Move struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	From       string `json:"from"`
	To         string `json:"to,omitempty"` // empty: the tag is gone
}

// Shrinkage is an artifact of which there was more evidence at the last audit.
type Shrinkage struct {
	Artifact string   `json:"artifact"`
	Gone     []string `json:"gone"` // digests of the bundles' manifests
}

// Revocation is something revoked, and what rests on it.
type Revocation struct {
	What  string   `json:"what"`  // a digest, a signer, a builder or a source
	Hit   []string `json:"hit"`   // artifacts that are refused for it
	Below []string `json:"below"` // artifacts that were made from those, by whatever account, and are not refused for it
}

// total makes the totals.
func (a *audit) total() Totals {
	t := Totals{Ending: a.judge.endings(a.now, a.horizon)}
	t.count(a.rows)
	for i := range a.rows {
		a.compareLast(&t, &a.rows[i])
	}
	a.moved(&t)
	t.Revoked = revocations(a.rows)
	slices.SortFunc(t.Unexpected, func(x, y Signing) int {
		return cmp.Or(strings.Compare(x.Artifact, y.Artifact), strings.Compare(x.Signer, y.Signer))
	})
	return t
}

func (t *Totals) count(rows []Row) {
	repositories, predicates, signers := map[string]*Coverage{}, map[string]int{}, map[string]int{}
	for i := range rows {
		r := &rows[i]
		switch r.Class {
		case ClassOther:
			t.Other++
			continue
		case ClassUnread:
			t.Unread++
			continue
		}
		c := repositories[r.Repository]
		if c == nil {
			c = &Coverage{Repository: r.Repository}
			repositories[r.Repository] = c
		}
		t.Artifacts++
		c.Artifacts++
		switch r.Verdict {
		case policy.Yes:
			t.Yes, c.Yes = t.Yes+1, c.Yes+1
		case policy.Unknown:
			t.Unknown, c.Unknown = t.Unknown+1, c.Unknown+1
		default:
			t.No, c.No = t.No+1, c.No+1
		}
		if r.Reused {
			t.Reused++
		}
		if r.Signatures == 0 && r.Verdict != policy.Unknown {
			c.Unsigned++
			t.Unsigned = append(t.Unsigned, r.Pinned())
		}
		for _, p := range r.Predicates {
			predicates[p]++
		}
		for _, s := range r.Signers {
			signers[s]++
		}
		t.conditions(r)
	}
	for _, name := range slices.Sorted(maps.Keys(repositories)) {
		t.Repositories = append(t.Repositories, *repositories[name])
	}
	t.Predicates, t.Signers = counts(predicates), counts(signers)
}

// conditions adds what stands in one row.
func (t *Totals) conditions(r *Row) {
	for _, s := range r.Strangers {
		t.Unexpected = append(t.Unexpected, Signing{r.Pinned(), s, "nobody whom the policy knows"})
	}
	for _, l := range r.Links {
		if l.Verdict == nil || *l.Verdict == policy.Yes {
			continue
		}
		b := BrokenLink{r.Pinned(), l.Role, l.Digest, l.Name, l.Reasons}
		if slices.Contains(l.Reasons, policy.Stale) {
			t.Stale = append(t.Stale, b)
		} else {
			t.Broken = append(t.Broken, b)
		}
	}
	if r.Soon != nil && r.Soon.Verdict < r.Verdict {
		t.GoingStale = append(t.GoingStale, Change{r.Pinned(), r.Outcome(), r.Soon.Outcome, &r.Soon.At})
	}
	if r.Simulated != nil && r.Simulated.Verdict < r.Verdict {
		t.Worse = append(t.Worse, Change{r.Pinned(), r.Outcome(), *r.Simulated, nil})
	}
}

func counts(of map[string]int) []Count {
	var out []Count
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, Count{name, of[name]})
	}
	return out
}

// compareLast adds what differs from the last audit in one row.
func (a *audit) compareLast(t *Totals, r *Row) {
	if r.Class != ClassArtifact || len(a.past.last) == 0 {
		return
	}
	if known := a.past.signers(r.Repository); known != nil {
		for _, s := range r.Signers {
			if !known[s] {
				t.Unexpected = append(t.Unexpected, Signing{r.Pinned(), s, "new in the repository since the last audit"})
			}
		}
	}
	old := a.past.last[r.Repository+" "+r.Digest]
	h := a.found.held[r.Repository+" "+r.Digest]
	if old == nil || h == nil || h.err != nil {
		return
	}
	var gone []string
	for _, digest := range old.Evidence {
		if _, there := slices.BinarySearch(h.referrers, digest); !there {
			gone = append(gone, digest)
		}
	}
	if len(gone) > 0 {
		t.Shrunk = append(t.Shrunk, Shrinkage{r.Pinned(), gone})
	}
}

// signers are those of a repository at the last audit; nil where it was not there.
func (p *past) signers(repository string) map[string]bool {
	if p.bySigner == nil {
		p.bySigner = map[string]map[string]bool{}
		for _, r := range p.last {
			of := p.bySigner[r.Row.Repository]
			if of == nil {
				of = map[string]bool{}
				p.bySigner[r.Row.Repository] = of
			}
			for _, s := range r.Row.Signers {
				of[s] = true
			}
		}
	}
	return p.bySigner[repository]
}

// moved adds the tags that name something else than at the last audit. A tag that could not be read did not move.
func (a *audit) moved(t *Totals) {
	was, is, unread := map[[2]string]string{}, map[[2]string]string{}, map[[2]string]bool{}
	for _, r := range a.past.last {
		for _, tag := range r.Row.Tags {
			was[[2]string{r.Row.Repository, tag}] = r.Row.Digest
		}
	}
	for i := range a.rows {
		for _, tag := range a.rows[i].Tags {
			at := [2]string{a.rows[i].Repository, tag}
			if a.rows[i].Digest == "" {
				unread[at] = true
				continue
			}
			is[at] = a.rows[i].Digest
		}
	}
	for at, from := range was {
		if to := is[at]; to != from && !unread[at] && a.found.repos[at[0]] {
			t.Moved = append(t.Moved, Move{at[0], at[1], from, to})
		}
	}
	slices.SortFunc(t.Moved, func(x, y Move) int {
		return cmp.Or(strings.Compare(x.Repository, y.Repository), strings.Compare(x.Tag, y.Tag))
	})
}

// revocations are the things that rows were refused for, with everything that was made from what they hit, by whatever
// account opened: what a policy does not follow is below all the same.
func revocations(rows []Row) []Revocation {
	hit, byDigest := map[string][]string{}, map[string][]*Row{}
	var b lineage.Builder
	for i := range rows {
		r := &rows[i]
		for _, what := range r.Revoked {
			hit[what] = append(hit[what], r.Pinned())
		}
		if r.Class != ClassArtifact {
			continue
		}
		byDigest[r.Digest] = append(byDigest[r.Digest], r)
		for _, l := range r.Links {
			_ = b.Add(lineage.Edge{Made: lineage.Node{Class: classArtifact, Digest: r.Digest}, From: lineage.Node{Class: l.Class, Digest: l.Digest}, Role: l.Role})
		}
	}
	if len(hit) == 0 {
		return nil
	}
	g := b.Graph()
	var out []Revocation
	for _, what := range slices.Sorted(maps.Keys(hit)) {
		v := Revocation{What: what, Hit: sorted(hit[what])}
		starts := map[lineage.Node]bool{}
		for _, class := range []string{classArtifact, "file", "gitCommit"} {
			starts[lineage.Node{Class: class, Digest: what}] = true
		}
		for i := range rows {
			if slices.Contains(rows[i].Revoked, what) {
				starts[lineage.Node{Class: classArtifact, Digest: rows[i].Digest}] = true
			}
		}
		var below []string
		for n := range starts {
			reach, err := g.Descendants(n, lineage.Limits{Depth: len(rows) + 1, Nodes: len(rows) + 1})
			if err != nil {
				continue // nothing was made from it
			}
			for i := range reach.Len() {
				made, _ := reach.At(i)
				for _, r := range byDigest[made.Digest] {
					if !slices.Contains(v.Hit, r.Pinned()) {
						below = append(below, r.Pinned())
					}
				}
			}
		}
		v.Below = sorted(below)
		out = append(out, v)
	}
	return out
}

// Ending is something that a verdict rests on and that ends.
type Ending struct {
	What  string    `json:"what"`
	Until time.Time `json:"until"`
}

// endings are those before the horizon of everything that the Judge trusts, the nearest first. What ended before now is
// history that old signatures need.
func (j *Judge) endings(now, horizon time.Time) []Ending {
	var out []Ending
	add := func(what string, at time.Time) {
		e := Ending{what, at.UTC()}
		if !at.IsZero() && !at.Before(now) && !at.After(horizon) && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	roots := j.Roots
	if j.Document != nil {
		roots = j.Document.Roots
		roots.Sigstore = j.Options.Sigstore
		add("policy "+j.Document.Name, j.Document.Expires)
		for _, name := range slices.Sorted(maps.Keys(j.Document.Identities)) {
			for _, i := range j.Document.Identities[name] {
				add("identity "+name+": "+i.String(), i.Window.ValidUntil)
			}
		}
		for _, w := range j.Document.Waivers {
			add("waiver of "+w.Evidence+" for "+w.Subject, w.Until)
		}
	}
	for _, a := range roots.Authorities {
		add("certificate authority "+a.Certificate().Subject.String(), a.Certificate().NotAfter)
	}
	if roots.Sigstore != nil {
		for _, e := range roots.Sigstore.Entries() {
			if e.Until != nil {
				add(string(e.Kind)+" "+e.Name, *e.Until)
			}
		}
	}
	sortEndings(out)
	return out
}

func sortEndings(all []Ending) {
	slices.SortFunc(all, func(a, b Ending) int { return cmp.Or(a.Until.Compare(b.Until), strings.Compare(a.What, b.What)) })
}
