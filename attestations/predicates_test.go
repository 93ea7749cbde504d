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
			Basis: attestations.Basis{Ancestors: []attestations.Digest{{Class: attestations.ClassArtifact, Hex: hexOf(13)}}, Oldest: began},
		},
		attestations.PredicateSVR: attestations.SVR{Verifier: attestations.SVRVerifier{ID: "https://verifier.example", Policies: []attestations.Resource{aPolicy}},
			TimeCreated: ended, Properties: []string{"SLSA_BUILD_LEVEL_2"}},
		attestations.PredicateApproval: attestations.Approval{Decision: attestations.Approved, Scope: []string{"production"}, Evidence: []string{aBundle},
			DecidedOn: ended, Expires: ended.AddDate(0, 3, 0)},
		attestations.PredicateRevocations: attestations.Revocations{Sequence: 3, Issued: began, Expires: ended, Entries: []attestations.Revocation{
			{Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: hexOf(12)}, Scope: attestations.ScopeDescendants, Reason: "poisoned", Since: began},
			{Digest: attestations.Digest{Class: attestations.ClassAttestation, Hex: hexOf(14)}, Scope: attestations.ScopeSelf, Reason: "withdrawn", Since: began},
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
	for _, entries := range [][]attestations.Revocation{{}, list.Entries[2:]} {
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
