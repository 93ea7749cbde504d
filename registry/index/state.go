package index

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// state is what the log says, in memory. It is built by applying events in order, and by nothing else.
type state struct {
	head    event // without its body
	builder lineage.Builder
	graph   *lineage.Graph // of the builder; nil: not built since it was added to
	nodes   []facts        // by lineage.ID

	bundles  []bundle
	words    interned // predicate types, signers, repositories: few, and often
	names    map[string][]Name
	namedAs  map[lineage.ID][]string // every reference that ever named it
	listed   map[place]listing
	verdicts map[lineage.ID][]verdict
	runs     map[lineage.ID]map[string]Deployment // by target, the newest
	revoked  map[string]*attestations.Revocations // by signer, the list with the highest sequence
	updates  map[string]Update                    // by scope, the last
	refusals int
}

// place is an artifact in a repository.
type place struct{ repo, artifact string }

type listing struct {
	evidence string
	holds    []string
	bundles  int
	changes  int
}

// facts is what is known of one node.
type facts struct {
	name   string
	kind   string
	bundle uint32 // place in bundles of the last one that lies with it, plus one
}

// bundle is a bundle at a place.
type bundle struct {
	name          sum // own name; zero: it cannot be read
	time          int64
	manifest      sum    // digest that its place ends with; zero: it ends otherwise
	before        uint32 // of the same artifact, as facts.bundle
	where         uint32 // the place without that digest
	predicateType uint32
	signer        uint32 // 0: it was refused
	reason        uint32 // 0: it was opened
	changes       uint32 // how often it was recorded
	saysNo        bool
}

// same reports whether the same is known of both, which are one bundle at one place: what it says follows from its name.
func (b bundle) same(o bundle) bool {
	return b.time == o.time && b.predicateType == o.predicateType && b.signer == o.signer && b.reason == o.reason
}

type verdict struct {
	verdictBody
	seq uint64
}

// interned numbers texts from 1; 0 is the empty one.
type interned struct {
	ids   map[string]uint32
	texts []string
}

func (i *interned) id(s string) uint32 {
	if s == "" {
		return 0
	}
	id, ok := i.ids[s]
	if !ok {
		if i.ids == nil {
			i.ids = map[string]uint32{}
		}
		i.texts = append(i.texts, s)
		id = uint32(len(i.texts))
		i.ids[s] = id
	}
	return id
}

func (i *interned) text(id uint32) string {
	if id == 0 {
		return ""
	}
	return i.texts[id-1]
}

func newState() *state {
	return &state{names: map[string][]Name{}, namedAs: map[lineage.ID][]string{}, listed: map[place]listing{}, verdicts: map[lineage.ID][]verdict{},
		runs: map[lineage.ID]map[string]Deployment{}, revoked: map[string]*attestations.Revocations{}, updates: map[string]Update{}}
}

// decode returns what an event says: a pointer to one of the bodies.
func decode(e event) (any, error) {
	var into any
	switch e.kind {
	case kindNamed:
		into = new(namedBody)
	case kindListed:
		into = new(listedBody)
	case kindOpened:
		into = new(openedBody)
	case kindRefused:
		into = new(refusedBody)
	case kindVerdict:
		into = new(verdictBody)
	case kindUpdated:
		into = new(Updated)
	default:
		return nil, &DamagedError{e.seq, fmt.Errorf("an event of kind %q", e.kind)}
	}
	if err := json.Unmarshal(e.body, into, json.RejectUnknownMembers(true)); err != nil {
		return nil, &DamagedError{e.seq, err}
	}
	return into, nil
}

// apply adds an event, which was verified against the one before it, and what it says.
func (s *state) apply(e event, body any) error {
	var err error
	switch b := body.(type) {
	case *namedBody:
		err = s.named(e, b)
	case *listedBody:
		if _, err = s.artifact(b.Artifact); err == nil {
			s.listed[place{b.Repo, b.Artifact}] = listing{b.Evidence, b.Holds, b.Bundles, b.Change + 1}
		}
	case *openedBody:
		err = s.opened(b)
	case *refusedBody:
		err = s.refused(b)
	case *verdictBody:
		var id lineage.ID
		if id, err = s.artifact(b.Artifact); err == nil {
			s.verdicts[id] = append(s.verdicts[id], verdict{*b, e.seq})
		}
	case *Updated:
		s.updates[b.Scope] = Update{*b, time.Unix(0, e.at).UTC()}
	}
	if err != nil {
		return &DamagedError{e.seq, err}
	}
	s.head = event{seq: e.seq, at: e.at, hash: e.hash}
	return nil
}

func (s *state) artifact(digest string) (lineage.ID, error) {
	return s.node(lineage.Node{Class: string(attestations.ClassArtifact), Digest: digest})
}

func (s *state) node(n lineage.Node) (lineage.ID, error) {
	id, err := s.builder.Node(n)
	if int(id) >= len(s.nodes) && err == nil {
		s.nodes = append(s.nodes, facts{})
		s.graph = nil
	}
	return id, err
}

func (s *state) named(e event, b *namedBody) error {
	at := time.Unix(0, e.at).UTC()
	history := s.names[b.Ref]
	if len(history) != b.Change {
		return fmt.Errorf("change %d of %q after %d", b.Change, b.Ref, len(history))
	}
	if len(history) > 0 {
		history[len(history)-1].Until = at
	}
	s.names[b.Ref] = append(history, Name{Ref: b.Ref, Artifact: b.Artifact, Since: at})
	if b.Artifact == "" {
		return nil
	}
	id, err := s.artifact(b.Artifact)
	if err == nil {
		s.namedAs[id] = append(s.namedAs[id], b.Ref)
	}
	return err
}

