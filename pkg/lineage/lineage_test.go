package lineage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func node(i int) Node { return Node{"artifact", fmt.Sprintf("sha256:%04d", i)} }

func graphOf(t testing.TB, edges ...Edge) *Graph {
	t.Helper()
	var b Builder
	for _, e := range edges {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	return b.Graph()
}

var wide = Limits{Depth: 1 << 30, Nodes: 1 << 30}

func someEdges(t *rapid.T) []Edge {
	edge := rapid.Custom(func(t *rapid.T) Edge {
		return Edge{node(rapid.IntRange(0, 12).Draw(t, "made")), node(rapid.IntRange(0, 12).Draw(t, "from")),
			rapid.SampledFrom([]string{"base-model", "dataset.train", ""}).Draw(t, "role")}
	})
	return rapid.SliceOfN(edge, 1, 40).Draw(t, "edges")
}

// distances is the naive reference: it relaxes every edge until nothing changes.
func distances(edges []Edge, start Node, turn bool) map[Node]int {
	d := map[Node]int{start: 0}
	for changed := true; changed; {
		changed = false
		for _, e := range edges {
			if turn {
				e.Made, e.From = e.From, e.Made
			}
			at, ok := d[e.Made]
			if old, known := d[e.From]; ok && (!known || old > at+1) {
				d[e.From], changed = at+1, true
			}
		}
	}
	return d
}

// TestReachIsWhatRelaxingFinds holds both directions to the reference: the same nodes, each once, at the same distance, by
// paths of edges that exist.
func TestReachIsWhatRelaxingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := someEdges(t)
		var b Builder
		for _, e := range edges {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		g, start := b.Graph(), edges[0].Made
		for _, down := range []bool{false, true} {
			find := g.Ancestors
			if down {
				find = g.Descendants
			}
			r, err := find(start, wide)
			if err != nil {
				t.Fatal(err)
			}
			want, last := distances(edges, start, down), 0
			delete(want, start)
			for i := range r.Len() {
				n, depth := r.At(i)
				if d, ok := want[n]; !ok || d != depth || depth < last {
					t.Fatalf("down %v: %s at %d after %d, want %d (%v)", down, n, depth, last, d, ok)
				}
				delete(want, n)
				last = depth
				path, at := r.Path(i), start
				for _, s := range path {
					e := Edge{at, s.Node, s.Role}
					if down {
						e.Made, e.From = e.From, e.Made
					}
					if !slices.Contains(edges, e) {
						t.Fatalf("down %v: path %v has no edge %v", down, path, e)
					}
					at = s.Node
				}
				if len(path) != depth || at != n {
					t.Fatalf("down %v: path %v to %s at %d", down, path, n, depth)
				}
			}
			if len(want) > 0 {
				t.Fatalf("down %v: not found: %v", down, want)
			}
			for e := range r.Edges() {
				if !slices.Contains(edges, e) {
					t.Fatalf("down %v: edge %v", down, e)
				}
			}
			reached := distances(edges, start, down)
			n := 0
			for e := range unique(edges) {
				_, made := reached[e.Made]
				_, from := reached[e.From]
				if made && from {
					n++
				}
			}
			if got := len(slices.Collect(r.Edges())); got != n {
				t.Fatalf("down %v: %d edges, want %d", down, got, n)
			}
		}
	})
}

func unique(edges []Edge) map[Edge]bool {
	out := map[Edge]bool{}
	for _, e := range edges {
		out[e] = true
	}
	return out
}

// TestGraphForgetsTheOrderOfItsEdges shuffles and repeats them.
func TestGraphForgetsTheOrderOfItsEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := someEdges(t)
		var a, b Builder
		for _, e := range edges {
			if err := a.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range append(rapid.Permutation(edges).Draw(t, "order"), edges[0]) {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if x, y := a.Graph(), b.Graph(); !reflect.DeepEqual(x, y) {
			t.Fatalf("%+v\n%+v", x, y)
		}
	})
}

// TestCyclesAreThoseThatRelaxingFinds says of every node whether it leads to itself.
func TestCyclesAreThoseThatRelaxingFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := someEdges(t)
		var b Builder
		for _, e := range edges {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		g := b.Graph()
		for _, c := range g.Cycles() {
			for i, e := range c {
				if !slices.Contains(edges, e) || e.From != c[(i+1)%len(c)].Made {
					t.Fatalf("cycle %v", c)
				}
			}
		}
		for n := range g.Nodes() {
			itself := slices.ContainsFunc(edges, func(e Edge) bool {
				_, back := distances(edges, e.From, false)[n]
				return e.Made == n && back
			})
			id, _ := g.find(n)
			if _, got := g.cyclic[id]; got != itself {
				t.Fatalf("%s leads to itself: %v, found %v in %v", n, itself, got, g.Cycles())
			}
		}
	})
}

