package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/registry/index"
)

// reachFlags is what lineage and impact take.
type reachFlags struct {
	down     bool // impact
	deployed bool
	store    string
	in       []string
	class    string
	format   string
	fill     indexFlags
	found    []index.Report // what was read for --in
}

func newLineage(s streams) *cobra.Command {
	return newReach(s, &reachFlags{}, &cobra.Command{
		Use:   "lineage DIGEST",
		Short: "Show what something was made from, all the way up",
		Long: `Show everything that a model, adapter or dataset was made from, each once, with the roles that lead to it, as opened
provenance states it. The answer comes from an index (--store), or from everything that registries hold (--in), slower.
What is not known at all is exit code 3, and so is an answer that part of a registry is missing from.`,
		Example: `  hallmark lineage sha256:2751… --store index.db
  hallmark lineage sha256:2751… --in registry.example/llm/ --public-key trainer.pub --format svg > lineage.svg`,
	})
}

func newImpact(s streams) *cobra.Command {
	f := &reachFlags{down: true}
	c := newReach(s, f, &cobra.Command{
		Use:   "impact DIGEST",
		Short: "Show what was made from something, all the way down, and where it runs",
		Long: `Show everything that was made from a model, dataset or commit, each once, with the roles that lead to it, and where it was
put to use and not retired since. The answer comes from an index (--store), or from everything that registries hold
(--in), slower. What is not known at all is exit code 3, and so is an answer that part of a registry is missing from.`,
		Example: `  hallmark impact sha256:91c0… --store index.db --deployed
  hallmark impact gitCommit:0a0a… --in registry.example --public-key trainer.pub`,
	})
	c.Flags().BoolVar(&f.deployed, "deployed", false, "only what runs somewhere, and the way to it")
	return c
}

func newReach(s streams, f *reachFlags, c *cobra.Command) *cobra.Command {
	var asJSON bool
	c.Args = cobra.ExactArgs(1)
	c.RunE = func(c *cobra.Command, args []string) error {
		if asJSON {
			if c.Flags().Changed("format") && f.format != "json" {
				return usagef("--json and --format %s are two answers: use one", f.format)
			}
			f.format = "json"
		}
		return f.run(c.Context(), s, args[0])
	}
	bindStore(c.Flags(), &f.store)
	c.Flags().StringArrayVar(&f.in, "in", nil, "`HOST|HOST/PREFIX/|HOST/NAME|oci:DIR` to read instead of an index (repeats); needs trust flags")
	c.Flags().StringVar(&f.class, "class", "", "what DIGEST is of: `artifact`, file or gitCommit; without, artifact or as DIGEST begins")
	c.Flags().StringVar(&f.format, "format", "tree", "`FORMAT`: tree, json, mermaid, dot or svg")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object: --format json")
	f.fill.bind(c.Flags())
	return c
}

func (f *reachFlags) run(ctx context.Context, s streams, arg string) error {
	start, err := parseNode(arg, f.class)
	if err != nil {
		return err
	}
	if f.format != "tree" && f.format != "json" && pictures[f.format] == nil {
		return usagef("--format %q: it is tree, json, mermaid, dot or svg", f.format)
	}
	x, err := f.open(ctx, s)
	if err != nil {
		return indexHint(err)
	}
	defer x.Close()
	r, err := newReached(ctx, x, start, f)
	if err != nil {
		return indexHint(f.unseen(err))
	}
	switch {
	case f.format == "json":
		err = writeJSON(s.out, r)
	case f.format == "tree":
		err = r.writeTree(s.out)
	default:
		err = pictures[f.format](s.out, r.picture())
	}
	if err != nil {
		return err
	}
	if r.Refused > 0 {
		warn(s.err, count(r.Refused, "bundle does not open, or is", "bundles do not open, or are")+" by others than those who are trusted: what is said there is not followed")
	}
	switch problems := r.problems(); {
	case len(r.Looked) == 0:
		return hintError{errors.New("no registry was looked at"), "hallmark index update HOST… --store STORE"}
	case problems > 0:
		return fmt.Errorf("%w: %s", errPartial, count(problems, "problem", "problems"))
	}
	return nil
}

