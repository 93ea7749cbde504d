package policy

import (
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/hallmark-project/hallmark/pkg/policy/rule"
)

// evidenceTypes are the types of statement that a step's evidence may be. Provenance and summaries have keys of their own:
// who may say them is judged in other ways.
var evidenceTypes = []string{TypeTestResult, TypeApproval, TypeVulnerabilities, TypeBOM, TypeIngestion, TypeRelease, TypeSVR, TypeDeployment}

// testTypes are the types that say how a check came out.
var testTypes = []string{TypeTestResult, TypeVulnerabilities, TypeBOM, TypeSVR}

// step reads one step and refuses one that asks nothing.
func (r *reader) step(name string, n *yaml.Node) *Step {
	s := &Step{Name: name}
	what := "step " + name
	var inputsAt *yaml.Node
	r.fields(n, what,
		field{"kind", false, func(n *yaml.Node) { s.Kind = r.word(n, "kind", r.o.Kinds) }},
		field{"signature", false, func(n *yaml.Node) { s.Signature = r.quorum(n, "signature") }},
		field{"uncovered", false, func(n *yaml.Node) { s.Uncovered = r.texts(n, "uncovered", r.path) }},
		field{"provenance", false, func(n *yaml.Node) { s.Provenance = r.provenance(n) }},
		field{"inputs", false, func(n *yaml.Node) { inputsAt, s.Inputs = n, r.inputs(n) }},
		field{"evidence", false, func(n *yaml.Node) { s.Evidence = r.evidence(n, s) }},
		field{"release", false, func(n *yaml.Node) { s.Release = r.release(n) }},
		field{"anyOf", false, func(n *yaml.Node) {
			r.items(n, "anyOf", func(n *yaml.Node) { s.AnyOf = append(s.AnyOf, r.alternative(n, s)) })
		}},
	)
	switch {
	case r.err != nil:
	case inputsAt != nil && s.Provenance == nil:
		r.fail(inputsAt, "add provenance: {types: […], signers: […]}", "%s has inputs and asks for no provenance, which is what names them", what)
	case s.Signature == nil && s.Provenance == nil && s.Evidence == nil && s.Release == nil && s.AnyOf == nil:
		r.fail(n, "add signature: […]", "%s asks nothing", what)
	}
	return s
}

func (r *reader) path(n *yaml.Node, p string) {
	if !fs.ValidPath(p) || p == "." {
		r.fail(n, "a path inside the artifact, as it is signed", "%s is no path", quote(p))
	}
}

func (r *reader) provenance(n *yaml.Node) *Provenance {
	p := &Provenance{}
	r.fields(n, "provenance",
		field{"types", true, func(n *yaml.Node) {
			p.Types = r.texts(n, "types", func(n *yaml.Node, _ string) { r.word(n, "build type", r.o.BuildTypes) })
		}},
		field{"signers", true, func(n *yaml.Node) { p.Signers = r.signers(n, "signers of provenance") }},
		field{"level", false, func(n *yaml.Node) { p.Level = r.level(n) }},
		field{"rule", false, func(n *yaml.Node) { p.Rule = r.rule(n) }},
		field{"maxAge", false, func(n *yaml.Node) { p.MaxAge = r.duration(n, "maxAge") }},
	)
	r.later(func() {
		speaksFor := func(b Builder) bool {
			return b.Level >= p.Level && slices.ContainsFunc(b.Signers, func(s string) bool { return slices.Contains(p.Signers, s) })
		}
		if !slices.ContainsFunc(r.doc.Builders, speaksFor) {
			r.fail(n, "add to builders: {id: …, signers: […], level: …}", "nobody can meet this: no builder of level %d or more has a signer among %s", p.Level, strings.Join(p.Signers, ", "))
		}
	})
	return p
}

// rule compiles a rule. A failure points at the rule in the file, and says where in the rule.
func (r *reader) rule(n *yaml.Node) *rule.Rule {
	s := r.scalar(n, "rule", "!!str")
	if r.err != nil {
		return nil
	}
	compiled, err := rule.Compile(s)
	if err == nil {
		return compiled
	}
	r.fail(n, "", "rule")
	r.err.Err = err
	var at *rule.Error
	if errors.As(err, &at) && at.Line == 1 && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 { // a text of one line, where columns can be added
		r.err.Column += at.Column - 1
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			r.err.Column++
		}
	}
	return nil
}

func (r *reader) inputs(n *yaml.Node) map[string]*Inputs {
	out := map[string]*Inputs{}
	r.entries(n, "inputs", func(key, value *yaml.Node) {
		role := r.word(key, "role", r.o.Roles)
		out[role] = r.input(value, role)
	})
	if len(out) == 0 {
		r.fail(n, "", "inputs is empty")
	}
	return out
}

