package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy/rule"
)

// excusable are the types of statement whose absence a waiver may excuse: tests.
var excusable = []string{TypeTestResult, TypeVulnerabilities}

// require finds out whether what r asks for is stated of p's artifact: by enough distinct principals, fresh, true of the
// rule, and said by none of them to be otherwise since.
func (w *Walk) require(p *place, r *Requirement) Check {
	spoke, missed := w.claims(p, r.Type, r.Subtype, r.Signers)
	spoke = slices.DeleteFunc(spoke, func(s spoken) bool { return r.scope != "" && !inScope(s.Claim.Fields, r.scope) })
	if r.Latest {
		spoke = newest(spoke)
	}
	yes, noes := sides(spoke)
	var good, aged []spoken
	for _, s := range yes {
		findings := w.refuse(p, r, s)
		if f := outdated(s, noes); f != nil {
			findings = append(findings, *f)
		}
		old := tooOld(s.Evidence, s.made(), r.MaxAge, w.o.Now)
		switch {
		case len(findings) == 0 && old == nil:
			good = append(good, s)
		case len(findings) == 0:
			aged = append(aged, s)
			missed = append(missed, *old)
			p.remark(s.Evidence, *old)
		default:
			missed = append(missed, located(findings, s.Where)...)
			p.remark(s.Evidence, findings...)
		}
	}
	if r.Latest { // of several that may be a principal's newest, all have to hold
		all := slices.Clone(good)
		good = slices.DeleteFunc(good, func(s spoken) bool { return by(yes, s.by) > by(all, s.by) })
	}
	if len(principals(good)) < r.Distinct {
		if waiver := w.waiver(p, r, Stale); waiver != nil && len(principals(append(slices.Clone(good), aged...))) >= r.Distinct {
			return w.excused(p, r, waiver)
		}
		return w.lacking(p, r, good, noes, missed)
	}
	for _, s := range good {
		s.Counted = true
	}
	return Check{Name: r.Name, Verdict: Yes, Detail: satisfied(r, good)}
}

// by counts the statements of one principal.
func by(all []spoken, name string) int {
	n := 0
	for _, s := range all {
		if s.by == name {
			n++
		}
	}
	return n
}

// sides parts statements into those that say yes and those that say no. A no that the same principal has taken back since
// is in neither.
func sides(all []spoken) (yes, noes []spoken) {
	for _, s := range all {
		if !s.Claim.SaysNo {
			yes = append(yes, s)
		}
	}
	for _, s := range all {
		if s.Claim.SaysNo && !slices.ContainsFunc(yes, func(later spoken) bool { return later.by == s.by && outdated(later, []spoken{s}) == nil }) {
			noes = append(noes, s)
		}
	}
	return yes, noes
}

// outdated says that one of noes is not older than s; nil: all are.
func outdated(s spoken, noes []spoken) *Finding {
	for _, n := range noes {
		if at, ok := n.last(); !ok || s.made().IsZero() || !at.Before(s.made()) {
			return &Finding{Code: Refuted, Where: n.Where, Detail: fmt.Sprintf("%s says no, and not before: %s", n.by, n.Claim.Summary)}
		}
	}
	return nil
}

// newest keeps each principal's newest statement alone. Of several that may be the newest all stay, and all must hold: a
// later check drops the principal where one does not.
func newest(all []spoken) []spoken {
	return slices.DeleteFunc(slices.Clone(all), func(s spoken) bool {
		return slices.ContainsFunc(all, func(other spoken) bool {
			return other.by == s.by && other.made().After(s.made()) && !s.made().IsZero()
		})
	})
}

// refuse says why a statement that says yes is not one that r takes, its age aside.
func (w *Walk) refuse(p *place, r *Requirement, s spoken) []Finding {
	var out []Finding
	if !s.Claim.Expires.IsZero() && w.o.Now.After(s.Claim.Expires) {
		out = append(out, Finding{Code: Stale, Got: s.Claim.Expires.UTC().Format(time.RFC3339), Detail: "it expired " + s.Claim.Expires.UTC().Format(time.RFC3339)})
	}
	if r.Type == TypeApproval && !r.OwnWork && w.ownWork(p, s.Evidence) {
		out = append(out, Finding{Code: OwnWork, Detail: s.by + " made the artifact and approved it"})
	}
	if r.Rule != nil {
		if f := w.holds(r.Rule, p, s); f != nil {
			out = append(out, *f)
		}
	}
	return out
}

