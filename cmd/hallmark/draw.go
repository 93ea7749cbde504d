package main

import (
	"fmt"
	"io"
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

// drawings are how show prints, beside pictures.
var drawings = map[string]func(io.Writer, drawing) error{
	"text": func(w io.Writer, d drawing) error { return drawText(w, d.tree) },
	"json": drawJSON,
}

// draw prints d in a format; ok is false for one that there is not.
func (d drawing) draw(w io.Writer, format string) (ok bool, err error) {
	if write := drawings[format]; write != nil {
		return true, write(w, d)
	}
	if write := pictures[format]; write != nil {
		return true, write(w, d.picture())
	}
	return false, nil
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

// picture is the tree as a graph.
func (d tree) picture() picture {
	var p picture
	var walk func(n *drawnNode, above, layer int)
	walk = func(n *drawnNode, above, layer int) {
		id := len(p.nodes)
		p.nodes = append(p.nodes, pictureNode{label: n.mark + n.label, dashed: n.dashed, layer: layer})
		if above >= 0 {
			p.edges = append(p.edges, pictureEdge{from: above, to: id})
		}
		for _, b := range n.below {
			walk(b, id, layer+1)
		}
	}
	walk(d.top, -1, 0)
	return p
}