// most is the cap on how many inputs of a role can be asked for.
const mostInputs = MaxNodes

var anyDigest = regexp.MustCompile(`^(?:sha256:[0-9a-f]{64}|gitCommit:(?:[0-9a-f]{40}|[0-9a-f]{64}))$`)

func (r *reader) input(n *yaml.Node, role string) *Inputs {
	in := &Inputs{Min: 1}
	what := "inputs of role " + role
	var count, bounds *yaml.Node
	r.fields(n, what,
		field{"step", false, func(n *yaml.Node) {
			in.Step = r.name(n, "step of "+what)
			r.later(func() { r.defined(n, in.Step) })
		}},
		field{"count", false, func(n *yaml.Node) {
			count, in.Min = n, int(r.number(n, "count", 1, mostInputs))
			in.Max = in.Min
		}},
		field{"min", false, func(n *yaml.Node) { bounds, in.Min = n, int(r.number(n, "min", 0, mostInputs)) }},
		field{"max", false, func(n *yaml.Node) { bounds, in.Max = n, int(r.number(n, "max", 1, mostInputs)) }},
		field{"uri", false, func(n *yaml.Node) { in.URIs = r.texts(n, "uri", nil) }},
		field{"uriPattern", false, func(n *yaml.Node) {
			r.texts(n, "uriPattern", func(n *yaml.Node, _ string) { in.Patterns = append(in.Patterns, r.pattern(n, "uriPattern")) })
		}},
		field{"pinned", false, func(n *yaml.Node) {
			in.Pinned = r.texts(n, "pinned", func(n *yaml.Node, digest string) {
				if !anyDigest.MatchString(digest) {
					r.fail(n, "sha256:… or gitCommit:…, in lower-case hex digits", "%s is no digest", quote(digest))
				}
			})
		}},
		field{"allowDirty", false, func(n *yaml.Node) { in.AllowDirty = r.yes(n, "allowDirty") }},
	)
	switch {
	case r.err != nil:
	case count != nil && bounds != nil:
		r.fail(bounds, "count alone, or min and max", "%s has count and min or max", what)
	case in.Max != 0 && in.Min > in.Max:
		r.fail(bounds, "", "%s has min %d and max %d", what, in.Min, in.Max)
	case in.Step == "" && in.URIs == nil && in.Patterns == nil && in.Pinned == nil:
		r.fail(n, "one of step, uri, uriPattern and pinned", "%s may be anything", what)
	}
	return in
}

func (r *reader) evidence(n *yaml.Node, s *Step) []*Requirement {
	var out []*Requirement
	r.items(n, "evidence", func(n *yaml.Node) {
		q := r.requirement(n, s)
		if slices.ContainsFunc(out, func(other *Requirement) bool { return other.Name == q.Name }) {
			r.fail(n, "names tell apart what is asked for", "evidence %s is there twice in step %s", quote(q.Name), s.Name)
		}
		out = append(out, q)
	})
	return out
}

func (r *reader) requirement(n *yaml.Node, s *Step) *Requirement {
	q := &Requirement{Distinct: 1}
	const what = "evidence"
	var activityAt, latestAt, ownAt *yaml.Node
	signersAt := n
	r.fields(n, what, append(r.quorumFields(what, &q.Signers, &q.Distinct),
		field{"name", true, func(n *yaml.Node) { q.Name = r.name(n, what) }},
		field{"type", true, func(n *yaml.Node) { q.Type = r.evidenceType(n) }},
		field{"activity", false, func(n *yaml.Node) { activityAt, q.Subtype = n, r.word(n, "activity", r.o.Activities) }},
		field{"maxAge", false, func(n *yaml.Node) { q.MaxAge = r.duration(n, "maxAge") }},
		field{"latest", false, func(n *yaml.Node) { latestAt, q.Latest = n, r.yes(n, "latest") }},
		field{"ownWork", false, func(n *yaml.Node) { ownAt, q.OwnWork = n, r.yes(n, "ownWork") }},
		field{"rule", false, func(n *yaml.Node) { q.Rule = r.rule(n) }},
		field{"controls", false, func(n *yaml.Node) { q.Controls = r.texts(n, "controls", nil) }},
	)...)
	switch {
	case r.err != nil:
	case activityAt != nil && q.Type != TypeTestResult:
		r.fail(activityAt, "", "activity is of test results, and evidence %s is of type %s", q.Name, q.Type)
	case ownAt != nil && q.Type != TypeApproval:
		r.fail(ownAt, "", "ownWork is of approvals, and evidence %s is of type %s", q.Name, q.Type)
	case latestAt != nil && q.Latest && q.MaxAge == 0:
		r.fail(latestAt, "add maxAge", "evidence %s counts the latest and has no maxAge: who withholds the newest would have an older one count for ever", q.Name)
	}
	r.later(func() { r.ownWork(signersAt, s, q) })
	return q
}

