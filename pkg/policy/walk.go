package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Bounds of a walk. What lies beyond them is a don't know.
const (
	MaxDepth = 64
	MaxNodes = 10_000 // artifacts, each in one step
)

// skew is how far this machine's clock may be behind a verified time: clocks that are kept differ by less.
const skew = time.Minute

// Walk follows a policy through a chain, artifact by artifact: Start with what is about to be used; while Wants names
// artifacts, find out about them and Add the facts; then Decide. It does no I/O and follows no link that the policy does
// not trust. A Walk is for one goroutine.
type Walk struct {
	doc     *Document
	o       WalkOptions
	revoked *revoked // what is revoked, by the one list that counts
	nodes   map[string]*Facts
	places  map[spot]*place
	targets []*place
	pending map[string][]*place // by the artifact that was not added yet
	wants   []string            // artifacts in pending that Wants has not named
	latest  time.Time           // the latest trusted time that was seen
	capped  bool

	known  Policy   // by whom the policy knows, for whatever
	makers []string // principals whom a step trusts to sign an artifact or to say how it was made
}

// spot is one artifact in one place of a chain.
type spot struct{ step, id string }

// WalkOptions is what a walk knows besides the policy. The zero value remembers nothing and knows of no revocations.
type WalkOptions struct {
	Now      time.Time
	State    *State            // what the verifier remembers; nil: nothing is remembered
	Floors   map[string]uint64 // the lowest release sequence of a channel that the caller takes
	Lists    []Revocations     // the lists that were found where the policy says, opened
	Problems []Finding         // what stands in the way whatever is found, such as a list that could not be read
}

// Want is an artifact whose facts a walk asks for.
type Want struct {
	ID   string
	URIs []string // where trusted statements say that it is, each once
}

// NewWalk begins a walk.
func NewWalk(doc *Document, o WalkOptions) *Walk {
	w := &Walk{doc: doc, o: o, nodes: map[string]*Facts{}, places: map[spot]*place{}, pending: map[string][]*place{}, known: doc.Signers()}
	for _, name := range slices.Sorted(maps.Keys(doc.Steps)) {
		if q := doc.Steps[name].Signature; q != nil {
			w.makers = append(w.makers, q.Signers...)
		}
		if p := doc.Steps[name].Provenance; p != nil {
			w.makers = append(w.makers, p.Signers...)
		}
	}
	slices.Sort(w.makers)
	w.makers = slices.Compact(w.makers)
	w.revoked = w.chooseList()
	return w
}

// Start adds what is about to be used. Several artifacts are a set that is used together.
func (w *Walk) Start(targets ...Facts) {
	for i := range targets { // all are known before the first link is followed
		w.see(&targets[i])
		if id := targets[i].Artifact.ID; id != "" {
			w.nodes[id] = &targets[i]
		}
	}
	var judging []*place
	for i := range targets {
		f := &targets[i]
		step, why := w.doc.target(f)
		p := &place{step: step, facts: f, target: true}
		w.targets = append(w.targets, p)
		if why != nil {
			p.checks, p.evidence = []Check{failed("target", why.Detail, *why)}, slices.Clone(f.Evidence)
			w.concludeEvidence(p)
			continue
		}
		if f.Artifact.ID != "" {
			w.places[spot{step.Name, f.Artifact.ID}] = p
		}
		judging = append(judging, p)
	}
	for _, p := range judging {
		w.judgePlace(p)
	}
}

// target is the step that an artifact has to pass to be used.
func (d *Document) target(f *Facts) (*Step, *Finding) {
	name := d.Targets[""]
	if len(d.Targets) > 1 || name == "" {
		kinds := d.signedKinds(f)
		switch {
		case len(kinds) == 0:
			return &Step{}, &Finding{Code: NoEvidence, Detail: "no trusted signature says whether it is a model, an adapter or a dataset"}
		case len(kinds) > 1: // whichever counts, somebody chose the step who should not have
			return &Step{}, &Finding{Code: WrongKind, Got: names(kinds), Detail: "signers differ on what it is: " + names(kinds)}
		}
		if byKind, ok := d.Targets[kinds[0]]; ok {
			name = byKind
		}
		if name == "" {
			return &Step{}, &Finding{Code: WrongKind, Got: kinds[0], Detail: "the policy has no target for this kind"}
		}
	}
	if step := d.Steps[name]; step != nil {
		return step, nil
	}
	return &Step{}, &Finding{Code: PolicyUnusable, Detail: fmt.Sprintf("the policy has no step %q", name)}
}

// signedKinds is what signatures by anybody whom d knows call the artifact, each once, sorted; none where none holds.
func (d *Document) signedKinds(f *Facts) []string {
	all := d.Signers()
	var kinds []string
	for _, e := range f.Evidence {
		if e.Signature && e.Compared && len(e.Findings) == 0 && e.Kind != "" && all.Accepts(e) {
			kinds = append(kinds, e.Kind)
		}
	}
	slices.Sort(kinds)
	return slices.Compact(kinds)
}

