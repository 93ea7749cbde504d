package attestations_test

import (
	"bytes"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
)

// fuzzPredicate wants of whatever is read of one type that it can be stated, that the statement reads as the same, and
// that its schema takes it.
func fuzzPredicate(f *testing.F, kind string) {
	st, err := state(samples()[kind])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(predicateOf(f, st))
	f.Add([]byte(`{}`))
	schema := compileSchema(f, kind)
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := attestations.DecodePredicate(kind, raw)
		if err != nil {
			return
		}
		if p.PredicateType() != kind || p.Check() != nil {
			t.Fatalf("it reads as %s: %v", p.PredicateType(), p.Check())
		}
		if err := fits(t, schema, raw); err != nil {
			t.Errorf("it reads, and its schema says: %v", err)
		}
		first, err := state(p)
		if err != nil {
			return // not about this artifact
		}
		c, err := attestations.ParseStatement(first.Payload())
		if err != nil {
			t.Fatalf("it is stated, and does not read: %v", err)
		}
		if second, err := state(c.Predicate); err != nil || !bytes.Equal(first.Payload(), second.Payload()) {
			t.Errorf("stated again it is another statement: %v", err)
		}
	})
}

func FuzzProvenance(f *testing.F)      { fuzzPredicate(f, attestations.PredicateProvenance) }
func FuzzIngestion(f *testing.F)       { fuzzPredicate(f, attestations.PredicateIngestion) }
func FuzzTestResult(f *testing.F)      { fuzzPredicate(f, attestations.PredicateTestResult) }
func FuzzVulnerabilities(f *testing.F) { fuzzPredicate(f, attestations.PredicateVulnerabilities) }
func FuzzBOM(f *testing.F)             { fuzzPredicate(f, attestations.PredicateBOM) }
func FuzzRelease(f *testing.F)         { fuzzPredicate(f, attestations.PredicateRelease) }
func FuzzVSA(f *testing.F)             { fuzzPredicate(f, attestations.PredicateVSA) }
func FuzzSVR(f *testing.F)             { fuzzPredicate(f, attestations.PredicateSVR) }
func FuzzApproval(f *testing.F)        { fuzzPredicate(f, attestations.PredicateApproval) }
func FuzzRevocations(f *testing.F)     { fuzzPredicate(f, attestations.PredicateRevocations) }
func FuzzDeployment(f *testing.F)      { fuzzPredicate(f, attestations.PredicateDeployment) }

// FuzzParseStatement wants that what reads as a claim is about one artifact, or is a list of revocations.
func FuzzParseStatement(f *testing.F) {
	for _, p := range samples() {
		st, err := state(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(st.Payload())
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := attestations.ParseStatement(payload)
		if err != nil {
			return
		}
		_, list := c.Predicate.(attestations.Revocations)
		if _, err := attestations.ParseArtifactID(c.On.ID); list == (err == nil) {
			t.Errorf("%T about %q", c.Predicate, c.On.ID)
		}
	})
}