func (r *reader) evidenceType(n *yaml.Node) string {
	t := r.text(n, "type")
	switch {
	case r.err != nil || slices.Contains(evidenceTypes, t):
	case t == TypeProvenance:
		r.fail(n, "provenance: {types: […], signers: […]}", "provenance is no evidence beside others: a step asks for it by its own key")
	case t == TypeVSA:
		r.fail(n, "anyOf: [{vsa: {…}}]", "a verification summary stands for a step and is no evidence beside others")
	default:
		r.fail(n, suggest(t, evidenceTypes), "unknown type of statement %s", quote(t))
	}
	return t
}

// ownWork refuses an approval that nobody else than a maker can give, unless that is said.
func (r *reader) ownWork(n *yaml.Node, s *Step, q *Requirement) {
	if q.Type != TypeApproval || q.OwnWork {
		return
	}
	var makers []string
	if s.Signature != nil {
		makers = append(makers, s.Signature.Signers...)
	}
	if s.Provenance != nil {
		makers = append(makers, s.Provenance.Signers...)
	}
	if !slices.ContainsFunc(q.Signers, func(who string) bool { return !slices.Contains(makers, who) }) {
		r.fail(n, "name somebody who does not sign the artifact or its provenance", "evidence %s of step %s is approved by nobody but its makers: %s", q.Name, s.Name, strings.Join(q.Signers, ", "))
	}
}

func (r *reader) release(n *yaml.Node) *Release {
	out := &Release{}
	r.fields(n, "release",
		field{"channel", true, func(n *yaml.Node) { out.Channel = r.text(n, "channel") }},
		field{"signers", true, func(n *yaml.Node) { out.Signers = r.signers(n, "signers of release") }},
		field{"rollback", false, func(n *yaml.Node) { out.Rollback = r.quorum(n, "rollback") }},
	)
	return out
}

// alternative reads one way to satisfy a step.
func (r *reader) alternative(n *yaml.Node, s *Step) *Alternative {
	a := &Alternative{}
	r.fields(n, "an alternative",
		field{"ingested", false, func(n *yaml.Node) { a.Ingested = r.ingested(n) }},
		field{"vsa", false, func(n *yaml.Node) { a.VSA = r.vsa(n) }},
		field{"pinned", false, func(n *yaml.Node) {
			a.Pinned = r.texts(n, "pinned", func(n *yaml.Node, id string) { r.artifact(n, id, "artifact ID") })
		}},
		field{"step", false, func(n *yaml.Node) {
			a.Step = r.name(n, "step of an alternative")
			r.later(func() {
				r.defined(n, a.Step)
				if r.err == nil && r.leadsBack(a.Step, s.Name) {
					r.fail(n, "", "step %s is, by way of anyOf, its own alternative", s.Name)
				}
			})
		}},
	)
	if r.err == nil && len(n.Content) != 2 {
		r.fail(n, "one of ingested, vsa, pinned and step", "an alternative has to have exactly one member, and has %d", len(n.Content)/2)
	}
	return a
}

func (r *reader) ingested(n *yaml.Node) *Ingested {
	out := &Ingested{}
	r.fields(n, "ingested",
		field{"signers", true, func(n *yaml.Node) { out.Signers = r.signers(n, "signers of ingested") }},
		field{"upstreams", false, func(n *yaml.Node) { out.Upstreams = r.texts(n, "upstreams", nil) }},
		field{"maxAge", false, func(n *yaml.Node) { out.MaxAge = r.duration(n, "maxAge") }},
	)
	return out
}

func (r *reader) vsa(n *yaml.Node) *VSA {
	out := &VSA{}
	r.fields(n, "vsa",
		field{"verifiers", true, func(n *yaml.Node) { out.Verifiers = r.texts(n, "verifiers", nil) }},
		field{"signers", true, func(n *yaml.Node) { out.Signers = r.signers(n, "signers of vsa") }},
		field{"resources", false, func(n *yaml.Node) { out.Resources = r.texts(n, "resources", nil) }},
		field{"policies", false, func(n *yaml.Node) {
			out.Policies = r.texts(n, "policies", func(n *yaml.Node, digest string) { r.artifact(n, digest, "digest of a policy") })
		}},
		field{"maxAge", true, func(n *yaml.Node) { out.MaxAge = r.duration(n, "maxAge") }},
	)
	return out
}
