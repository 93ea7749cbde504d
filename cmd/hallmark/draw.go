package main

import (
	"fmt"
	"io"
)

// drawings are how show prints.
var drawings = map[string]func(io.Writer, drawing) error{"text": drawText, "json": drawJSON}

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

func drawText(w io.Writer, d drawing) error {
	fmt.Fprintln(w, printable(d.top.label))
	if len(d.top.below) == 0 {
		_, err := fmt.Fprintln(w, "└─ no evidence")
		return err
	}
	return drawBelow(w, d.top, "")
}

func drawBelow(w io.Writer, n *drawnNode, indent string) error {
	for i, b := range n.below {
		branch, next := "├─ ", "│  "
		if i == len(n.below)-1 {
			branch, next = "└─ ", "   "
		}
		if _, err := fmt.Fprintln(w, indent+branch+b.mark()+printable(b.label)); err != nil {
			return err
		}
		if err := drawBelow(w, b, indent+next); err != nil {
			return err
		}
	}
	return nil
}

// mark says of a claim whether it was verified, and of an input what it was used as.
func (n *drawnNode) mark() string {
	switch {
	case n.claim && n.verified:
		return "verified    "
	case n.claim:
		return "UNVERIFIED  "
	case n.edge != "":
		return n.edge + "  "
	}
	return ""
}

// picture is the tree as a graph.
func (d drawing) picture() picture {
	var p picture
	var walk func(n *drawnNode, above, layer int)
	walk = func(n *drawnNode, above, layer int) {
		id := len(p.nodes)
		p.nodes = append(p.nodes, pictureNode{label: n.mark() + n.label, dashed: n.claim && !n.verified, layer: layer})
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
