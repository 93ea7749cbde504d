package attestations

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateProvenance is SLSA Provenance v1 (SLSA v1.2, Build: Provenance).
const PredicateProvenance = "https://slsa.dev/provenance/v1"

// Provenance says how an artifact was made, from what, and by which builder: SLSA Provenance v1. Only the build types
// of this package are made and read; another's parameters mean nothing here.
type Provenance struct {
	BuildDefinition BuildDefinition `json:"buildDefinition"`
	RunDetails      RunDetails      `json:"runDetails"`
}

// BuildDefinition is what was built from what.
type BuildDefinition struct {
	BuildType            BuildType    `json:"buildType"`
	ExternalParameters   Parameters   `json:"externalParameters"`
	InternalParameters   Internals    `json:"internalParameters,omitzero"`
	ResolvedDependencies []Dependency `json:"resolvedDependencies"` // what was used, each under a name of its own
}

// Internals are SLSA's internalParameters: what the builder set or found. Nothing is decided by them.
type Internals struct {
	Environment map[string]string `json:"environment,omitempty"` // variables, by an allow-list
	Facts       map[string]string `json:"facts,omitempty"`       // frameworks, accelerators, the machine
}

// RunDetails is this one run of the build.
type RunDetails struct {
	Builder    Builder    `json:"builder"`
	Metadata   Metadata   `json:"metadata"`
	Byproducts []Resource `json:"byproducts,omitempty"` // lock files, package lists, logs; by digest
}

// Builder is who ran the build and vouches for what is said of it.
type Builder struct {
	ID      string            `json:"id"` // URI
	Version map[string]string `json:"version,omitempty"`
}

// Metadata is when the build ran.
type Metadata struct {
	InvocationID string    `json:"invocationId,omitempty"`
	StartedOn    time.Time `json:"startedOn"`
	FinishedOn   time.Time `json:"finishedOn"` // not before StartedOn
}

// Dependency is one input of a build.
type Dependency struct {
	Name   string // unique within the statement
	Role   Role
	URI    string // where it is from; see LocalURI for what is from nowhere else
	Digest Digest // of a class that Role has
	Dirty  bool   // a working tree that differed from the commit that Digest names
}

// descriptor is a dependency as in-toto writes it. Its annotations are what producer and consumer agree on; role and class
// decide here.
type descriptor struct {
	Name        string            `json:"name"`
	URI         string            `json:"uri"`
	Digest      map[string]string `json:"digest"`
	Annotations struct {
		Class DigestClass `json:"io.github.hallmark-project.digest-class"`
		Dirty bool        `json:"io.github.hallmark-project.dirty,omitzero"`
		Role  Role        `json:"io.github.hallmark-project.role"`
	} `json:"annotations"`
}