// open returns the index, or one in memory that was filled from registries.
func (f *reachFlags) open(ctx context.Context, s streams) (*index.Index, error) {
	switch {
	case f.store == "" && len(f.in) == 0:
		return nil, usagef("say where to look: --store STORE, or --in HOST with trust flags")
	case f.store != "" && len(f.in) > 0:
		return nil, usagef("--store and --in are two places: use one")
	case f.store != "":
		if !f.fill.whom.nobody() {
			return nil, usagef("whom to trust was said to hallmark index update: trust flags go with --in")
		}
		return index.Open(ctx, f.store, index.Options{})
	}
	scopes, err := parseScopes(f.in)
	if err != nil {
		return nil, err
	}
	x, err := index.Open(ctx, index.InMemory, index.Options{})
	if err != nil {
		return nil, err
	}
	bar := newProgress(s, "looked at", output{JSON: f.format == "json"})
	if f.found, err = f.fill.fill(ctx, x, scopes, bar); err != nil {
		return nil, err
	}
	return x, nil
}

// unseen adds to an error that something is not known what could not be read: it may be there.
func (f *reachFlags) unseen(err error) error {
	for _, r := range f.found {
		if len(r.Problems) > 0 && errors.Is(err, lineage.ErrUnknown) {
			return fmt.Errorf("%w, and %w: %s: %s", err, errPartial, r.Scope, r.Problems[0])
		}
	}
	return err
}

// parseNode reads a digest and says what it is of.
func parseNode(arg, class string) (lineage.Node, error) {
	if class == "" {
		class = string(attestations.ClassArtifact)
		if d := attestations.ClassGitCommit; len(arg) > len(d) && arg[:len(d)+1] == string(d)+":" {
			class = string(d)
		}
	}
	d, err := attestations.ParseDigest(attestations.DigestClass(class), arg)
	if err != nil {
		return lineage.Node{}, usageError{err}
	}
	return lineage.Node{Class: class, Digest: d.String()}, nil
}

// reached is hallmark.lineage/v1 and hallmark.impact/v1.
type reached struct {
	Schema   string          `json:"schema"`
	Start    reachedThing    `json:"start"`
	Deployed bool            `json:"deployedOnly"`
	Found    []reachedThing  `json:"found"`
	Cycles   [][]reachedEdge `json:"cycles"`
	Refused  int             `json:"refused"`
	Events   uint64          `json:"events"`
	Head     string          `json:"head,omitempty"`
	Looked   []reachedScope  `json:"looked"`

	down  bool          // arrows lead to what was made
	drawn []reachedNode // what is drawn: what was found and the way to it; the start is the first
	edges []pictureEdge // among drawn
}

// reachedNode is one node of a drawing.
type reachedNode struct {
	thing reachedThing
	role  string // by which it follows from
	via   int    // this one of those that are drawn
	depth int
}

