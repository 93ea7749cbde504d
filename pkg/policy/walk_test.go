package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestWalkSaysYesToAChainThatHolds(t *testing.T) {
	s := newStory()
	d := s.decide()
	if d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v: %+v", d.Verdict(), d.Reasons(), d.Checks)
	}
	if len(d.Chain) != 3 || d.Chain[0].Step != "release" || len(d.Chain[0].Edges) != 3 || d.Artifact.Kind != "model" {
		t.Errorf("chain %+v", d.Chain)
	}
	for _, e := range d.Chain[0].Edges {
		if e.Verdict != policy.Yes || e.Signer == "" || e.Why == "" {
			t.Errorf("edge %+v", e)
		}
	}
}

// TestWalkRefuses breaks the story in one place each. TestWalkSaysYesToAChainThatHolds is the twin of all.
func TestWalkRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(s *story)
		verdict policy.Verdict
		reason  policy.Reason
	}{
		"no signature": {func(s *story) { s.drop(idRelease, func(e policy.Evidence) bool { return e.Signature }) }, policy.No, policy.NoEvidence},
		"a stranger's": {func(s *story) { s.nodes[idRelease].Evidence[0].Signer = key("mary") }, policy.No, policy.UntrustedSigner},
		"other bytes": {func(s *story) {
			s.nodes[idRelease].Evidence[0].Findings = []policy.Finding{{Code: policy.DigestMismatch}}
		}, policy.No, policy.DigestMismatch},
		"uncovered": {func(s *story) { s.nodes[idRelease].Artifact.Uncovered = []string{".git/x"} }, policy.No, policy.Uncovered},
		"two signers wanted": {func(s *story) {
			s.doc.Steps["release"].Signature = &policy.Quorum{Signers: []string{"trainer", "data"}, Distinct: 2}
		}, policy.No, policy.QuorumMissed},
		"a dataset":            {func(s *story) { s.nodes[idRelease].Evidence[0].Kind = "dataset" }, policy.No, policy.WrongKind},
		"no provenance":        {func(s *story) { s.drop(idRelease, ofType(policy.TypeProvenance)) }, policy.No, policy.LinkUnattested},
		"another builder":      {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.Builder = "https://other.example" }, policy.No, policy.WrongBuilder},
		"a builder's level":    {func(s *story) { s.doc.Steps["release"].Provenance.Level = 3 }, policy.No, policy.WrongBuilder},
		"another build type":   {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.BuildType = "merge" }, policy.No, policy.WrongBuildType},
		"an old account":       {func(s *story) { s.doc.Steps["release"].Provenance.MaxAge = time.Hour }, policy.No, policy.Stale},
		"a role not mentioned": {func(s *story) { delete(s.doc.Steps["release"].Inputs, "dataset.train") }, policy.No, policy.LinkUnexpected},
		"no source": {func(s *story) {
			m := s.claim(idRelease, policy.TypeProvenance).Making
			m.Inputs = m.Inputs[:2]
		}, policy.No, policy.LinkMissing},
		"two bases": {func(s *story) {
			m := s.claim(idRelease, policy.TypeProvenance).Making
			m.Inputs = append(m.Inputs, policy.Input{Name: "b", Role: "base-model", Class: "artifact", Digest: artifactID("pinned"), Content: true})
		}, policy.No, policy.LinkMissing},
		"a dirty source": {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.Inputs[2].Dirty = true }, policy.No, policy.LinkUnpinned},
		"another source": {func(s *story) {
			s.claim(idRelease, policy.TypeProvenance).Making.Inputs[2].URI = "git+https://x.example"
		}, policy.No, policy.LinkSwapped},
		"another dataset":     {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.Inputs[1].Digest = idOther }, policy.No, policy.NoEvidence},
		"a dataset of a file": {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.Inputs[1].Class = "file" }, policy.No, policy.LinkUnpinned},
		"a dataset not named": {func(s *story) { s.doc.Steps["release"].Inputs["dataset.train"].Pinned = []string{idOther} }, policy.No, policy.LinkSwapped},
		"a second account": {func(s *story) {
			second := made(idRelease, 2*day)
			second.Making.Inputs = second.Making.Inputs[1:]
			s.add(idRelease, says("trainer", second))
		}, policy.No, policy.Ambiguous},
		"a base nobody let in":   {func(s *story) { s.nodes[idBase].Evidence = nil }, policy.No, policy.NoAlternative},
		"a base from elsewhere":  {func(s *story) { s.doc.Steps["base"].AnyOf[0].Ingested.Upstreams = []string{"https://x acme/base"} }, policy.No, policy.LinkSwapped},
		"a base let in long ago": {func(s *story) { s.doc.Steps["base"].AnyOf[0].Ingested.MaxAge = 39 * day }, policy.No, policy.Stale},
		"a failed summary beside it": {func(s *story) {
			s.add(idBase, says("data", policy.Claim{Type: policy.TypeVSA, Subject: idBase, At: ago(day), SaysNo: true, VSA: &policy.VSAClaim{Verifier: "https://acme.example/verify"}}))
		}, policy.No, policy.Refuted},
		"no test":              {func(s *story) { s.drop(idRelease, ofType(policy.TypeTestResult)) }, policy.No, policy.EvidenceMissing},
		"a test by the wrong":  {func(s *story) { s.nodes[idRelease].Evidence[2].Signer = key("data") }, policy.No, policy.EvidenceMissing},
		"an old test":          {func(s *story) { s.claim(idRelease, policy.TypeTestResult).At = ago(31 * day) }, policy.No, policy.Stale},
		"a test of no age":     {func(s *story) { s.claim(idRelease, policy.TypeTestResult).At = time.Time{} }, policy.No, policy.Stale},
		"a rule that is false": {func(s *story) { s.claim(idRelease, policy.TypeTestResult).Metrics[0].Value = 0.5 }, policy.No, policy.RuleFailed},
		"a rule that errs": {func(s *story) {
			s.doc.Steps["release"].Evidence[0].Rule = mustCompile("predicate.nowhere == 1")
		}, policy.No, policy.RuleError},
		"a newer failure":   {func(s *story) { no := tested(day, 0); no.SaysNo = true; s.add(idRelease, says("red", no)) }, policy.No, policy.Refuted},
		"a failure at once": {func(s *story) { no := tested(10*day, 0); no.SaysNo = true; s.add(idRelease, says("red", no)) }, policy.No, policy.Refuted},
		"a failure of no age": {func(s *story) {
			no := tested(0, 0)
			no.SaysNo, no.At = true, time.Time{}
			s.add(idRelease, says("red", no))
		}, policy.No, policy.Refuted},
		"one approval":         {func(s *story) { s.nodes[idRelease].Evidence = s.nodes[idRelease].Evidence[:4] }, policy.No, policy.QuorumMissed},
		"two by one":           {func(s *story) { s.nodes[idRelease].Evidence[4].Signer = key("lead1") }, policy.No, policy.QuorumMissed},
		"an expired approval":  {func(s *story) { s.claim(idRelease, policy.TypeApproval).Expires = ago(time.Second) }, policy.No, policy.Stale},
		"a withdrawn approval": {func(s *story) { no := approved(day); no.SaysNo = true; s.add(idRelease, says("lead1", no)) }, policy.No, policy.Refuted},
		"one's own work": {func(s *story) {
			s.doc.Identities["lead1"] = policy.Principal{{Key: "l1"}}
			s.doc.Steps["release"].Evidence[1].Signers = []string{"trainer", "lead2"}
			s.nodes[idRelease].Evidence[3].Signer = key("trainer")
		}, policy.No, policy.OwnWork},
		"another's evidence":    {func(s *story) { s.claim(idRelease, policy.TypeTestResult).Subject = idOther }, policy.No, policy.WrongSubject},
		"an expired policy":     {func(s *story) { s.doc.Expires = ago(time.Second) }, policy.Unknown, policy.PolicyExpired},
		"an older policy":       {func(s *story) { s.o.State = &policy.State{PolicyVersion: 8} }, policy.Unknown, policy.PolicyRollback},
		"a clock behind":        {func(s *story) { at := now.Add(time.Hour); s.nodes[idData].Evidence[0].Time = &at }, policy.Unknown, policy.ClockBehind},
		"a clock behind memory": {func(s *story) { s.o.State = &policy.State{Latest: now.Add(time.Hour)} }, policy.Unknown, policy.ClockBehind},
		"a source that failed": {func(s *story) {
			s.nodes[idData].Problems = []policy.Finding{{Code: policy.Unreachable, Detail: "gone"}}
		}, policy.Unknown, policy.Unreachable},
		"nothing and a failure": {func(s *story) {
			s.nodes[idData].Evidence = nil
			s.nodes[idData].Problems = []policy.Finding{{Code: policy.Unreachable, Detail: "gone"}}
		}, policy.Unknown, policy.Unreachable},
		"a dataset not compared": {func(s *story) {
			e := &s.nodes[idData].Evidence[0]
			e.Compared, e.Findings = false, []policy.Finding{{Code: policy.BytesNeeded}}
		}, policy.Unknown, policy.BytesNeeded},
		"a dataset made later":      {madeLater, policy.No, policy.OutOfOrder},
		"a cycle":                   {cycle, policy.No, policy.Cycle},
		"a chain without an end":    {deep(policy.MaxDepth + 1), policy.Unknown, policy.CapReached},
		"a target without a step":   {func(s *story) { s.doc.Targets = map[string]string{"": "gone"} }, policy.Unknown, policy.PolicyUnusable},
		"a kind without a target":   {func(s *story) { s.doc.Targets = map[string]string{"dataset": "data"} }, policy.No, policy.WrongKind},
		"a step that asks nothing":  {func(s *story) { s.doc.Steps["release"] = &policy.Step{Name: "release"} }, policy.Unknown, policy.PolicyUnusable},
		"an account of nothing":     {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making = nil }, policy.No, policy.StatementMalformed},
		"inputs without provenance": {func(s *story) { s.doc.Steps["release"].Provenance = nil }, policy.Unknown, policy.PolicyUnusable},
		"inputs of anything":        {func(s *story) { s.doc.Steps["release"].Inputs["source"] = &policy.Inputs{} }, policy.Unknown, policy.PolicyUnusable},
		"a source of another pattern": {func(s *story) {
			s.doc.Steps["release"].Inputs["source"] = &policy.Inputs{Patterns: []*trust.Pattern{pattern(t, "git\\+https://x.example/.*")}}
		},
			policy.No, policy.LinkSwapped},
		"a signature out of its window": {func(s *story) { windowed(s) }, policy.No, policy.KeyTimeMissing},
		"no signed kind": {func(s *story) {
			s.doc.Targets = map[string]string{"model": "release"}
			s.nodes[idRelease].Evidence[0].Kind = ""
		}, policy.No, policy.NoEvidence},
		"a kind that nobody says": {func(s *story) {
			s.nodes[idRelease].Evidence[0].Kind = ""
			for _, e := range s.nodes[idRelease].Evidence[1:] {
				e.Claim.Kind = ""
			}
		}, policy.No, policy.WrongKind},
		"no artifact ID": {func(s *story) { f := *s.nodes[idRelease]; f.Artifact.ID = ""; s.nodes[idRelease] = &f }, policy.Unknown, policy.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.spoil(s)
			d := s.decide()
			if d.Verdict() != c.verdict || !slices.Contains(d.Reasons(), c.reason) {
				t.Errorf("%s because of %v, want %s because of %s\n%+v", d.Verdict(), d.Reasons(), c.verdict, c.reason, d.Checks)
			}
		})
	}
}