// add adds a bundle to those that lie with an artifact, in place of what is known of the same one at the same place.
func (s *state) add(about string, b bundle) (lineage.ID, error) {
	id, err := s.artifact(about)
	if err != nil {
		return 0, err
	}
	if b.reason > 0 {
		s.refusals++
	}
	if old := s.bundleAt(about, b); old != nil {
		if old.reason > 0 {
			s.refusals--
		}
		b.before, b.changes = old.before, old.changes+1
		*old = b
		return id, nil
	}
	b.before, b.changes = s.nodes[id].bundle, 1
	s.bundles = append(s.bundles, b)
	s.nodes[id].bundle = uint32(len(s.bundles))
	return id, nil
}

// bundleAt returns what is known of b at b's place; nil where nothing is.
func (s *state) bundleAt(about string, b bundle) *bundle {
	id, ok := s.builder.Find(artifactNode(about))
	if !ok {
		return nil
	}
	for at := s.nodes[id].bundle; at > 0; at = s.bundles[at-1].before {
		if old := &s.bundles[at-1]; old.name == b.name && old.where == b.where && old.manifest == b.manifest {
			return old
		}
	}
	return nil
}

// place is a bundle at a place. Most places end with the digest of a manifest, and then differ in it alone.
func (s *state) place(where string) bundle {
	if at := strings.LastIndexByte(where, ' ') + 1; at > 0 {
		if digest, err := hashing.ParseSum(where[at:]); err == nil {
			return bundle{where: s.words.id(where[:at]), manifest: digest}
		}
	}
	return bundle{where: s.words.id(where)}
}

func (s *state) whereIs(b bundle) string {
	if b.manifest == (sum{}) {
		return s.words.text(b.where)
	}
	return s.words.text(b.where) + b.manifest.String()
}

func (s *state) refusedBundle(where, name, predicateType, reason string) bundle {
	b := s.place(where)
	b.name, _ = hashing.ParseSum(name) // one that cannot be read has none
	b.predicateType, b.reason = s.words.id(predicateType), s.words.id(reason)
	return b
}

func (s *state) refused(b *refusedBody) error {
	if b.Reason == "" {
		return fmt.Errorf("bundle %q was refused for no reason", b.Bundle)
	}
	_, err := s.add(b.About, s.refusedBundle(b.Where, b.Bundle, b.Type, b.Reason))
	return err
}

func (s *state) openedBundle(b *openedBody) bundle {
	made := s.place(b.Where)
	made.name, _ = hashing.ParseSum(b.Bundle)
	made.predicateType, made.signer, made.saysNo = s.words.id(b.Type), s.words.id(b.Signer.String()), b.SaysNo
	if !b.Time.IsZero() {
		made.time = b.Time.UnixNano()
	}
	return made
}

func (s *state) opened(b *openedBody) error {
	made := s.openedBundle(b)
	if made.name == (sum{}) {
		return fmt.Errorf("bundle %q has no name", b.Bundle)
	}
	if b.Signer.String() == (trust.Signer{}).String() {
		return fmt.Errorf("bundle %q is by nobody", b.Bundle)
	}
	id, err := s.add(b.About, made)
	if err != nil {
		return err
	}
	s.describe(id, b.Name, b.Kind)
	if err := s.link(id, b.Links); err != nil {
		return err
	}
	if b.Deployment.Target != "" {
		s.deployed(id, b)
	}
	if list := b.Revocations; list != nil {
		signer := s.words.text(made.signer)
		if old := s.revoked[signer]; old == nil || old.Sequence <= list.Sequence {
			s.revoked[signer] = list
		}
	}
	return nil
}

// describe keeps the first name, and whatever kind is told last: names are for people, and change.
func (s *state) describe(id lineage.ID, name, kind string) {
	f := &s.nodes[id]
	if f.name == "" {
		f.name = name
	}
	if kind != "" {
		f.kind = s.words.text(s.words.id(kind))
	}
}

func (s *state) link(on lineage.ID, links []linkBody) error {
	for _, l := range links {
		made, from := on, on
		var err error
		if l.Made != "" {
			if made, err = s.artifact(l.Made); err != nil {
				return err
			}
		}
		if l.From != "" {
			class := l.Class
			if class == "" {
				class = string(attestations.ClassArtifact)
			}
			if from, err = s.node(lineage.Node{Class: s.words.text(s.words.id(class)), Digest: l.From}); err != nil {
				return err
			}
			s.describe(from, l.Name, "")
		}
		if err := s.builder.Link(made, from, l.Role); err != nil {
			return err
		}
		s.graph = nil
	}
	return nil
}

// deployed keeps what was done last to the artifact at a target. Of two at the same time the one stays that says it runs.
func (s *state) deployed(id lineage.ID, b *openedBody) {
	d := Deployment{Artifact: b.About, Target: b.Deployment.Target, Action: attestations.DeploymentAction(b.Deployment.Action), At: b.Deployment.At,
		Signer: b.Signer.String(), Bundle: b.Bundle}
	if s.runs[id] == nil {
		s.runs[id] = map[string]Deployment{}
	}
	old, known := s.runs[id][d.Target]
	if !known || d.At.After(old.At) || d.At.Equal(old.At) && d.Action != attestations.Retired {
		s.runs[id][d.Target] = d
	}
}

// lineage returns the graph of all edges.
func (s *state) lineage() *lineage.Graph {
	if s.graph == nil {
		s.graph = s.builder.Graph()
	}
	return s.graph
}
