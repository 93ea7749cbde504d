package attestations_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/attestations"
)

var aPolicy = attestations.Resource{URI: "https://policy.example/prod", Digest: attestations.DigestSet{"sha256": hexOf(40)}}

// samples is one sound predicate of each type, with all that it may have.
func samples() map[string]attestations.Predicate {
	return map[string]attestations.Predicate{
		attestations.PredicateProvenance: finetuned(),
		attestations.PredicateIngestion: attestations.Ingestion{
			Ingestor: attestations.Party{ID: "https://acme.example"}, Platform: attestations.Platform{ID: "https://acme.example/ingest"},
			Upstream:           attestations.Upstream{Registry: "https://models.example", Name: "org/chat", Version: hexOf(3)[24:], Digest: attestations.DigestSet{"sha256": hexOf(4)}},
			Event:              attestations.IngestionEvent{Timestamp: began, Path: "oci://registry.example/llm/chat"},
			Integrity:          &attestations.Integrity{Method: "hash", Expected: map[string]string{"sha256": hexOf(4)}, Result: attestations.ResultVerified},
			PublisherSignature: &attestations.PublisherSignature{Availability: attestations.Unavailable},
			Claimed:            attestations.Claimed{License: "apache-2.0", BaseModels: []string{"org/base"}},
		},
		attestations.PredicateTestResult: attestations.TestResult{
			Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"arc", "mmlu"},
			Evaluation: attestations.Evaluation{Activity: attestations.Evaluated, FinishedOn: ended, Metrics: []attestations.Metric{
				{Name: "accuracy", Value: "0.712", Samples: 1172, Dataset: attestations.Digest{Class: attestations.ClassArtifact, Hex: hexOf(12)}},
			}},
		},
		attestations.PredicateVulnerabilities: attestations.Vulnerabilities{
			Scanner: attestations.Scanner{URI: "https://scanner.example", DB: attestations.VulnerabilityDB{LastUpdate: began}, Result: []attestations.Vulnerability{
				{ID: "CVE-2026-0001", Severity: []attestations.Severity{{Method: "cvss_score", Score: "9.8"}}},
			}},
			Metadata: attestations.ScanMetadata{ScanStartedOn: began, ScanFinishedOn: ended},
		},
		attestations.PredicateBOM: bom(),
		attestations.PredicateRelease: attestations.Release{PURL: "pkg:oci/chat@1.2.0?repository_url=registry.example/llm/chat",
			Order: attestations.ReleaseOrder{Channel: "stable", Sequence: 7, ReleasedOn: ended}},
		attestations.PredicateVSA: attestations.VSA{
			Verifier: attestations.Verifier{ID: "https://verifier.example", Version: map[string]string{"hallmark": "1.0.0"}}, TimeVerified: ended,
			ResourceURI: "oci://registry.example/llm/chat", Policy: aPolicy,
			VerificationResult: attestations.ResultPassed, VerifiedLevels: []string{"SLSA_BUILD_LEVEL_2"},
			DependencyLevels: map[string]int64{"SLSA_BUILD_LEVEL_1": 2}, SLSAVersion: attestations.SLSAVersion,
		},
		attestations.PredicateSVR: attestations.SVR{Verifier: attestations.SVRVerifier{ID: "https://verifier.example", Policies: []attestations.Resource{aPolicy}},
			TimeCreated: ended, Properties: []string{"SLSA_BUILD_LEVEL_2"}},
		attestations.PredicateApproval: attestations.Approval{Decision: attestations.Approved, Scope: []string{"production"}, Evidence: []string{aBundle},
			DecidedOn: ended, Expires: ended.AddDate(0, 3, 0)},
		attestations.PredicateRevocations: attestations.Revocations{Sequence: 3, Issued: began, Expires: ended, Entries: []attestations.Revocation{
			{Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: hexOf(12)}, Scope: attestations.ScopeDescendants, Reason: "poisoned", Since: began},
			{Identity: attestations.SignerIdentity{Issuer: "https://issuer.example", Subject: "ci@acme.example"}, Scope: attestations.ScopeSelf, Reason: "left", Since: began},
			{Builder: "https://builder.example", Scope: attestations.ScopeSelf, Reason: "broken into", Since: began},
		}},
		attestations.PredicateDeployment: attestations.Deployment{Target: "k8s://prod/llm", Action: attestations.Deployed, VSA: aBundle, Time: ended},
	}
}

