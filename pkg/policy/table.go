package policy

import (
	"io/fs"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const tableKind = "PolicyTest"

// Table is what a policy is expected to decide, as a file beside it says. It is for testing policies: nothing is decided by
// it.
type Table struct {
	Cases []Case
}

// Case is one row of a table. Paths are relative to the table's folder, with slashes, and may lead out of it.
type Case struct {
	Name        string
	Artifacts   []string // one, or a set that is used together
	Evidence    []string // where else evidence and inputs lie
	Revocations string   // file of lists, in place of where the policy finds them; empty: as the policy says
	State       string   // directory of what was remembered; empty: nothing was
	Floors      map[string]uint64
	Now         time.Time

	Expect  Verdict
	Reasons []Reason // all that must be given, and no other; sorted. None on a yes
}

// LoadTable reads a table of expected decisions as strictly as Load reads a policy. A table without cases, and a case that
// expects a no of any reason, are refused: it would pass for another than is meant.
func LoadTable(raw []byte, uri string) (*Table, error) {
	r := &reader{}
	t := &Table{}
	root := r.parse(raw)
	if r.err == nil {
		r.table(root, t)
	}
	if r.err != nil {
		r.err.URI = uri
		return nil, r.err
	}
	return t, nil
}

func (r *reader) table(n *yaml.Node, t *Table) {
	var now time.Time
	var without *yaml.Node
	r.fields(n, "the table",
		field{"apiVersion", true, func(n *yaml.Node) { r.exactly(n, "apiVersion", apiVersion) }},
		field{"kind", true, func(n *yaml.Node) { r.exactly(n, "kind", tableKind) }},
		field{"now", false, func(n *yaml.Node) { now = r.began(n, "now") }},
		field{"cases", true, func(n *yaml.Node) {
			r.items(n, "cases", func(n *yaml.Node) {
				c := r.tableCase(n)
				if slices.ContainsFunc(t.Cases, func(other Case) bool { return other.Name == c.Name }) {
					r.fail(n, "", "case %s is there twice", quote(c.Name))
				}
				if c.Now.IsZero() && without == nil {
					without = n
				}
				t.Cases = append(t.Cases, c)
			})
		}},
	)
	for i := range t.Cases {
		if t.Cases[i].Now.IsZero() {
			t.Cases[i].Now = now
		}
	}
	if now.IsZero() && without != nil {
		r.fail(without, "now: 2026-11-20, here or for the whole table", "a case has no now: what it expects would change with the clock")
	}
}

func (r *reader) tableCase(n *yaml.Node) Case {
	var c Case
	var reasonsAt *yaml.Node
	r.fields(n, "a case",
		field{"name", true, func(n *yaml.Node) { c.Name = r.text(n, "name of a case") }},
		field{"artifact", true, func(n *yaml.Node) { c.Artifacts = r.texts(n, "artifact", r.beside) }},
		field{"evidence", false, func(n *yaml.Node) { c.Evidence = r.texts(n, "evidence", r.beside) }},
		field{"revocations", false, func(n *yaml.Node) { c.Revocations = r.text(n, "revocations"); r.beside(n, c.Revocations) }},
		field{"state", false, func(n *yaml.Node) { c.State = r.text(n, "state"); r.beside(n, c.State) }},
		field{"floors", false, func(n *yaml.Node) {
			c.Floors = map[string]uint64{}
			r.entries(n, "floors", func(key, value *yaml.Node) { c.Floors[key.Value] = r.number(value, "a floor", 1, math.MaxUint64) })
		}},
		field{"now", false, func(n *yaml.Node) { c.Now = r.began(n, "now") }},
		field{"expect", true, func(n *yaml.Node) { c.Expect = r.verdict(n) }},
		field{"reasons", false, func(n *yaml.Node) {
			reasonsAt = n
			for _, code := range r.texts(n, "reasons", nil) {
				c.Reasons = append(c.Reasons, Reason(code))
			}
		}},
	)
	slices.Sort(c.Reasons)
	switch {
	case r.err != nil:
	case c.Expect == Yes && reasonsAt != nil:
		r.fail(reasonsAt, "", "case %s expects a yes, which has no reasons", quote(c.Name))
	case c.Expect != Yes && reasonsAt == nil:
		r.fail(n, "add reasons: […]", "case %s expects %s for any reason", quote(c.Name), c.Expect)
	}
	return c
}

// beside refuses a path that is none of the kind that a table has.
func (r *reader) beside(n *yaml.Node, p string) {
	below := p
	for strings.HasPrefix(below, "../") {
		below = below[len("../"):]
	}
	if r.err == nil && (!fs.ValidPath(below) || strings.Contains(p, `\`)) {
		r.fail(n, "a path relative to the table", "%s is no path", quote(p))
	}
}

func (r *reader) verdict(n *yaml.Node) Verdict {
	var words []string
	s := r.text(n, "expect")
	for _, v := range []Verdict{Yes, No, Unknown} {
		if s == v.String() {
			return v
		}
		words = append(words, v.String())
	}
	r.fail(n, suggest(s, words), "there is no verdict %s", quote(s))
	return No
}
