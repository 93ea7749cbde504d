package main

import (
	"fmt"
	"io"
	"strings"
)

// drawnNode is one node of a tree. Mark and label may hold any text.
type drawnNode struct {
	mark   string // what it is to the node above, before the label
	label  string
	dashed bool // nobody vouches for it, or it does not hold
	check  bool // what was looked at, and no input
	below  []*drawnNode
}

// tree is what is drawn.
type tree struct {
	top  *drawnNode
	bare string // what stands below a top without branches, in text
}

// drawings are how show prints.
var drawings = map[string]func(io.Writer, drawing) error{"text": drawn(drawText), "json": drawJSON, "mermaid": drawn(drawMermaid), "dot": drawn(drawDot)}

// drawn draws what is a tree alone.
func drawn(draw func(io.Writer, tree) error) func(io.Writer, drawing) error {
	return func(w io.Writer, d drawing) error { return draw(w, d.tree) }
}

func drawJSON(w io.Writer, d drawing) error {
	return writeJSON(w, struct {
		Schema    string           `json:"schema"`
		Artifacts []*shownArtifact `json:"artifacts"`
	}{"hallmark.shown/v1", d.artifacts})
}

func drawText(w io.Writer, d tree) error {
	fmt.Fprintln(w, printable(d.top.label))
	if len(d.top.below) == 0 && d.bare != "" {
		_, err := fmt.Fprintln(w, "└─ "+d.bare)
		return err
	}
	return drawBelow(w, d.top, "")
}

// writeTree draws what is below the top, as part of a longer text.
func writeTree(w io.Writer, d tree) { _ = drawBelow(w, d.top, "    ") } // a writer that failed says so at the end

func drawBelow(w io.Writer, n *drawnNode, indent string) error {
	for i, b := range n.below {
		branch, next := "├─ ", "│  "
		if i == len(n.below)-1 {
			branch, next = "└─ ", "   "
		}
		if _, err := fmt.Fprintln(w, indent+branch+b.mark+printable(b.label)); err != nil {
			return err
		}
		if err := drawBelow(w, b, indent+next); err != nil {
			return err
		}
	}
	return nil
}

// number walks the tree from the top and calls visit with each node's number, and with that of the node above it; -1 for
// the top.
func (d tree) number(visit func(n *drawnNode, id, above int)) {
	next := 0
	var walk func(n *drawnNode, above int)
	walk = func(n *drawnNode, above int) {
		id := next
		next++
		visit(n, id, above)
		for _, b := range n.below {
			walk(b, id)
		}
	}
	walk(d.top, -1)
}

func drawMermaid(w io.Writer, d tree) error {
	_, err := fmt.Fprintln(w, "flowchart TD")
	d.number(func(n *drawnNode, id, above int) {
		fmt.Fprintf(w, "  n%d[\"%s\"]\n", id, mermaidText(n.mark+n.label))
		if above >= 0 {
			_, err = fmt.Fprintf(w, "  n%d --> n%d\n", above, id)
		}
	})
	return err
}

// mermaidText spells out, as Mermaid's entity codes, all that is not plainly text: quotes end a label, and markup in it
// would be shown as such.
func mermaidText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == ' ' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".,:/@_-+=()", r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	return b.String()
}

func drawDot(w io.Writer, d tree) error {
	fmt.Fprintln(w, "digraph evidence {")
	d.number(func(n *drawnNode, id, above int) {
		style := ""
		if n.dashed {
			style = ", style=dashed"
		}
		fmt.Fprintf(w, "  n%d [label=\"%s\"%s];\n", id, dotText(n.mark+n.label), style)
		if above >= 0 {
			fmt.Fprintf(w, "  n%d -> n%d;\n", above, id)
		}
	})
	_, err := fmt.Fprintln(w, "}")
	return err
}

// dotText is s inside a quoted string of DOT, where a backslash begins an escape and & an entity.
func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(printable(s))
}
