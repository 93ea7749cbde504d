package attestations

import (
	"fmt"
	"maps"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/host"
)

// BuilderRun is the builder of what hallmark run states where nobody names another: this program, on a machine of the
// signer's. What it says is what the job declares of itself.
const BuilderRun = namespace + "builder/run/v1"

// packagesName is what the list of installed packages is called among byproducts.
const packagesName = "python-packages"

// Record adds to p what was found about the machine and directory that it ran in: lock files and the package list as
// byproducts, facts, the CI job. The directory's commit becomes the source unless p has one.
func (p *Provenance) Record(found host.Facts) {
	b := &p.BuildDefinition
	if found.Commit != nil && !p.has(RoleSource) {
		b.ResolvedDependencies = append(b.ResolvedDependencies, CommitDependency(RoleSource, string(RoleSource), *found.Commit))
	}
	for _, f := range found.LockFiles {
		p.RunDetails.Byproducts = append(p.RunDetails.Byproducts, Resource{Name: f.Name, Digest: DigestSet{string(hashing.SHA256): f.SHA256.Hex()}})
	}
	if len(found.Packages) > 0 {
		p.RunDetails.Byproducts = append(p.RunDetails.Byproducts, Resource{Name: packagesName, MediaType: "text/plain",
			Digest: DigestSet{string(hashing.SHA256): PackageList(found.Packages).Hex()}})
	}
	if b.InternalParameters.Facts == nil {
		b.InternalParameters.Facts = map[string]string{}
	}
	maps.Copy(b.InternalParameters.Facts, found.Notes)
	if p.RunDetails.Metadata.InvocationID == "" {
		p.RunDetails.Metadata.InvocationID = found.Invocation
	}
}

func (p *Provenance) has(r Role) bool {
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if d.Role == r {
			return true
		}
	}
	return false
}

// PackageList is the digest by which a statement names a list of packages: of its lines, each ended by a line end.
func PackageList(packages []string) hashing.Sum {
	sum := hashing.NewStream()
	for _, line := range packages {
		_, _ = sum.Write([]byte(line + "\n")) // a hash takes all there is
	}
	return sum.Sum()
}

// CommitDependency is a git working tree as an input of a build.
func CommitDependency(role Role, name string, c host.Commit) Dependency {
	uri := LocalURI(name)
	if c.Remote != "" {
		uri = "git+" + c.Remote
	}
	return Dependency{Name: name, Role: role, URI: uri, Digest: Digest{ClassGitCommit, c.Hash}, Dirty: c.Dirty}
}

// Set sets the parameter of this name from what a person typed: a member of Parameters, "weights.NAME", or for every other
// name an option. A parameter that is set already is an error, and so is command, which nobody types.
func (p *Parameters) Set(name, value string) error {
	if parent, is := strings.CutPrefix(name, "weights."); is {
		return setIn(&p.Weights, parent, value)
	}
	into := map[string]*string{"epochs": &p.Epochs, "format": &p.Format, "method": &p.Method, "rank": &p.Rank, "scheme": &p.Scheme,
		"seed": &p.Seed, "sourceFormat": &p.SourceFormat, "sparsity": &p.Sparsity, "split": &p.Split, "temperature": &p.Temperature}[name]
	switch {
	case name == "command" || name == "options" || name == "weights":
		return fmt.Errorf("parameter %s is no single text", name)
	case into == nil:
		return setIn(&p.Options, name, value)
	case *into != "":
		return fmt.Errorf("parameter %s is set twice", name)
	}
	*into = value
	return nil
}

func setIn(m *map[string]string, name, value string) error {
	if _, twice := (*m)[name]; twice {
		return fmt.Errorf("parameter %s is set twice", clip(name))
	}
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[name] = value
	return nil
}
