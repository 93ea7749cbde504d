package chain

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// maxFinds is how many inputs are looked for at once: that is waiting, not work.
const maxFinds = 16

// search finds out the facts about the artifacts of one chain.
type search struct {
	lib      Library
	roots    trust.Roots
	openings *Openings
	trust    policy.Policy // whose signatures on artifacts are worth comparing
	left     atomic.Int64  // bytes of bundles that may still be opened
}

func newSearch(lib Library, doc *policy.Document, o PolicyOptions) *search {
	s := &search{lib: lib, roots: doc.Roots, trust: doc.Signers()}
	s.roots.Sigstore, s.roots.Now, s.openings = o.Sigstore, o.Now, o.Openings
	s.left.Store(MaxChainEvidence)
	return s
}

// identifier is an artifact whose ID is found out by reading it.
type identifier interface {
	// Identify reads the artifact as s records what belongs to it; nil: nobody's exclusions count.
	Identify(ctx context.Context, s *attestations.Signature) (Comparison, error)
}

// target finds out about what is about to be used. All bytes that will be used are read, or are named by its manifest. Its
// evidence is what lies with it, and what the library has of its ID.
func (s *search) target(ctx context.Context, t Target) policy.Facts {
	a := t.Artifact
	if f, ok := a.(*Files); ok {
		a = f.once()
	}
	var facts policy.Facts
	facts.Artifact, facts.Problems = a.Describe()
	facts.TrustedRoot = s.roots.Origin()
	if m, ok := a.(*Manifest); ok {
		facts.Files = m.files
	}
	seen := known{}
	opened := s.openAll(ctx, [][]Item{s.gather(ctx, t.Sources, seen, &facts)})[0]
	signed, failed := s.compare(ctx, a, opened, &facts)
	s.conclude(opened, &facts)
	if reader, ok := a.(identifier); ok && facts.Artifact.ID == "" && !failed && ctx.Err() == nil {
		s.identify(ctx, reader, signed, &facts)
	}
	if s.lib == nil || facts.Artifact.ID == "" {
		return facts
	}
	found, err := s.lib.Find(ctx, policy.Want{ID: facts.Artifact.ID}) // without a URI nothing is dialled but what the caller named
	facts.Problems = append(facts.Problems, problems(err)...)
	opened = s.openAll(ctx, [][]Item{s.gather(ctx, found.Sources, seen, &facts)})[0]
	s.compare(ctx, a, opened, &facts)
	s.conclude(opened, &facts)
	return facts
}

// identify reads the whole artifact for its ID, where no signature that holds told it.
func (s *search) identify(ctx context.Context, a identifier, signed *attestations.Signature, facts *policy.Facts) {
	c, err := a.Identify(ctx, signed)
	if err != nil {
		facts.Problems = append(facts.Problems, Problem(err))
		return
	}
	uncovered := facts.Artifact.Uncovered
	facts.Artifact, facts.Files = c.Artifact, c.Files
	facts.Artifact.Uncovered = union(uncovered, c.Artifact.Uncovered)
	facts.Problems = append(facts.Problems, c.Findings...)
	facts.Notes = append(facts.Notes, c.Notes...)
}

// inputs finds out about several inputs, in their order.
func (s *search) inputs(ctx context.Context, wants []policy.Want) []policy.Facts {
	found := make([]Found, len(wants))
	items := make([][]Item, len(wants))
	facts := make([]policy.Facts, len(wants))
	var finding errgroup.Group
	finding.SetLimit(maxFinds)
	for i, want := range wants {
		finding.Go(func() error {
			found[i], items[i] = s.find(ctx, want, &facts[i])
			return nil
		})
	}
	_ = finding.Wait() // what failed is in the facts
	opened := s.openAll(ctx, items)
	for i := range wants {
		if found[i].Artifact == nil {
			unknown(opened[i])
		} else {
			s.compare(ctx, found[i].Artifact, opened[i], &facts[i])
		}
		s.conclude(opened[i], &facts[i])
	}
	return facts
}

// find looks for one input and for the bundles that lie with it.
func (s *search) find(ctx context.Context, want policy.Want, facts *policy.Facts) (Found, []Item) {
	facts.Artifact = policy.Artifact{Ref: want.ID, ID: want.ID, Bytes: policy.BytesUnread}
	facts.TrustedRoot = s.roots.Origin()
	if s.lib == nil {
		return Found{}, nil
	}
	found, err := s.lib.Find(ctx, want)
	facts.Notes = append(facts.Notes, found.Notes...)
	facts.Problems = append(facts.Problems, problems(err)...)
	items := s.gather(ctx, found.Sources, known{}, facts)
	if found.Artifact == nil {
		return found, items
	}
	described, _ := found.Artifact.Describe()
	switch described.ID {
	case want.ID:
		facts.Artifact = described
		if m, ok := found.Artifact.(*Manifest); ok {
			facts.Files = m.files
		}
	case "": // its manifest is not canonical: what is said of its digest stands, and no signature can hold
	default:
		found.Artifact = nil
		facts.Problems = append(facts.Problems, policy.Finding{Code: policy.Unreadable, Want: want.ID, Got: described.ID,
			Detail: "another artifact was found than was asked for"})
	}
	return found, items
}

