package audit

import (
	"cmp"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// ControlsSchemaName is the name and version of a ControlsReport's JSON form.
const ControlsSchemaName = "hallmark.controls-report/v1"

// ControlsReport says which controls of a framework the evidence supports, as far as a policy asks for it. It never says
// that anybody complies with anything.
type ControlsReport struct {
	Schema    string        `json:"schema"`
	At        time.Time     `json:"at"`
	Scopes    []string      `json:"scopes"`
	Policy    string        `json:"policy"`
	Framework string        `json:"framework"` // its title
	Source    string        `json:"source"`
	Version   string        `json:"version"`
	Artifacts int           `json:"artifacts"` // that were decided on
	Controls  []ControlItem `json:"controls"`  // what is not evidenced first
	Unknown   []string      `json:"unknown"`   // controls that the policy names and the framework has not
}

// ControlItem is one control.
type ControlItem struct {
	ID     string        `json:"id"`
	Title  string        `json:"title"`
	Class  ControlClass  `json:"class"`
	How    string        `json:"how,omitempty"`
	Status ControlStatus `json:"status"`

	Parts        []Part              `json:"parts"`
	Wanted       []Kind              `json:"wanted"` // what may be evidence for it
	Requirements []ControlledRequest `json:"requirements"`
	Artifacts    []string            `json:"artifacts"` // by ID: those of which a requirement for it is met
	Lacking      []string            `json:"lacking"`   // by ID: those of which one is not
}

// ControlledRequest is a requirement of the policy that is evidence for a control.
type ControlledRequest struct {
	Step     string `json:"step"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Activity string `json:"activity,omitempty"`
	Counts   bool   `json:"counts"` // it asks for what may be evidence for the control
	Met      int    `json:"met"`    // artifacts
	Missed   int    `json:"missed"` // artifacts
}

// ControlStatus is what can be said of a control.
type ControlStatus string

// The statuses, in the order in which they are shown.
const (
	StatusNotEvidenced ControlStatus = "not evidenced"
	StatusSupportsPart ControlStatus = "evidence supports in part" // of some artifacts, and not of others
	StatusSupports     ControlStatus = "evidence supports"
	StatusPlanned      ControlStatus = "planned"
	StatusCodePart     ControlStatus = "implemented in part"
	StatusCode         ControlStatus = "implemented by the project"
	StatusOut          ControlStatus = "out of scope"
)

var statuses = []ControlStatus{StatusNotEvidenced, StatusSupportsPart, StatusSupports, StatusPlanned, StatusCodePart, StatusCode, StatusOut}

// Controls says which controls of f the evidence of r supports.
func Controls(r *Report, f *Framework) *ControlsReport {
	out := &ControlsReport{Schema: ControlsSchemaName, At: r.At, Scopes: r.Scopes, Policy: r.Judge, Framework: f.Title, Source: f.Source, Version: f.Version,
		Artifacts: r.Totals.Artifacts}
	named := map[string]bool{}
	if r.judge != nil && r.judge.Document != nil {
		for _, step := range r.judge.Document.Steps {
			for _, q := range step.Evidence {
				for _, id := range q.Controls {
					named[id] = true
				}
			}
		}
	}
	for i := range f.Controls {
		c := &f.Controls[i]
		item := ControlItem{ID: c.ID, Title: c.Title, Class: c.Class, How: c.How, Parts: c.Parts, Wanted: c.Evidence}
		item.collect(r, c, f.ID)
		item.Status = c.status(&item)
		out.Controls = append(out.Controls, item)
		delete(named, c.ID)
		delete(named, f.ID+":"+c.ID)
	}
	for id := range named {
		if owner, _, qualified := strings.Cut(id, ":"); !qualified || owner == f.ID {
			out.Unknown = append(out.Unknown, id)
		}
	}
	slices.Sort(out.Unknown)
	slices.SortStableFunc(out.Controls, func(a, b ControlItem) int {
		return cmp.Compare(slices.Index(statuses, a.Status), slices.Index(statuses, b.Status))
	})
	return out
}

// collect gathers what the policy asks for the control, and of which artifacts that is met.
func (item *ControlItem) collect(r *Report, c *Control, framework string) {
	type one struct{ step, name, artifact string }
	requests := map[[2]string]*ControlledRequest{}
	met, lacking := map[string]bool{}, map[string]bool{}
	counted := map[one]bool{}
	for i := range r.Rows {
		for _, q := range r.Rows[i].Requirements {
			own := len(q.Controls) == 0 && q.Type == policy.TypeProvenance && slices.ContainsFunc(c.Evidence, func(k Kind) bool { return k.Type == q.Type })
			if !own && !slices.Contains(q.Controls, c.ID) && !slices.Contains(q.Controls, framework+":"+c.ID) || counted[one{q.Step, q.Name, q.Artifact}] {
				continue
			}
			counted[one{q.Step, q.Name, q.Artifact}] = true
			request := requests[[2]string{q.Step, q.Name}]
			if request == nil {
				request = &ControlledRequest{Step: q.Step, Name: q.Name, Type: q.Type, Activity: q.Activity, Counts: c.takes(q)}
				requests[[2]string{q.Step, q.Name}] = request
			}
			if q.Met {
				request.Met++
			} else {
				request.Missed++
			}
			if request.Counts {
				met[q.Artifact] = met[q.Artifact] || q.Met
				lacking[q.Artifact] = lacking[q.Artifact] || !q.Met
			}
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(requests), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		item.Requirements = append(item.Requirements, *requests[key])
	}
	item.Artifacts, item.Lacking = trues(met), trues(lacking)
}

func trues(of map[string]bool) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if of[name] {
			out = append(out, name)
		}
	}
	return out
}

// takes reports whether what q asks for may be evidence for the control.
func (c *Control) takes(q Requirement) bool {
	return len(c.Evidence) == 0 || slices.ContainsFunc(c.Evidence, func(k Kind) bool {
		return k.Type == q.Type && (k.Activity == "" || k.Activity == q.Activity)
	})
}

// status says what can be said of the control. What the project does is told by its parts; evidence can be asked for
// besides, and then says more than that nobody looked.
func (c *Control) status(item *ControlItem) ControlStatus {
	switch {
	case len(item.Artifacts) > 0 && len(item.Lacking) > 0:
		return StatusSupportsPart
	case len(item.Artifacts) > 0:
		return StatusSupports
	case c.Class == ClassGated:
		return StatusNotEvidenced
	case c.Class == ClassOutOfScope:
		return StatusOut
	}
	done := 0
	for _, p := range c.Parts {
		if p.By != "" {
			done++
		}
	}
	switch done {
	case 0:
		return StatusPlanned
	case len(c.Parts):
		return StatusCode
	}
	return StatusCodePart
}

//go:embed controls.html
var controlsText string

var controlsPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("controls").Funcs(template.FuncMap{"when": moment, "kind": Kind.String}).Parse(styleText + controlsText))
})

// String is how a policy asks for it.
func (k Kind) String() string {
	s := k.Type
	if k.Activity != "" {
		s += " " + k.Activity
	}
	if k.Tests != "" {
		s += " (" + k.Tests + ")"
	}
	return s
}

// WriteHTML writes the report as one page; see Report.WriteHTML.
func (c *ControlsReport) WriteHTML(to io.Writer) error { return writePage(to, controlsPage(), c) }

// WriteText writes the report for people. quote makes text from outside fit to print.
func (c *ControlsReport) WriteText(to io.Writer, quote func(string) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, version %s, from %s\n%d artifacts, by %s\n", quote(c.Framework), quote(c.Version), quote(c.Source), c.Artifacts, quote(c.Policy))
	status := ControlStatus("")
	for _, item := range c.Controls {
		if item.Status != status {
			status = item.Status
			fmt.Fprintf(&b, "%s\n", status)
		}
		fmt.Fprintf(&b, "  %-8s  %s\n", quote(item.ID), quote(item.Title))
		for _, r := range item.Requirements {
			counts := ""
			if !r.Counts {
				counts = "; it asks for another kind of evidence, and does not count"
			}
			fmt.Fprintf(&b, "            %s of step %s: met by %d artifacts, not by %d%s\n", quote(r.Name), quote(r.Step), r.Met, r.Missed, counts)
		}
		if item.Status == StatusNotEvidenced && len(item.Requirements) == 0 {
			wanted := make([]string, len(item.Wanted))
			for i, k := range item.Wanted {
				wanted[i] = k.String()
			}
			fmt.Fprintf(&b, "            the policy asks for nothing that is evidence for it: %s\n", quote(strings.Join(wanted, ", ")))
		}
		for _, p := range item.Parts {
			by := "planned"
			if p.By != "" {
				by = p.By
			}
			fmt.Fprintf(&b, "            %s: %s\n", quote(p.What), quote(by))
		}
	}
	if len(c.Unknown) > 0 {
		fmt.Fprintf(&b, "the policy names controls that are not in it: %s\n", quote(strings.Join(c.Unknown, ", ")))
	}
	_, err := io.WriteString(to, b.String())
	return err
}
