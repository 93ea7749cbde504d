package policy

import (
	"maps"
	"slices"

	"go.yaml.in/yaml/v4"
)

// reach refuses steps that no target leads to: somebody believes that they are asked.
func (r *reader) reach(root *yaml.Node) {
	seen := map[string]bool{}
	left := slices.Collect(maps.Values(r.doc.Targets))
	for len(left) > 0 {
		name := left[len(left)-1]
		left = left[:len(left)-1]
		s := r.doc.Steps[name]
		if s == nil || seen[name] {
			continue
		}
		seen[name] = true
		for _, in := range s.Inputs {
			left = append(left, in.Step)
		}
		for _, a := range s.AnyOf {
			left = append(left, a.Step)
		}
	}
	for member := range slices.Chunk(root.Content, 2) {
		if member[0].Value != "steps" {
			continue
		}
		for step := range slices.Chunk(member[1].Content, 2) {
			if name := step[0]; !seen[name.Value] {
				r.fail(name, "lead to it from target, from inputs or from anyOf, or leave it out", "step %s is never asked", quote(name.Value))
			}
		}
	}
}

// leadsBack reports whether a step leads to another by way of alternatives alone, or is it.
func (r *reader) leadsBack(from, to string) bool {
	seen := map[string]bool{}
	left := []string{from}
	for len(left) > 0 {
		name := left[len(left)-1]
		left = left[:len(left)-1]
		s := r.doc.Steps[name]
		if name == to {
			return true
		}
		if s == nil || seen[name] {
			continue
		}
		seen[name] = true
		for _, a := range s.AnyOf {
			left = append(left, a.Step)
		}
	}
	return false
}
