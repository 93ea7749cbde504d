package attestations_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
)

var restatedAt = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)

// theTerms allow what aDraft says; each test bends one of the two.
var theTerms = `version: hallmark.terms/v1
type: finetune
builder: https://example.com/trainers/pool-a
kind: model
inputs:
  base-model:
    - sha256:` + hexOf(1) + `
  dataset.train: any
sources:
  - gitCommit:` + strings.Repeat("ab", 20) + `
parameters:
  method: sft
`

func dependency(role attestations.Role, name string, class attestations.DigestClass, hex string) attestations.Dependency {
	return attestations.Dependency{Name: name, Role: role, URI: "https://evil.example/claims", Digest: attestations.Digest{Class: class, Hex: hex}}
}

func aDraft() (attestations.Artifact, attestations.Provenance) {
	p := attestations.Provenance{BuildDefinition: attestations.BuildDefinition{
		BuildType:          attestations.BuildFinetune,
		ExternalParameters: attestations.Parameters{Command: []string{"python", "train.py"}, Seed: "7"},
		InternalParameters: attestations.Internals{Facts: map[string]string{"a": "b"}},
		ResolvedDependencies: []attestations.Dependency{
			dependency(attestations.RoleBaseModel, "good model", attestations.ClassArtifact, hexOf(1)),
			dependency(attestations.RoleDatasetTrain, "clean data", attestations.ClassArtifact, hexOf(2)),
			dependency(attestations.RoleDatasetTrain, "more data", attestations.ClassArtifact, hexOf(3)),
			dependency(attestations.RoleSource, "reviewed", attestations.ClassGitCommit, strings.Repeat("ab", 20)),
		}},
		RunDetails: attestations.RunDetails{
			Builder:    attestations.Builder{ID: "https://evil.example/trusted-builder"},
			Metadata:   attestations.Metadata{InvocationID: "https://evil.example/run", StartedOn: restatedAt.AddDate(0, 0, -2), FinishedOn: restatedAt.AddDate(9, 0, 0)},
			Byproducts: []attestations.Resource{{Name: "lock", Digest: attestations.DigestSet{"sha256": hexOf(5)}}},
		}}
	return attestations.Artifact{ID: "sha256:" + hexOf(9), Name: "reviewed-model", Kind: attestations.KindModel}, p
}

