package attestations

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// namespace begins the names that this project gives: build types, its own predicates, and extensions of others'.
const namespace = "https://github.com/hallmark-project/hallmark/attestations/"

// BuildType is the URI of one way to make an artifact: SLSA's buildType.
type BuildType string

// The build types. What each needs and takes is [BuildType.Needs] and README.md's table.
const (
	BuildTrain          BuildType = namespace + "build/train/v1"
	BuildFinetune       BuildType = namespace + "build/finetune/v1"
	BuildAdapter        BuildType = namespace + "build/adapter/v1" // LoRA and its kin
	BuildMerge          BuildType = namespace + "build/merge/v1"
	BuildDistill        BuildType = namespace + "build/distill/v1"
	BuildQuantize       BuildType = namespace + "build/quantize/v1"
	BuildPrune          BuildType = namespace + "build/prune/v1"
	BuildConvert        BuildType = namespace + "build/convert/v1"
	BuildPackage        BuildType = namespace + "build/package/v1"
	BuildDatasetPrepare BuildType = namespace + "build/dataset-prepare/v1"
)

// BuildTypes returns all build types.
func BuildTypes() []BuildType {
	return []BuildType{BuildTrain, BuildFinetune, BuildAdapter, BuildMerge, BuildDistill, BuildQuantize, BuildPrune, BuildConvert, BuildPackage, BuildDatasetPrepare}
}

// Short returns the word that people type for b, such as "finetune"; for an unknown build type the whole URI.
func (b BuildType) Short() string {
	if _, known := builds[b]; !known {
		return string(b)
	}
	return strings.TrimSuffix(strings.TrimPrefix(string(b), namespace+"build/"), "/v1")
}

// ParseBuildType returns the build type that s is the short word of. Anything else is an error that lists the words.
func ParseBuildType(s string) (BuildType, error) {
	var words []string
	for _, b := range BuildTypes() {
		if b.Short() == s {
			return b, nil
		}
		words = append(words, b.Short())
	}
	return "", fmt.Errorf("build type %q: it is one of %s", clip(s), strings.Join(words, ", "))
}

// Role is what an input was used as.
type Role string

// The roles of inputs.
const (
	RoleSource             Role = "source"
	RoleConfig             Role = "config"
	RoleContainer          Role = "container"
	RoleBaseModel          Role = "base-model"
	RoleAdapter            Role = "adapter"
	RoleMergeParent        Role = "merge-parent"
	RoleTeacher            Role = "teacher"
	RoleRewardModel        Role = "reward-model"
	RoleTokenizer          Role = "tokenizer"
	RoleDatasetTrain       Role = "dataset.train"
	RoleDatasetValidation  Role = "dataset.validation"
	RoleDatasetCalibration Role = "dataset.calibration"
	RoleDatasetPreference  Role = "dataset.preference"
	RoleCodeDependency     Role = "code-dependency"
	RoleTool               Role = "tool"
)

// Roles returns all roles.
func Roles() []Role {
	return []Role{RoleSource, RoleConfig, RoleContainer, RoleBaseModel, RoleAdapter, RoleMergeParent, RoleTeacher, RoleRewardModel, RoleTokenizer,
		RoleDatasetTrain, RoleDatasetValidation, RoleDatasetCalibration, RoleDatasetPreference, RoleCodeDependency, RoleTool}
}

// ParseRole reads a Role; anything but those of Roles is an error.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(Roles(), r) {
		return r, nil
	}
	return "", fmt.Errorf("role %q is unknown", clip(s))
}

// Classes returns the classes of digest that an input of role r may have. Only artifact inputs have a history of their
// own, so whatever becomes part of a model is an artifact.
func (r Role) Classes() []DigestClass {
	switch r {
	case RoleSource, RoleConfig, RoleCodeDependency, RoleTool:
		return []DigestClass{ClassGitCommit, ClassArtifact, ClassFile}
	}
	return []DigestClass{ClassArtifact}
}

// Content reports whether an input of role r becomes part of what is made, or teaches it: a model, an adapter, a tokenizer
// or a dataset, as opposed to code, configuration and tools.
func (r Role) Content() bool {
	switch r {
	case RoleSource, RoleConfig, RoleContainer, RoleCodeDependency, RoleTool:
		return false
	}
	return true
}

// Need is how many inputs of a role a build type has.
type Need struct {
	Role     Role
	Min, Max int // inclusive; Max is Many where there is no bound
}

// Many is no upper bound.
const Many = int(^uint(0) >> 1)

// build is what holds for one build type.
type build struct {
	kinds      []Kind   // what it may make
	needs      []Need   // the roles that it takes, beside those of everyBuild
	oneOf      []Role   // at least one input has one of these roles; none: no such rule
	parameters []string // externalParameters that it takes, beside those of everyParameter
}

// everyBuild are roles that any build may have inputs of.
var everyBuild = []Need{{RoleSource, 0, Many}, {RoleConfig, 0, Many}, {RoleContainer, 0, Many}, {RoleCodeDependency, 0, Many}, {RoleTool, 0, Many}}

