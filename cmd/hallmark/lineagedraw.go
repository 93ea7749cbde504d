package main

import (
	"fmt"
	"io"
	"strings"
)

// label says what people know a thing by; its digest is whole where whole is set.
func (t reachedThing) label(whole bool) string {
	digest := t.Digest
	if algorithm, digits, ok := strings.Cut(digest, ":"); ok && !whole && len(digits) > 12 {
		digest = algorithm + ":" + digits[:12] + "…"
	}
	if t.Class == "file" {
		digest = strings.TrimSpace("file " + digest)
	}
	parts := []string{}
	for _, s := range []string{t.Name, digest} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if len(t.Runs) > 0 {
		parts = append(parts, fmt.Sprintf("(runs at %d)", len(t.Runs)))
	}
	if len(t.Revoked) > 0 {
		parts = append(parts, "(revoked)")
	}
	return strings.Join(parts, "  ")
}

// detail is what is known of a thing beside its label, a fact each.
func (t reachedThing) detail() []string {
	var out []string
	for _, ref := range t.Refs {
		out = append(out, "named "+ref)
	}
	for _, d := range t.Runs {
		out = append(out, "runs at "+d.Target+", says "+d.Signer)
	}
	for _, e := range t.Revoked {
		out = append(out, "REVOKED by "+e.By+": "+e.Reason)
	}
	return out
}

// writeTree prints each node once, below what it was first reached from.
func (r *reached) writeTree(w io.Writer) error {
	out := &checkedWriter{w: w}
	below := make([][]int, len(r.drawn))
	for i, n := range r.drawn[1:] {
		below[n.via] = append(below[n.via], i+1)
	}
	fmt.Fprintln(out, printable(r.Start.label(true)))
	for _, d := range r.Start.detail() {
		fmt.Fprintln(out, "   "+printable(d))
	}
	if len(r.Found) == 0 {
		fmt.Fprintln(out, "└─ "+r.nothing())
	}
	// Without recursion: a lineage may be as deep as it is long.
	type line struct {
		node   int
		indent string
		last   bool
	}
	var todo []line
	push := func(of int, indent string) {
		for k := len(below[of]) - 1; k >= 0; k-- {
			todo = append(todo, line{below[of][k], indent, k == len(below[of])-1})
		}
	}
	for push(0, ""); len(todo) > 0 && out.err == nil; {
		l := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n, branch, next := r.drawn[l.node], "├─ ", "│  "
		if l.last {
			branch, next = "└─ ", "   "
		}
		role := ""
		if n.role != "" {
			role = printable(n.role) + "  "
		}
		fmt.Fprintln(out, l.indent+branch+role+printable(n.thing.label(true)))
		for _, d := range n.thing.detail() {
			fmt.Fprintln(out, l.indent+next+"   "+printable(d))
		}
		push(l.node, l.indent+next)
	}
	for _, c := range r.Cycles {
		fmt.Fprintf(out, "CYCLE  %s\n", printable(cycleText(c)))
	}
	return out.err
}

func (r *reached) nothing() string {
	switch {
	case r.Deployed:
		return "nothing that runs was made from it"
	case r.down:
		return "nothing was made from it"
	}
	return "nothing is known that it was made from"
}

func cycleText(c []reachedEdge) string {
	var b strings.Builder
	for _, e := range c {
		fmt.Fprintf(&b, "%s is made from (%s) ", e.Made, e.Role)
	}
	return b.String() + c[0].Made
}

// picture draws each node once, with every edge among them.
func (r *reached) picture() picture {
	p := picture{edges: r.edges}
	for _, n := range r.drawn {
		p.nodes = append(p.nodes, pictureNode{label: n.thing.label(false), detail: strings.Join(append([]string{n.thing.Digest}, n.thing.detail()...), "\n"),
			dashed: n.thing.Bundles == 0, marked: len(n.thing.Runs) > 0 || len(n.thing.Revoked) > 0, layer: n.depth})
	}
	return p
}
