package lineage

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Limits says how far to go. The zero Limits is for graphs that somebody else wrote.
type Limits struct {
	Depth int // steps from the start; 0: DefaultDepth
	Nodes int // nodes that are found, the start not counted; 0: DefaultNodes
}

// The limits that zero stands for.
const (
	DefaultDepth = 100
	DefaultNodes = 10_000
)

func (l Limits) orDefault() Limits {
	return Limits{cmp.Or(l.Depth, DefaultDepth), cmp.Or(l.Nodes, DefaultNodes)}
}

// What a LimitError is about.
const (
	LimitDepth = "depth"
	LimitNodes = "nodes"
)

// LimitError says that there is more than the limits let in. What was found until then is not returned: a part would look
// like the whole.
type LimitError struct {
	What  string // LimitDepth or LimitNodes
	Limit int
	At    Node // the first that was beyond
}

func (e *LimitError) Error() string {
	if e.What == LimitDepth {
		return fmt.Sprintf("lineage is deeper than %d steps at %s", e.Limit, e.At)
	}
	return fmt.Sprintf("lineage has more than %d nodes at %s", e.Limit, e.At)
}

// ErrUnknown says that the node asked about is not in the graph: nothing is known of it, which is not the same as that it
// has no ancestors or descendants.
var ErrUnknown = errors.New("not in the graph")

// Step is one step along the graph: to Node, by an edge of that role.
type Step struct {
	Role string
	Node Node
}

// Reach is all that was found from a start, each node once, the nearest first; nodes at the same distance in an order
// that follows from the graph alone. The start is not among them, whatever cycles it is on. It is immutable and safe for
// concurrent use.
type Reach struct {
	g      *Graph
	start  uint32
	found  visits
	cycles []int
}

type visit struct {
	node  uint32
	via   uint32 // place in found of the node before it, plus one; 0: the start
	depth uint32
	role  uint16
}

// visits is a list that grows without being copied: with a million nodes, the pages of all its copies take longer than the
// walk. The zero visits is empty.
type visits struct {
	full [][]visit // visitsAtOnce each
	last []visit
}

const visitsAtOnce = 4096

func (v *visits) add(one visit) {
	if len(v.last) == visitsAtOnce {
		v.full, v.last = append(v.full, v.last), make([]visit, 0, visitsAtOnce)
	}
	v.last = append(v.last, one)
}

func (v *visits) len() int { return len(v.full)*visitsAtOnce + len(v.last) }

func (v *visits) at(i int) visit {
	if n := i / visitsAtOnce; n < len(v.full) {
		return v.full[n][i%visitsAtOnce]
	}
	return v.last[i-len(v.full)*visitsAtOnce]
}

func (v *visits) all() iter.Seq[visit] {
	return func(yield func(visit) bool) {
		for i := range v.len() {
			if !yield(v.at(i)) {
				return
			}
		}
	}
}

// Ancestors returns what n was made from, and what that was made from, and so on. An unknown n is an ErrUnknown, more than
// the limits let in a *LimitError.
func (g *Graph) Ancestors(n Node, l Limits) (*Reach, error) { return g.reach(g.inputs, n, l) }

// Descendants returns what was made from n, and what was made from that, and so on. It errs as Ancestors does.
func (g *Graph) Descendants(n Node, l Limits) (*Reach, error) { return g.reach(g.outputs, n, l) }

// reach goes breadth first, so that the path to each node is a shortest one.
func (g *Graph) reach(a adjacency, n Node, l Limits) (*Reach, error) {
	l = l.orDefault()
	start, ok := g.find(n)
	if !ok {
		return nil, fmt.Errorf("%s: %w", n, ErrUnknown)
	}
	r := &Reach{g: g, start: start}
	seen := make([]bool, len(g.nodes))
	seen[start] = true
	r.meet(start)
	for at, next := start, 0; ; next++ {
		via, depth := uint32(0), uint32(0)
		if next > 0 {
			v := r.found.at(next - 1)
			at, via, depth = v.node, uint32(next), v.depth
		}
		to, role := a.of(at)
		for i, t := range to {
			if seen[t] {
				continue
			}
			switch {
			case int(depth) >= l.Depth:
				return nil, &LimitError{LimitDepth, l.Depth, g.nodes[t]}
			case r.found.len() >= l.Nodes:
				return nil, &LimitError{LimitNodes, l.Nodes, g.nodes[t]}
			}
			seen[t] = true
			r.found.add(visit{t, via, depth + 1, role[i]})
			r.meet(t)
		}
		if next == r.found.len() {
			slices.Sort(r.cycles)
			r.cycles = slices.Compact(r.cycles)
			return r, nil
		}
	}
}

// meet notes the cycle that the node is on.
func (r *Reach) meet(node uint32) {
	if c, ok := r.g.cyclic[node]; ok {
		r.cycles = append(r.cycles, c)
	}
}

// Start returns the node that was asked about.
func (r *Reach) Start() Node { return r.g.nodes[r.start] }

// Len returns how many nodes were found.
func (r *Reach) Len() int { return r.found.len() }

// At returns the i-th node that was found and how many steps it is away. It panics unless 0 ≤ i < Len().
func (r *Reach) At(i int) (n Node, depth int) {
	v := r.found.at(i)
	return r.g.nodes[v.node], int(v.depth)
}

// Path returns a shortest way from the start to the i-th node, which is its last step; of several the first by role and
// node. It panics unless 0 ≤ i < Len().
func (r *Reach) Path(i int) []Step {
	path := make([]Step, r.found.at(i).depth)
	for at := len(path) - 1; at >= 0; at-- {
		v := r.found.at(i)
		path[at] = Step{r.g.roles[v.role], r.g.nodes[v.node]}
		i = int(v.via) - 1
	}
	return path
}

// Edges returns every edge among the start and what was found, by what was made, role and what it was made from.
func (r *Reach) Edges() iter.Seq[Edge] {
	return func(yield func(Edge) bool) {
		among := make([]bool, len(r.g.nodes))
		among[r.start] = true
		for v := range r.found.all() {
			among[v.node] = true
		}
		for n, in := range among {
			if !in {
				continue
			}
			from, role := r.g.inputs.of(uint32(n))
			for i, f := range from {
				if among[f] && !yield(Edge{r.g.nodes[n], r.g.nodes[f], r.g.roles[role[i]]}) {
					return
				}
			}
		}
	}
}

// Cycles returns the cycles that were met; see Graph.Cycles.
func (r *Reach) Cycles() [][]Edge {
	var out [][]Edge
	for _, c := range r.cycles {
		out = append(out, r.g.edges(r.g.cycles[c]))
	}
	return out
}
