package audit

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// Caps on a framework.
const (
	MaxFramework = 4 << 20 // bytes of its file
	maxControls  = 10_000
)

const frameworkSchema = "hallmark.controls/v1"

//go:embed controls/*.json
var shipped embed.FS

// Framework is a list of controls, with where and in which version they were taken from: hallmark.controls/v1.
type Framework struct {
	Schema   string    `json:"schema"`
	ID       string    `json:"id"` // by which a policy may say whose control it means: "ID:CONTROL"
	Title    string    `json:"title"`
	Source   string    `json:"source"`  // where it was taken from
	Version  string    `json:"version"` // of what is there
	Controls []Control `json:"controls"`
}

// Control is one item of a Framework.
type Control struct {
	ID       string       `json:"id"`
	Title    string       `json:"title"`
	Class    ControlClass `json:"class"`
	How      string       `json:"how,omitempty"`
	Parts    []Part       `json:"parts,omitempty"`    // of ClassImplemented: what of it is there, at least one
	Evidence []Kind       `json:"evidence,omitempty"` // of ClassGated: what may be evidence for it; none: any statement
}

// ControlClass is who does something about a control.
type ControlClass string

// The classes of controls.
const (
	ClassImplemented ControlClass = "implemented"  // this program
	ClassGated       ControlClass = "gated"        // others, and a policy can ask for signed evidence of it
	ClassOutOfScope  ControlClass = "out-of-scope" // others; its result can still be attested
)

// Part is something that a control takes.
type Part struct {
	What string `json:"what"`
	By   string `json:"by,omitempty"` // the command or room that does it; empty: planned
}

// Kind is a kind of statement.
type Kind struct {
	Type     string `json:"type"`               // by the policy's word for it
	Activity string `json:"activity,omitempty"` // of a test result; empty: any
	Tests    string `json:"tests,omitempty"`    // how such tests are called, for people: a rule of the policy can ask for them
}

// LoadFramework reads a framework, strictly.
func LoadFramework(raw []byte) (*Framework, error) {
	if len(raw) > MaxFramework {
		return nil, fmt.Errorf("read controls: %d bytes, at most %d are read", len(raw), MaxFramework)
	}
	var f Framework
	if err := json.Unmarshal(raw, &f, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("read controls: %w", err)
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("read controls: %w", err)
	}
	return &f, nil
}

// ShippedFramework returns a framework that comes along, by its ID. Another is an error that names all.
func ShippedFramework(id string) (*Framework, error) {
	entries, err := fs.ReadDir(shipped, "controls")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".json")
		if name == id {
			raw, err := shipped.ReadFile("controls/" + e.Name())
			if err != nil {
				return nil, err
			}
			return LoadFramework(raw)
		}
		names = append(names, name)
	}
	return nil, fmt.Errorf("controls %q: what comes along is %s; others are files", id, strings.Join(names, ", "))
}

func (f *Framework) check() error {
	switch {
	case f.Schema != frameworkSchema:
		return fmt.Errorf("schema %q, and %s is read", f.Schema, frameworkSchema)
	case f.ID == "" || strings.Contains(f.ID, ":"):
		return fmt.Errorf("id %q: it is a word without a colon", f.ID)
	case f.Title == "" || f.Source == "" || f.Version == "":
		return errors.New("title, source and version are needed: they say what the controls' IDs mean")
	case len(f.Controls) == 0:
		return errors.New("there are no controls")
	case len(f.Controls) > maxControls:
		return fmt.Errorf("%d controls, at most %d are read", len(f.Controls), maxControls)
	}
	seen := map[string]bool{}
	for _, c := range f.Controls {
		if seen[c.ID] {
			return fmt.Errorf("control %q is there twice", c.ID)
		}
		seen[c.ID] = true
		if err := c.check(); err != nil {
			return fmt.Errorf("control %q: %w", c.ID, err)
		}
	}
	return nil
}

// kinds are the statements that may be evidence.
var kinds = []string{policy.TypeProvenance, policy.TypeIngestion, policy.TypeTestResult, policy.TypeVulnerabilities, policy.TypeBOM, policy.TypeRelease,
	policy.TypeSVR, policy.TypeApproval, policy.TypeDeployment}

func (c *Control) check() error {
	switch {
	case c.ID == "" || c.Title == "":
		return errors.New("it needs an id and a title")
	case !slices.Contains([]ControlClass{ClassImplemented, ClassGated, ClassOutOfScope}, c.Class):
		return fmt.Errorf("class %q: it is implemented, gated or out-of-scope", c.Class)
	case (c.Class == ClassImplemented) != (len(c.Parts) > 0):
		return errors.New("an implemented control has parts, and no other has")
	case c.Class != ClassGated && len(c.Evidence) > 0:
		return errors.New("evidence is a gated control's")
	}
	for _, p := range c.Parts {
		if p.What == "" {
			return errors.New("a part says nothing")
		}
	}
	for _, k := range c.Evidence {
		if !slices.Contains(kinds, k.Type) {
			return fmt.Errorf("evidence of type %q: it is one of %s", k.Type, strings.Join(kinds, ", "))
		}
		if k.Activity != "" && k.Type != policy.TypeTestResult {
			return fmt.Errorf("evidence of type %s has no activity", k.Type)
		}
	}
	return nil
}
