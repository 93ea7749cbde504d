package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// TestANoNamesWhoAndWhat holds what people read of a no to the names that they need to mend it.
func TestANoNamesWhoAndWhat(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*story)
		reason policy.Reason
		says   string
	}{
		"a builder of another": {func(s *story) { s.claim(idRelease, policy.TypeProvenance).Making.Builder = "https://desk.example" },
			policy.WrongBuilder, "trainer does not speak for the builder https://desk.example"},
		"a base that nobody let in": {func(s *story) { s.drop(idBase, ofType(policy.TypeIngestion)) },
			policy.LinkUnattested, "not let in by data"},
		"an older release": {func(s *story) {
			s.release(7)
			s.o.State = &policy.State{Channels: map[string]uint64{"stable": 8}}
		}, policy.ReleaseRollback, "release 7 of channel stable, which has seen 8"},
		"an older release that nobody let back": {func(s *story) {
			s.release(7)
			rollback("lead1")(s)
			s.drop(idRelease, ofType(policy.TypeApproval))
			s.o.State = &policy.State{Channels: map[string]uint64{"stable": 8}}
		}, policy.EvidenceMissing, "no approval for rollback by lead1, lead2"},
		"an older list": {func(s *story) {
			s.revoke(policy.Revocation{Class: "artifact", Digest: idOther})
			s.o.State = &policy.State{Sequence: 6}
		}, policy.RevocationsRollback, "number 5 of the list of what is revoked, and number 6 was seen before"},
		"a test that is old": {func(s *story) { s.claim(idRelease, policy.TypeTestResult).At = ago(31 * day) },
			policy.Stale, "made " + ago(31*day).UTC().Format(time.RFC3339) + ", older than 30 days"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			c.change(s)
			d := s.decide()
			found := slices.ContainsFunc(d.Checks, func(k policy.Check) bool {
				return slices.ContainsFunc(k.Findings, func(f policy.Finding) bool { return f.Code == c.reason && f.Detail == c.says })
			})
			if !found {
				t.Errorf("%s, and nothing says %q as %s: %+v", d.Verdict(), c.says, c.reason, d.Checks)
			}
		})
	}
}

func TestARevokedAncestorNamesTheListThatSaysSo(t *testing.T) {
	s := newStory()
	l := s.revoke(policy.Revocation{Class: "artifact", Digest: idBase, Descendants: true, Reason: "poisoned"})
	l.Evidence.Where = "oci:store:revoked"
	d := s.decide()
	base := d.Chain[slices.IndexFunc(d.Chain, func(l policy.Link) bool { return l.Artifact.ID == idBase })]
	found := named(base.Checks, "revocations").Findings
	if len(found) != 1 || found[0].Code != policy.Revoked || found[0].Where != "oci:store:revoked" || !strings.HasSuffix(found[0].Detail, "is revoked: poisoned") {
		t.Errorf("%+v", base.Checks)
	}
}

func TestACheckSaysWhatIsAskedAndWhyItDoesNotHold(t *testing.T) {
	s := newStory()
	s.claim(idRelease, policy.TypeTestResult).Subject = idOther
	s.claim(idRelease, policy.TypeProvenance).Subject = idOther
	d := s.decide()
	for name, want := range map[string]string{
		"robustness": "no test-result by red holds: it is about another artifact",
		"provenance": "no provenance by trainer holds: it is about another artifact",
	} {
		if c := named(d.Checks, name); c.Detail != want {
			t.Errorf("%s: %s", name, c.Detail)
		}
	}
}

// TestAStatementByAnotherTeamIsShownAsSuch: what it lacks is that of whom the policy names; who spoke instead stands with
// the statement.
func TestAStatementByAnotherTeamIsShownAsSuch(t *testing.T) {
	s := newStory()
	s.drop(idRelease, ofType(policy.TypeTestResult))
	s.add(idRelease, says("trainer", tested(day, 0.7)))
	d := s.decide()
	if d.Verdict() != policy.No || !slices.Equal(d.Reasons(), []policy.Reason{policy.EvidenceMissing}) {
		t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
	}
	for _, e := range d.Evidence {
		if e.Claim == nil || e.Claim.Type != policy.TypeTestResult {
			continue
		}
		if e.Principal != "trainer" || len(e.Findings) != 1 || e.Findings[0].Code != policy.UntrustedSigner ||
			e.Findings[0].Detail != "it is red whose word counts for that in step release, not trainer" {
			t.Errorf("by %q: %+v", e.Principal, e.Findings)
		}
		return
	}
	t.Error("it is not among the evidence")
}

