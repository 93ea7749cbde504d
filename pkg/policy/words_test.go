package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
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