func TestReachShowsTheCyclesThatItMeets(t *testing.T) {
	a, b, c, d := node(1), node(2), node(3), node(4)
	loop := []Edge{{a, b, "base-model"}, {b, a, "teacher"}}
	g := graphOf(t, loop[0], loop[1], Edge{c, a, "base-model"}, Edge{d, d, "adapter"})
	r, err := g.Ancestors(c, Limits{})
	if err != nil || r.Len() != 2 {
		t.Fatalf("%v, %v", r, err)
	}
	if got := r.Cycles(); !reflect.DeepEqual(got, [][]Edge{loop}) {
		t.Errorf("cycles %v", got)
	}
	r, err = g.Ancestors(a, Limits{})
	if err != nil || r.Len() != 1 || len(r.Cycles()) != 1 {
		t.Errorf("from on the cycle: %v, %v", r, err)
	}
	r, err = g.Descendants(c, Limits{})
	if err != nil || r.Len() != 0 || r.Cycles() != nil {
		t.Errorf("beside the cycle: %v, %v", r, err)
	}
	if got := g.Cycles(); len(got) != 2 || len(got[1]) != 1 {
		t.Errorf("all cycles %v", got)
	}
}

// TestReachOfADiamondVisitsEachNodeOnce has 2^25 paths through 25 layers.
func TestReachOfADiamondVisitsEachNodeOnce(t *testing.T) {
	var edges []Edge
	for i := range 25 {
		top, left, right, bottom := node(3*i), node(3*i+1), node(3*i+2), node(3*i+3)
		edges = append(edges, Edge{left, top, "base-model"}, Edge{right, top, "base-model"}, Edge{bottom, left, "merge-parent"}, Edge{bottom, right, "merge-parent"})
	}
	r, err := graphOf(t, edges...).Descendants(node(0), Limits{})
	if err != nil || r.Len() != 75 {
		t.Fatalf("%v, %v", r, err)
	}
	if n, depth := r.At(74); n != node(75) || depth != 50 || len(r.Path(74)) != 50 {
		t.Errorf("last is %s at %d", n, depth)
	}
}

// TestReachOfAChainIsTheChain has more nodes than are kept in one piece, and one more than fill some pieces.
func TestReachOfAChainIsTheChain(t *testing.T) {
	const length = 3*visitsAtOnce + 1
	var b Builder
	for i := range length {
		if err := b.Add(Edge{Made: node(i), From: node(i + 1), Role: "source"}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := b.Graph().Ancestors(node(0), wide)
	if err != nil || r.Len() != length {
		t.Fatalf("%v, %v", r.Len(), err)
	}
	for i := range length {
		if n, depth := r.At(i); n != node(i+1) || depth != i+1 {
			t.Fatalf("place %d has %v at %d steps", i, n, depth)
		}
	}
	for _, i := range []int{0, visitsAtOnce - 1, visitsAtOnce, 2*visitsAtOnce + 1, length - 1} {
		path := r.Path(i)
		if len(path) != i+1 || path[0].Node != node(1) || path[i].Node != node(i+1) {
			t.Errorf("path to place %d: %d steps", i, len(path))
		}
	}
	if edges := slices.Collect(r.Edges()); len(edges) != length {
		t.Errorf("%d edges", len(edges))
	}
}

func TestLimitsAreErrorsAndNeverCuts(t *testing.T) {
	var edges []Edge
	for i := range 5 {
		edges = append(edges, Edge{node(i), node(i + 1), "base-model"})
	}
	g := graphOf(t, edges...)
	walk := func(l Limits) error {
		_, err := Walk(t.Context(), node(0), l, from(edges))
		return err
	}
	ancestors := func(l Limits) error {
		r, err := g.Ancestors(node(0), l)
		if (r == nil) != (err != nil) {
			t.Errorf("%v: %v and %v", l, r, err)
		}
		return err
	}
	for _, ask := range []func(Limits) error{walk, ancestors} {
		if err := ask(Limits{Depth: 5, Nodes: 5}); err != nil {
			t.Errorf("exactly as many as allowed: %v", err)
		}
		var e *LimitError
		if err := ask(Limits{Depth: 4}); !errors.As(err, &e) || *e != (LimitError{LimitDepth, 4, node(5)}) {
			t.Errorf("deeper: %v", err)
		}
		if err := ask(Limits{Nodes: 4}); !errors.As(err, &e) || *e != (LimitError{LimitNodes, 4, node(5)}) {
			t.Errorf("more: %v", err)
		}
	}
}

func TestReachOfAnUnknownNodeIsAnError(t *testing.T) {
	g := graphOf(t, Edge{node(1), node(2), "base-model"})
	for _, n := range []Node{node(3), {"file", node(1).Digest}, {}} {
		if _, err := g.Ancestors(n, Limits{}); !errors.Is(err, ErrUnknown) {
			t.Errorf("ancestors of %s: %v", n, err)
		}
		if _, err := g.Descendants(n, Limits{}); !errors.Is(err, ErrUnknown) || g.Has(n) {
			t.Errorf("descendants of %s: %v", n, err)
		}
	}
	if _, err := new(Graph).Ancestors(node(1), Limits{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("empty graph: %v", err)
	}
	if r, err := g.Ancestors(node(2), Limits{}); err != nil || r.Len() != 0 {
		t.Errorf("a node without inputs: %v, %v", r, err)
	}
}

func TestBuilderRefusesWhatNamesNothing(t *testing.T) {
	var b Builder
	for _, e := range []Edge{{Node{}, node(1), "r"}, {node(1), Node{"artifact", ""}, "r"}, {Node{"", "sha256:1"}, node(1), "r"}} {
		if err := b.Add(e); err == nil {
			t.Errorf("%v was added", e)
		}
	}
	if err := b.Link(0, 7, "r"); err == nil {
		t.Error("an edge to a number that was never given was added")
	}
}

func TestNeighboursComeByRoleAndNode(t *testing.T) {
	g := graphOf(t, Edge{node(1), node(9), "b"}, Edge{node(1), node(3), "b"}, Edge{node(1), node(9), "a"}, Edge{node(2), node(9), "a"})
	if got := slices.Collect(g.Inputs(node(1))); !slices.Equal(got, []Step{{"a", node(9)}, {"b", node(3)}, {"b", node(9)}}) {
		t.Errorf("inputs %v", got)
	}
	if got := slices.Collect(g.Outputs(node(9))); !slices.Equal(got, []Step{{"a", node(1)}, {"a", node(2)}, {"b", node(1)}}) {
		t.Errorf("outputs %v", got)
	}
	if nodes, edges := g.Len(); nodes != 4 || edges != 4 {
		t.Errorf("%d nodes, %d edges", nodes, edges)
	}
}

// from answers Walk with the edges of a list.
func from(edges []Edge) func(context.Context, []Node) ([]Edge, error) {
	return func(_ context.Context, level []Node) (out []Edge, _ error) {
		for _, e := range edges {
			if slices.Contains(level, e.Made) {
				out = append(out, e)
			}
		}
		return out, nil
	}
}

// TestWalkFindsWhatAncestorsFinds lets Walk find the graph, cycles and all, and holds it to the one that was known.
func TestWalkFindsWhatAncestorsFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edges := someEdges(t)
		asked := map[Node]bool{}
		g, err := Walk(t.Context(), edges[0].Made, wide, func(ctx context.Context, level []Node) ([]Edge, error) {
			for _, n := range level {
				if asked[n] {
					t.Fatalf("asked about %s twice", n)
				}
				asked[n] = true
			}
			return from(edges)(ctx, level)
		})
		if err != nil {
			t.Fatal(err)
		}
		want := distances(edges, edges[0].Made, false)
		if nodes, _ := g.Len(); nodes != len(want) || len(asked) != len(want) {
			t.Fatalf("%d nodes, asked about %d, want %d", nodes, len(asked), len(want))
		}
	})
}