func parseTerms(t *testing.T, text string) attestations.Terms {
	t.Helper()
	terms, err := attestations.ParseTerms([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return terms
}

// readDraft goes the way of a file.
func readDraft(t *testing.T, on attestations.Artifact, p attestations.Predicate) attestations.Claim {
	t.Helper()
	s, err := attestations.NewStatement(on, p)
	if err != nil {
		t.Fatal(err)
	}
	c, err := attestations.ParseStatement(s.Payload())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRestateTakesDigestsAndNothingElse(t *testing.T) {
	draftOn, draft := aDraft()
	on, p, err := parseTerms(t, theTerms).Restate(readDraft(t, draftOn, draft), restatedAt)
	if err != nil {
		t.Fatal(err)
	}
	if want := (attestations.Artifact{ID: draftOn.ID, Kind: attestations.KindModel}); on != want {
		t.Errorf("it is about %+v", on)
	}
	s, err := attestations.NewStatement(on, p)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"evil", "good model", "clean data", "train.py", "reviewed", `"7"`, "lock", "2035", `"a"`} {
		if strings.Contains(string(s.Payload()), word) {
			t.Errorf("%q came over from the draft", word)
		}
	}
	b, m := p.BuildDefinition, p.RunDetails.Metadata
	if p.RunDetails.Builder.ID != "https://example.com/trainers/pool-a" || b.ExternalParameters.Method != "sft" || !m.StartedOn.Equal(restatedAt) || !m.FinishedOn.Equal(restatedAt) {
		t.Errorf("the terms say otherwise: %+v", p)
	}
	names := ""
	for i, d := range b.ResolvedDependencies {
		names += " " + d.Name
		if d.Digest != draft.BuildDefinition.ResolvedDependencies[i].Digest {
			t.Errorf("%s is %s", d.Name, d.Digest)
		}
	}
	if names != " base-model dataset.train dataset.train-2 source" {
		t.Errorf("inputs%s", names)
	}
}

func TestRestateRefusesWhatTheTermsDoNotAllow(t *testing.T) {
	for name, c := range map[string]struct {
		terms func(string) string
		draft func(*attestations.Artifact, *attestations.Provenance)
		want  string
	}{
		"another base model": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.ResolvedDependencies[0].Digest.Hex = hexOf(4)
		}, want: "not one of the 1 that are allowed as base-model"},
		"another source": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.ResolvedDependencies[3].Digest.Hex = strings.Repeat("cd", 20)
		}, want: "not one of the 1 that are allowed as source"},
		"the source's digits as a file": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.ResolvedDependencies[3].Digest = attestations.Digest{Class: attestations.ClassFile, Hex: hexOf(1)}
		}, terms: func(s string) string {
			return strings.Replace(s, "gitCommit:"+strings.Repeat("ab", 20), "sha256:"+hexOf(1), 1)
		}, want: "not one of the 1 that are allowed as source"},
		"a dirty source": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.ResolvedDependencies[3].Dirty = true
		}, want: "differed from the commit"},
		"a role too many": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, dependency(attestations.RoleTool, "tool", attestations.ClassFile, hexOf(6)))
		}, want: "no input of role tool is allowed"},
		"another type": {draft: func(_ *attestations.Artifact, p *attestations.Provenance) {
			p.BuildDefinition.BuildType, p.BuildDefinition.ResolvedDependencies = attestations.BuildTrain, p.BuildDefinition.ResolvedDependencies[1:]
		}, want: "it says train, and the terms say finetune"},
		"another kind": {draft: func(on *attestations.Artifact, p *attestations.Provenance) {
			on.Kind, p.BuildDefinition.BuildType = attestations.KindAdapter, attestations.BuildAdapter
		}, terms: func(s string) string { return s }, want: "it says adapter, and the terms say finetune"},
		"no sources allowed": {terms: func(s string) string { return s[:strings.Index(s, "sources")] }, want: "no input of role source is allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			text := theTerms
			if c.terms != nil {
				text = c.terms(text)
			}
			on, p := aDraft()
			if c.draft != nil {
				c.draft(&on, &p)
			}
			if _, _, err := parseTerms(t, text).Restate(readDraft(t, on, p), restatedAt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestRestateTakesADirtyTreeWhereItIsAllowed(t *testing.T) {
	on, p := aDraft()
	p.BuildDefinition.ResolvedDependencies[3].Dirty = true
	_, got, err := parseTerms(t, theTerms+"dirty: true\n").Restate(readDraft(t, on, p), restatedAt)
	if err != nil || !got.BuildDefinition.ResolvedDependencies[3].Dirty {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestRestateTakesProvenanceAlone: from a training node comes no approval, no verdict, no revocation.
func TestRestateTakesProvenanceAlone(t *testing.T) {
	terms := parseTerms(t, theTerms)
	on, draft := aDraft()
	for _, p := range []attestations.Predicate{
		attestations.Approval{Decision: attestations.Approved, Scope: []string{"production"}, Evidence: []string{"sha256:" + hexOf(1)}, DecidedOn: restatedAt, Expires: restatedAt.AddDate(0, 1, 0)},
		attestations.VSA{Verifier: attestations.Verifier{ID: "https://example.com"}, TimeVerified: restatedAt, ResourceURI: "oci://registry.example/m", Policy: aPolicy, VerificationResult: attestations.ResultPassed, VerifiedLevels: []string{"SLSA_BUILD_LEVEL_3"}},
	} {
		if _, _, err := terms.Restate(readDraft(t, on, p), restatedAt); err == nil || !strings.Contains(err.Error(), "only provenance") {
			t.Errorf("%s: %v", p.PredicateType(), err)
		}
	}
	list := attestations.Revocations{}
	if _, _, err := terms.Restate(attestations.Claim{Predicate: list}, restatedAt); err == nil {
		t.Error("a revocation list was restated")
	}
	if _, _, err := terms.Restate(attestations.Claim{}, restatedAt); err == nil {
		t.Error("nothing was restated")
	}
	if _, _, err := (attestations.Terms{}).Restate(readDraft(t, on, draft), restatedAt); err == nil {
		t.Error("no terms restated something")
	}
}

func TestParseTermsRefusesWhatItDoesNotKnow(t *testing.T) {
	parseTerms(t, theTerms)
	for name, c := range map[string]struct{ old, new string }{
		"nothing":                  {theTerms, ""},
		"two documents":            {"parameters:", "---\nparameters:"},
		"another version":          {"terms/v1", "terms/v2"},
		"an unknown member":        {"parameters:", "extra: 1\nparameters:"},
		"another case":             {"builder:", "Builder:"},
		"a member twice":           {"kind: model", "kind: model\nkind: model"},
		"no builder":               {"builder: https://example.com/trainers/pool-a\n", ""},
		"a builder that is no URI": {"https://example.com/trainers/pool-a", "pool-a"},
		"an unknown type":          {"type: finetune", "type: teach"},
		"a kind it cannot make":    {"kind: model", "kind: dataset"},
		"an unknown role":          {"dataset.train: any", "dataset: any"},
		"source as an input":       {"dataset.train: any", "source: any"},
		"an empty list":            {"dataset.train: any", "dataset.train: []"},
		"another word":             {"dataset.train: any", "dataset.train: all"},
		"no list at all":           {"dataset.train: any", "dataset.train:"},
		"an upper-case digest":     {"sha256:" + hexOf(1), "sha256:" + strings.Repeat("AB", 32)},
		"a short digest":           {"sha256:" + hexOf(1), "sha256:abcd"},
		"a digest of a class":      {"sha256:" + hexOf(1), "file:sha256:" + hexOf(1)},
		"a number":                 {"sha256:" + hexOf(1), "7"},
		"a parameter too many":     {"method: sft", "rank: '8'"},
		"too large":                {"parameters:", "#" + strings.Repeat("x", attestations.MaxTerms) + "\nparameters:"},
	} {
		text := strings.Replace(theTerms, c.old, c.new, 1)
		if text == theTerms {
			t.Fatalf("%s changes nothing", name)
		}
		if _, err := attestations.ParseTerms([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func FuzzParseTerms(f *testing.F) {
	f.Add([]byte(theTerms))
	f.Add([]byte("version: hallmark.terms/v1\ninputs: {a: &a [*a]}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		terms, err := attestations.ParseTerms(raw)
		if err != nil {
			return
		}
		if _, err := attestations.ParseKind(string(terms.Kind())); err != nil {
			t.Errorf("terms without a kind: %v", err)
		}
		if _, _, err := terms.Restate(attestations.Claim{}, restatedAt); err == nil {
			t.Error("nothing was restated")
		}
	})
}
