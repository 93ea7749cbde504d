package lineage

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Node is a digest and of what kind of thing it is. Two nodes are the same if both are: digests are compared only within
// their class. The zero Node names nothing and is in no Graph.
type Node struct {
	Class  string // as "artifact", "file", "gitCommit"
	Digest string // in the one spelling that its class has
}

// String returns the class and the digest, quoted where they are not plain.
func (n Node) String() string { return plain(n.Class) + " " + plain(n.Digest) }

func plain(s string) string {
	if q := fmt.Sprintf("%q", s); q != `"`+s+`"` {
		return q
	}
	return s
}

func (n Node) compare(o Node) int {
	return cmp.Or(strings.Compare(n.Class, o.Class), strings.Compare(n.Digest, o.Digest))
}

// Edge says that Made was made from From, which was used as Role.
type Edge struct {
	Made, From Node
	Role       string
}

// link is an Edge by numbers.
type link struct {
	made, from uint32
	role       uint16
}

// ID is a node's number in one Builder.
type ID uint32

// Builder collects edges. The zero Builder is empty and ready. It is not safe for concurrent use.
type Builder struct {
	ids     map[string]map[string]ID // by class and digest: there are few classes
	nodes   []Node
	roleIDs map[string]uint16
	roles   []string
	links   []link
}

// Caps on what the numbers hold.
const (
	maxNumbers = 1<<32 - 2
	maxRoles   = 1 << 16
)

// Node returns n's number, and adds n if it is new: a node may be there without an edge. A node without class or digest is
// an error.
func (b *Builder) Node(n Node) (ID, error) {
	if id, ok := b.Find(n); ok {
		return id, nil
	}
	switch {
	case n.Class == "" || n.Digest == "":
		return 0, fmt.Errorf("add node %q %q: without a class and a digest it could be anything", n.Class, n.Digest)
	case len(b.nodes) >= maxNumbers:
		return 0, &LimitError{What: LimitNodes, Limit: maxNumbers, At: n}
	}
	if b.ids == nil {
		b.ids = map[string]map[string]ID{}
	}
	if b.ids[n.Class] == nil {
		b.ids[n.Class] = map[string]ID{}
	}
	id := ID(len(b.nodes))
	b.ids[n.Class][n.Digest] = id
	b.nodes = append(b.nodes, n)
	return id, nil
}

// Find returns n's number, and whether n was added.
func (b *Builder) Find(n Node) (ID, bool) {
	id, ok := b.ids[n.Class][n.Digest]
	return id, ok
}

// Add adds e and its nodes. The same edge again changes nothing in the Graph. An edge without a role, or of something from
// itself, is kept: what was claimed is shown.
func (b *Builder) Add(e Edge) error {
	made, err := b.Node(e.Made)
	if err != nil {
		return err
	}
	from, err := b.Node(e.From)
	if err != nil {
		return err
	}
	return b.Link(made, from, e.Role)
}

// Link is Add for nodes whose numbers are known, for those who add millions. A number that Node did not return is an
// error.
func (b *Builder) Link(made, from ID, role string) error {
	if int(made) >= len(b.nodes) || int(from) >= len(b.nodes) {
		return fmt.Errorf("add edge between nodes %d and %d: there are %d", made, from, len(b.nodes))
	}
	r, ok := b.roleIDs[role]
	if !ok {
		if len(b.roles) >= maxRoles {
			return fmt.Errorf("add edge of role %q: there are %d roles already", role, maxRoles)
		}
		if b.roleIDs == nil {
			b.roleIDs = map[string]uint16{}
		}
		r = uint16(len(b.roles))
		b.roleIDs[role] = r
		b.roles = append(b.roles, role)
	}
	if len(b.links) >= maxNumbers {
		return errors.New("add edge: there are 4 billion already")
	}
	b.links = append(b.links, link{uint32(made), uint32(from), r})
	return nil
}

// Graph is what was made from what. It is immutable and safe for concurrent use. Nothing in it depends on the order in
// which it was built. The zero Graph is empty.
type Graph struct {
	nodes   []Node // sorted; a node's number is its place here
	roles   []string
	inputs  adjacency // from what was made to what it was made from
	outputs adjacency
	cycles  [][]link
	cyclic  map[uint32]int // node on a cycle → its place in cycles
}

