package lineage

// Cycles returns things that are said to be made from themselves. Nodes that all lead to each other have one cycle here, a
// shortest one through the first of them; a node that is made from itself directly is a cycle of one edge. Each edge's
// From is the next one's Made, and the last one's From the first one's Made. An honest graph has none.
func (g *Graph) Cycles() [][]Edge {
	var out [][]Edge
	for _, c := range g.cycles {
		out = append(out, g.edges(c))
	}
	return out
}

func (g *Graph) edges(links []link) []Edge {
	out := make([]Edge, len(links))
	for i, l := range links {
		out[i] = Edge{g.nodes[l.made], g.nodes[l.from], g.roles[l.role]}
	}
	return out
}

// findCycles fills in cycles and cyclic.
func (g *Graph) findCycles() {
	group := g.groups()
	if group == nil {
		return
	}
	g.cyclic = map[uint32]int{}
	known := map[uint32]int{} // group → place in cycles
	for n := range uint32(len(g.nodes)) {
		c, ok := known[group[n]]
		if !ok {
			path := g.around(n, group)
			if path == nil {
				continue
			}
			c = len(g.cycles)
			known[group[n]] = c
			g.cycles = append(g.cycles, path)
		}
		g.cyclic[n] = c
	}
}

// around returns a shortest way from start along inputs back to it, within its group; nil if there is none.
func (g *Graph) around(start uint32, group []uint32) []link {
	before := map[uint32]link{} // node → the edge by which it was met
	for queue := []uint32{start}; len(queue) > 0; queue = queue[1:] {
		to, role := g.inputs.of(queue[0])
		for i, t := range to {
			if group[t] != group[start] {
				continue
			}
			if _, seen := before[t]; seen {
				continue
			}
			before[t] = link{queue[0], t, role[i]}
			if t != start {
				queue = append(queue, t)
				continue
			}
			path := []link{before[t]}
			for path[0].made != start {
				path = append([]link{before[path[0].made]}, path...)
			}
			return path
		}
	}
	return nil
}

// groups returns for each node the number of its strongly connected component: nodes that lead to each other share one.
// It is nil where there is no cycle. The way is Tarjan's ("Depth-first search and linear graph algorithms", 1972), with a
// stack of its own in place of recursion, so that a long chain costs no more than memory.
func (g *Graph) groups() []uint32 {
	const unseen = ^uint32(0)
	n := len(g.nodes)
	order, low, group := make([]uint32, n), make([]uint32, n), make([]uint32, n)
	for i := range n {
		order[i], group[i] = unseen, unseen
	}
	type frame struct{ node, next uint32 } // next: place in inputs.to
	var calls []frame
	var open []uint32 // seen, and in no group yet
	met, cycle := uint32(0), false
	enter := func(v uint32) {
		order[v], low[v] = met, met
		met++
		open = append(open, v)
		calls = append(calls, frame{v, g.inputs.first[v]})
	}
	for root := range uint32(n) {
		if order[root] != unseen {
			continue
		}
		enter(root)
		for len(calls) > 0 {
			f := &calls[len(calls)-1]
			v := f.node
			if f.next < g.inputs.first[v+1] {
				t := g.inputs.to[f.next]
				f.next++
				switch {
				case order[t] == unseen:
					enter(t)
				case group[t] == unseen:
					low[v] = min(low[v], order[t])
					cycle = true // t is above v, or v itself
				}
				continue
			}
			calls = calls[:len(calls)-1]
			if len(calls) > 0 {
				above := calls[len(calls)-1].node
				low[above] = min(low[above], low[v])
			}
			if low[v] == order[v] {
				for done := false; !done; {
					last := open[len(open)-1]
					open = open[:len(open)-1]
					group[last], done = v, last == v
				}
			}
		}
	}
	if !cycle {
		return nil
	}
	return group
}
