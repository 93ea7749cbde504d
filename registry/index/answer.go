package index

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Name is what a reference named for a time. Times are of the clocks of those who looked.
type Name struct {
	Ref      string
	Artifact string    // empty: the reference was gone
	Since    time.Time // when that was first seen
	Until    time.Time // when something else was first seen; zero: it still names it
}

// Deployment is where an artifact was put to use, or taken from, as somebody trusted stated last.
type Deployment struct {
	Artifact string
	Target   string
	Action   attestations.DeploymentAction
	At       time.Time // as stated
	Signer   string
	Bundle   string // own name of the bundle that says so
}

// Update is the last look at a scope.
type Update struct {
	Updated
	Ended time.Time
}

// Bundle is a bundle that lies with an artifact.
type Bundle struct {
	Name          string // own name; empty: it cannot be read
	Where         string
	PredicateType string
	Signer        string        // empty: it was refused
	Reason        policy.Reason // why it was refused; empty: it was opened
	Time          time.Time     // trusted time; zero: none
	SaysNo        bool
}

// Judged is a verdict as it was recorded.
type Judged struct {
	Artifact string
	Ref      string // as the caller of verify named it
	Policy   string // digest of the policy
	Verdict  policy.Verdict
	Reasons  []policy.Reason
	At       time.Time
	Decision string // digest of the whole decision; see Index.Decision
}

// Thing is what is known of a node.
type Thing struct {
	Node    lineage.Node
	Name    string       // for people, from the first statement that gives one
	Kind    string       // model, adapter or dataset, as the last signer says; empty: nobody does
	Refs    []string     // that name it now, sorted
	Runs    []Deployment // where it was put to use and not retired since, by target
	Revoked []Revoked
	Bundles int // that lie with it, refused ones included
	Refused int
}

// Revoked is a revocation of a node by its digest, from the newest list of its signer. Whether the signer may revoke, and
// whether the list is still good, is for policy to say.
type Revoked struct {
	attestations.Revocation
	By      string
	Expires time.Time
}

// Lineage returns what n was made from, directly and not: see lineage.Graph. It is as whole as the opened provenance that
// the index has: see Index.State for what was refused or could not be read.
func (x *Index) Lineage(ctx context.Context, n lineage.Node, l lineage.Limits) (*lineage.Reach, error) {
	return x.reach(ctx, n, l, (*lineage.Graph).Ancestors)
}

// Impact returns what was made from n, directly and not. See Lineage for how whole it is.
func (x *Index) Impact(ctx context.Context, n lineage.Node, l lineage.Limits) (*lineage.Reach, error) {
	return x.reach(ctx, n, l, (*lineage.Graph).Descendants)
}

