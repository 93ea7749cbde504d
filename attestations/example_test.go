package attestations_test

import (
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
)

// The examples are about one model, at one time; a real program hashes its files and reads its clock.
var (
	model = attestations.Artifact{ID: "sha256:" + strings.Repeat("ab", 32), Name: "chat", Kind: attestations.KindModel}
	then  = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	seen  = "sha256:" + strings.Repeat("cd", 32) // a bundle's own name
)

// stated makes the statement and reads it back, as whoever verifies it does after opening its bundle.
func stated(p attestations.Predicate) attestations.Claim {
	st, err := attestations.NewStatement(model, p)
	if err != nil {
		log.Fatal(err)
	}
	claim, err := attestations.ParseStatement(st.Payload())
	if err != nil {
		log.Fatal(err)
	}
	return claim
}

// A model was fine-tuned from one base model, with a dataset and a commit of the training code.
func ExampleProvenance() {
	from := func(role attestations.Role, name, uri string, d attestations.Digest) attestations.Dependency {
		return attestations.Dependency{Name: name, Role: role, URI: uri, Digest: d}
	}
	artifact := func(two string) attestations.Digest {
		return attestations.Digest{Class: attestations.ClassArtifact, Hex: strings.Repeat(two, 32)}
	}
	p := attestations.Provenance{
		BuildDefinition: attestations.BuildDefinition{
			BuildType:          attestations.BuildFinetune,
			ExternalParameters: attestations.Parameters{Command: []string{"python", "train.py"}, Seed: "42"},
			ResolvedDependencies: []attestations.Dependency{
				from(attestations.RoleSource, "train", "git+https://git.example/train", attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("0a", 20)}),
				from(attestations.RoleBaseModel, "base", "oci://registry.example/llm/base", artifact("11")),
				from(attestations.RoleDatasetTrain, "talk", attestations.LocalURI("talk"), artifact("22")),
			},
		},
		RunDetails: attestations.RunDetails{
			Builder:  attestations.Builder{ID: "https://builder.example/trainer"},
			Metadata: attestations.Metadata{StartedOn: then, FinishedOn: then.Add(time.Hour)},
		},
	}
	made := stated(p).Predicate.(attestations.Provenance)
	for _, d := range made.BuildDefinition.ResolvedDependencies {
		fmt.Println(d.Role, d.Name, d.Digest.String()[:16])
	}
	p.BuildDefinition.ResolvedDependencies = p.BuildDefinition.ResolvedDependencies[:2]
	fmt.Println(p.Check())
	// Output:
	// source train gitCommit:0a0a0a
	// base-model base sha256:111111111
	// dataset.train talk sha256:222222222
	// finetune needs an input of a role among [dataset.train dataset.preference]
}

// A model from somewhere else was let in; what its card says is claimed, and no more.
func ExampleIngestion() {
	in := stated(attestations.Ingestion{
		Ingestor:  attestations.Party{ID: "https://acme.example"},
		Platform:  attestations.Platform{ID: "https://acme.example/ingest"},
		Upstream:  attestations.Upstream{Registry: "https://models.example", Name: "org/chat", Version: strings.Repeat("0a", 20)},
		Event:     attestations.IngestionEvent{Timestamp: then, Path: "oci://registry.example/llm/chat"},
		Integrity: &attestations.Integrity{Result: attestations.ResultUnverified},
		Claimed:   attestations.Claimed{License: "apache-2.0", BaseModels: []string{"org/base"}},
	}).Predicate.(attestations.Ingestion)
	fmt.Println(in.Upstream.Name, in.Integrity.Result, "claims", in.Claimed.License)
	// Output: org/chat unverified claims apache-2.0
}

// An evaluation passed. Without a test it would not have.
func ExampleTestResult() {
	t := attestations.TestResult{
		Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"arc"},
		Evaluation: attestations.Evaluation{Activity: attestations.Evaluated, FinishedOn: then,
			Metrics: []attestations.Metric{{Name: "accuracy", Value: "0.712", Samples: 1172}}},
	}
	m := stated(t).Predicate.(attestations.TestResult).Evaluation.Metrics[0]
	fmt.Println(m.Name, m.Value, "of", m.Samples)
	t.PassedTests = nil
	fmt.Println(t.Check())
	// Output:
	// accuracy 0.712 of 1172
	// PASSED without a test that passed: no tests are not a pass
}