// MarshalJSON writes d as an in-toto ResourceDescriptor.
func (d Dependency) MarshalJSON() ([]byte, error) {
	w := descriptor{Name: d.Name, URI: d.URI, Digest: map[string]string{d.Digest.algorithm(): d.Digest.Hex}}
	w.Annotations.Class, w.Annotations.Dirty, w.Annotations.Role = d.Digest.Class, d.Dirty, d.Role
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON wrote. The digest is by the one algorithm that its class has.
func (d *Dependency) UnmarshalJSON(raw []byte) error {
	var w descriptor
	if err := decode(raw, &w); err != nil {
		return err
	}
	*d = Dependency{Name: w.Name, Role: w.Annotations.Role, URI: w.URI, Dirty: w.Annotations.Dirty}
	if len(w.Digest) == 0 {
		return fmt.Errorf("%q has no digest: a URI alone is no dependency", clip(w.Name))
	}
	d.Digest = Digest{Class: w.Annotations.Class}
	digits, ok := w.Digest[d.Digest.algorithm()]
	if !ok || len(w.Digest) != 1 {
		return fmt.Errorf("%q has another digest than one %s", clip(w.Name), d.Digest.algorithm())
	}
	d.Digest.Hex = digits
	return nil
}

// UnmarshalJSON reads externalParameters, a closed object (SLSA v1.2, Build: Provenance, parsing rules).
func (p *Parameters) UnmarshalJSON(raw []byte) error {
	type plain Parameters
	return decode(raw, (*plain)(p), json.RejectUnknownMembers(true))
}

func (d Dependency) check() error {
	if err := checkName(d.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if _, err := ParseRole(string(d.Role)); err != nil {
		return err
	}
	if err := checkURI(d.URI); err != nil {
		return err
	}
	if err := d.Digest.check(); err != nil {
		return err
	}
	if !slices.Contains(d.Role.Classes(), d.Digest.Class) {
		return fmt.Errorf("digest of class %s, and role %s has %v", d.Digest.Class, d.Role, d.Role.Classes())
	}
	if d.Dirty && d.Digest.Class != ClassGitCommit {
		return fmt.Errorf("dirty, and not a git commit")
	}
	return nil
}

// PredicateType returns PredicateProvenance.
func (Provenance) PredicateType() string { return PredicateProvenance }

// Check returns why p cannot be stated or believed: an unknown build type, role or parameter, roles that the build type
// has not in that number, names that collide, the same input twice in one role, a builder without an ID, times that
// cannot be.
func (p Provenance) Check() error {
	b := p.BuildDefinition
	if err := p.checkDependencies(); err != nil {
		return err
	}
	if err := b.ExternalParameters.check(b.BuildType); err != nil {
		return fmt.Errorf("externalParameters: %w", err)
	}
	if err := errors.Join(checkFacts(b.InternalParameters.Environment), checkFacts(b.InternalParameters.Facts)); err != nil {
		return fmt.Errorf("internalParameters: %w", err)
	}
	if err := checkURI(p.RunDetails.Builder.ID); err != nil {
		return fmt.Errorf("builder.id: %w", err)
	}
	if err := checkFacts(p.RunDetails.Builder.Version); err != nil {
		return fmt.Errorf("builder.version: %w", err)
	}
	m := p.RunDetails.Metadata
	if m.InvocationID != "" {
		if err := checkName(m.InvocationID); err != nil {
			return fmt.Errorf("invocationId: %w", err)
		}
	}
	if err := checkSpan("startedOn", m.StartedOn, "finishedOn", m.FinishedOn); err != nil {
		return err
	}
	return checkResources("byproducts", p.RunDetails.Byproducts)
}

func (p Provenance) checkDependencies() error {
	all := p.BuildDefinition.ResolvedDependencies
	if len(all) > maxItems {
		return fmt.Errorf("%d dependencies, at most %d are read", len(all), maxItems)
	}
	type use struct {
		role   Role
		digest Digest
	}
	names, uses := map[string]bool{}, map[use]string{}
	roles := make([]Role, len(all))
	for i, d := range all {
		if err := d.check(); err != nil {
			return fmt.Errorf("dependency %d %q: %w", i+1, clip(d.Name), err)
		}
		if names[d.Name] {
			return fmt.Errorf("two dependencies are named %q", clip(d.Name))
		}
		u := use{d.Role, d.Digest}
		if other, twice := uses[u]; twice {
			return fmt.Errorf("dependencies %q and %q are the same %s", clip(other), clip(d.Name), d.Role)
		}
		names[d.Name], uses[u], roles[i] = true, d.Name, d.Role
	}
	if err := p.BuildDefinition.BuildType.CheckInputs(roles); err != nil {
		return err
	}
	for _, name := range sortedKeys(p.BuildDefinition.ExternalParameters.Weights) {
		if !slices.ContainsFunc(all, func(d Dependency) bool { return d.Name == name && d.Role == RoleMergeParent }) {
			return fmt.Errorf("externalParameters: weights: no merge parent is named %q", clip(name))
		}
	}
	return nil
}

// checkOn refuses what cannot be said of this artifact: that it was made from itself, or that a build made a kind of
// thing that it does not make.
func (p Provenance) checkOn(on Artifact) error {
	b := p.BuildDefinition.BuildType
	if on.Kind == "" {
		return errors.New("the subject's kind is not stated")
	}
	if !slices.Contains(b.Kinds(), on.Kind) {
		return fmt.Errorf("%s makes no %s", b.Short(), on.Kind)
	}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if d.Digest.Class == ClassArtifact && d.Digest.String() == on.ID {
			return fmt.Errorf("dependency %q is the artifact itself", clip(d.Name))
		}
	}
	return nil
}