// madeLater has the dataset made after the release was.
func madeLater(s *story) {
	s.doc.Steps["data"].Provenance = &policy.Provenance{Types: []string{"dataset-prepare"}, Signers: []string{"trainer"}}
	c := made(idData, time.Hour)
	c.Kind, c.Making.BuildType, c.Making.Inputs = "dataset", "dataset-prepare", nil
	s.add(idData, says("trainer", c))
}

// cycle has the base made from the release.
func cycle(s *story) {
	s.doc.Steps["base"] = &policy.Step{Name: "base", Provenance: &policy.Provenance{Types: []string{"finetune"}, Signers: []string{"trainer"}},
		Inputs: map[string]*policy.Inputs{"base-model": {Step: "release", Min: 1}}}
	c := made(idBase, day)
	c.Making.Inputs = []policy.Input{{Name: "r", Role: "base-model", Class: "artifact", Digest: idRelease, Content: true}}
	s.add(idBase, says("trainer", c))
}

// deep puts n more bases below the base, each made from the next.
func deep(n int) func(*story) {
	return func(s *story) {
		s.doc.Steps["base"] = &policy.Step{Name: "base", Provenance: &policy.Provenance{Types: []string{"finetune"}, Signers: []string{"trainer"}},
			Inputs: map[string]*policy.Inputs{"base-model": {Step: "base"}}}
		id := idBase
		for i := range n {
			c := made(id, time.Duration(i+2)*day)
			next := artifactID(fmt.Sprint("deep", i))
			c.Making.Inputs = []policy.Input{{Name: "next", Role: "base-model", Class: "artifact", Digest: next, Content: true}}
			if i == n-1 {
				c.Making.Inputs = nil
			}
			s.nodes[next] = &policy.Facts{Artifact: policy.Artifact{ID: next}}
			s.add(id, says("trainer", c))
			id = next
		}
	}
}

