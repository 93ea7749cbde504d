package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkMaking finds the one account of how p's artifact was made that the step believes, and follows its inputs.
func (w *Walk) checkMaking(p *place) {
	rule := p.step.Provenance
	if rule == nil {
		if len(p.step.Inputs) > 0 { // Load refuses such a step
			p.add(failed("provenance", "inputs are asked for and no provenance", Finding{Code: PolicyUnusable, Detail: "inputs without provenance"}))
		}
		return
	}
	accounts, missed := w.claims(p, TypeProvenance, "", rule.Signers)
	var accepted []spoken
	for _, a := range accounts {
		if findings := w.refuseMaking(p, rule, a); len(findings) > 0 {
			p.remark(a.Evidence, findings...)
			missed = append(missed, located(findings, a.Where)...)
			continue
		}
		accepted = append(accepted, a)
	}
	if len(accepted) == 0 {
		what := "nobody who is trusted for it says how it was made"
		if len(missed) > 0 {
			what = "no provenance by " + names(rule.Signers) + " holds: " + missed[0].Detail
		}
		p.add(failed("provenance", what, append(missed, Finding{Code: LinkUnattested, Detail: what})...))
		return
	}
	for _, other := range accepted[1:] {
		if account(other.Claim.Making) != account(accepted[0].Claim.Making) {
			p.add(failed("provenance", "two trusted accounts of its making differ", Finding{Code: Ambiguous, Where: accepted[0].Where, Want: accepted[0].Digest, Got: other.Digest,
				Detail: fmt.Sprintf("%s by %s and %s by %s differ", accepted[0].Digest, accepted[0].by, other.Digest, other.by)}))
			return
		}
	}
	var by []string
	for _, a := range accepted {
		a.Counted = true
		if !slices.Contains(by, a.by) {
			by = append(by, a.by)
		}
		if earlier := a.made(); p.account == nil || earlier.Before(p.account.made()) {
			p.account = a.Evidence
		}
	}
	m := p.account.Claim.Making
	p.add(Check{Name: "provenance", Verdict: Yes, Detail: fmt.Sprintf("%s by %s, says %s", m.BuildType, m.Builder, strings.Join(by, ", "))})
	w.checkInputs(p, m)
}

// refuseMaking says why an account of a trusted signer does not hold.
func (w *Walk) refuseMaking(p *place, rule *Provenance, a spoken) []Finding {
	m := a.Claim.Making
	if m == nil {
		return []Finding{{Code: StatementMalformed, Detail: "no account of a making"}}
	}
	var out []Finding
	if !slices.Contains(rule.Types, m.BuildType) {
		out = append(out, Finding{Code: WrongBuildType, Want: strings.Join(rule.Types, ", "), Got: m.BuildType, Detail: "made by " + m.BuildType})
	}
	out = append(out, w.refuseBuilder(rule, m, a.by)...)
	if f := w.revoked.builder(a.Evidence); f != nil {
		out = append(out, *f)
	}
	if f := tooOld(a.Evidence, a.made(), rule.MaxAge, w.o.Now); f != nil {
		out = append(out, *f)
	}
	if rule.Rule != nil {
		if f := w.holds(rule.Rule, p, a); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

func (w *Walk) refuseBuilder(rule *Provenance, m *Making, by string) []Finding {
	for _, b := range w.doc.Builders {
		if b.ID != m.Builder || !slices.Contains(b.Signers, by) {
			continue
		}
		if b.Level < rule.Level {
			return []Finding{{Code: WrongBuilder, Got: m.Builder, Detail: fmt.Sprintf("builder of level %d, and %d is asked for", b.Level, rule.Level)}}
		}
		return nil
	}
	return []Finding{{Code: WrongBuilder, Got: m.Builder, Detail: by + " does not speak for the builder " + m.Builder}}
}

// account is what an account says, in one text that is the same exactly for accounts that agree.
func account(m *Making) string {
	lines := make([]string, len(m.Inputs))
	for i, in := range m.Inputs {
		lines[i] = fmt.Sprintf("%q %q %q %v", in.Role, in.Class, in.Digest, in.Dirty)
	}
	slices.Sort(lines)
	return fmt.Sprintf("%q %q\n%s", m.BuildType, m.Builder, strings.Join(lines, "\n"))
}

// checkInputs holds what p was made from to the step's rules, role by role.
func (w *Walk) checkInputs(p *place, m *Making) {
	inputs := slices.Clone(m.Inputs)
	slices.SortStableFunc(inputs, func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Name, b.Name))
	})
	found := map[string]int{}
	for _, in := range inputs {
		rule := p.step.Inputs[in.Role]
		e := &edge{input: in, rule: "not mentioned"}
		if f := w.revoked.source(p.account, in.URI); f != nil {
			e.findings = append(e.findings, *f)
		}
		if followed := rule != nil && rule.Step != "" && in.Class == classArtifact; !followed { // else it is looked up where it leads
			if f := w.revoked.digest(in.Class, in.Digest, false); f != nil {
				e.findings = append(e.findings, *f)
			}
		}
		if rule == nil {
			if in.Content {
				e.findings = append(e.findings, Finding{Code: LinkUnexpected, Got: in.Digest, Detail: fmt.Sprintf("the step %s mentions no input of role %s", p.step.Name, in.Role)})
			}
			if len(e.findings) > 0 {
				p.edges = append(p.edges, e)
			}
			continue
		}
		found[in.Role]++
		e.rule = rule.words()
		p.edges = append(p.edges, e)
		if e.findings = append(e.findings, rule.refuse(in)...); len(e.findings) == 0 && rule.Step != "" {
			if e.to = w.follow(rule.Step, in.Digest, in.URI, p.depth+1); e.to == nil {
				e.findings = []Finding{{Code: CapReached, Detail: fmt.Sprintf("deeper than %d links, or more than %d artifacts", MaxDepth, MaxNodes)}}
			}
		}
	}
	for _, role := range slices.Sorted(maps.Keys(p.step.Inputs)) {
		rule := p.step.Inputs[role]
		if n := found[role]; n < rule.Min || rule.Max > 0 && n > rule.Max {
			p.add(failed(role, fmt.Sprintf("%d inputs", n), Finding{Code: LinkMissing, Detail: fmt.Sprintf("%d inputs of role %s, and %s", n, role, rule.count())}))
		}
	}
}