// A scan found nothing. That is an empty list; no list at all says nothing.
func ExampleVulnerabilities() {
	v := attestations.Vulnerabilities{
		Scanner: attestations.Scanner{URI: "https://scanner.example", DB: attestations.VulnerabilityDB{LastUpdate: then},
			Result: []attestations.Vulnerability{}},
		Metadata: attestations.ScanMetadata{ScanStartedOn: then, ScanFinishedOn: then},
	}
	fmt.Println(len(stated(v).Predicate.(attestations.Vulnerabilities).Scanner.Result))
	v.Scanner.Result = nil
	fmt.Println(v.Check())
	// Output:
	// 0
	// no result: an empty list says that nothing was found
}

// A model is described, with the dataset that it was trained on.
func ExampleBOM() {
	b := attestations.NewBOM(attestations.Component{Type: attestations.ComponentModel, Name: "chat", ModelCard: attestations.ModelCard{
		Parameters: attestations.ModelParameters{Task: "text-generation", Datasets: []attestations.DatasetRef{{Ref: "talk"}}}}}, then)
	b.Components = []attestations.Component{{Type: attestations.ComponentData, Ref: "talk", Name: "talk"}}
	card := stated(b).Predicate.(attestations.BOM).Metadata.Component.ModelCard
	fmt.Println(card.Parameters.Task, card.Parameters.Datasets[0].Ref)
	// Output: text-generation talk
}

// A model is released: the seventh on its channel.
func ExampleRelease() {
	r := stated(attestations.Release{PURL: "pkg:oci/chat@1.2.0",
		Order: attestations.ReleaseOrder{Channel: "stable", Sequence: 7, ReleasedOn: then}}).Predicate.(attestations.Release)
	name, version, err := r.NameVersion()
	fmt.Println(name, version, r.Order.Channel, r.Order.Sequence, err)
	// Output: chat 1.2.0 stable 7 <nil>
}

// A verification said no; that is stated too.
func ExampleVSA() {
	v := stated(attestations.VSA{
		Verifier: attestations.Verifier{ID: "https://verifier.example"}, TimeVerified: then, ResourceURI: "oci://registry.example/llm/chat",
		Policy:             attestations.Resource{URI: "https://policy.example/prod", Digest: attestations.DigestSet{"sha256": strings.Repeat("ef", 32)}},
		VerificationResult: attestations.ResultFailed, VerifiedLevels: []string{attestations.LevelFailed}, SLSAVersion: attestations.SLSAVersion,
	}).Predicate.(attestations.VSA)
	fmt.Println(v.VerificationResult, v.VerifiedLevels)
	// Output: FAILED [FAILED]
}

// Some properties were verified, by a verifier without a policy file.
func ExampleSVR() {
	s := stated(attestations.SVR{Verifier: attestations.SVRVerifier{ID: "https://verifier.example", Policies: []attestations.Resource{}},
		TimeCreated: then, Properties: []string{"SLSA_BUILD_LEVEL_2"}}).Predicate.(attestations.SVR)
	fmt.Println(s.Properties)
	// Output: [SLSA_BUILD_LEVEL_2]
}

// Somebody reviewed a bundle and approved the model for three months.
func ExampleApproval() {
	a := stated(attestations.Approval{Decision: attestations.Approved, Scope: []string{"production"}, Evidence: []string{seen},
		DecidedOn: then, Expires: then.AddDate(0, 3, 0)}).Predicate.(attestations.Approval)
	fmt.Println(a.Decision, a.Scope, "until", a.Expires.Format(time.DateOnly))
	// Output: approved [production] until 2027-02-20
}

// A dataset turned out to be poisoned: it is revoked with all that was made from it.
func ExampleRevocations() {
	st, err := attestations.NewRevocations(attestations.Revocations{Sequence: 1, Issued: then, Expires: then.AddDate(0, 0, 7),
		Entries: []attestations.Revocation{{
			Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: strings.Repeat("22", 32)},
			Scope:  attestations.ScopeDescendants, Reason: "poisoned", Since: then,
		}}})
	if err != nil {
		log.Fatal(err)
	}
	claim, err := attestations.ParseStatement(st.Payload())
	if err != nil {
		log.Fatal(err)
	}
	e := claim.Predicate.(attestations.Revocations).Entries[0]
	fmt.Println(e.Digest.String()[:16], e.Scope, e.Reason)
	// Output: sha256:222222222 descendants poisoned
}

// A model was put to use, on the strength of a verification.
func ExampleDeployment() {
	d := stated(attestations.Deployment{Target: "k8s://prod/llm", Action: attestations.Deployed, VSA: seen, Time: then}).Predicate.(attestations.Deployment)
	fmt.Println(d.Action, d.Target)
	// Output: deploy k8s://prod/llm
}
