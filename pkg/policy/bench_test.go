package policy_test

import (
	"fmt"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// lattice is a story whose base was made from layers of artifacts, each made from several of the layer below: wide is how
// many a layer has, from how many of the next each is made. The last layer was let in.
func lattice(layers, wide, from int) *story {
	s := newStory()
	s.doc.Steps["base"] = &policy.Step{Name: "base", AnyOf: []*policy.Alternative{{Ingested: &policy.Ingested{Signers: []string{"data"}}}, {Step: "merged"}}}
	s.doc.Steps["merged"] = &policy.Step{Name: "merged", Provenance: &policy.Provenance{Types: []string{"finetune"}, Signers: []string{"trainer"}},
		Inputs: map[string]*policy.Inputs{"base-model": {Step: "base", Min: 1}}}
	id := func(layer, i int) string {
		if layer == 0 {
			return idBase
		}
		return artifactID(fmt.Sprintf("%d-%d", layer, i%wide))
	}
	for layer := range layers {
		width := wide
		if layer == 0 {
			width = 1
		}
		for i := range width {
			at := id(layer, i)
			s.nodes[at] = &policy.Facts{Artifact: policy.Artifact{ID: at}}
			if layer == layers-1 {
				s.add(at, says("data", policy.Claim{Type: policy.TypeIngestion, Subject: at, Kind: "model", At: ago(400 * day)}))
				continue
			}
			c := made(at, 2*day)
			c.Making.Inputs = nil
			for k := range from {
				next := id(layer+1, i+k)
				c.Making.Inputs = append(c.Making.Inputs, policy.Input{Name: fmt.Sprint(k), Role: "base-model", Class: "artifact", Digest: next, Content: true})
			}
			s.add(at, says("trainer", c))
		}
	}
	return s
}

// TestWalkVisitsEachArtifactOncePerStep walks 2^24 paths.
func TestWalkVisitsEachArtifactOncePerStep(t *testing.T) {
	d := lattice(25, 2, 2).decide()
	if d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v", d.Verdict(), d.Reasons())
	}
	// base and merged for each of the layers but the last, which is let in and has merged beside it too; release and data
	if want := 2 + 2*(1+24*2); len(d.Chain) != want {
		t.Errorf("%d places, want %d", len(d.Chain), want)
	}
}

func BenchmarkWalkDiamond(b *testing.B) {
	s := lattice(25, 2, 2)
	for b.Loop() {
		if d := s.decide(); d.Verdict() != policy.Yes {
			b.Fatal(d.Reasons())
		}
	}
}

// BenchmarkWalk1000 is a chain of 1,000 artifacts with 5,000 links.
func BenchmarkWalk1000(b *testing.B) {
	s := lattice(21, 50, 5)
	b.ReportAllocs()
	for b.Loop() {
		if d := s.decide(); d.Verdict() != policy.Yes {
			b.Fatal(d.Reasons())
		}
	}
}
