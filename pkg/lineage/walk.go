package lineage

import (
	"context"
	"fmt"
	"slices"
)

// Walk finds out what start was made from where the graph is not known yet: it asks inputs about start, then about all
// that it named, and so on, a level at a time, about each node once. It returns the graph of all answers.
//
// inputs gets the nodes of one level, in order, and returns the edges whose Made is one of them; it may look them up in
// parallel. A node that it has nothing to say about, or that has no history, such as a file, simply has no edges. Its
// error ends the walk and is returned, and so is the end of ctx; an edge of a node that was not asked about is an error.
// More than the limits let in is a *LimitError; the nodes at the last step that is allowed are asked about too, so that
// what lies beyond is noticed.
func Walk(ctx context.Context, start Node, l Limits, inputs func(ctx context.Context, level []Node) ([]Edge, error)) (*Graph, error) {
	l = l.orDefault()
	var b Builder
	if _, err := b.Node(start); err != nil {
		return nil, err
	}
	asked := map[Node]bool{start: true} // and those that are about to be
	level := []Node{start}
	for depth := 0; len(level) > 0; depth++ {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		edges, err := inputs(ctx, level)
		if err != nil {
			return nil, err
		}
		var next []Node
		for _, e := range edges {
			if _, ok := slices.BinarySearchFunc(level, e.Made, Node.compare); !ok {
				return nil, fmt.Errorf("walk from %s: an edge of %s, which was not asked about", start, e.Made)
			}
			if err := b.Add(e); err != nil {
				return nil, err
			}
			if asked[e.From] {
				continue
			}
			switch {
			case depth >= l.Depth:
				return nil, &LimitError{LimitDepth, l.Depth, e.From}
			case len(asked) > l.Nodes:
				return nil, &LimitError{LimitNodes, l.Nodes, e.From}
			}
			asked[e.From] = true
			next = append(next, e.From)
		}
		slices.SortFunc(next, Node.compare)
		level = next
	}
	return b.Graph(), nil
}
