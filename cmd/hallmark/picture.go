package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// picture is a graph to look at. Labels may hold any text: every format spells out what it would act on.
type picture struct {
	nodes []pictureNode
	edges []pictureEdge
}

type pictureNode struct {
	label  string
	detail string // what label leaves out, where a format has room for it
	dashed bool
	marked bool
	layer  int // its distance from the first node
}

type pictureEdge struct {
	from, to int // places in nodes
	label    string
}

// pictures are the formats that are graphs.
var pictures = map[string]func(io.Writer, picture) error{"mermaid": writeMermaid, "dot": writeDot, "svg": writeSVG}

func writeMermaid(w io.Writer, p picture) error {
	out := &checkedWriter{w: w}
	fmt.Fprintln(out, "flowchart TD")
	for i, n := range p.nodes {
		fmt.Fprintf(out, "  n%d[\"%s\"]\n", i, mermaidText(n.label))
		if n.marked {
			fmt.Fprintf(out, "  style n%d stroke-width:3px\n", i)
		}
	}
	for _, e := range p.edges {
		arrow := "-->"
		if e.label != "" {
			arrow = `-- "` + mermaidText(e.label) + `" -->`
		}
		fmt.Fprintf(out, "  n%d %s n%d\n", e.from, arrow, e.to)
	}
	return out.err
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

func writeDot(w io.Writer, p picture) error {
	out := &checkedWriter{w: w}
	fmt.Fprintln(out, "digraph evidence {")
	for i, n := range p.nodes {
		style := ""
		if n.dashed {
			style = ", style=dashed"
		}
		if n.marked {
			style += ", penwidth=3"
		}
		fmt.Fprintf(out, "  n%d [label=\"%s\"%s];\n", i, dotText(n.label), style)
	}
	for _, e := range p.edges {
		label := ""
		if e.label != "" {
			label = fmt.Sprintf(" [label=\"%s\"]", dotText(e.label))
		}
		fmt.Fprintf(out, "  n%d -> n%d%s;\n", e.from, e.to, label)
	}
	fmt.Fprintln(out, "}")
	return out.err
}

// dotText is s inside a quoted string of DOT, where a backslash begins an escape and & an entity.
func dotText(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(printable(s))
}

// The measures of an SVG drawing, in pixels. A label is set in a font whose letters are all as wide.
const (
	svgLetter  = 7
	svgPadding = 10
	svgBox     = 30  // height of a node
	svgGap     = 24  // between two nodes
	svgLayer   = 100 // from the top of one row to the next
	svgRow     = 10  // nodes side by side; more go on below
	svgLabel   = 60  // letters of a label; the rest is in its title
)

// writeSVG sets the nodes in rows, a layer below the other, and draws straight lines between them. The file asks for
// nothing from elsewhere and runs nothing.
func writeSVG(w io.Writer, p picture) error {
	boxes, width, height := svgLayout(p)
	out := &checkedWriter{w: w}
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="monospace" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintln(out, `<rect width="100%" height="100%" fill="white"/>`)
	for _, e := range p.edges {
		a, b := boxes[e.from], boxes[e.to]
		fmt.Fprintf(out, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="gray"/>`+"\n", a.middle(), a.y+svgBox, b.middle(), b.y)
		if e.label != "" { // nearer to what it leads to, where fewer lines meet
			fmt.Fprintf(out, `<text x="%d" y="%d" fill="dimgray" font-size="10" text-anchor="middle">%s</text>`+"\n", (a.middle()+2*b.middle())/3, (a.y+svgBox+2*b.y)/3, svgText(e.label))
		}
	}
	for i, n := range p.nodes {
		b, style := boxes[i], ""
		if n.dashed {
			style = ` stroke-dasharray="4"`
		}
		if n.marked {
			style += ` stroke-width="3"`
		}
		fmt.Fprintf(out, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="4" fill="whitesmoke" stroke="black"%s/>`, svgText(n.label+"\n"+n.detail), b.x, b.y, b.width, svgBox, style)
		fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="middle">%s</text></g>`+"\n", b.middle(), b.y+svgBox/2+4, svgText(clipLabel(n.label)))
	}
	fmt.Fprintln(out, "</svg>")
	return out.err
}

// box is where a node is drawn.
type box struct{ x, y, width int }

func (b box) middle() int { return b.x + b.width/2 }

func svgLayout(p picture) (boxes []box, width, height int) {
	boxes = make([]box, len(p.nodes))
	order := make([]int, len(p.nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return p.nodes[a].layer - p.nodes[b].layer })
	x, row, layer, y := svgGap, 0, 0, svgGap
	for k, i := range order {
		if k > 0 && (p.nodes[i].layer != layer || row == svgRow) {
			x, row, y = svgGap, 0, y+svgLayer
		}
		layer = p.nodes[i].layer
		b := box{x, y, svgLetter*utf8.RuneCountInString(printable(clipLabel(p.nodes[i].label))) + 2*svgPadding}
		boxes[i] = b
		x, row = x+b.width+svgGap, row+1
		width = max(width, x)
	}
	return boxes, width, y + svgBox + svgGap
}

func clipLabel(s string) string {
	if letters := []rune(s); len(letters) > svgLabel {
		return string(letters[:svgLabel-1]) + "…"
	}
	return s
}

// svgText is s as text in XML. What a viewer might act on is spelled out first.
func svgText(s string) string {
	var b strings.Builder
	for i, line := range strings.SplitAfter(s, "\n") {
		if i > 0 && line == "" {
			break
		}
		_ = xml.EscapeText(&b, []byte(printable(strings.TrimSuffix(line, "\n"))))
		if strings.HasSuffix(line, "\n") {
			b.WriteString(" ")
		}
	}
	return b.String()
}
