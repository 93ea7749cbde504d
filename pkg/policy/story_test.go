package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/policy/rule"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// story is a chain that gets a yes: a release that was fine-tuned from a base that was let in, on a dataset that is signed
// and scanned. Tests break it in one place each.
type story struct {
	doc   *policy.Document
	o     policy.WalkOptions
	nodes map[string]*policy.Facts
	more  []string // further targets
}

const day = 24 * time.Hour

var (
	idRelease, idBase, idData, idOther = artifactID("release"), artifactID("base"), artifactID("data"), artifactID("other")
	commit                             = "gitCommit:" + strings.Repeat("c0", 20)
)

func artifactID(name string) string {
	return "sha256:" + fmt.Sprintf("%x", name+strings.Repeat("_", 32-len(name)))
}

func ago(d time.Duration) time.Time { return now.Add(-d) }

func key(name string) *trust.Signer { return &trust.Signer{Method: trust.MethodKey, Key: name} }

// signature is a signature on an artifact that was compared with its files.
func signature(by, kind string) policy.Evidence {
	return policy.Evidence{Where: "model.sig", Digest: artifactID("sig " + by + kind), PredicateType: "oms", Signature: true, Signer: key(by), Kind: kind, Compared: true}
}

// says is a statement that was opened.
func says(by string, c policy.Claim) policy.Evidence {
	name := fmt.Sprintf("%.30s", by+c.Type+c.Subtype+c.At.Format("150405")+fmt.Sprint(c.SaysNo))
	return policy.Evidence{Where: "claims.sig: " + name, Digest: artifactID(name), PredicateType: c.Type, Signer: key(by), Claim: &c}
}

func newStory() *story {
	always := mustCompile(`metric("robust_accuracy") >= 0.6`)
	doc := &policy.Document{
		Name: "prod", Version: 7, Expires: now.Add(90 * day), Digest: artifactID("policy"),
		Identities: map[string]policy.Principal{},
		Builders:   []policy.Builder{{ID: "https://acme.example/k8s", Signers: []string{"trainer"}, Level: 2}},
		Targets:    map[string]string{"": "release"},
		Steps: map[string]*policy.Step{
			"release": {Name: "release", Kind: "model", Signature: &policy.Quorum{Signers: []string{"trainer"}, Distinct: 1},
				Provenance: &policy.Provenance{Types: []string{"finetune"}, Signers: []string{"trainer"}},
				Inputs: map[string]*policy.Inputs{
					"base-model":    {Step: "base", Min: 1, Max: 1},
					"dataset.train": {Step: "data", Min: 1},
					"source":        {URIs: []string{"git+https://github.com/acme/train"}, Min: 1},
				},
				Evidence: []*policy.Requirement{
					{Name: "robustness", Type: policy.TypeTestResult, Signers: []string{"red"}, Distinct: 1, MaxAge: 30 * day, Rule: always},
					{Name: "sign-off", Type: policy.TypeApproval, Signers: []string{"lead1", "lead2"}, Distinct: 2, MaxAge: 90 * day},
				}},
			"base": {Name: "base", AnyOf: []*policy.Alternative{
				{Ingested: &policy.Ingested{Signers: []string{"data"}}},
				{VSA: &policy.VSA{Verifiers: []string{"https://acme.example/verify"}, Signers: []string{"data"}, MaxAge: 90 * day}},
				{Pinned: []string{artifactID("pinned")}},
			}},
			"data": {Name: "data", Kind: "dataset", Signature: &policy.Quorum{Signers: []string{"data"}, Distinct: 1}},
		},
	}
	for _, name := range []string{"trainer", "data", "red", "lead1", "lead2"} {
		doc.Identities[name] = policy.Principal{{Name: name, Key: name}}
	}
	s := &story{doc: doc, o: policy.WalkOptions{Now: now}, nodes: map[string]*policy.Facts{}}
	for _, id := range []string{idRelease, idBase, idData} {
		s.nodes[id] = &policy.Facts{Artifact: policy.Artifact{ID: id, Ref: "oci://example.com/" + id[7:12], Bytes: policy.BytesRead, Files: 1, Size: 10}, Files: []string{artifactID("file " + id[7:12])}}
	}
	s.add(idRelease, signature("trainer", "model"), says("trainer", made(idRelease, day)),
		says("red", tested(10*day, 0.7)), says("lead1", approved(9*day)), says("lead2", approved(8*day)))
	s.add(idBase, says("data", policy.Claim{Type: policy.TypeIngestion, Subject: idBase, Kind: "model", At: ago(40 * day), Upstream: "https://huggingface.co acme/base@1f3b"}))
	s.add(idData, signature("data", "dataset"))
	return s
}

// made is provenance of the release.
func made(id string, before time.Duration) policy.Claim {
	return policy.Claim{Type: policy.TypeProvenance, Subject: id, Kind: "model", At: ago(before), Making: &policy.Making{
		BuildType: "finetune", Builder: "https://acme.example/k8s", Inputs: []policy.Input{
			{Name: "base", Role: "base-model", Class: "artifact", Digest: idBase, URI: "oci://example.com/base", Content: true},
			{Name: "data", Role: "dataset.train", Class: "artifact", Digest: idData, URI: "oci://example.com/data", Content: true},
			{Name: "source", Role: "source", Class: "gitCommit", Digest: commit, URI: "git+https://github.com/acme/train"},
		}}}
}

func tested(before time.Duration, accuracy float64) policy.Claim {
	return policy.Claim{Type: policy.TypeTestResult, Subtype: "attack", Subject: idRelease, Kind: "model", At: ago(before),
		Metrics: []policy.Metric{{Name: "robust_accuracy", Value: accuracy}}, Summary: "attack"}
}

func approved(before time.Duration) policy.Claim {
	return policy.Claim{Type: policy.TypeApproval, Subject: idRelease, Kind: "model", At: ago(before), Expires: now.Add(30 * day),
		Fields: map[string]any{"scope": []any{"production"}}, Summary: "approved"}
}

func (s *story) add(id string, e ...policy.Evidence) {
	s.nodes[id].Evidence = append(s.nodes[id].Evidence, e...)
}

// drop removes the evidence that match says.
func (s *story) drop(id string, match func(policy.Evidence) bool) {
	s.nodes[id].Evidence = slices.DeleteFunc(s.nodes[id].Evidence, match)
}

func ofType(kind string) func(policy.Evidence) bool {
	return func(e policy.Evidence) bool { return e.Claim != nil && e.Claim.Type == kind }
}

// claim is the first statement of a type on an artifact, to be changed.
func (s *story) claim(id, kind string) *policy.Claim {
	for _, e := range s.nodes[id].Evidence {
		if e.Claim != nil && e.Claim.Type == kind {
			return e.Claim
		}
	}
	return nil
}

func (s *story) walk() *policy.Walk {
	w := policy.NewWalk(s.doc, s.o)
	targets := []policy.Facts{*s.nodes[idRelease]}
	for _, id := range s.more {
		targets = append(targets, *s.nodes[id])
	}
	w.Start(targets...)
	for {
		wants := w.Wants()
		if len(wants) == 0 {
			return w
		}
		for _, want := range wants {
			f := policy.Facts{}
			if known := s.nodes[want.ID]; known != nil {
				f = *known
			}
			w.Add(want.ID, f)
		}
	}
}

func (s *story) decide() policy.Decision { return s.walk().Decide()[0] }

func mustCompile(source string) *rule.Rule {
	r, err := rule.Compile(source)
	if err != nil {
		panic(err)
	}
	return r
}
