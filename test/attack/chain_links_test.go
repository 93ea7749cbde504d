package attack

import (
	"bytes"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// linkAttacks are on what an artifact is said to be made from.
func linkAttacks() []attack {
	return []attack{
		{"nobody says how it was made", nil, func(s *scene) { s.drop(s.release, attestations.PredicateProvenance) }, because(policy.LinkUnattested)},
		{"the testers say how it was made", nil, func(s *scene) { s.instead(s.release, "red-team", s.made()) }, because(policy.LinkUnattested)},
		{"a role that there is not", nil, func(s *scene) { spoilProvenance(s, `role":"base-model"`, `role":"base-modell"`) }, because(policy.LinkUnattested)},
		{"a parameter that there is not", nil, func(s *scene) { spoilProvenance(s, `"seed":"42"`, `"sead":"42"`) }, because(policy.LinkUnattested)},
		{"a file's digest as an artifact's", nil, func(s *scene) { spoilProvenance(s, `digest-class":"artifact"`, `digest-class":"file"`) }, because(policy.LinkUnattested)},
		{"the digest of the base's file", nil, func(s *scene) {
			s.instead(s.release, "trainer", s.madeFrom(attestations.RoleBaseModel, func(d *attestations.Dependency) {
				d.Digest = attestations.Digest{Class: attestations.ClassArtifact, Hex: sum("base weights")}
			}))
		}, because(policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)},
		{"a second source", oneSource, func(s *scene) {
			oneSource(s)
			p := s.made()
			p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
				attestations.Dependency{Name: "more", Role: attestations.RoleSource, URI: "git+https://git.example/acme/train", Digest: commitDigest("c1")})
			s.instead(s.release, "trainer", p)
		}, because(policy.LinkMissing)},
		{"no dataset", nil, func(s *scene) {
			s.replace("dataset.train: {step: clean-data, min: 1}", "dataset.train: {step: clean-data, min: 2}")
		}, because(policy.LinkMissing)},
		{"a source with changes", nil, func(s *scene) {
			s.instead(s.release, "trainer", s.madeFrom(attestations.RoleSource, func(d *attestations.Dependency) { d.Dirty = true }))
		}, because(policy.LinkUnpinned)},
		{"a source from elsewhere", nil, func(s *scene) {
			s.instead(s.release, "trainer", s.madeFrom(attestations.RoleSource, func(d *attestations.Dependency) { d.URI = "git+https://git.example/acme/train.evil" }))
		}, because(policy.LinkSwapped)},
		{"another dataset", nil, func(s *scene) {
			s.instead(s.release, "trainer", s.madeFrom(attestations.RoleDatasetTrain, func(d *attestations.Dependency) { d.Digest = artifactDigest(s.sibling) }))
		}, because(policy.NoEvidence, policy.EvidenceMissing)},
		{"a base from elsewhere", func(s *scene) {
			s.replace("ingested: {signers: [data]}", `ingested: {signers: [data], upstreams: ["https://models.example org/base"]}`)
		},
			func(s *scene) {
				s.replace("ingested: {signers: [data]}", `ingested: {signers: [data], upstreams: ["https://models.example org/base"]}`)
				let := s.letIn()
				let.Upstream.Name = "org/base-uncensored"
				s.instead(s.base, "data", let)
			}, because(policy.LinkSwapped, policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)},
		{"a base that the trainer let in", nil, func(s *scene) { s.instead(s.base, "trainer", s.letIn()) }, because(policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)},
		{"a base that is not pinned", func(s *scene) { pinBase(s, s.base.id) }, func(s *scene) { pinBase(s, s.sibling.id) }, because(policy.NotPinned, policy.NoAlternative)},
		{"a tokenizer that nobody asked for", nil, func(s *scene) {
			p := s.made()
			p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
				attestations.Dependency{Name: "tokenizer", Role: attestations.RoleTokenizer, URI: "oci://registry.example/llm/tokenizer", Digest: artifactDigest(s.sibling)})
			s.instead(s.release, "trainer", p)
		}, because(policy.LinkUnexpected)},
		{"another builder", nil, func(s *scene) {
			p := s.made()
			p.RunDetails.Builder.ID = "https://acme.example/builders/desk"
			s.instead(s.release, "trainer", p)
		}, because(policy.WrongBuilder, policy.LinkUnattested)},
		{"a builder that another speaks for", func(s *scene) { anotherBuilder(s, "red-team", "red-team") }, func(s *scene) { anotherBuilder(s, "red-team", "trainer") },
			because(policy.WrongBuilder, policy.LinkUnattested)},
		{"a builder of too low a level", func(s *scene) {
			s.replace("types: [finetune], signers: [trainer]", "types: [finetune], signers: [trainer], level: 2")
		}, func(s *scene) {
			s.replace("types: [finetune], signers: [trainer]", "types: [finetune], signers: [trainer], level: 3")
			s.replace("level: 2}\nrevocations", "level: 2}\n  - {id: https://acme.example/builders/vault, signers: [trainer], level: 3}\nrevocations")
		}, because(policy.WrongBuilder, policy.LinkUnattested)},
		{"made in another way", nil, func(s *scene) {
			p := s.made()
			p.BuildDefinition.BuildType, p.BuildDefinition.ExternalParameters = attestations.BuildDistill, attestations.Parameters{}
			p.BuildDefinition.ResolvedDependencies[0].Role = attestations.RoleTeacher
			s.instead(s.release, "trainer", p)
		}, because(policy.WrongBuildType, policy.LinkUnattested)},
		{"two accounts that differ", func(s *scene) { s.says(s.release, "trainer", s.made()) }, func(s *scene) {
			s.says(s.release, "trainer", s.madeFrom(attestations.RoleSource, func(d *attestations.Dependency) { d.Digest = commitDigest("c1") }))
		}, because(policy.Ambiguous)},
		{"a dataset of after the training", func(s *scene) { prepared(s, s.ago(16*day)) }, func(s *scene) { prepared(s, s.ago(13*day)) }, because(policy.OutOfOrder)},
		{"a base that was made, by way of another, from itself", func(s *scene) { madeBase(s, false) }, func(s *scene) { madeBase(s, true) },
			because(policy.LinkUnattested, policy.Cycle, policy.NotPinned, policy.NoAlternative)},
		{"a dataset of another step's way is a model", func(s *scene) { anyData(s, attestations.KindDataset) }, func(s *scene) { anyData(s, attestations.KindModel) },
			because(policy.WrongKind)},
	}
}