// adjacency holds the neighbours of node n at to[first[n]:first[n+1]], by role and then by node.
type adjacency struct {
	first []uint32
	to    []uint32
	role  []uint16
}

func (a adjacency) of(n uint32) (to []uint32, role []uint16) {
	from, end := a.first[n], a.first[n+1]
	return a.to[from:end], a.role[from:end]
}

// Graph returns what was added so far. The Builder may be added to afterwards; the Graph does not change.
func (b *Builder) Graph() *Graph {
	g := &Graph{nodes: slices.Clone(b.nodes), roles: slices.Clone(b.roles)}
	slices.SortFunc(g.nodes, Node.compare)
	slices.Sort(g.roles)
	number := make([]uint32, len(g.nodes))
	for i, n := range g.nodes {
		number[b.ids[n.Class][n.Digest]] = uint32(i)
	}
	rank := make([]uint16, len(g.roles))
	for i, r := range g.roles {
		rank[b.roleIDs[r]] = uint16(i)
	}
	links, spare := make([]link, len(b.links)), make([]link, len(b.links))
	for i, l := range b.links {
		links[i] = link{number[l.made], number[l.from], rank[l.role]}
	}
	made := func(l link) uint32 { return l.made }
	from := func(l link) uint32 { return l.from }
	role := func(l link) uint32 { return uint32(l.role) }
	sortBy(links, spare, len(g.nodes), from)
	sortBy(spare, links, len(g.roles), role)
	sortBy(links, spare, len(g.nodes), made)
	links, spare = slices.Compact(spare), links
	spare = spare[:len(links)]
	g.inputs = newAdjacency(links, len(g.nodes), made, from)
	sortBy(links, spare, len(g.roles), role) // still by made within a role
	sortBy(spare, links, len(g.nodes), from)
	g.outputs = newAdjacency(links, len(g.nodes), from, made)
	g.findCycles()
	return g
}

// sortBy writes in to out, ordered by key, which is below keys; equal ones stay in their order.
func sortBy(in, out []link, keys int, key func(link) uint32) {
	next := make([]uint32, keys+1)
	for _, l := range in {
		next[key(l)+1]++
	}
	for k := 1; k <= keys; k++ {
		next[k] += next[k-1]
	}
	for _, l := range in {
		k := key(l)
		out[next[k]] = l
		next[k]++
	}
}

// newAdjacency is of links that are ordered by node.
func newAdjacency(links []link, nodes int, node, neighbour func(link) uint32) adjacency {
	a := adjacency{make([]uint32, nodes+1), make([]uint32, len(links)), make([]uint16, len(links))}
	for i, l := range links {
		a.first[node(l)+1]++
		a.to[i], a.role[i] = neighbour(l), l.role
	}
	for n := range nodes {
		a.first[n+1] += a.first[n]
	}
	return a
}

// Len returns the numbers of nodes and of edges.
func (g *Graph) Len() (nodes, edges int) { return len(g.nodes), len(g.inputs.to) }

// Nodes returns all nodes, in order of class and digest.
func (g *Graph) Nodes() iter.Seq[Node] { return slices.Values(g.nodes) }

// Has reports whether n is in the graph.
func (g *Graph) Has(n Node) bool {
	_, ok := g.find(n)
	return ok
}

func (g *Graph) find(n Node) (uint32, bool) {
	i, ok := slices.BinarySearchFunc(g.nodes, n, Node.compare)
	return uint32(i), ok
}

// Inputs returns what n was made from, by role and node; none where n is unknown.
func (g *Graph) Inputs(n Node) iter.Seq[Step] { return g.steps(g.inputs, n) }

// Outputs returns what was made from n, by role and node; none where n is unknown.
func (g *Graph) Outputs(n Node) iter.Seq[Step] { return g.steps(g.outputs, n) }

func (g *Graph) steps(a adjacency, n Node) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		id, ok := g.find(n)
		if !ok {
			return
		}
		to, role := a.of(id)
		for i := range to {
			if !yield(Step{g.roles[role[i]], g.nodes[to[i]]}) {
				return
			}
		}
	}
}