// Wants returns the artifacts that the links trusted so far lead to and that were not added yet, in order of ID. Each is
// named once in a walk.
func (w *Walk) Wants() []Want {
	ids := w.wants
	w.wants = nil
	slices.Sort(ids)
	out := make([]Want, 0, len(ids))
	for _, id := range ids {
		want := Want{ID: id}
		seen := map[string]bool{}
		for _, p := range w.pending[id] {
			for _, uri := range p.uris {
				if !seen[uri] {
					seen[uri] = true
					want.URIs = append(want.URIs, uri)
				}
			}
		}
		out = append(out, want)
	}
	return out
}

// Add adds what was found out about the artifact id. Facts without evidence are facts too.
func (w *Walk) Add(id string, f Facts) {
	if w.nodes[id] != nil {
		return
	}
	if f.Artifact.ID == "" {
		f.Artifact.ID = id
	}
	if f.Artifact.ID != id { // whoever found it found another
		f = Facts{Artifact: Artifact{ID: id, Ref: f.Artifact.Ref, Bytes: f.Artifact.Bytes}, Problems: []Finding{{Code: Unreadable,
			Want: id, Got: f.Artifact.ID, Detail: "another artifact was found in its place"}}}
	}
	w.see(&f)
	w.nodes[id] = &f
	places := w.pending[id]
	delete(w.pending, id)
	for _, p := range places {
		p.facts = &f
		w.judgePlace(p)
	}
}

// see notes the latest trusted time.
func (w *Walk) see(f *Facts) {
	for _, e := range f.Evidence {
		if e.Time != nil && e.Time.After(w.latest) {
			w.latest = *e.Time
		}
	}
}

// follow returns the place of the artifact id in the step of that name, and asks for its facts where they are not there.
// It is nil where the bounds of the walk are reached.
func (w *Walk) follow(step, id, uri string, depth int) *place {
	at := spot{step, id}
	if p := w.places[at]; p != nil {
		if uri != "" {
			p.uris = append(p.uris, uri)
		}
		return p
	}
	if len(w.places) >= MaxNodes || depth > MaxDepth {
		w.capped = true
		return nil
	}
	p := &place{step: w.doc.Steps[step], depth: depth}
	if uri != "" {
		p.uris = []string{uri}
	}
	w.places[at] = p
	if f := w.nodes[id]; f != nil {
		p.facts = f
		w.judgePlace(p)
		return p
	}
	p.missing = id
	if w.pending[id] == nil {
		w.wants = append(w.wants, id)
	}
	w.pending[id] = append(w.pending[id], p)
	return p
}

// State returns what is to be remembered after this walk: never less than was remembered before. What Decide allowed is a
// floor for its channel from then on; call it after Decide.
func (w *Walk) State() State {
	var out State
	if w.o.State != nil {
		out = *w.o.State
	}
	out.Channels = maps.Clone(out.Channels)
	out.PolicyVersion = max(out.PolicyVersion, w.doc.Version)
	if list := w.revoked.list; list != nil && len(w.revoked.problems) == 0 {
		out.Sequence, out.Revoked = list.Sequence, list.keys()
	}
	if w.latest.After(out.Latest) {
		out.Latest = w.latest
	}
	for _, p := range w.targets {
		if p.released == nil || p.verdict != Yes || p.state != judged {
			continue
		}
		if out.Channels == nil {
			out.Channels = map[string]uint64{}
		}
		out.Channels[p.released.Channel] = max(out.Channels[p.released.Channel], p.released.Sequence)
	}
	return out
}

// Signers is the policy by which signatures on artifacts are compared with their files: it trusts every identity of d.
// Whether one counts in a place of the chain is Decide's to say.
func (d *Document) Signers() Policy {
	var p Policy
	for _, name := range slices.Sorted(maps.Keys(d.Identities)) {
		p.Signers = append(p.Signers, d.Identities[name]...)
	}
	return p
}

// speaker returns the name of the principal among names who signed e, and why what it signed does not count for its form's
// window. The name is empty where it is nobody of them. A signer is the first of names that it matches, so that it never
// counts for two.
func (d *Document) speaker(names []string, e *Evidence) (string, []Finding) {
	if e.Signer == nil {
		return "", nil
	}
	for _, name := range names {
		p := Policy{Signers: d.Identities[name]}
		if p.Trusts(*e.Signer) {
			return name, p.Refuses(*e)
		}
	}
	return "", nil
}

// principal is the name of who a signer is; empty for nobody of d.
func (d *Document) principal(s *trust.Signer) string {
	if s == nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(d.Identities)) {
		if (Policy{Signers: d.Identities[name]}).Trusts(*s) {
			return name
		}
	}
	return ""
}

// forms are the identities of several principals.
func (d *Document) forms(names []string) []trust.Identity {
	var out []trust.Identity
	for _, name := range names {
		out = append(out, d.Identities[name]...)
	}
	return out
}