type reachedThing struct {
	Class   string          `json:"class"`
	Digest  string          `json:"digest"`
	Name    string          `json:"name,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	Refs    []string        `json:"refs"`
	Runs    []reachedRun    `json:"deployed"`
	Revoked []reachedRevoke `json:"revoked"`
	Bundles int             `json:"bundles"`
	Path    []reachedStep   `json:"path,omitempty"` // from the start
}

type reachedRun struct {
	Target string    `json:"target"`
	Action string    `json:"action"`
	Time   time.Time `json:"time"`
	Signer string    `json:"signer"`
	Bundle string    `json:"bundle"`
}

type reachedRevoke struct {
	Reason  string    `json:"reason"`
	Scope   string    `json:"scope"`
	Since   time.Time `json:"since"`
	By      string    `json:"by"`
	Expires time.Time `json:"expires"` // of the list
}

type reachedStep struct {
	Role   string `json:"role"`
	Class  string `json:"class"`
	Digest string `json:"digest"`
}

type reachedEdge struct {
	Made string `json:"made"`
	From string `json:"from"`
	Role string `json:"role"`
}

type reachedScope struct {
	Scope    string    `json:"scope"`
	Time     time.Time `json:"time"`
	Problems []string  `json:"problems"`
}

func (r *reached) problems() int {
	n := 0
	for _, l := range r.Looked {
		n += len(l.Problems)
	}
	return n
}

// newReached asks the index.
func newReached(ctx context.Context, x *index.Index, start lineage.Node, f *reachFlags) (*reached, error) {
	r := &reached{Schema: "hallmark.lineage/v1", Deployed: f.deployed, Found: []reachedThing{}, Cycles: [][]reachedEdge{}, Looked: []reachedScope{}, down: f.down}
	ask := x.Lineage
	if f.down {
		r.Schema, ask = "hallmark.impact/v1", x.Impact
	}
	reach, err := ask(ctx, start, lineage.Limits{})
	if err != nil {
		return nil, err
	}
	nodes := []lineage.Node{start}
	for i := range reach.Len() {
		n, _ := reach.At(i)
		nodes = append(nodes, n)
	}
	things, err := x.About(ctx, nodes...)
	if err != nil {
		return nil, err
	}
	r.Start = newThing(things[0])
	r.take(reach, things[1:])
	for _, c := range reach.Cycles() {
		var around []reachedEdge
		for _, e := range c {
			around = append(around, reachedEdge{e.Made.Digest, e.From.Digest, e.Role})
		}
		r.Cycles = append(r.Cycles, around)
	}
	state, err := x.State(ctx)
	if err != nil {
		return nil, err
	}
	r.Refused, r.Events, r.Head = state.Refused, state.Head.Seq, state.Head.Hash
	for _, u := range state.Updates {
		r.Looked = append(r.Looked, reachedScope{u.Scope, u.Ended, append([]string{}, u.Problems...)})
	}
	return r, nil
}

// take fills in Found, which is everything, or what runs somewhere; and what is drawn.
func (r *reached) take(reach *lineage.Reach, things []index.Thing) {
	wanted := map[lineage.Node]bool{} // what is found, and the way to it
	for i, t := range things {
		if r.Deployed && len(t.Runs) == 0 {
			continue
		}
		made := newThing(t)
		for _, s := range reach.Path(i) {
			made.Path = append(made.Path, reachedStep{s.Role, s.Node.Class, s.Node.Digest})
			wanted[s.Node] = true
		}
		r.Found = append(r.Found, made)
	}
	r.drawn = []reachedNode{{thing: r.Start}}
	place := map[lineage.Node]int{reach.Start(): 0}
	for i, t := range things {
		if !wanted[t.Node] {
			continue
		}
		if len(r.drawn) == maxDrawn {
			r.drawn = append(r.drawn, reachedNode{thing: reachedThing{Name: fmt.Sprintf("and more: only %d are drawn, --json has all", maxDrawn)}, depth: 1})
			break
		}
		path, before := reach.Path(i), reach.Start()
		if len(path) > 1 {
			before = path[len(path)-2].Node
		}
		place[t.Node] = len(r.drawn)
		r.drawn = append(r.drawn, reachedNode{newThing(t), path[len(path)-1].Role, place[before], len(path)})
	}
	for e := range reach.Edges() {
		made, there := place[e.Made]
		from, too := place[e.From]
		switch {
		case !there || !too:
		case r.down:
			r.edges = append(r.edges, pictureEdge{from, made, e.Role})
		default:
			r.edges = append(r.edges, pictureEdge{made, from, e.Role})
		}
	}
}

func newThing(t index.Thing) reachedThing {
	out := reachedThing{Class: t.Node.Class, Digest: t.Node.Digest, Name: t.Name, Kind: t.Kind, Refs: append([]string{}, t.Refs...),
		Runs: []reachedRun{}, Revoked: []reachedRevoke{}, Bundles: t.Bundles}
	for _, d := range t.Runs {
		out.Runs = append(out.Runs, reachedRun{d.Target, string(d.Action), d.At, d.Signer, d.Bundle})
	}
	for _, e := range t.Revoked {
		out.Revoked = append(out.Revoked, reachedRevoke{e.Reason, string(e.Scope), e.Since.UTC(), e.By, e.Expires.UTC()})
	}
	return out
}