// known are the bundles of one artifact that were gathered.
type known map[[sha256.Size]byte]bool

// gather collects the bundles of one artifact, each once however often it lies there.
func (s *search) gather(ctx context.Context, sources []Source, seen known, facts *policy.Facts) []Item {
	var items []Item
	for _, source := range sources {
		found, err := source.Evidence(ctx)
		facts.Problems = append(facts.Problems, problems(err)...)
		for _, item := range found {
			sum := sha256.Sum256(item.Bundle)
			if len(item.Bundle) > 0 && seen[sum] {
				continue
			}
			seen[sum] = true
			items = append(items, item)
		}
	}
	items = capped(items, facts)
	for i, item := range items {
		if s.left.Add(-int64(len(item.Bundle))) < 0 {
			facts.Problems = append(facts.Problems, policy.Finding{Code: policy.CapReached,
				Detail: fmt.Sprintf("more than %d bytes of evidence in all", MaxChainEvidence)})
			return items[:i]
		}
	}
	return items
}

// openAll opens bundles on all cores. Nothing else here takes as long, so it ends with ctx.
func (s *search) openAll(ctx context.Context, items [][]Item) [][]opened {
	out := make([][]opened, len(items))
	var work errgroup.Group
	work.SetLimit(runtime.GOMAXPROCS(0))
	for i := range items {
		out[i] = make([]opened, len(items[i]))
		for k, item := range items[i] {
			work.Go(func() error {
				if ctx.Err() != nil {
					out[i][k] = opened{evidence: policy.Evidence{Where: item.Where, Findings: []policy.Finding{Problem(context.Cause(ctx))}}}
					return nil
				}
				out[i][k] = s.openings.open(item, s.roots, true)
				return nil
			})
		}
	}
	_ = work.Wait() // what did not open says so itself
	return out
}

// compare holds a against every signature that the policy may ask for. It returns the one by which the artifact's own ID
// has to be found out where none told it, and whether the artifact could not be read.
func (s *search) compare(ctx context.Context, a Artifact, opened []opened, facts *policy.Facts) (like *attestations.Signature, failed bool) {
	held := false
	for i := range opened {
		b := &opened[i]
		if b.signature == nil || !s.trust.Accepts(b.evidence) {
			continue
		}
		if ctx.Err() != nil { // what was not compared is not known to differ
			facts.Problems = append(facts.Problems, Problem(context.Cause(ctx)))
			return like, true
		}
		c, err := a.Compare(ctx, b.signature)
		if err != nil {
			facts.Problems = append(facts.Problems, Problem(err))
			failed = true
			continue
		}
		b.evidence.Compared, b.evidence.Findings = true, c.Findings
		facts.Notes = appendNew(facts.Notes, c.Notes...)
		if len(c.Findings) > 0 {
			continue
		}
		uncovered, files := union(facts.Artifact.Uncovered, c.Artifact.Uncovered), facts.Files
		if id := facts.Artifact.ID; id == "" || c.Artifact.ID == id && !held { // an ID that is known stays: evidence was looked for by it
			facts.Artifact, facts.Files, like = c.Artifact, c.Files, b.signature
		}
		if c.Artifact.ID != "" && c.Artifact.ID == facts.Artifact.ID { // of what is packed each signer tells the files: none hides one
			facts.Files = union(files, c.Files)
		}
		facts.Artifact.Uncovered = uncovered
		held = true
	}
	return like, failed
}

// unknown refuses signatures on an artifact of which there is neither a manifest nor a file: that the signer wrote its ID
// makes it nobody's.
func unknown(opened []opened) {
	for i := range opened {
		if e := &opened[i].evidence; opened[i].signature != nil {
			e.Findings = append(e.Findings, policy.Finding{Code: policy.BytesNeeded,
				Detail: "the signed list cannot be compared: neither the artifact's manifest nor its files were found"})
		}
	}
}

// conclude makes evidence of what was opened.
func (s *search) conclude(opened []opened, facts *policy.Facts) {
	for _, b := range opened {
		for _, f := range b.evidence.Findings {
			if b.attestation == nil && f.Code.Verdict() == policy.Unknown { // nobody looked into it
				facts.Problems = append(facts.Problems, f)
			}
		}
		facts.Evidence = append(facts.Evidence, b.evidence)
		facts.Notes = appendNew(facts.Notes, b.notes...)
	}
}

// problems is each of the errors that err joins, as its reason.
func problems(err error) []policy.Finding {
	if err == nil {
		return nil
	}
	if several, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // what errors.Join returned, itself
		var out []policy.Finding
		for _, e := range several.Unwrap() {
			out = append(out, problems(e)...)
		}
		return out
	}
	return []policy.Finding{Problem(err)}
}

// union is all names of a and b, sorted, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func appendNew(notes []string, more ...string) []string {
	for _, n := range more {
		if !slices.Contains(notes, n) {
			notes = append(notes, n)
		}
	}
	return notes
}