// everyParameter are externalParameters that any build takes.
var everyParameter = []string{"command", "options", "seed"}

var (
	models     = []Kind{KindModel}
	weights    = []Kind{KindModel, KindAdapter}
	anything   = []Kind{KindModel, KindAdapter, KindDataset}
	trainsOn   = []Role{RoleDatasetTrain, RoleDatasetPreference}
	anyDataset = []Role{RoleDatasetTrain, RoleDatasetValidation, RoleDatasetCalibration, RoleDatasetPreference}
)

// builds is the one table of what each build type makes, needs and takes. It is checked where a statement is made and
// again wherever one is read. A role or parameter that is not in it is refused.
var builds = map[BuildType]build{
	BuildTrain: {kinds: models, parameters: []string{"epochs"}, oneOf: trainsOn, needs: []Need{
		{RoleSource, 1, Many}, {RoleDatasetTrain, 0, Many}, {RoleDatasetPreference, 0, Many}, {RoleDatasetValidation, 0, Many},
		{RoleTokenizer, 0, 1}, {RoleRewardModel, 0, Many}}},
	BuildFinetune: {kinds: models, parameters: []string{"epochs", "method"}, oneOf: trainsOn, needs: []Need{
		{RoleSource, 1, Many}, {RoleBaseModel, 1, 1}, {RoleDatasetTrain, 0, Many}, {RoleDatasetPreference, 0, Many}, {RoleDatasetValidation, 0, Many},
		{RoleAdapter, 0, Many}, {RoleTokenizer, 0, 1}, {RoleRewardModel, 0, Many}}},
	BuildAdapter: {kinds: []Kind{KindAdapter}, parameters: []string{"epochs", "method", "rank"}, oneOf: trainsOn, needs: []Need{
		{RoleSource, 1, Many}, {RoleBaseModel, 1, 1}, {RoleDatasetTrain, 0, Many}, {RoleDatasetPreference, 0, Many}, {RoleDatasetValidation, 0, Many},
		{RoleAdapter, 0, 1}, {RoleTokenizer, 0, 1}, {RoleRewardModel, 0, Many}}},
	BuildMerge: {kinds: weights, parameters: []string{"method", "weights"}, needs: []Need{
		{RoleMergeParent, 2, Many}, {RoleBaseModel, 0, 1}, {RoleTokenizer, 0, 1}}},
	BuildDistill: {kinds: models, parameters: []string{"epochs", "method", "temperature"}, oneOf: trainsOn, needs: []Need{
		{RoleSource, 1, Many}, {RoleTeacher, 1, Many}, {RoleBaseModel, 0, 1}, {RoleDatasetTrain, 0, Many}, {RoleDatasetPreference, 0, Many},
		{RoleDatasetValidation, 0, Many}, {RoleTokenizer, 0, 1}}},
	BuildQuantize: {kinds: weights, parameters: []string{"method", "scheme"}, needs: []Need{
		{RoleBaseModel, 1, 1}, {RoleDatasetCalibration, 0, Many}, {RoleDatasetTrain, 0, Many}, {RoleTokenizer, 0, 1}}},
	BuildPrune: {kinds: weights, parameters: []string{"method", "sparsity"}, needs: []Need{
		{RoleBaseModel, 1, 1}, {RoleDatasetCalibration, 0, Many}, {RoleDatasetTrain, 0, Many}, {RoleDatasetValidation, 0, Many}, {RoleTokenizer, 0, 1}}},
	BuildConvert: {kinds: weights, parameters: []string{"format", "sourceFormat"}, oneOf: []Role{RoleBaseModel, RoleAdapter}, needs: []Need{
		{RoleBaseModel, 0, 1}, {RoleAdapter, 0, 1}, {RoleTokenizer, 0, 1}}},
	BuildPackage: {kinds: anything, parameters: []string{"format"}, oneOf: append([]Role{RoleBaseModel, RoleAdapter, RoleTokenizer}, anyDataset...), needs: []Need{
		{RoleBaseModel, 0, Many}, {RoleAdapter, 0, Many}, {RoleTokenizer, 0, Many}, {RoleDatasetTrain, 0, Many}, {RoleDatasetValidation, 0, Many},
		{RoleDatasetCalibration, 0, Many}, {RoleDatasetPreference, 0, Many}}},
	BuildDatasetPrepare: {kinds: []Kind{KindDataset}, parameters: []string{"split"}, oneOf: append([]Role{RoleTeacher}, anyDataset...), needs: []Need{
		{RoleSource, 1, Many}, {RoleDatasetTrain, 0, Many}, {RoleDatasetValidation, 0, Many}, {RoleDatasetCalibration, 0, Many},
		{RoleDatasetPreference, 0, Many}, {RoleTeacher, 0, Many}, {RoleTokenizer, 0, 1}}},
}

