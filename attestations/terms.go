package attestations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// TermsVersion is the name and version of a terms file, and MaxTerms its largest size in bytes.
const (
	TermsVersion = "hallmark.terms/v1"
	MaxTerms     = 256 << 10
)

// Terms are on what terms a signer makes a draft of provenance its own statement: what it states itself, and which digests
// it takes from the draft. Whoever ran the build chooses nothing of what is said about it. Only ParseTerms makes them; the
// zero Terms takes no draft.
type Terms struct {
	build   BuildType
	builder string
	kind    Kind
	inputs  map[Role]allowed // also of the source; a role that is not there has no input
	dirty   bool
	params  Parameters
}

// allowed is which digests an input may have.
type allowed struct {
	any     bool
	digests []Digest
}

// termsFile is the form of a terms file.
type termsFile struct {
	Version    string            `yaml:"version"`
	Type       string            `yaml:"type"`
	Builder    string            `yaml:"builder"`
	Kind       string            `yaml:"kind"`
	Inputs     map[string]any    `yaml:"inputs"`
	Sources    any               `yaml:"sources"`
	Dirty      bool              `yaml:"dirty"`
	Parameters map[string]string `yaml:"parameters"`
}

// ParseTerms reads a terms file: one YAML document with known members only (README.md, Drafts). It errs where one is missing,
// where a role, digest or type is none, and where a list is empty: nothing would be allowed, or was everything meant?
func ParseTerms(raw []byte) (Terms, error) {
	var t Terms
	if len(raw) > MaxTerms {
		return t, fmt.Errorf("read terms: %d bytes, at most %d are read", len(raw), MaxTerms)
	}
	var f termsFile
	if err := yaml.Load(raw, &f, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return t, fmt.Errorf("read terms: %w", err)
	}
	if err := t.take(f); err != nil {
		return Terms{}, fmt.Errorf("read terms: %w", err)
	}
	return t, nil
}

func (t *Terms) take(f termsFile) error {
	var err error
	if f.Version != TermsVersion {
		return fmt.Errorf("version %q: it is %s", clip(f.Version), TermsVersion)
	}
	if t.build, err = ParseBuildType(f.Type); err != nil {
		return fmt.Errorf("type: %w", err)
	}
	if t.builder = f.Builder; checkURI(f.Builder) != nil {
		return fmt.Errorf("builder: %w", checkURI(f.Builder))
	}
	if t.kind, err = ParseKind(f.Kind); err != nil {
		return fmt.Errorf("kind: %w", err)
	}
	if !slices.Contains(t.build.Kinds(), t.kind) {
		return fmt.Errorf("kind: %s makes no %s", t.build.Short(), t.kind)
	}
	t.inputs, t.dirty = map[Role]allowed{}, f.Dirty
	for _, name := range sortedKeys(f.Inputs) {
		role, err := ParseRole(name)
		if err == nil && role == RoleSource {
			err = errors.New("it stands under sources")
		}
		if err == nil {
			t.inputs[role], err = parseAllowed(role, f.Inputs[name])
		}
		if err != nil {
			return fmt.Errorf("inputs: %s: %w", clip(name), err)
		}
	}
	if f.Sources != nil {
		if t.inputs[RoleSource], err = parseAllowed(RoleSource, f.Sources); err != nil {
			return fmt.Errorf("sources: %w", err)
		}
	}
	for _, name := range sortedKeys(f.Parameters) {
		if err := t.params.Set(name, f.Parameters[name]); err != nil {
			return err
		}
	}
	return t.params.check(t.build)
}

func parseAllowed(role Role, v any) (allowed, error) {
	list, ok := v.([]any)
	switch {
	case v == "any":
		return allowed{any: true}, nil
	case !ok:
		return allowed{}, errors.New("it is a list of digests, or the word any")
	case len(list) == 0:
		return allowed{}, errors.New("the list is empty: leave it out, or write any")
	}
	var a allowed
	for _, item := range list {
		text, _ := item.(string)
		d, err := parseDigest(text)
		if err != nil {
			return a, err
		}
		if !slices.Contains(role.Classes(), d.Class) {
			return a, fmt.Errorf("%s: a digest of class %s, and the role has %v", text, d.Class, role.Classes())
		}
		a.digests = append(a.digests, d)
	}
	return a, nil
}