// TestAStatementByNobodyIsShownAsSuch where it could be opened; where not, why not says enough.
func TestAStatementByNobodyIsShownAsSuch(t *testing.T) {
	s := newStory()
	unopened := policy.Evidence{Where: "claims.sig: 9", Digest: artifactID("unopened"), Findings: []policy.Finding{{Code: policy.BadSignature}}}
	s.add(idRelease, says("mary", tested(day, 0.7)), unopened)
	d := s.decide()
	if d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v", d.Verdict(), d.Reasons())
	}
	var shown []policy.Finding
	for _, e := range d.Evidence {
		shown = append(shown, e.Findings...)
	}
	want := []policy.Finding{{Code: policy.UntrustedSigner, Got: "key mary", Detail: "the policy knows nobody who signs like this"}, {Code: policy.BadSignature}}
	if !slices.Equal(shown, want) && !slices.Equal(shown, []policy.Finding{want[1], want[0]}) {
		t.Errorf("%+v", shown)
	}
}

// TestInputsAreInOrderOfName: what is made anew has another digest, and is shown in the same place.
func TestInputsAreInOrderOfName(t *testing.T) {
	s := newStory()
	m := s.claim(idRelease, policy.TypeProvenance).Making
	for _, name := range []string{"zebra", "ant"} {
		m.Inputs = append(m.Inputs, policy.Input{Name: name, Role: "dataset.train", Class: "artifact", Digest: artifactID(name[1:]), Content: true})
	}
	var names []string
	for _, e := range s.decide().Chain[0].Edges {
		names = append(names, e.Name)
	}
	if !slices.Equal(names, []string{"base", "ant", "data", "zebra", "source"}) {
		t.Error(names)
	}
}

func TestAYesNamesPrincipals(t *testing.T) {
	d := newStory().decide()
	if d.Verdict() != policy.Yes {
		t.Fatal(d.Reasons())
	}
	for _, e := range d.Chain[0].Edges {
		if e.Principal != "trainer" || e.Signer == "" {
			t.Errorf("%s: by %q, signed by %q", e.Role, e.Principal, e.Signer)
		}
	}
	if c := named(d.Checks, "signature"); !strings.HasPrefix(c.Detail, "trainer: key ") {
		t.Errorf("signature: %s", c.Detail)
	}
}

// named is the check of that name.
func named(checks []policy.Check, name string) policy.Check {
	for _, c := range checks {
		if c.Name == name {
			return c
		}
	}
	return policy.Check{}
}

// TestAnEdgeSaysWhatLetItIn in the words of its rule.
func TestAnEdgeSaysWhatLetItIn(t *testing.T) {
	const here = "git+https://github.com/acme/train"
	any := pattern(t, "git.*")
	for want, rule := range map[string]policy.Inputs{
		"from " + here:                             {URIs: []string{here}},
		"from what matches git.*":                  {Patterns: []*trust.Pattern{any}},
		"from one of 2 places":                     {URIs: []string{here}, Patterns: []*trust.Pattern{any}},
		"from one of 3 places":                     {URIs: []string{here, "https://x.example"}, Patterns: []*trust.Pattern{any}},
		"one of 1 pinned":                          {Pinned: []string{commit}},
		"one of 2 pinned, from what matches git.*": {Pinned: []string{commit, idOther}, Patterns: []*trust.Pattern{any}},
	} {
		s := newStory()
		s.doc.Steps["release"].Inputs["source"] = &rule
		d := s.decide()
		edges := d.Chain[0].Edges
		if d.Verdict() != policy.Yes || edges[2].Why != want || edges[0].Why != "step base" {
			t.Errorf("%s because of %v: %q and %q, not %q", d.Verdict(), d.Reasons(), edges[0].Why, edges[2].Why, want)
		}
	}
}

