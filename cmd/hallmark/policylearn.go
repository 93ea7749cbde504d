package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// who is the policy's name for a signer; empty for somebody else.
func (p *firstPolicy) who(s *trust.Signer) string {
	for _, name := range p.names {
		for _, id := range p.doc.Identities[name] {
			if s != nil && id.Matches(*s) {
				return name
			}
		}
	}
	return ""
}

// learn takes over what those who are trusted say of the artifact. What says no is no reason for a policy.
func (p *firstPolicy) learn(d policy.Decision) {
	p.by = map[string][]string{}
	for _, e := range d.Chain[0].Evidence {
		name := p.who(e.Signer)
		if name == "" || len(e.Findings) > 0 {
			continue
		}
		if e.Signature {
			p.signers = with(p.signers, name)
		}
		if c := e.Claim; c != nil && c.Subject == d.Artifact.ID && !c.SaysNo {
			p.claim(name, c)
		}
	}
	for _, approver := range p.by[policy.TypeApproval] {
		if slices.Contains(p.signers, approver) || slices.Contains(p.makers, approver) {
			p.left = append(p.left, "left out: the approval of "+approver+", who made it")
			p.by[policy.TypeApproval] = slices.DeleteFunc(p.by[policy.TypeApproval], func(n string) bool { return n == approver })
		}
	}
}

func (p *firstPolicy) claim(name string, c *policy.Claim) {
	switch c.Type {
	case policy.TypeProvenance:
		if p.making != nil && (p.making.Builder != c.Making.Builder || p.making.BuildType != c.Making.BuildType) {
			p.left = append(p.left, "left out: another account of how it was made, by "+name)
			return
		}
		p.making, p.makers = c.Making, with(p.makers, name)
	case policy.TypeIngestion:
		p.ingestors = with(p.ingestors, name)
	case policy.TypeRelease:
		if c.Release != nil && (p.channel == "" || p.channel == c.Release.Channel) {
			p.channel, p.releasers = c.Release.Channel, with(p.releasers, name)
		}
	case policy.TypeTestResult, policy.TypeApproval, policy.TypeVulnerabilities, policy.TypeBOM, policy.TypeSVR:
		key := c.Type
		if c.Subtype != "" {
			key += " " + c.Subtype
		}
		p.by[key] = with(p.by[key], name)
	}
}

// with adds a name that is not there yet.
func with(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(names, name)
}

// text is the policy file.
func (p *firstPolicy) text(d policy.Decision) string {
	name := p.name
	if name == "" {
		name = named(d.Artifact.Ref)
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# What was found of %s", d.Artifact.ID)
	line("# on %s. What was found is not what has to be: read it before it decides anything.", p.now.UTC().Format("2006-01-02"))
	b.WriteString(p.head(name))
	if p.making != nil {
		line("builders:\n  - {id: %q, signers: [%s]}", p.making.Builder, strings.Join(p.makers, ", "))
	}
	line("target: %s\nsteps:\n  %s:", initStep, initStep)
	if d.Artifact.Kind != "" {
		line("    kind: %s", d.Artifact.Kind)
	}
	line("    signature: [%s]", strings.Join(p.signers, ", "))
	if p.making != nil {
		line("    provenance: {types: [%s], signers: [%s]}", p.making.BuildType, strings.Join(p.makers, ", "))
		p.inputs(line)
	}
	first := true
	for _, key := range slices.Sorted(maps.Keys(p.by)) {
		if len(p.by[key]) == 0 {
			continue
		}
		if first {
			line("    evidence:")
			first = false
		}
		what, activity, _ := strings.Cut(key, " ")
		if activity != "" {
			activity = ", activity: " + activity
		}
		line("      - {name: %s, type: %s%s, signers: [%s], maxAge: %dd}", strings.ReplaceAll(key, " ", "-"), what, activity, strings.Join(p.by[key], ", "), initAge)
	}
	if p.channel != "" {
		line("    release: {channel: %q, signers: [%s]}", p.channel, strings.Join(p.releasers, ", "))
	}
	if len(p.ingestors) > 0 {
		line("    anyOf: [{ingested: {signers: [%s]}}]", strings.Join(p.ingestors, ", "))
	}
	return b.String()
}

// inputs pins each input: what has a place of its own by that, all else by digest.
func (p *firstPolicy) inputs(line func(string, ...any)) {
	roles := map[string][]policy.Input{}
	for _, in := range p.making.Inputs {
		roles[in.Role] = append(roles[in.Role], in)
	}
	if len(roles) > 0 {
		line("    inputs:")
	}
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		var pinned, from []string
		for _, in := range roles[role] {
			pinned = with(pinned, in.Digest)
			from = with(from, in.URI)
		}
		if !roles[role][0].Content && !slices.ContainsFunc(from, func(uri string) bool { return uri == "" || strings.HasPrefix(uri, "file:") }) {
			line("      %s: {uri: [%s]}", role, quoted(from))
			continue
		}
		line("      %s: {pinned: [%s], count: %d}", role, quoted(pinned), len(roles[role]))
	}
}

// quoted is texts as YAML has them in a list.
func quoted(texts []string) string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = fmt.Sprintf("%q", t)
	}
	return strings.Join(out, ", ")
}