// holds says why a rule is not true of s; nil: it is.
func (w *Walk) holds(r *rule.Rule, p *place, s spoken) *Finding {
	in := rule.Input{
		Predicate: s.Claim.Fields, Metrics: metrics(s.Claim.Metrics), Type: s.Claim.Type, Artifact: p.id(), Kind: s.Claim.Kind,
		Signer: map[string]string{"principal": s.by}, At: s.made(), Now: w.o.Now,
	}
	for name, value := range s.Signer.Claims {
		in.Signer[name] = value
	}
	in.Signer["subject"], in.Signer["issuer"] = s.Signer.Subject, s.Signer.Issuer
	ok, err := r.Holds(in)
	switch {
	case err != nil:
		return &Finding{Code: RuleError, Want: r.String(), Detail: fmt.Sprintf("the rule %s cannot be answered: %v", r, err)}
	case !ok:
		return &Finding{Code: RuleFailed, Want: r.String(), Detail: fmt.Sprintf("the rule %s is false", r)}
	}
	return nil
}

// metrics are measured values by name. What was measured on several datasets has no one value.
func metrics(all []Metric) map[string]float64 {
	out, several := map[string]float64{}, map[string]bool{}
	for _, m := range all {
		_, several[m.Name] = out[m.Name]
		out[m.Name] = m.Value
	}
	for name, twice := range several {
		if twice {
			delete(out, name)
		}
	}
	return out
}

// lacking is the check where r is not satisfied.
func (w *Walk) lacking(p *place, r *Requirement, good, noes []spoken, missed []Finding) Check {
	if len(noes) > 0 && len(good) == 0 {
		for _, n := range noes {
			missed = append(missed, Finding{Code: Refuted, Where: n.Where, Detail: fmt.Sprintf("%s says no: %s", n.by, n.Claim.Summary)})
		}
		return failed(r.Name, missed[len(missed)-1].Detail, unique(missed)...)
	}
	if len(good) > 0 {
		detail := fmt.Sprintf("%d of %d distinct principals: %s", len(principals(good)), r.Distinct, names(principals(good)))
		return failed(r.Name, detail, unique(append(missed, Finding{Code: QuorumMissed, Detail: detail}))...)
	}
	if len(missed) > 0 {
		return failed(r.Name, fmt.Sprintf("no %s by %s holds: %s", r.describe(), names(r.Signers), missed[0].Detail), unique(missed)...)
	}
	if waiver := w.waiver(p, r, EvidenceMissing); waiver != nil && slices.Contains(excusable, r.Type) {
		return w.excused(p, r, waiver)
	}
	detail := fmt.Sprintf("no %s by %s", r.describe(), names(r.Signers))
	return failed(r.Name, detail, Finding{Code: EvidenceMissing, Detail: detail})
}

func (r *Requirement) describe() string {
	switch {
	case r.Subtype != "":
		return r.Type + " " + r.Subtype
	case r.scope != "":
		return r.Type + " for " + r.scope
	}
	return r.Type
}

func satisfied(r *Requirement, good []spoken) string {
	detail := r.describe() + " by " + names(principals(good))
	if at := good[0].made(); len(good) == 1 && !at.IsZero() {
		detail += ", " + at.UTC().Format("2006-01-02 15:04 UTC")
	}
	if r.Rule != nil {
		detail += ": " + r.Rule.String()
	}
	return detail
}

// waiver is the one that excuses finding for r on p's artifact now; nil: there is none.
func (w *Walk) waiver(p *place, r *Requirement, finding Reason) *Waiver {
	for i := range w.doc.Waivers {
		v := &w.doc.Waivers[i]
		if v.Finding == finding && v.Subject == p.id() && v.Step == p.step.Name && v.Evidence == r.Name && !w.o.Now.After(v.Until) {
			return v
		}
	}
	return nil
}

func (w *Walk) excused(p *place, r *Requirement, v *Waiver) Check {
	return Check{Name: r.Name, Verdict: Yes, Detail: fmt.Sprintf("%s, waived until %s: %s", v.Finding, v.Until.UTC().Format("2006-01-02 15:04 UTC"), v.Reason)}
}

// principals are the distinct ones who made statements, sorted.
func principals(all []spoken) []string {
	var out []string
	for _, s := range all {
		out = append(out, s.by)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unique drops findings that say the same as one before.
func unique(findings []Finding) []Finding {
	var out []Finding
	seen := make(map[Finding]bool, len(findings))
	for _, f := range findings {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	return out
}

// approvedFor is the requirement that a quorum has approved p's artifact for scope.
func (w *Walk) approvedFor(p *place, q *Quorum, scope string) Check {
	return w.require(p, &Requirement{Name: "approval for " + scope, Type: TypeApproval, Signers: q.Signers, Distinct: q.Distinct, scope: scope})
}

// inScope reports whether an approval's scope has the word.
func inScope(predicate map[string]any, word string) bool {
	list, _ := predicate["scope"].([]any)
	return slices.Contains(list, any(word))
}