// spoilProvenance has the trainer sign an account with a fault that no honest tool makes.
func spoilProvenance(s *scene, old, new string) {
	st, err := attestations.NewStatement(attestations.Artifact{ID: s.release.id, Kind: s.release.kind}, s.made())
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Contains(st.Payload(), []byte(old)) {
		s.t.Fatalf("%s is not in %s", old, st.Payload())
	}
	s.drop(s.release, attestations.PredicateProvenance)
	s.release.claims = append(s.release.claims, s.seal("trainer", bytes.Replace(st.Payload(), []byte(old), []byte(new), 1)))
}

// pinBase has the base be one that the policy names, or none.
func pinBase(s *scene, id string) {
	s.replace("{step: approved-base, count: 1}", "{step: named-base, count: 1}")
	cut(s, "  approved-base:", "  clean-data:")
	s.policy += "  named-base: {anyOf: [{pinned: [\"" + id + "\"]}]}\n"
}

// anotherBuilder has a second builder, for whom one speaks, and an account that names it, by another.
func anotherBuilder(s *scene, speaks, by string) {
	s.replace("types: [finetune], signers: [trainer]", "types: [finetune], signers: [trainer, red-team]")
	s.replace("level: 2}\nrevocations", "level: 2}\n  - {id: https://acme.example/builders/desk, signers: ["+speaks+"]}\nrevocations")
	p := s.made()
	p.RunDetails.Builder.ID = "https://acme.example/builders/desk"
	s.instead(s.release, by, p)
}

func oneSource(s *scene) { s.replace("source: {uri:", "source: {count: 1, uri:") }

// pruned is provenance of a model that was pruned from another.
func (s *scene) pruned(from *piece, at time.Time) attestations.Provenance {
	p := s.made()
	p.BuildDefinition = attestations.BuildDefinition{BuildType: attestations.BuildPrune, ResolvedDependencies: []attestations.Dependency{
		{Name: "base", Role: attestations.RoleBaseModel, URI: "oci://registry.example/llm/other", Digest: artifactDigest(from)}}}
	p.RunDetails.Metadata = attestations.Metadata{StartedOn: at, FinishedOn: at}
	return p
}

// madeBase has the base be pruned from the sibling, which was let in or, in a circle, pruned from the base.
func madeBase(s *scene, circle bool) {
	s.replace("      - ingested: {signers: [data]}\n", "      - ingested: {signers: [data]}\n      - step: pruned-base\n")
	s.policy += "  pruned-base:\n    provenance: {types: [prune], signers: [trainer]}\n    inputs: {base-model: {step: approved-base}}\n"
	s.drop(s.base, attestations.PredicateIngestion)
	s.says(s.base, "trainer", s.pruned(s.sibling, s.ago(30*day)))
	if circle {
		s.says(s.sibling, "trainer", s.pruned(s.base, s.ago(30*day)))
	} else {
		s.says(s.sibling, "data", s.letIn())
	}
	s.evidence = []string{s.base.path, s.data.path, s.sibling.path}
}

// prepared has the dataset be prepared from another, at some time.
func prepared(s *scene, at time.Time) {
	s.replace("  clean-data:\n    kind: dataset\n", "  clean-data:\n    kind: dataset\n    provenance: {types: [dataset-prepare], signers: [trainer]}\n    inputs: {dataset.train: {uri: https://data.example/raw}}\n")
	p := s.made()
	p.BuildDefinition = attestations.BuildDefinition{BuildType: attestations.BuildDatasetPrepare, ResolvedDependencies: []attestations.Dependency{
		{Name: "prepare", Role: attestations.RoleSource, URI: "git+https://git.example/acme/prepare", Digest: commitDigest("d0")},
		{Name: "raw", Role: attestations.RoleDatasetTrain, URI: "https://data.example/raw", Digest: artifactDigest(s.sibling)}}}
	p.RunDetails.Metadata = attestations.Metadata{StartedOn: at, FinishedOn: at}
	s.says(s.data, "trainer", p)
}

// anyData asks for the kind of the dataset in one step, and for all else in another.
func anyData(s *scene, kind attestations.Kind) {
	s.replace("dataset.train: {step: clean-data", "dataset.train: {step: any-data")
	s.replace("  clean-data:\n    kind: dataset\n", "  clean-data:\n")
	s.policy += "  any-data: {kind: dataset, anyOf: [{step: clean-data}]}\n"
	s.drop(s.data, attestations.PredicateOMS)
	s.drop(s.data, attestations.PredicateTestResult)
	s.data.kind = kind
	s.sign(s.data, "data")
	s.says(s.data, "data", s.scanned(20*day))
}
