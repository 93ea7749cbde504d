package chain

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// TestEachTypeOfStatementIsReadForWhatItSays: a time that is not read would be one of any age.
func TestEachTypeOfStatementIsReadForWhatItSays(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	sum := func(digit string) string { return strings.Repeat(digit, 64) }
	data := attestations.Digest{Class: attestations.ClassArtifact, Hex: sum("d")}
	commit := attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("c", 40)}
	for name, c := range map[string]struct {
		says attestations.Predicate
		want policy.Claim
	}{
		"provenance": {attestations.Provenance{
			BuildDefinition: attestations.BuildDefinition{BuildType: attestations.BuildPackage, ResolvedDependencies: []attestations.Dependency{
				{Name: "corpus", Role: attestations.RoleBaseModel, URI: "oci://registry.example/base", Digest: data},
				{Name: "code", Role: attestations.RoleSource, URI: "git+https://github.com/acme/train", Digest: commit, Dirty: true}}},
			RunDetails: attestations.RunDetails{Builder: attestations.Builder{ID: "https://acme.example/b"},
				Metadata: attestations.Metadata{StartedOn: at.Add(-time.Hour), FinishedOn: at}},
		}, policy.Claim{At: at, Making: &policy.Making{BuildType: "package", Builder: "https://acme.example/b", Began: at.Add(-time.Hour), Inputs: []policy.Input{
			{Name: "corpus", Role: "base-model", Class: "artifact", Digest: "sha256:" + sum("d"), URI: "oci://registry.example/base", Content: true},
			{Name: "code", Role: "source", Class: "gitCommit", Digest: commit.String(), URI: "git+https://github.com/acme/train", Dirty: true}}}}},
		"ingestion": {attestations.Ingestion{Upstream: attestations.Upstream{Registry: "https://huggingface.co", Name: "acme/base", Version: "1f3b"},
			Event: attestations.IngestionEvent{Timestamp: at}}, policy.Claim{At: at, Upstream: "https://huggingface.co acme/base@1f3b"}},
		"a test result": {attestations.TestResult{Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: at,
			Metrics: []attestations.Metric{{Name: "robust_accuracy", Value: "0.61"}, {Name: "loss", Value: "-2", Dataset: data}}}},
			policy.Claim{At: at, Subtype: "attack", Metrics: []policy.Metric{{Name: "robust_accuracy", Value: 0.61}, {Name: "loss", Value: -2, Dataset: data.String()}}}},
		"vulnerabilities": {attestations.Vulnerabilities{Metadata: attestations.ScanMetadata{ScanFinishedOn: at}}, policy.Claim{At: at}},
		"a release": {attestations.Release{Order: attestations.ReleaseOrder{Channel: "stable", Sequence: 1, ReleasedOn: at}},
			policy.Claim{At: at, Release: &policy.ReleaseClaim{Channel: "stable", Sequence: 1}}},
		"another tool's release": {attestations.Release{PURL: "pkg:oci/chat@1.2.0"}, policy.Claim{}},
		"a summary": {attestations.VSA{Verifier: attestations.Verifier{ID: "https://v.example"}, TimeVerified: at, ResourceURI: "oci://registry.example/chat",
			Policy:            attestations.Resource{Digest: attestations.DigestSet{"sha256": sum("a")}},
			InputAttestations: []attestations.Resource{{Digest: attestations.DigestSet{"sha256": sum("b")}}, {Digest: attestations.DigestSet{"sha512": sum("e")}}},
			VerifiedLevels:    []string{"SLSA_BUILD_LEVEL_2"}, Basis: attestations.Basis{Ancestors: []attestations.Digest{commit}, Oldest: at.Add(-time.Hour)},
		}, policy.Claim{At: at, VSA: &policy.VSAClaim{Verifier: "https://v.example", Resource: "oci://registry.example/chat", Policy: "sha256:" + sum("a"),
			Levels: []string{"SLSA_BUILD_LEVEL_2"}, Ancestors: []policy.Ancestor{{Class: "gitCommit", Digest: commit.String()}}, Oldest: at.Add(-time.Hour), Inputs: []string{"sha256:" + sum("b")}}}},
		"a summary by a policy of another hash": {attestations.VSA{Policy: attestations.Resource{Digest: attestations.DigestSet{"sha512": sum("a")}}}, policy.Claim{VSA: &policy.VSAClaim{}}},
		"an SVR":                                {attestations.SVR{TimeCreated: at}, policy.Claim{At: at}},
		"an approval":                           {attestations.Approval{DecidedOn: at, Expires: at.AddDate(0, 1, 0)}, policy.Claim{At: at, Expires: at.AddDate(0, 1, 0)}},
		"a deployment":                          {attestations.Deployment{Time: at}, policy.Claim{At: at}},
	} {
		var got policy.Claim
		if err := state(&got, c.says); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	var c policy.Claim
	if err := state(&c, attestations.TestResult{Evaluation: attestations.Evaluation{Metrics: []attestations.Metric{{Name: "loss", Value: "1e999"}}}}); err == nil || !strings.Contains(err.Error(), `metric "loss"`) {
		t.Errorf("a number that nothing holds: %v", err)
	}
}