func TestWalkTakesWhatThePolicyLetsIn(t *testing.T) {
	for name, change := range map[string]func(s *story){
		"an older failure":        func(s *story) { no := tested(11*day, 0); no.SaysNo = true; s.add(idRelease, says("red", no)) },
		"a failure by nobody":     func(s *story) { no := tested(day, 0); no.SaysNo = true; s.add(idRelease, says("mary", no)) },
		"an approval again":       func(s *story) { no := approved(20 * day); no.SaysNo = true; s.add(idRelease, says("lead1", no)) },
		"a second, equal account": func(s *story) { s.add(idRelease, says("trainer", made(idRelease, 2*day))) },
		"an account by nobody": func(s *story) {
			c := made(idRelease, 2*day)
			c.Making.Inputs = nil
			s.add(idRelease, says("mary", c))
		},
		"a source of its pattern": func(s *story) {
			s.doc.Steps["release"].Inputs["source"] = &policy.Inputs{Patterns: []*trust.Pattern{pattern(t, "git\\+https://x.example/.*"), pattern(t, "git\\+https://github.com/acme/.*")}}
		},
		"a key in its window": func(s *story) {
			windowed(s)
			for i := range s.nodes[idRelease].Evidence {
				at := ago(20 * day)
				s.nodes[idRelease].Evidence[i].Time = &at
			}
		},
		"a test of its kind":             func(s *story) { s.doc.Steps["release"].Evidence[0].Subtype = "attack" },
		"a base let in not too long ago": func(s *story) { s.doc.Steps["base"].AnyOf[0].Ingested.MaxAge = 40 * day },
		"a base from where it may be": func(s *story) {
			s.doc.Steps["base"].AnyOf[0].Ingested.Upstreams = []string{"https://x acme/base", "https://huggingface.co acme/base"}
		},
		"a base from exactly where it may be": func(s *story) {
			s.doc.Steps["base"].AnyOf[0].Ingested.Upstreams = []string{"https://huggingface.co acme/base@1f3b"}
		},
		"a pinned base":               func(s *story) { s.nodes[idBase].Evidence = nil; s.doc.Steps["base"].AnyOf[2].Pinned = []string{idBase} },
		"a summary":                   func(s *story) { s.nodes[idBase].Evidence = nil; s.add(idBase, says("data", summary())) },
		"a builder of just the level": func(s *story) { s.doc.Steps["release"].Provenance.Level = 2 },
		"a source of its name, and of a pattern": func(s *story) {
			s.doc.Steps["release"].Inputs["source"].Patterns = []*trust.Pattern{pattern(t, "git\\+https://x.example/.*")}
		},
		"a source of its name, and pinned": func(s *story) { s.doc.Steps["release"].Inputs["source"].Pinned = []string{commit} },
		"a pinned source of a pattern": func(s *story) {
			s.doc.Steps["release"].Inputs["source"] = &policy.Inputs{Patterns: []*trust.Pattern{pattern(t, "git\\+https://.*")}, Pinned: []string{commit}}
		},
		"a dirty source, allowed": func(s *story) {
			s.claim(idRelease, policy.TypeProvenance).Making.Inputs[2].Dirty = true
			s.doc.Steps["release"].Inputs["source"].AllowDirty = true
		},
		"an uncovered file, allowed": func(s *story) {
			s.nodes[idRelease].Artifact.Uncovered = []string{".git/x"}
			s.doc.Steps["release"].Uncovered = []string{".git/x"}
		},
		"an old test, waived": func(s *story) {
			s.claim(idRelease, policy.TypeTestResult).At = ago(31 * day)
			s.doc.Waivers = []policy.Waiver{waiver(policy.Stale, "robustness")}
		},
		"no test, waived": func(s *story) {
			s.drop(idRelease, ofType(policy.TypeTestResult))
			s.doc.Waivers = []policy.Waiver{waiver(policy.EvidenceMissing, "robustness")}
		},
		"one's own work, allowed": func(s *story) {
			s.doc.Steps["release"].Evidence[1].Signers, s.doc.Steps["release"].Evidence[1].OwnWork = []string{"trainer", "lead2"}, true
			s.nodes[idRelease].Evidence[3].Signer = key("trainer")
		},
		"as deep as may be":       deep(policy.MaxDepth),
		"a clock a little behind": func(s *story) { at := now.Add(time.Second); s.nodes[idData].Evidence[0].Time = &at },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			change(s)
			if d := s.decide(); d.Verdict() != policy.Yes {
				t.Errorf("%s because of %v\n%+v", d.Verdict(), d.Reasons(), d.Checks)
			}
		})
	}
}