// refuse says why an input is not one that r lets in.
func (r *Inputs) refuse(in Input) []Finding {
	var out []Finding
	if in.Dirty && !r.AllowDirty {
		out = append(out, Finding{Code: LinkUnpinned, Got: in.Digest, Detail: "a working tree with changes that no commit has"})
	}
	if len(r.Pinned) > 0 && !slices.Contains(r.Pinned, in.Digest) {
		out = append(out, Finding{Code: LinkSwapped, Want: strings.Join(r.Pinned, ", "), Got: in.Digest, Detail: "not what the policy names"})
	}
	if len(r.URIs)+len(r.Patterns) > 0 && !r.from(in.URI) {
		out = append(out, Finding{Code: LinkSwapped, Got: in.URI, Detail: "from elsewhere than the policy lets in"})
	}
	if r.Step != "" && in.Class != classArtifact {
		out = append(out, Finding{Code: LinkUnpinned, Got: in.Digest, Detail: "a digest of class " + in.Class + " leads to no artifact"})
	}
	if r.Step == "" && len(r.URIs)+len(r.Patterns)+len(r.Pinned) == 0 {
		out = append(out, Finding{Code: PolicyUnusable, Detail: "the policy lets in anything in this role"})
	}
	return out
}

func (r *Inputs) from(uri string) bool {
	if slices.Contains(r.URIs, uri) {
		return true
	}
	for _, p := range r.Patterns {
		if p.Match(uri) {
			return true
		}
	}
	return false
}

func (r *Inputs) words() string {
	var parts []string
	if r.Step != "" {
		parts = append(parts, "step "+r.Step)
	}
	if n := len(r.Pinned); n > 0 {
		parts = append(parts, fmt.Sprintf("one of %d pinned", n))
	}
	switch n := len(r.URIs) + len(r.Patterns); {
	case n == 1 && len(r.URIs) == 1:
		parts = append(parts, "from "+r.URIs[0])
	case n == 1:
		parts = append(parts, "from what matches "+r.Patterns[0].String())
	case n > 1:
		parts = append(parts, fmt.Sprintf("from one of %d places", n))
	}
	return strings.Join(parts, ", ")
}

func (r *Inputs) count() string {
	switch {
	case r.Max == 0:
		return fmt.Sprintf("%d or more are asked for", r.Min)
	case r.Min == r.Max:
		return fmt.Sprintf("exactly %d are asked for", r.Min)
	}
	return fmt.Sprintf("%d to %d are asked for", r.Min, r.Max)
}

func names(list []string) string { return strings.Join(list, ", ") }
