package policy

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// What a policy file begins with.
const (
	apiVersion = "hallmark/v1"
	fileKind   = "Policy"
)

// document reads the whole file.
func (r *reader) document(n *yaml.Node) {
	d := r.doc
	d.Identities, d.Targets, d.Steps = map[string]Principal{}, map[string]string{}, map[string]*Step{}
	r.fields(n, "the policy",
		field{"apiVersion", true, func(n *yaml.Node) { r.exactly(n, "apiVersion", apiVersion) }},
		field{"kind", true, func(n *yaml.Node) { r.exactly(n, "kind", fileKind) }},
		field{"name", true, func(n *yaml.Node) { d.Name = r.name(n, "the policy") }},
		field{"version", true, func(n *yaml.Node) { d.Version = r.number(n, "version", 1, math.MaxUint64) }},
		field{"expires", false, func(n *yaml.Node) { d.Expires = r.ended(n, "expires") }},
		field{"identities", true, r.identities},
		field{"builders", false, r.builders},
		field{"revocations", false, r.revocations},
		field{"sources", false, r.sources},
		field{"target", true, r.target},
		field{"steps", true, r.steps},
		field{"waivers", false, r.waivers},
	)
	r.later(func() { r.reach(n) })
}

func (r *reader) exactly(n *yaml.Node, what, want string) {
	if got := r.text(n, what); got != want {
		r.fail(n, "this version reads "+want, "%s is %s", what, quote(got))
	}
}

func (r *reader) builders(n *yaml.Node) {
	r.items(n, "builders", func(n *yaml.Node) {
		var b Builder
		r.fields(n, "a builder",
			field{"id", true, func(n *yaml.Node) {
				b.ID = r.text(n, "id of a builder")
				if slices.ContainsFunc(r.doc.Builders, func(other Builder) bool { return other.ID == b.ID }) {
					r.fail(n, "list all its signers in one entry", "builder %s is there twice", quote(b.ID))
				}
			}},
			field{"signers", true, func(n *yaml.Node) { b.Signers = r.signers(n, "signers of a builder") }},
			field{"level", false, func(n *yaml.Node) { b.Level = r.level(n) }},
		)
		r.doc.Builders = append(r.doc.Builders, b)
	})
}

// level reads a build level of SLSA v1.2.
func (r *reader) level(n *yaml.Node) int { return int(r.number(n, "level", 1, 3)) }

func (r *reader) revocations(n *yaml.Node) {
	lists := &RevocationSource{}
	r.fields(n, "revocations",
		field{"from", true, func(n *yaml.Node) { lists.From = r.text(n, "from") }},
		field{"signers", true, func(n *yaml.Node) { lists.Signers = r.signers(n, "signers of revocations") }},
		field{"maxAge", false, func(n *yaml.Node) { lists.MaxAge = r.duration(n, "maxAge") }},
	)
	r.doc.Lists = lists
}