func (x *Index) reach(ctx context.Context, n lineage.Node, l lineage.Limits, find func(*lineage.Graph, lineage.Node, lineage.Limits) (*lineage.Reach, error)) (*lineage.Reach, error) {
	var g *lineage.Graph
	err := x.known(ctx, func(s *state) error {
		g = s.lineage()
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.Depth, l.Nodes = cmp.Or(l.Depth, maxDepth), cmp.Or(l.Nodes, maxNodes)
	return find(g, n, l)
}

// The limits of Lineage and Impact where the caller gives none: the graph is the caller's own, and in memory.
const (
	maxDepth = 100_000
	maxNodes = 10_000_000
)

// About returns what is known of each node, in their order. An unknown node is a lineage.ErrUnknown.
func (x *Index) About(ctx context.Context, nodes ...lineage.Node) ([]Thing, error) {
	out := make([]Thing, len(nodes))
	err := x.known(ctx, func(s *state) error {
		for i, n := range nodes {
			var err error
			if out[i], err = s.about(n); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *state) about(n lineage.Node) (Thing, error) {
	id, ok := s.builder.Find(n)
	if !ok {
		return Thing{}, fmt.Errorf("%s: %w", n, lineage.ErrUnknown)
	}
	f := s.nodes[id]
	t := Thing{Node: n, Name: f.name, Kind: f.kind}
	for _, ref := range s.namedAs[id] {
		history := s.names[ref]
		if history[len(history)-1].Artifact == n.Digest {
			t.Refs = append(t.Refs, ref)
		}
	}
	slices.Sort(t.Refs)
	t.Refs = slices.Compact(t.Refs)
	for _, target := range slices.Sorted(maps.Keys(s.runs[id])) {
		if d := s.runs[id][target]; d.Action != attestations.Retired {
			t.Runs = append(t.Runs, d)
		}
	}
	for at := f.bundle; at > 0; at = s.bundles[at-1].before {
		t.Bundles++
		if s.bundles[at-1].reason > 0 {
			t.Refused++
		}
	}
	for _, by := range slices.Sorted(maps.Keys(s.revoked)) {
		list := s.revoked[by]
		for _, e := range list.Entries {
			if string(e.Digest.Class) == n.Class && e.Digest.String() == n.Digest {
				t.Revoked = append(t.Revoked, Revoked{e, by, list.Expires})
			}
		}
	}
	return t, nil
}

// Deployed returns where the artifact with the ID was put to use and not retired since, by target.
func (x *Index) Deployed(ctx context.Context, id string) ([]Deployment, error) {
	all, err := x.About(ctx, artifactNode(id))
	if err != nil {
		return nil, err
	}
	return all[0].Runs, nil
}

func artifactNode(id string) lineage.Node {
	return lineage.Node{Class: string(attestations.ClassArtifact), Digest: id}
}

// Names returns what a reference named over time, the oldest first. One that was never seen has none.
func (x *Index) Names(ctx context.Context, ref string) (out []Name, err error) {
	err = x.known(ctx, func(s *state) error {
		out = slices.Clone(s.names[ref])
		return nil
	})
	return out, err
}

// Bundles returns the bundles that lie with the artifact with the ID, by place. An unknown artifact is a
// lineage.ErrUnknown.
func (x *Index) Bundles(ctx context.Context, id string) (out []Bundle, err error) {
	err = x.known(ctx, func(s *state) error {
		n, ok := s.builder.Find(artifactNode(id))
		if !ok {
			return fmt.Errorf("artifact %s: %w", id, lineage.ErrUnknown)
		}
		for at := s.nodes[n].bundle; at > 0; {
			b := s.bundles[at-1]
			at = b.before
			shown := Bundle{Where: s.whereIs(b), PredicateType: s.words.text(b.predicateType), Signer: s.words.text(b.signer),
				Reason: policy.Reason(s.words.text(b.reason)), SaysNo: b.saysNo}
			if b.name != (sum{}) {
				shown.Name = b.name.String()
			}
			if b.time != 0 {
				shown.Time = time.Unix(0, b.time).UTC()
			}
			out = append(out, shown)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b Bundle) int {
		return cmp.Or(strings.Compare(a.Where, b.Where), strings.Compare(a.Name, b.Name))
	})
	return out, err
}

// Verdicts returns what was decided on the artifact with the ID, in the order in which it was recorded. None is no error
// and no answer: nobody looked.
func (x *Index) Verdicts(ctx context.Context, id string) (out []Judged, err error) {
	err = x.known(ctx, func(s *state) error {
		n, ok := s.builder.Find(artifactNode(id))
		if !ok {
			return nil
		}
		for _, v := range s.verdicts[n] {
			j := Judged{Artifact: v.Artifact, Ref: v.Ref, Policy: v.Policy, Verdict: v.Verdict, At: v.At, Decision: v.Decision}
			for _, r := range v.Reasons {
				j.Reasons = append(j.Reasons, policy.Reason(r))
			}
			out = append(out, j)
		}
		return nil
	})
	return out, err
}

// Decision returns the document of a verdict, hallmark.decision/v1, by its digest. It was compared with the digest.
func (x *Index) Decision(ctx context.Context, digest string) ([]byte, error) {
	want, err := hashing.ParseSum(digest)
	if err != nil {
		return nil, err
	}
	raw, err := x.store.document(ctx, want)
	switch {
	case err != nil:
		return nil, x.doing("read a decision from", err)
	case raw == nil:
		return nil, x.doing("read a decision from", &DamagedError{Err: fmt.Errorf("document %s is not there", digest)})
	case sumOf(raw) != want:
		return nil, x.doing("read a decision from", &DamagedError{Err: fmt.Errorf("document %s has other bytes", digest)})
	}
	return bytes.Clone(raw), nil
}

// State is what the index holds, and how far it can be relied on to be whole.
type State struct {
	Head    Head
	Nodes   int
	Edges   int
	Bundles int
	Refused int      // bundles that are no evidence here: what they say is not followed
	Updates []Update // the last look at each scope, by scope; none: nobody looked
}

// State returns what the index holds.
func (x *Index) State(ctx context.Context) (out State, err error) {
	err = x.known(ctx, func(s *state) error {
		out = State{Head: headOf(s.head), Bundles: len(s.bundles), Refused: s.refusals}
		out.Nodes, out.Edges = s.lineage().Len()
		for _, scope := range slices.Sorted(maps.Keys(s.updates)) {
			out.Updates = append(out.Updates, s.updates[scope])
		}
		return nil
	})
	return out, err
}

func headOf(e event) Head {
	if e.seq == 0 {
		return Head{}
	}
	return Head{e.seq, e.hash.String(), time.Unix(0, e.at).UTC()}
}

// Check reads everything and returns the head of the log, or a *DamagedError that says where it is first not as it was
// written: the chain of hashes, what each event says, the key that it is found by, every document, and in a SQLite file
// whether the pages hang together. A log that was cut at its end, or written anew from some event on, checks as sound; the
// head, noted elsewhere, tells: after, if not zero, must be on the chain.
func (x *Index) Check(ctx context.Context, after Head) (Head, error) {
	fresh, passed := newState(), after.Seq == 0
	err := catchUp(ctx, x.store, fresh, func(e event) {
		passed = passed || e.seq == after.Seq && e.hash.String() == after.Hash
	})
	if err == nil && !passed {
		err = &DamagedError{after.Seq, errors.New("it is not the event that was noted: the log was cut, or written anew")}
	}
	if err == nil {
		err = x.store.check(ctx)
	}
	if err == nil {
		err = fresh.eachDecision(ctx, x.store, func(sum, []byte) error { return nil })
	}
	if err != nil {
		return Head{}, x.doing("check", err)
	}
	return headOf(fresh.head), nil
}

// eachDecision calls see with every decision that a verdict names, once it was compared with its digest.
func (s *state) eachDecision(ctx context.Context, from store, see func(digest sum, raw []byte) error) error {
	for _, all := range s.verdicts {
		for _, v := range all {
			digest, err := hashing.ParseSum(v.Decision)
			if err != nil {
				return &DamagedError{v.seq, err}
			}
			raw, err := from.document(ctx, digest)
			if err != nil {
				return err
			}
			if sumOf(raw) != digest {
				return &DamagedError{v.seq, errors.New("the decision that it names is not there, or has other bytes")}
			}
			if err := see(digest, raw); err != nil {
				return err
			}
		}
	}
	return nil
}