func waiver(code policy.Reason, evidence string) policy.Waiver {
	return policy.Waiver{Finding: code, Subject: idRelease, Step: "release", Evidence: evidence, Until: now.Add(day), Reason: "ticket 42"}
}

// summary is a verification summary that may stand for the base.
func summary() policy.Claim {
	return policy.Claim{Type: policy.TypeVSA, Subject: idBase, Kind: "model", At: ago(day), VSA: &policy.VSAClaim{
		Verifier: "https://acme.example/verify", Resource: "oci://example.com/base", Policy: artifactID("policy"),
		Ancestors: []policy.Ancestor{{Class: "artifact", Digest: idOther}}, Oldest: ago(20 * day)}}
}

func TestWalkRefusesSummariesThatMayNotStandForABase(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(s *story, c *policy.Claim)
		reason policy.Reason
	}{
		"another verifier": {func(_ *story, c *policy.Claim) { c.VSA.Verifier = "https://x.example" }, policy.LinkUnattested},
		"another resource": {func(_ *story, c *policy.Claim) { c.VSA.Resource = "oci://example.com/other" }, policy.VSARefused},
		"another policy":   {func(_ *story, c *policy.Claim) { c.VSA.Policy = idOther }, policy.VSARefused},
		"no ancestors":     {func(_ *story, c *policy.Claim) { c.VSA.Ancestors = nil }, policy.VSARefused},
		"no oldest":        {func(_ *story, c *policy.Claim) { c.VSA.Oldest = time.Time{} }, policy.VSARefused},
		"old evidence":     {func(_ *story, c *policy.Claim) { c.VSA.Oldest = ago(91 * day) }, policy.Stale},
		"a revoked below": {func(s *story, _ *policy.Claim) {
			s.revoke(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true})
		}, policy.Revoked},
		"a revoked bundle": {func(s *story, c *policy.Claim) {
			c.VSA.Inputs = []string{artifactID("bundle")}
			s.revoke(policy.Revocation{Class: "attestation", Digest: artifactID("bundle")})
		}, policy.VSARefused},
		"a later failure": {func(s *story, c *policy.Claim) {
			no := *c
			no.SaysNo, no.At = true, ago(time.Hour)
			s.add(idBase, says("data", no))
		}, policy.Refuted},
		"signed by another": {func(s *story, _ *policy.Claim) { s.nodes[idBase].Evidence[0].Signer = key("red") }, policy.LinkUnattested},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.nodes[idBase].Evidence = nil
			s.add(idBase, says("data", summary()))
			c.spoil(s, s.nodes[idBase].Evidence[0].Claim)
			if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), c.reason) {
				t.Errorf("%s because of %v, want %s", d.Verdict(), d.Reasons(), c.reason)
			}
		})
	}
}

