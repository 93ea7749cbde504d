package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// shownAs is how a command shows decisions.
type shownAs struct {
	output
	Format string

	warn bool // what is no yes is shown as a warning
}

func (a *shownAs) bind(f *pflag.FlagSet, quiet string) {
	a.output.bind(f, quiet)
	f.StringVar(&a.Format, "format", "text", "`FORMAT`: text, json, mermaid, dot or svg")
}

// check brings --json and --format together.
func (a *shownAs) check(f *pflag.FlagSet) error {
	switch {
	case a.JSON && f.Changed("format") && a.Format != "json":
		return usagef("--json and --format %s are two answers: use one", a.Format)
	case a.Format == "json":
		a.JSON = true
	case a.Format != "text" && pictures[a.Format] == nil:
		return usagef("--format %q: it is text, json, mermaid, dot or svg", a.Format)
	case a.Format != "text" && a.Quiet:
		return usagef("--quiet and --format %s are two answers: use one", a.Format)
	}
	return nil
}

// decision prints d, and returns an undecided error unless it is a yes.
func (a *shownAs) decision(s streams, d policy.Decision) error {
	draw := pictures[a.Format]
	if draw == nil || a.JSON {
		return showDecision(s, d, *a)
	}
	if err := draw(s.out, chainTree(d).picture()); err != nil {
		return err
	}
	if d.Verdict() == policy.Yes {
		return nil
	}
	return undecided{verdict: d.Verdict()}
}

// chainTree is the tree of a decision: the artifact, what was checked on it, what it was made from.
func chainTree(d policy.Decision) tree {
	if len(d.Chain) == 0 {
		top := &drawnNode{label: d.Verdict().String() + "  " + nameOf(d.Artifact)}
		return tree{top: addChecks(top, d.Checks)}
	}
	g := newGrower(d.Chain)
	top := &drawnNode{label: d.Verdict().String() + "  " + nameOf(d.Chain[0].Artifact), dashed: d.Verdict() != policy.Yes}
	g.grow(top, 0)
	return tree{top: top}
}

// nameOf is an artifact as people and machines call it.
func nameOf(a policy.Artifact) string {
	name := deployable(a)
	if a.ID != "" && !strings.Contains(name, a.ID) {
		name += "  " + a.ID
	}
	return name
}

func addChecks(at *drawnNode, checks []policy.Check) *drawnNode {
	for _, c := range checks {
		at.below = append(at.below, &drawnNode{mark: fmt.Sprintf("%-7s  ", mark(c)), label: c.Name + "  " + c.Detail, dashed: c.Verdict != policy.Yes, check: true})
	}
	return at
}

// spot is an artifact in a step.
type spot struct{ step, id string }

// grower draws each link of a chain once, where it comes first.
type grower struct {
	links   []policy.Link
	at      map[spot]int     // index of the link
	steps   map[string][]int // indices of an artifact's links
	reached map[spot]bool    // by an edge
	drawn   map[int]bool
	left    int
}

func newGrower(links []policy.Link) *grower {
	g := &grower{links: links, at: map[spot]int{}, steps: map[string][]int{}, reached: map[spot]bool{}, drawn: map[int]bool{0: true}, left: maxDrawn}
	for i, l := range links {
		g.at[spot{l.Step, l.Artifact.ID}] = i
		g.steps[l.Artifact.ID] = append(g.steps[l.Artifact.ID], i)
		for _, e := range l.Edges {
			g.reached[spot{e.Step, e.Digest}] = true
		}
	}
	return g
}

// find returns the link that an edge leads to; -1: there is none.
func (g *grower) find(e policy.Edge) int {
	if i, ok := g.at[spot{e.Step, e.Digest}]; ok && e.Step != "" {
		return i
	}
	return -1
}

func (g *grower) grow(at *drawnNode, i int) {
	l := g.links[i]
	// What was found of an input stands with the input.
	addChecks(at, slices.DeleteFunc(slices.Clone(l.Checks), func(c policy.Check) bool { return ofInput(l, c) && (c.Verdict == policy.Yes || passedOn(l, c)) }))
	for _, e := range l.Edges {
		if g.left--; g.left < 0 {
			at.below = append(at.below, &drawnNode{label: fmt.Sprintf("and more: only %d are drawn", maxDrawn)})
			return
		}
		n := edgeNode(e)
		at.below = append(at.below, n)
		g.enter(n, g.find(e))
	}
	for _, next := range g.steps[l.Artifact.ID] { // other steps for the same artifact, which one of the ways leads to
		other := g.links[next]
		if l.Verdict == policy.Yes && other.Verdict != policy.Yes { // another way holds
			continue
		}
		if l.Artifact.ID != "" && !g.drawn[next] && !g.reached[spot{other.Step, other.Artifact.ID}] {
			n := &drawnNode{mark: fmt.Sprintf("%-7s  ", other.Verdict), label: "step " + other.Step, dashed: other.Verdict != policy.Yes}
			at.below = append(at.below, n)
			g.enter(n, next)
		}
	}
}

// enter goes on with link i, if there is such a link and it was not drawn yet.
func (g *grower) enter(n *drawnNode, i int) {
	switch {
	case i < 0:
	case g.drawn[i]:
		n.label += "  (above)"
	default:
		g.drawn[i] = true
		g.grow(n, i)
	}
}

// edgeNode says what an input is, who says so and when, and what let it through.
func edgeNode(e policy.Edge) *drawnNode {
	parts := []string{e.Role}
	for _, p := range []string{e.Name, e.Digest} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	label := strings.Join(parts, "  ")
	if by := cmp.Or(e.Principal, e.Signer); by != "" {
		label += "  by " + by
		if e.Time != nil {
			label += ", " + e.Time.UTC().Format("2006-01-02 15:04 UTC")
		}
	}
	if e.Why != "" {
		label += ": " + e.Why
	}
	return &drawnNode{mark: fmt.Sprintf("%-7s  ", edgeMark(e.Verdict)), label: label, dashed: e.Verdict != policy.Yes}
}

func edgeMark(v policy.Verdict) string {
	if v == policy.Yes {
		return "ok"
	}
	return v.String()
}