// Needs returns the roles that a build of type b may have inputs of, in the order of Roles, with how many; nil for an
// unknown type.
func (b BuildType) Needs() []Need {
	rules, known := builds[b]
	if !known {
		return nil
	}
	var out []Need
	for _, r := range Roles() {
		for _, n := range append(slices.Clone(rules.needs), everyBuild...) {
			if n.Role == r {
				out = append(out, n)
				break // the type's own rule comes before everybody's
			}
		}
	}
	return out
}

// OneOf returns the roles of which a build of type b has at least one input, where there is such a rule.
func (b BuildType) OneOf() []Role { return slices.Clone(builds[b].oneOf) }

// Kinds returns what a build of type b may make; nil for an unknown type.
func (b BuildType) Kinds() []Kind { return slices.Clone(builds[b].kinds) }

// CheckInputs refuses inputs in roles or numbers that a build of type b does not have. It looks at nothing else, so that
// it can be asked before a long run.
func (b BuildType) CheckInputs(roles []Role) error {
	if _, known := builds[b]; !known {
		return fmt.Errorf("build type %q is unknown", clip(string(b)))
	}
	count := map[Role]int{}
	for _, r := range roles {
		count[r]++
	}
	for _, n := range b.Needs() {
		if got := count[n.Role]; got < n.Min || got > n.Max {
			return fmt.Errorf("%s has %d inputs of role %s, not %s", b.Short(), got, n.Role, n.count())
		}
		delete(count, n.Role)
	}
	for _, r := range sortedKeys(count) {
		return fmt.Errorf("%s takes no input of role %q", b.Short(), clip(string(r)))
	}
	if either := builds[b].oneOf; either != nil && !slices.ContainsFunc(roles, func(r Role) bool { return slices.Contains(either, r) }) {
		return fmt.Errorf("%s needs an input of a role among %v", b.Short(), either)
	}
	return nil
}

func (n Need) count() string {
	switch {
	case n.Max == Many:
		return fmt.Sprintf("%d or more", n.Min)
	case n.Min == n.Max:
		return fmt.Sprintf("exactly %d", n.Min)
	}
	return fmt.Sprintf("%d to %d", n.Min, n.Max)
}

// Parameters are SLSA's externalParameters: what whoever asked for the build could choose. The object is closed, and each
// build type takes only its own members. All values are text, so that no reader rounds a seed or a learning rate.
type Parameters struct {
	Command      []string          `json:"command,omitempty"`      // as it was started, secrets redacted
	Epochs       string            `json:"epochs,omitempty"`       // passes over the data
	Format       string            `json:"format,omitempty"`       // of the files that were made, as "gguf"
	Method       string            `json:"method,omitempty"`       // as "lora", "dpo", "slerp"
	Options      map[string]string `json:"options,omitempty"`      // any other choice, by name
	Rank         string            `json:"rank,omitempty"`         // of an adapter's matrices
	Scheme       string            `json:"scheme,omitempty"`       // of quantization, as "int8"
	Seed         string            `json:"seed,omitempty"`         // a decimal integer of any size
	SourceFormat string            `json:"sourceFormat,omitempty"` // of the files that were converted
	Sparsity     string            `json:"sparsity,omitempty"`     // share of weights that were pruned
	Split        string            `json:"split,omitempty"`        // which part of a dataset was made
	Temperature  string            `json:"temperature,omitempty"`  // of the softmax in distillation
	Weights      map[string]string `json:"weights,omitempty"`      // of merge parents, by the parent's name
}

// texts are the members that are one text, by their name in JSON.
func (p Parameters) texts() map[string]string {
	return map[string]string{"epochs": p.Epochs, "format": p.Format, "method": p.Method, "rank": p.Rank, "scheme": p.Scheme,
		"seed": p.Seed, "sourceFormat": p.SourceFormat, "sparsity": p.Sparsity, "split": p.Split, "temperature": p.Temperature}
}

func (p Parameters) check(b BuildType) error {
	takes := append(slices.Clone(everyParameter), builds[b].parameters...)
	texts := p.texts()
	for _, name := range sortedKeys(texts) {
		switch {
		case texts[name] == "":
		case !slices.Contains(takes, name):
			return fmt.Errorf("%s takes no parameter %s", b.Short(), name)
		case checkName(texts[name]) != nil:
			return fmt.Errorf("parameter %s: %w", name, checkName(texts[name]))
		}
	}
	if p.Weights != nil && !slices.Contains(takes, "weights") {
		return fmt.Errorf("%s takes no parameter weights", b.Short())
	}
	if p.Seed != "" && !isInteger(p.Seed) {
		return fmt.Errorf("parameter seed: %q is no decimal integer", clip(p.Seed))
	}
	size := 0
	for _, word := range p.Command {
		size += len(word)
	}
	if size > maxText || len(p.Command) > maxItems {
		return fmt.Errorf("parameter command: %d bytes, at most %d", size, maxText)
	}
	return errors.Join(checkFacts(p.Options), checkFacts(p.Weights))
}

// isInteger reports whether s is a decimal integer in its one spelling.
func isInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == "" && (digits[0] != '0' || s == "0")
}