// parseDigest reads sha256:HEX as an artifact ID, file:sha256:HEX and gitCommit:HEX.
func parseDigest(s string) (Digest, error) {
	d := Digest{Class: ClassArtifact}
	rest := s
	if file, is := strings.CutPrefix(s, "file:"); is {
		d.Class, rest = ClassFile, file
	} else if strings.HasPrefix(s, string(ClassGitCommit)+":") {
		d.Class = ClassGitCommit
	}
	digits, ok := strings.CutPrefix(rest, d.algorithm()+":")
	if d.Hex = digits; !ok || d.check() != nil {
		return Digest{}, fmt.Errorf("%q is no digest: write sha256:… for an artifact, file:sha256:… or gitCommit:…", clip(s))
	}
	return d, nil
}

// Kind is what the terms say that is made.
func (t Terms) Kind() Kind { return t.kind }

// Restate makes draft, which nobody vouches for, the signer's own. Taken from it are the artifact's ID and the inputs' roles
// and digests, each of which the terms allow; all else is the terms' own, with now for both times. It errs where draft is
// anything but provenance, of another type or kind, or names an input that is not allowed.
//
// What was not seen is not said: command, environment, byproducts, the names of inputs and where they are from are left out.
func (t Terms) Restate(draft Claim, now time.Time) (Artifact, Provenance, error) {
	var out Provenance
	p, ok := draft.Predicate.(Provenance)
	switch {
	case t.build == "":
		return Artifact{}, out, errors.New("restate draft: there are no terms")
	case !ok && draft.Predicate == nil:
		return Artifact{}, out, errors.New("restate draft: it claims nothing")
	case !ok:
		return Artifact{}, out, fmt.Errorf("restate draft: it is of type %s, and only provenance is taken from a file", draft.Predicate.PredicateType())
	case p.BuildDefinition.BuildType != t.build:
		return Artifact{}, out, fmt.Errorf("restate draft: it says %s, and the terms say %s", p.BuildDefinition.BuildType.Short(), t.build.Short())
	case draft.On.Kind != t.kind:
		return Artifact{}, out, fmt.Errorf("restate draft: it is about a %s, and the terms say %s", draft.On.Kind, t.kind)
	}
	b := &out.BuildDefinition
	b.BuildType, b.ExternalParameters = t.build, t.params
	count := map[Role]int{}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if err := t.check(d); err != nil {
			return Artifact{}, Provenance{}, fmt.Errorf("restate draft: input %q: %w", clip(d.Name), err)
		}
		count[d.Role]++
		name := string(d.Role)
		if n := count[d.Role]; n > 1 {
			name = fmt.Sprintf("%s-%d", d.Role, n)
		}
		b.ResolvedDependencies = append(b.ResolvedDependencies, Dependency{Name: name, Role: d.Role, URI: LocalURI(name), Digest: d.Digest, Dirty: d.Dirty})
	}
	out.RunDetails.Builder.ID = t.builder
	out.RunDetails.Metadata = Metadata{StartedOn: now, FinishedOn: now}
	if err := out.Check(); err != nil {
		return Artifact{}, Provenance{}, fmt.Errorf("restate draft: %w", err)
	}
	return Artifact{ID: draft.On.ID, Kind: t.kind}, out, nil
}

func (t Terms) check(d Dependency) error {
	rule, ok := t.inputs[d.Role]
	switch {
	case !ok:
		return fmt.Errorf("no input of role %s is allowed", d.Role)
	case d.Dirty && !t.dirty:
		return errors.New("its tree differed from the commit, which is not allowed")
	case !rule.any && !slices.Contains(rule.digests, d.Digest):
		return fmt.Errorf("%s %s is not one of the %d that are allowed as %s", d.Digest.Class, d.Digest, len(rule.digests), d.Role)
	}
	return nil
}