var prefixShape = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?/(?:[A-Za-z0-9._~-]+/)*$`)

func (r *reader) sources(n *yaml.Node) {
	r.items(n, "sources", func(n *yaml.Node) {
		var s Source
		r.fields(n, "a source",
			field{"prefix", true, func(n *yaml.Node) {
				s.Prefix = r.text(n, "prefix of a source")
				if dots := strings.Contains("/"+s.Prefix, "/../") || strings.Contains("/"+s.Prefix, "/./"); r.err == nil && (dots || !prefixShape.MatchString(s.Prefix)) {
					r.fail(n, "HOST/ or HOST/PATH/: registry.example/acme/", "%s is no prefix of a source", quote(s.Prefix))
				}
			}},
			field{"credentials", false, func(n *yaml.Node) { s.Credentials = r.yes(n, "credentials") }},
		)
		r.doc.Sources = append(r.doc.Sources, s)
	})
}

// target reads the step that each kind of artifact has to pass.
func (r *reader) target(n *yaml.Node) {
	one := func(kind string, n *yaml.Node) {
		step := r.name(n, "target")
		r.doc.Targets[kind] = step
		r.later(func() {
			r.defined(n, step)
			if s := r.doc.Steps[step]; r.err == nil && kind != "" && s.Kind != "" && s.Kind != kind {
				r.fail(n, "", "target of every %s is step %s, which is for a %s", kind, step, s.Kind)
			}
		})
	}
	if n.Kind != yaml.MappingNode {
		one("", n)
		return
	}
	r.entries(n, "target", func(key, value *yaml.Node) { one(r.word(key, "kind", r.o.Kinds), value) })
	if len(r.doc.Targets) == 0 {
		r.fail(n, "", "target is empty")
	}
}

func (r *reader) steps(n *yaml.Node) {
	r.entries(n, "steps", func(key, value *yaml.Node) {
		name := r.name(key, "a step")
		s := r.step(name, value)
		r.doc.Steps[name] = s
	})
	if len(n.Content) == 0 {
		r.fail(n, "", "there are no steps")
	}
}

// defined refuses a step that there is not.
func (r *reader) defined(n *yaml.Node, step string) {
	if _, there := r.doc.Steps[step]; !there {
		r.fail(n, suggest(step, slices.Sorted(maps.Keys(r.doc.Steps))), "there is no step %s", quote(step))
	}
}

// signers reads names of identities, each once, all of which there have to be.
func (r *reader) signers(n *yaml.Node, what string) []string {
	return r.texts(n, what, func(n *yaml.Node, name string) {
		r.later(func() {
			if _, there := r.doc.Identities[name]; !there {
				r.fail(n, suggest(name, slices.Sorted(maps.Keys(r.doc.Identities))), "there is no identity %s", quote(name))
			}
		})
	})
}

// quorum reads the members signers and distinct; distinct is 1 where it is not said.
func (r *reader) quorum(n *yaml.Node, what string) *Quorum {
	q := &Quorum{Distinct: 1}
	if n.Kind == yaml.SequenceNode {
		q.Signers = r.signers(n, what)
		return q
	}
	r.fields(n, what, r.quorumFields(what, &q.Signers, &q.Distinct)...)
	return q
}

func (r *reader) quorumFields(what string, signers *[]string, distinct *int) []field {
	return []field{
		{"signers", true, func(n *yaml.Node) { *signers = r.signers(n, "signers of "+what) }},
		{"distinct", false, func(n *yaml.Node) {
			*distinct = int(r.number(n, "distinct", 1, maxItems))
			r.later(func() {
				if *distinct > len(*signers) {
					r.fail(n, "", "%s needs %d distinct signers and names %d", what, *distinct, len(*signers))
				}
			})
		}},
	}
}

var digestShape = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// artifact reads an artifact ID.
func (r *reader) artifact(n *yaml.Node, id, what string) {
	if r.err == nil && !digestShape.MatchString(id) {
		r.fail(n, "sha256: and 64 lower-case hex digits", "%s is no %s", quote(id), what)
	}
}

func (r *reader) waivers(n *yaml.Node) {
	r.items(n, "waivers", func(n *yaml.Node) {
		var w Waiver
		r.fields(n, "a waiver",
			field{"finding", true, func(n *yaml.Node) {
				w.Finding = Reason(r.text(n, "finding"))
				if r.err == nil && w.Finding != Stale && w.Finding != EvidenceMissing {
					r.fail(n, "stale or evidence-missing", "%s is nothing that a waiver excuses", quote(string(w.Finding)))
				}
			}},
			field{"subject", true, func(n *yaml.Node) {
				w.Subject = r.text(n, "subject of a waiver")
				r.artifact(n, w.Subject, "artifact ID")
			}},
			field{"step", true, func(n *yaml.Node) { w.Step = r.name(n, "step of a waiver") }},
			field{"evidence", true, func(n *yaml.Node) { w.Evidence = r.name(n, "evidence of a waiver") }},
			field{"until", true, func(n *yaml.Node) { w.Until = r.ended(n, "until") }},
			field{"reason", true, func(n *yaml.Node) { w.Reason = r.text(n, "reason of a waiver") }},
		)
		r.doc.Waivers = append(r.doc.Waivers, w)
		r.later(func() { r.waiver(n, w) })
	})
}

// waiver refuses what excuses nothing that there is, or more than staleness and a missing test.
func (r *reader) waiver(n *yaml.Node, w Waiver) {
	r.defined(n, w.Step)
	if r.err != nil {
		return
	}
	var names []string
	for _, q := range r.doc.Steps[w.Step].Evidence {
		names = append(names, q.Name)
		if q.Name != w.Evidence {
			continue
		}
		switch {
		case q.Type == TypeApproval:
			r.fail(n, "", "a waiver never excuses an approval, and %s is one", quote(w.Evidence))
		case w.Finding == EvidenceMissing && !slices.Contains(testTypes, q.Type):
			r.fail(n, "", "a waiver excuses a test that is missing, and %s is of type %s", quote(w.Evidence), q.Type)
		case w.Finding == Stale && q.MaxAge == 0:
			r.fail(n, "", "evidence %s has no maxAge, so it is never stale", quote(w.Evidence))
		}
		return
	}
	r.fail(n, suggest(w.Evidence, names), "step %s has no evidence %s", w.Step, quote(w.Evidence))
}
