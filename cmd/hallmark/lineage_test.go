package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/registry/index"
)

// hostile is what somebody may call a model, a target or a role who wants a viewer to act on it.
var hostile = []string{
	"\x1b]0;owned\x07\x1b[2J", "a\nb\rc", "<script>alert(1)</script>", `"];n0->n1;x[label="`, `"] --> x["`, "]]><!--", "&lt;b&gt;", "\u202Egnp.exe", "\xff\xfe", `\N\l\"`, "%%{init}%%", "`$(id)`", "]]>",
}

// hostileReach has a hostile text wherever one can be.
func hostileReach(text string) *reached {
	run := reachedRun{text, "deploy", time.Time{}, text, "sha256:0"}
	thing := func() reachedThing {
		return reachedThing{Class: "artifact", Digest: text, Name: text, Refs: []string{text}, Runs: []reachedRun{run}, Revoked: []reachedRevoke{{Reason: text, By: text}}}
	}
	r := &reached{Start: thing(), Found: []reachedThing{thing()}, Cycles: [][]reachedEdge{{{text, text, text}}}, edges: []pictureEdge{{0, 1, text}}}
	r.drawn = []reachedNode{{thing: r.Start}, {r.Found[0], text, 0, 1}}
	return r
}

// TestHostileTextIsSpelledOutInEveryFormat draws names that end labels, begin markup and move cursors.
func TestHostileTextIsSpelledOutInEveryFormat(t *testing.T) {
	for _, text := range hostile {
		r := hostileReach(text)
		var plain bytes.Buffer
		for format, write := range pictures {
			var out bytes.Buffer
			if err := write(&out, r.picture()); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(out.String(), "\x1b\x07\r\u202e") || bytes.Contains(out.Bytes(), []byte{0xff}) || format != "dot" && strings.Contains(out.String(), "<script") {
				t.Errorf("%s of %q has what a terminal or browser acts on:\n%q", format, text, out.String())
			}
			switch format {
			case "svg":
				checkSVG(t, out.Bytes())
			case "dot":
				checkQuoted(t, out.String())
			case "mermaid":
				if n := strings.Count(out.String(), `"`); n != 6 {
					t.Errorf("%d quotes in Mermaid:\n%s", n, out.String())
				}
			}
		}
		if err := r.writeTree(&plain); err != nil || strings.ContainsAny(plain.String(), "\x1b\x07\r\u202e") || strings.Count(plain.String(), "\n") != 9 {
			t.Errorf("tree of %q (%v):\n%q", text, err, plain.String())
		}
	}
}

// checkSVG reads a drawing as XML: of elements and attributes there are only ours, and none leads anywhere.
func checkSVG(t *testing.T, raw []byte) {
	t.Helper()
	count := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("no XML: %v\n%s", err, raw)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[e.Name.Local]++
		for _, a := range e.Attr {
			if strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
				t.Errorf("attribute %s", a.Name.Local)
			}
		}
	}
	if count["svg"] != 1 || count["g"] != 2 || count["rect"] != 3 || count["text"] != 3 || count["title"] != 2 || count["line"] != 1 || len(count) != 6 {
		t.Errorf("elements %v in\n%s", count, raw)
	}
}

// checkQuoted reads DOT's quoted strings: outside of them stands only what we wrote.
func checkQuoted(t *testing.T, s string) {
	t.Helper()
	var outside strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case !quoted:
			outside.WriteByte(s[i])
		}
	}
	want := "digraph evidence {\n  n0 [label=, style=dashed, penwidth=3];\n  n1 [label=, style=dashed, penwidth=3];\n  n0 -> n1 [label=];\n}\n"
	if quoted || outside.String() != want {
		t.Errorf("outside of quotes stands %q in\n%s", outside.String(), s)
	}
}

// TestReachedDrawsEachNodeOnce has a diamond, of which only one side runs.
func TestReachedDrawsEachNodeOnce(t *testing.T) {
	node := func(s string) lineage.Node { return lineage.Node{Class: "artifact", Digest: s} }
	var b lineage.Builder
	for _, e := range []lineage.Edge{{Made: node("left"), From: node("top"), Role: "base-model"}, {Made: node("right"), From: node("top"), Role: "base-model"},
		{Made: node("bottom"), From: node("left"), Role: "merge-parent"}, {Made: node("bottom"), From: node("right"), Role: "merge-parent"}} {
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	reach, err := b.Graph().Descendants(node("top"), lineage.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var things []index.Thing
	for i := range reach.Len() {
		n, _ := reach.At(i)
		thing := index.Thing{Node: n}
		if n.Digest == "bottom" {
			thing.Runs = []index.Deployment{{Target: "https://prod.example"}}
		}
		things = append(things, thing)
	}
	for _, c := range []struct {
		deployed            bool
		found, drawn, edges int
	}{{false, 3, 4, 4}, {true, 1, 3, 2}} {
		r := &reached{down: true, Deployed: c.deployed, Start: reachedThing{Digest: "top"}}
		r.take(reach, things)
		if len(r.Found) != c.found || len(r.drawn) != c.drawn || len(r.edges) != c.edges {
			t.Errorf("deployed %v: %d found, %d drawn, %d edges", c.deployed, len(r.Found), len(r.drawn), len(r.edges))
		}
		var out bytes.Buffer
		if err := r.writeTree(&out); err != nil || strings.Count(out.String(), "bottom") != 1 {
			t.Errorf("deployed %v (%v):\n%s", c.deployed, err, out.String())
		}
	}
}

// TestStorePasswordIsNeverPrinted has a database that is not there.
func TestStorePasswordIsNeverPrinted(t *testing.T) {
	t.Chdir(t.TempDir())
	id := "sha256:" + strings.Repeat("0", 64)
	code, out, errs := hallmark(t, "impact", id, "--store", "postgres://index:secret@127.0.0.1:1/index?connect_timeout=1")
	if code != exitUnknown || strings.Contains(out+errs, "secret") || !strings.Contains(errs, "open index postgres://index:xxxxx@127.0.0.1:1/index") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs = hallmark(t, "impact", id, "--store", filepath.Join("no", "index.db")); code != exitUnknown || !strings.Contains(errs, "there is no index") {
		t.Errorf("exit code %d\n%s", code, errs)
	}
}