func bom() attestations.BOM {
	ancestor := attestations.Component{Type: attestations.ComponentModel, Ref: "base", Name: "base",
		Hashes: []attestations.ComponentHash{{Algorithm: "SHA-256", Content: hexOf(11)}}}
	b := attestations.NewBOM(attestations.Component{Type: attestations.ComponentModel, Ref: "chat", Name: "chat", Pedigree: attestations.Pedigree{Ancestors: []attestations.Component{ancestor}},
		ModelCard: attestations.ModelCard{Parameters: attestations.ModelParameters{Task: "text-generation", Datasets: []attestations.DatasetRef{{Ref: "talk"}}}}}, ended)
	b.Components = []attestations.Component{{Type: attestations.ComponentData, Ref: "talk", Name: "talk"}}
	return b
}

// state makes the statement of p about chat.
func state(p attestations.Predicate) (attestations.Statement, error) {
	if list, ok := p.(attestations.Revocations); ok {
		return attestations.NewRevocations(list)
	}
	return attestations.NewStatement(chat, p)
}

func predicateOf(t testing.TB, st attestations.Statement) []byte {
	t.Helper()
	var s struct {
		Predicate json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(st.Payload(), &s); err != nil {
		t.Fatal(err)
	}
	return s.Predicate
}

func compileSchema(t testing.TB, predicateType string) *jsonschema.Schema {
	t.Helper()
	raw, err := attestations.Schema(predicateType)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// fits reports whether raw is as the schema says; it has to be JSON.
func fits(t testing.TB, schema *jsonschema.Schema, raw []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return schema.Validate(value)
}

func TestEveryPredicateReadsAsItWasMade(t *testing.T) {
	all := samples()
	for _, kind := range attestations.PredicateTypes() {
		t.Run(kind, func(t *testing.T) {
			p := all[kind]
			if p == nil || p.PredicateType() != kind {
				t.Fatalf("the sample is a %T", p)
			}
			st, err := state(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := fits(t, compileSchema(t, kind), predicateOf(t, st)); err != nil {
				t.Errorf("what is written is not as its schema says: %v", err)
			}
			_, a, err := attestations.Sign(ctx, st, newSigner(t))
			if err != nil {
				t.Fatal(err)
			}
			claim, err := attestations.ReadClaim(a)
			if err != nil {
				t.Fatal(err)
			}
			if _, isBOM := p.(attestations.BOM); !isBOM && !reflect.DeepEqual(claim.Predicate, p) {
				t.Errorf("read %+v\nmade %+v", claim.Predicate, p)
			}
			if _, list := p.(attestations.Revocations); list == (claim.On == chat) {
				t.Errorf("it is about %+v", claim.On)
			}
			again, err := state(claim.Predicate)
			if err != nil || !bytes.Equal(again.Payload(), st.Payload()) {
				t.Errorf("%v: written again it is\n%s\nnot\n%s", err, again.Payload(), st.Payload())
			}
		})
	}
	if _, err := attestations.Schema("https://other.example/v1"); err == nil {
		t.Error("there is a schema for anything")
	}
}

// How a bad predicate is to be refused: by the schema as well, or only by the reader, where a schema cannot say it.
const (
	both   = true
	reader = false
)

type spoiled struct {
	name     string
	old, new string
	schema   bool
}

// spoils are edits of the samples' text that make each unsound.
var spoils = map[string][]spoiled{
	attestations.PredicateProvenance: {
		{"an unknown parameter", `"externalParameters":{`, `"externalParameters":{"debug":"1"`, both},
		{"another type's parameter", `"externalParameters":{`, `"externalParameters":{"scheme":"int8"`, both},
		{"a seed as a number", `"externalParameters":{`, `"externalParameters":{"seed":7`, both},
		{"a seed with a fraction", `"externalParameters":{`, `"externalParameters":{"seed":"7.0"`, both},
		{"an unknown role", `role":"source"`, `role":"sources"`, both},
		{"no base model", `role":"base-model"`, `role":"config"`, both},
		{"two base models", `role":"dataset.train"`, `role":"base-model"`, both},
		{"no training data", `role":"dataset.train"`, `role":"dataset.validation"`, both},
		{"a role that is not its own", `role":"dataset.train"`, `role":"merge-parent"`, both},
		{"another class", `digest-class":"artifact"`, `digest-class":"file"`, both},
		{"a foreign build", `build/finetune/v1`, `build/other/v1`, both},
		{"a relative builder", `"id":"https://builder.example/trainer"`, `"id":"trainer"`, both},
		{"no end", `,"finishedOn":"2026-11-20T15:33:00Z"`, ``, both},
		{"the end before the start", `"finishedOn":"2026`, `"finishedOn":"2025`, reader},
		{"a short digest", hexOf(11), hexOf(11)[2:], both},
		{"an upper-case digest", hexOf(11), strings.ToUpper(hexOf(11)), both},
		{"no digest", `"digest":{"sha256":"` + hexOf(11) + `"}`, `"digest":{}`, both},
		{"names that collide", `"name":"base-model-1"`, `"name":"source-0"`, reader},
	},
	attestations.PredicateIngestion: {
		{"no ingestor", `"id":"https://acme.example"`, `"name":"acme"`, both},
		{"no version", `"version":"` + hexOf(3)[24:] + `"`, `"version":""`, both},
		{"a failed check", `"result":"verified"`, `"result":"failed"`, both},
		{"verified against nothing", `"expected":{"sha256":"` + hexOf(4) + `"},`, ``, both},
		{"an unknown method", `"method":"hash"`, `"method":"look"`, both},
		{"a signature of nobody", `"method":"hash"`, `"method":"signature"`, both},
		{"both a result and none", `"availability":"unavailable"`, `"availability":"unavailable","result":"unverified"`, both},
		{"more that is claimed", `"license"`, `"safe":"yes","license"`, both},
		{"a policy that denied", `"integrity"`, `"policyEvaluations":[{"policy":{"id":"x:y","version":"1"},"timestamp":"2026-11-20T14:03:00Z","result":"deny"}],"integrity"`, both},
		{"upstream's of no type", `"integrity"`, `"upstreamProvenance":{"verification":{"result":"verified"}},"integrity"`, both},
		{"an entry of the other name", `"integrity"`, `"upstreamAttestations":[{}],"integrity"`, both},
		{"no time", `"timestamp":"2026-11-20T14:03:00Z",`, ``, both},
	},
	attestations.PredicateTestResult: {
		{"no tests", `"passedTests":["arc","mmlu"],`, ``, both},
		{"an empty list of tests", `["arc","mmlu"]`, `[]`, both},
		{"a pass with a failure", `"passedTests"`, `"failedTests":["x"],"passedTests"`, both},
		{"a pass with a warning", `"passedTests"`, `"warnedTests":["x"],"passedTests"`, both},
		{"a warning of nothing", `PASSED`, `WARNED`, both},
		{"a result of its own", `PASSED`, `OK`, both},
		{"a test twice", `"mmlu"`, `"arc"`, both},
		{"no configuration", `"configuration":[],`, ``, both},
		{"a configuration without digest", `"configuration":[]`, `"configuration":[{"uri":"x:y"}]`, both},
		{"a value that is no number", `0.712`, `NaN`, both},
		{"a value that is not text", `"0.712"`, `0.712`, both},
		{"a number nobody keeps", `1172`, `9007199254740993`, both},
		{"more beside a metric", `"name":"accuracy"`, `"name":"accuracy","stderr":"0.1"`, both},
		{"an unknown activity", `"activity":"evaluation"`, `"activity":"prayer"`, both},
		{"no time", `"finishedOn":"2026-11-20T15:33:00Z",`, ``, both},
		{"a commit as dataset", `"class":"artifact"`, `"class":"gitCommit"`, both},
	},
	attestations.PredicateVulnerabilities: {
		{"no findings at all", `"result":[`, `"results":[`, both},
		{"no severity", `{"method":"cvss_score","score":"9.8"}`, ``, both},
		{"a severity that is no list", `[{"method":"cvss_score","score":"9.8"}]`, `{"method":"cvss_score","score":"9.8"}`, both},
		{"no ID", `"id":"CVE-2026-0001",`, ``, both},
		{"no scanner", `"uri":"https://scanner.example"`, `"version":"1"`, both},
		{"no knowledge", `"lastUpdate":"2026-11-20T14:03:00Z"`, ``, both},
		{"knowledge of the future", `"lastUpdate":"2026`, `"lastUpdate":"2027`, reader},
		{"the end before the start", `"scanFinishedOn":"2026-11-20T15`, `"scanFinishedOn":"2026-11-20T14:02:00Z","x":"2`, reader},
	},
	attestations.PredicateBOM: {
		{"another format", `"bomFormat":"CycloneDX"`, `"bomFormat":"SPDX"`, both},
		{"another version", `"specVersion":"1.6"`, `"specVersion":"1.4"`, both},
		{"a library", `"component":{"type":"machine-learning-model"`, `"component":{"type":"library"`, both},
		{"no time", `"timestamp":"2026-11-20T15:33:00Z",`, ``, both},
		{"a dataset that is not there", `"ref":"talk"`, `"ref":"walk"`, reader},
		{"one reference for two", `"bom-ref":"base"`, `"bom-ref":"chat"`, reader},
		{"a short hash", hexOf(11), hexOf(11)[1:], both},
		{"no name", `"name":"talk"`, `"name":""`, both},
	},
	attestations.PredicateRelease: {
		{"no package URL", `pkg:oci`, `oci`, both},
		{"no version", `@1.2.0`, ``, both},
		{"an empty version", `@1.2.0`, `@`, both},
		{"a sequence as a number", `"7"`, `7`, both},
		{"a sequence of zero", `"7"`, `"0"`, both},
		{"a sequence with a zero before", `"7"`, `"07"`, both},
		{"a sequence that is too large", `"7"`, `"99999999999999999999"`, reader},
		{"no channel", `"channel":"stable",`, ``, both},
		{"more in the order", `"channel"`, `"previous":"6","channel"`, both},
		{"no time", `,"releasedOn":"2026-11-20T15:33:00Z"`, ``, both},
	},
	attestations.PredicateVSA: {
		{"a warning", `PASSED`, `WARNED`, both},
		{"a no with a level", `PASSED`, `FAILED`, both},
		{"a yes at level FAILED", `["SLSA_BUILD_LEVEL_2"]`, `["FAILED"]`, both},
		{"two levels of a track", `["SLSA_BUILD_LEVEL_2"]`, `["SLSA_BUILD_LEVEL_2","SLSA_BUILD_LEVEL_3"]`, reader},
		{"no levels", `"verifiedLevels":["SLSA_BUILD_LEVEL_2"],`, ``, both},
		{"a policy without digest", `"digest":{"sha256":"` + hexOf(40) + `"}`, `"digest":{}`, both},
		{"a policy by MD5", `"sha256":"` + hexOf(40) + `"`, `"md5":"d41d8cd98f00b204e9800998ecf8427e"`, both},
		{"a policy without URI", `"uri":"https://policy.example/prod",`, ``, both},
		{"a count as text", `"SLSA_BUILD_LEVEL_1":2`, `"SLSA_BUILD_LEVEL_1":"2"`, both},
		{"a count below zero", `"SLSA_BUILD_LEVEL_1":2`, `"SLSA_BUILD_LEVEL_1":-2`, both},
		{"a time with an offset", `15:33:00Z`, `15:33:00+01:00`, both},
		{"a verifier of another case", `"verifier"`, `"Verifier"`, both},
		{"null for a list", `["SLSA_BUILD_LEVEL_2"]`, `null`, both},
	},
	attestations.PredicateSVR: {
		{"no properties", `["SLSA_BUILD_LEVEL_2"]`, `[]`, both},
		{"no policies", `"policies"`, `"policy"`, both},
		{"no time", `"timeCreated":"2026-11-20T15:33:00Z",`, ``, both},
		{"a month that is none", `2026-11-20T15`, `2026-13-20T15`, reader},
	},
	attestations.PredicateApproval: {
		{"nothing reviewed", `["` + aBundle + `"]`, `[]`, both},
		{"a digest without its name", `"` + aBundle + `"`, `"` + aBundle[7:] + `"`, both},
		{"the same evidence twice", `["` + aBundle + `"]`, `["` + aBundle + `","` + aBundle + `"]`, both},
		{"for ever", `,"expires":"2027-02-20T15:33:00Z"`, ``, both},
		{"ended before", `"expires":"2027`, `"expires":"2025`, reader},
		{"for nothing", `["production"]`, `[]`, both},
		{"a maybe", `"approved"`, `"maybe"`, both},
		{"more", `"scope"`, `"by":"me","scope"`, both},
		{"no time", `"decidedOn":"2026-11-20T15:33:00Z",`, ``, both},
	},
	attestations.PredicateRevocations: {
		{"a sequence of zero", `"sequence":"3"`, `"sequence":"0"`, both},
		{"a sequence as a number", `"sequence":"3"`, `"sequence":3`, both},
		{"no entries", `"entries":[`, `"revoked":[`, both},
		{"an entry of nothing", `"builder":"https://builder.example",`, ``, both},
		{"an entry of two things", `"builder":`, `"source":"x:y","builder":`, both},
		{"an unknown scope", `"scope":"descendants"`, `"scope":"all"`, both},
		{"an identity of any issuer", `"issuer":"https://issuer.example",`, ``, both},
		{"an identity of two forms", `"issuer":"https://issuer.example"`, `"issuer":"https://issuer.example","key":"` + hexOf(1) + `"`, both},
		{"an unknown class", `"class":"artifact"`, `"class":"image"`, both},
		{"a commit's digest of 64 as 63", hexOf(12), hexOf(12)[1:], both},
		{"no reason", `"reason":"left"`, `"reason":""`, both},
		{"expired when issued", `"expires":"2026-11-20T15:33:00Z"`, `"expires":"2026-11-20T14:03:00Z"`, reader},
		{"more", `"issued"`, `"by":"me","issued"`, both},
	},
	attestations.PredicateDeployment: {
		{"no verification", `"vsa":"` + aBundle + `",`, ``, both},
		{"an unknown action", `"action":"deploy"`, `"action":"try"`, both},
		{"no target", `"target":"k8s://prod/llm"`, `"target":""`, both},
		{"more", `"action"`, `"by":"me","action"`, both},
		{"no time", `,"deployedOn":"2026-11-20T15:33:00Z"`, ``, both},
	},
}

func TestDecodePredicateRefusesWhatItsSchemaRefuses(t *testing.T) {
	for kind, p := range samples() {
		st, err := state(p)
		if err != nil {
			t.Fatal(err)
		}
		schema, sound := compileSchema(t, kind), string(predicateOf(t, st))
		if len(spoils[kind]) == 0 {
			t.Errorf("%s: nothing is tried", kind)
		}
		for _, s := range spoils[kind] {
			bad := strings.Replace(sound, s.old, s.new, 1)
			if bad == sound {
				t.Errorf("%s: %s: the edit changes nothing of %s", kind, s.name, sound)
			}
			if _, err := attestations.DecodePredicate(kind, []byte(bad)); err == nil {
				t.Errorf("%s: %s: it is read", kind, s.name)
			}
			if err := fits(t, schema, []byte(bad)); (err != nil) != s.schema {
				t.Errorf("%s: %s: the schema says: %v", kind, s.name, err)
			}
		}
		for _, bad := range []string{``, `null`, `[]`, `{}`, sound + sound, sound[:len(sound)-1], strings.Replace(sound, `{`, `{"x":1,"x":2,`, 1), "\xff" + sound} {
			if _, err := attestations.DecodePredicate(kind, []byte(bad)); err == nil {
				t.Errorf("%s: it reads %.40q", kind, bad)
			}
		}
		if _, err := attestations.DecodePredicate(kind, bytes.Repeat([]byte(" "), attestations.MaxPredicate+1)); err == nil || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: a predicate that is too long: %v", kind, err)
		}
		for other := range spoils {
			if _, err := attestations.DecodePredicate(other, []byte(sound)); other != kind && err == nil {
				t.Errorf("a %s reads as a %s", kind, other)
			}
		}
	}
}

// TestProvenanceSchemaSaysTheTable holds the schema to the table of build types: with each input taken away or added, it
// says what the reader says.
func TestProvenanceSchemaSaysTheTable(t *testing.T) {
	schema := compileSchema(t, attestations.PredicateProvenance)
	for b, roles := range least {
		variants := [][]attestations.Role{roles}
		for i := range roles {
			variants = append(variants, slices.Delete(slices.Clone(roles), i, i+1))
		}
		for _, r := range attestations.Roles() {
			variants = append(variants, append(slices.Clone(roles), r), append(slices.Clone(roles), r, r))
		}
		for _, v := range variants {
			raw, err := json.Marshal(provenance(b, v...))
			if err != nil {
				t.Fatal(err)
			}
			_, read := attestations.DecodePredicate(attestations.PredicateProvenance, raw)
			if valid := fits(t, schema, raw); (read == nil) != (valid == nil) {
				t.Errorf("%s of %v: the reader says %v, the schema %v", b.Short(), v, read, valid)
			}
		}
	}
}

func TestStatementsRefuseTheArtifactAsItsOwnOrigin(t *testing.T) {
	itself := strings.TrimPrefix(chat.ID, "sha256:")
	b := bom()
	b.Metadata.Component.Pedigree.Ancestors[0].Hashes[0].Content = itself
	in := samples()[attestations.PredicateIngestion].(attestations.Ingestion)
	in.ResolvedFrom = &attestations.ResolvedFrom{Subject: attestations.DigestSet{"sha256": hexOf(30)}}
	if _, err := state(in); err != nil {
		t.Errorf("resolved from another: %v", err)
	}
	in.ResolvedFrom = &attestations.ResolvedFrom{Subject: attestations.DigestSet{"sha256": itself}}
	for _, p := range []attestations.Predicate{b, in} {
		if _, err := state(p); err == nil {
			t.Errorf("%s: it is its own origin", p.PredicateType())
		}
	}
	data := chat
	data.Kind = attestations.KindDataset
	if _, err := attestations.NewStatement(data, bom()); err == nil {
		t.Error("a model card describes a dataset")
	}
}

func TestOwnTimeAndOrderAreStatedAndOthersStatementsStillRead(t *testing.T) {
	for kind, plain := range map[string]string{
		attestations.PredicateTestResult: `{"result":"PASSED","configuration":[],"passedTests":["a"]}`,
		attestations.PredicateRelease:    `{"purl":"pkg:npm/%40acme/chat@1.2.0","packageId":"7"}`,
	} {
		p, err := attestations.DecodePredicate(kind, []byte(plain))
		if err != nil {
			t.Fatalf("another tool's: %v", err)
		}
		if _, err := state(p); err == nil {
			t.Errorf("%s: it is stated without a time", kind)
		}
		foreign := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + hexOf(1) + `"}}],"predicateType":"` + kind + `","predicate":` + plain + `}`
		if c, err := attestations.ParseStatement([]byte(foreign)); err != nil || c.On.Kind != "" {
			t.Errorf("another tool's statement: %+v: %v", c, err)
		}
	}
	st, err := state(samples()[attestations.PredicateApproval])
	if err != nil {
		t.Fatal(err)
	}
	bare := strings.Replace(string(st.Payload()), `,"annotations":{"io.github.hallmark-project.kind":"model"}`, ``, 1)
	if _, err := attestations.ParseStatement([]byte(bare)); err == nil {
		t.Error("an approval that does not say of what kind its subject is")
	}
}

func TestReleaseNamesAVersion(t *testing.T) {
	for purl, want := range map[string]string{
		"pkg:npm/%40acme/chat@1.2.0": "@acme/chat 1.2.0", "pkg:oci/chat@sha256%3Aab?tag=v1@x": "chat sha256:ab", "pkg:huggingface/org/m@main#sub/p": "org/m main",
		"pkg:npm/@acme/chat": "", "pkg:npm/chat": "", "pkg:chat@1": "", "npm/chat@1": "", "pkg:npm/chat@%zz": "", "pkg:npm/chat@1%0a": "",
	} {
		name, version, err := attestations.Release{PURL: purl}.NameVersion()
		if got := strings.TrimSpace(name + " " + version); got != want || (err == nil) != (want != "") {
			t.Errorf("%s is %q: %v", purl, got, err)
		}
	}
}

func TestRevocationsAreAboutWhatTheyRevoke(t *testing.T) {
	list := samples()[attestations.PredicateRevocations].(attestations.Revocations)
	st, err := attestations.NewRevocations(list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attestations.NewStatement(chat, list); err == nil {
		t.Error("a list is stated of an artifact")
	}
	moved := strings.Replace(string(st.Payload()), hexOf(12), hexOf(13), 1) // the subject's, which comes first
	if _, err := attestations.ParseStatement([]byte(moved)); err == nil {
		t.Error("a list under another subject is read")
	}
	for _, entries := range [][]attestations.Revocation{{}, list.Entries[1:]} {
		list.Entries = entries
		st, err := attestations.NewRevocations(list)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := attestations.ParseStatement(st.Payload()); err != nil || !strings.Contains(string(st.Payload()), `"name":"revocations"`) {
			t.Errorf("a list of %d without digests: %+v: %v", len(entries), c, err)
		}
	}
	list.Entries = slices.Repeat(samples()[attestations.PredicateRevocations].(attestations.Revocations).Entries[2:], 2)
	if _, err := attestations.NewRevocations(list); err == nil {
		t.Error("one thing is revoked twice")
	}
	list.Entries = nil
	if _, err := attestations.NewRevocations(list); err == nil {
		t.Error("a list that is not there is stated")
	}
}

func TestReadWantsTheTypeThatWasAskedFor(t *testing.T) {
	st, err := state(samples()[attestations.PredicateApproval])
	if err != nil {
		t.Fatal(err)
	}
	_, a, err := attestations.Sign(ctx, st, newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	if p, on, err := attestations.Read[attestations.Approval](a); err != nil || on != chat || p.Decision != attestations.Approved {
		t.Errorf("%+v of %+v: %v", p, on, err)
	}
	if _, _, err := attestations.Read[attestations.VSA](a); err == nil {
		t.Error("an approval reads as a VSA")
	}
	if _, err := attestations.ReadClaim(mustSign(t, cosignStatement(t))); err == nil {
		t.Error("cosign's statement reads as a claim")
	}
}

func mustSign(t testing.TB, st attestations.Statement) *attestations.Attestation {
	t.Helper()
	_, a, err := attestations.Sign(ctx, st, newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestBOMKeepsWhatItDoesNotKnow states another tool's description as it is.
func TestBOMKeepsWhatItDoesNotKnow(t *testing.T) {
	foreign := `{"$schema":"http://cyclonedx.org/schema/bom-1.6.schema.json","bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",` +
		`"version":1,"metadata":{"timestamp":"2026-11-20T14:03:00Z","tools":{"components":[]},"component":{"type":"machine-learning-model","name":"chat"}},"vulnerabilities":[]}`
	p, err := attestations.DecodePredicate(attestations.PredicateBOM, []byte(foreign))
	if err != nil {
		t.Fatal(err)
	}
	st, err := state(p)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(predicateOf(t, st)); got != foreign {
		t.Errorf("it is stated as\n%s\nnot\n%s", got, foreign)
	}
}