// TestAMissingInputSaysHowManyAreAsked in each way that a policy counts.
func TestAMissingInputSaysHowManyAreAsked(t *testing.T) {
	for want, rule := range map[string]policy.Inputs{
		"1 inputs of role dataset.train, and 2 or more are asked for": {Min: 2},
		"1 inputs of role dataset.train, and exactly 2 are asked for": {Min: 2, Max: 2},
		"1 inputs of role dataset.train, and 2 to 3 are asked for":    {Min: 2, Max: 3},
	} {
		s := newStory()
		rule.Step = "data"
		s.doc.Steps["release"].Inputs["dataset.train"] = &rule
		if found := named(s.decide().Checks, "dataset.train").Findings; len(found) != 1 || found[0].Code != policy.LinkMissing || found[0].Detail != want {
			t.Errorf("%+v, not %q", found, want)
		}
	}
}

func TestARequirementThatIsMetSaysByWhomAndWhen(t *testing.T) {
	d := newStory().decide()
	for name, want := range map[string]string{
		"robustness": `test-result by red, 2026-11-13 12:00 UTC: metric("robust_accuracy") >= 0.6`,
		"sign-off":   "approval by lead1, lead2", // at two times
	} {
		if c := named(d.Checks, name); c.Verdict != policy.Yes || c.Detail != want {
			t.Errorf("%s: %s", name, c.Detail)
		}
	}
}

// TestAYesHasNothingAgainstIt: neither a check of its own that is none, nor one of what is below.
func TestAYesHasNothingAgainstIt(t *testing.T) {
	d := newStory().decide()
	if d.Verdict() != policy.Yes || d.Policy != "prod, version 7, "+artifactID("policy") {
		t.Fatalf("%s by %s because of %v", d.Verdict(), d.Policy, d.Reasons())
	}
	all := slices.Clone(d.Checks)
	kinds := map[string]string{}
	for _, l := range d.Chain {
		all = append(all, l.Checks...)
		kinds[l.Step] = l.Artifact.Kind
	}
	for _, c := range all {
		if c.Verdict != policy.Yes || len(c.Findings) > 0 {
			t.Errorf("%+v", c)
		}
	}
	if kinds["release"] != "model" || kinds["data"] != "dataset" {
		t.Errorf("kinds %v", kinds)
	}
	s := newStory()
	s.doc.Digest = "" // made by a program, from no file
	if got := s.decide().Policy; got != "prod, version 7" {
		t.Error(got)
	}
}

// TestANoTellsTheWayToWhatStandsInIt: from the link that is decided on down to the place, what is worst first.
func TestANoTellsTheWayToWhatStandsInIt(t *testing.T) {
	s := newStory()
	e := &s.nodes[idData].Evidence[0]
	e.Compared, e.Findings = false, []policy.Finding{{Code: policy.BytesNeeded, Detail: "packed"}}
	s.doc.Steps["data"].Evidence = []*policy.Requirement{{Name: "scan", Type: policy.TypeTestResult, Signers: []string{"red"}, Distinct: 1}}
	found := named(s.decide().Checks, "dataset.train").Findings
	if len(found) != 2 || found[0].Code != policy.EvidenceMissing || found[0].Where != "dataset.train "+idData ||
		found[1].Code != policy.BytesNeeded || found[1].Where != "dataset.train "+idData+": model.sig" {
		t.Errorf("%+v", found)
	}
}

// TestFilesThatDifferAreSignedByNobodyByName: who signed other bytes is told, and counts as no principal of these.
func TestFilesThatDifferAreSignedByNobodyByName(t *testing.T) {
	s := newStory()
	s.nodes[idRelease].Evidence[0].Findings = []policy.Finding{{Code: policy.DigestMismatch}}
	if c := named(s.decide().Checks, "signature"); c.Detail != "key trainer" {
		t.Errorf("%q", c.Detail)
	}
}
