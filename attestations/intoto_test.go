package attestations_test

import (
	"testing"

	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	vsav1 "github.com/in-toto/attestation/go/predicates/vsa/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/attestations"
)

// readByInToto reads a statement, and its predicate into p, with in-toto's own types.
func readByInToto(t *testing.T, st attestations.Statement, o protojson.UnmarshalOptions, p proto.Message) *intoto.Statement {
	t.Helper()
	var s intoto.Statement
	if err := protojson.Unmarshal(st.Payload(), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if err := o.Unmarshal(predicateOf(t, st), p); err != nil {
		t.Fatal(err)
	}
	return &s
}

func TestInTotoReadsProvenance(t *testing.T) {
	p := finetuned()
	p.BuildDefinition.ExternalParameters.Seed = "18446744073709551617"
	p.RunDetails.Byproducts = []attestations.Resource{{Name: "uv.lock", Digest: attestations.DigestSet{"sha256": hexOf(7)}}}
	st, err := state(p)
	if err != nil {
		t.Fatal(err)
	}
	var got provenancev1.Provenance
	s := readByInToto(t, st, protojson.UnmarshalOptions{}, &got)
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if s.GetSubject()[0].GetAnnotations().AsMap()["io.github.hallmark-project.kind"] != "model" {
		t.Errorf("the subject is %v", s.GetSubject()[0])
	}
	b := got.GetBuildDefinition()
	if b.GetBuildType() != string(attestations.BuildFinetune) || b.GetExternalParameters().AsMap()["seed"] != "18446744073709551617" {
		t.Errorf("built as %s with %v", b.GetBuildType(), b.GetExternalParameters())
	}
	base := b.GetResolvedDependencies()[1]
	if base.GetDigest()["sha256"] != hexOf(11) || base.GetAnnotations().AsMap()["io.github.hallmark-project.role"] != "base-model" {
		t.Errorf("the base model is %v", base)
	}
	if m := got.GetRunDetails().GetMetadata(); !m.GetStartedOn().AsTime().Equal(began) || !m.GetFinishedOn().AsTime().Equal(ended) {
		t.Errorf("it ran %v", m)
	}
}

// TestInTotoReadsVSA ignores unknown members as in-toto asks of readers: its type has no verifier.version.
func TestInTotoReadsVSA(t *testing.T) {
	st, err := state(samples()[attestations.PredicateVSA])
	if err != nil {
		t.Fatal(err)
	}
	var got vsav1.VerificationSummary
	readByInToto(t, st, protojson.UnmarshalOptions{DiscardUnknown: true}, &got)
	if got.GetVerificationResult() != "PASSED" || got.GetVerifiedLevels()[0] != "SLSA_BUILD_LEVEL_2" || got.GetDependencyLevels()["SLSA_BUILD_LEVEL_1"] != 2 ||
		!got.GetTimeVerified().AsTime().Equal(ended) || got.GetPolicy().GetDigest()["sha256"] != hexOf(40) || got.GetVerifier().GetId() != "https://verifier.example" {
		t.Errorf("read %v", &got)
	}
}