func TestWalkEndsWithTheErrorOfWhoAnswers(t *testing.T) {
	broken := errors.New("registry is gone")
	_, err := Walk(t.Context(), node(1), Limits{}, func(context.Context, []Node) ([]Edge, error) { return nil, broken })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	_, err = Walk(t.Context(), node(1), Limits{}, func(context.Context, []Node) ([]Edge, error) { return []Edge{{node(5), node(6), "r"}}, nil })
	if err == nil {
		t.Error("an edge of a node that was not asked about was taken")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	if _, err = Walk(ctx, node(1), Limits{}, from(nil)); !errors.Is(err, broken) {
		t.Errorf("ended: %v", err)
	}
}

// large returns n nodes in which each but the first was made from five, or as many as there are, of those before it.
func large(b *testing.B, n int) *Graph {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	var build Builder
	for i := range n {
		id, err := build.Node(Node{"artifact", fmt.Sprintf("sha256:%064x", random.Uint64())})
		if err != nil {
			b.Fatal(err)
		}
		for k := range min(i, 5) {
			from := random.IntN(i)
			if k == 0 && i < 1000 || k == 0 && random.IntN(10) > 0 {
				from = random.IntN(min(i, 1000)) // families: most things come from few
			}
			if err := build.Link(id, ID(from), []string{"base-model", "dataset.train", "source"}[k%3]); err != nil {
				b.Fatal(err)
			}
		}
	}
	return build.Graph()
}

func BenchmarkDescendantsOfARoot(b *testing.B) {
	g := large(b, 1_000_000)
	root := 0
	for n := range g.nodes {
		if to, _ := g.inputs.of(uint32(n)); len(to) == 0 {
			root = n
		}
	}
	for b.Loop() {
		r, err := g.Descendants(g.nodes[root], wide)
		if err != nil || r.Len() == 0 {
			b.Fatal(err)
		}
		b.ReportMetric(float64(r.Len()), "nodes")
	}
}

func BenchmarkGraph(b *testing.B) {
	for b.Loop() {
		large(b, 1_000_000)
	}
}