func pattern(t *testing.T, text string) *trust.Pattern {
	t.Helper()
	p, err := trust.CompilePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// windowed has lead1's key be good until yesterday.
func windowed(s *story) {
	s.doc.Identities["lead1"] = policy.Principal{{Name: "lead1", Key: "lead1", Window: trust.Window{ValidUntil: ago(day)}}}
}

// TestWalkTakesNoOtherArtifactThanItAskedFor: whoever looks for an input may find another, or look for none.
func TestWalkTakesNoOtherArtifactThanItAskedFor(t *testing.T) {
	s := newStory()
	w := policy.NewWalk(s.doc, s.o)
	w.Start(*s.nodes[idRelease])
	if wants := w.Wants(); len(wants) != 2 || len(w.Wants()) != 0 {
		t.Fatalf("wants %v, and then more", wants)
	}
	w.Add(idBase, *s.nodes[idBase])
	w.Add(idBase, policy.Facts{}) // the first stays
	other := *s.nodes[idData]
	other.Artifact.ID = idOther
	w.Add(idData, other)
	if d := w.Decide()[0]; d.Verdict() != policy.Unknown || !slices.Equal(d.Reasons(), []policy.Reason{policy.Unreadable}) {
		t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
	}

	w = policy.NewWalk(s.doc, s.o)
	w.Start(*s.nodes[idRelease])
	w.Add(idBase, *s.nodes[idBase])
	if d := w.Decide()[0]; d.Verdict() != policy.Unknown || !slices.Equal(d.Reasons(), []policy.Reason{policy.Unreadable}) {
		t.Errorf("nobody looked for one: %s because of %v", d.Verdict(), d.Reasons())
	}
}
