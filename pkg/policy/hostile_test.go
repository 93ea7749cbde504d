package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// decides holds a story to a yes, or to a verdict that follows from exactly these reasons.
func (s *story) decides(t *testing.T, reasons ...policy.Reason) {
	t.Helper()
	d := s.decide()
	verdict := policy.Yes
	for _, r := range reasons {
		verdict = min(verdict, r.Verdict())
	}
	if got := d.Reasons(); d.Verdict() != verdict || !slices.Equal(sorted(got), sorted(slices.Clone(reasons))) {
		t.Errorf("%s because of %v, want %s because of %v\n%+v", d.Verdict(), got, verdict, reasons, d.Checks)
	}
}

// TestWalkRefusesWhatASignatureLeavesOutWhereNoneIsAsked: somebody whom the policy knows for something else signs that a
// file does not belong to the artifact.
func TestWalkRefusesWhatASignatureLeavesOutWhereNoneIsAsked(t *testing.T) {
	unsigned := func() *story {
		s := newStory()
		s.doc.Steps["release"].Signature = nil
		s.nodes[idRelease].Evidence[0].Signer = key("red")
		return s
	}
	unsigned().decides(t)
	s := unsigned()
	s.nodes[idRelease].Artifact.Uncovered = []string{"evil.py"}
	s.decides(t, policy.Uncovered)
	s.doc.Steps["release"].Uncovered = []string{"evil.py"}
	s.decides(t)
	s = unsigned()
	s.nodes[idBase].Artifact.Uncovered = []string{".git/config"} // of an input nothing but what its name names is used
	s.decides(t)
}

// TestWalkTakesNoTimeThatIsYetToCome: what nobody but the signer dates may be of any age, and outranks nothing.
func TestWalkTakesNoTimeThatIsYetToCome(t *testing.T) {
	s := newStory()
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(30 * time.Second) // clocks differ
	s.decides(t)
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(400 * day)
	s.decides(t, policy.Stale)

	s = newStory()
	s.doc.Steps["release"].Evidence[0].MaxAge = 0
	s.doc.Steps["release"].Evidence[0].Signers = []string{"red", "data"}
	no := tested(5*day, 0.1)
	no.SaysNo = true
	s.add(idRelease, says("data", no))
	s.claim(idRelease, policy.TypeTestResult).At = ago(day)
	s.decides(t)
	s.claim(idRelease, policy.TypeTestResult).At = now.Add(400 * day)
	s.decides(t, policy.Stale, policy.Refuted)
	seen := ago(day)
	s.nodes[idRelease].Evidence[2].Time = &seen // somebody trusted saw it before
	s.decides(t)

	s = newStory()
	s.nodes[idBase].Evidence = nil
	s.add(idBase, says("data", summary()))
	s.decides(t)
	s.claim(idBase, policy.TypeVSA).VSA.Oldest, s.claim(idBase, policy.TypeVSA).At = now.Add(9*day), now.Add(9*day)
	s.decides(t, policy.LinkUnattested, policy.NotPinned, policy.NoAlternative, policy.Stale)
}

// TestWalkLooksUpInputsThatItDoesNotFollow: what is pinned or taken from a place is no less revoked for that.
func TestWalkLooksUpInputsThatItDoesNotFollow(t *testing.T) {
	pinned := func(entry policy.Revocation) *story {
		s := newStory()
		s.doc.Steps["release"].Inputs["base-model"] = &policy.Inputs{Pinned: []string{idBase}, Min: 1, Max: 1}
		s.revoke(entry)
		return s
	}
	pinned(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true}).decides(t)
	pinned(policy.Revocation{Class: "artifact", Digest: idBase}).decides(t) // for itself alone
	pinned(policy.Revocation{Class: "artifact", Digest: idBase, Descendants: true}).decides(t, policy.Revoked)
	pinned(policy.Revocation{Source: "oci://example.com/base", Since: ago(9 * day)}).decides(t, policy.Revoked)
}

// TestARevokedInputDeniesEveryWay: a trusted account says that the artifact was made from it, so no other way to let the
// artifact in makes it good.
func TestARevokedInputDeniesEveryWay(t *testing.T) {
	either := func() *story {
		s := newStory()
		s.doc.Targets[""] = "either"
		s.doc.Steps["either"] = &policy.Step{Name: "either", AnyOf: []*policy.Alternative{{Pinned: []string{idRelease}}, {Step: "release"}}}
		return s
	}
	either().decides(t)
	unattested := either()
	unattested.nodes[idBase].Evidence = nil
	unattested.decides(t) // pinned
	for name, entry := range map[string]policy.Revocation{
		"a base":   {Class: "artifact", Digest: idBase, Descendants: true},
		"a commit": {Class: "gitCommit", Digest: commit, Descendants: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := either()
			s.revoke(entry)
			s.decides(t, policy.Revoked)
		})
	}
	s := either()
	s.nodes[idBase].Evidence = nil
	no := summary()
	no.SaysNo = true
	s.add(idBase, says("data", no))
	if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.Refuted) {
		t.Errorf("a base that was refuted: %s because of %v", d.Verdict(), d.Reasons())
	}
}

// TestTwoAccountsOfWhichOneNamesWhatIsRevokedDiffer: an account is not less of one because it says what is unwelcome.
func TestTwoAccountsOfWhichOneNamesWhatIsRevokedDiffer(t *testing.T) {
	s := newStory()
	s.revoke(policy.Revocation{Class: "gitCommit", Digest: "gitCommit:" + "dd", Descendants: true})
	s.decides(t)
	other := made(idRelease, 2*day)
	other.Making.Inputs = slices.Clone(other.Making.Inputs)
	other.Making.Inputs[2].Digest = "gitCommit:" + "dd"
	s.add(idRelease, says("trainer", other))
	s.decides(t, policy.Ambiguous)
}

// TestWhatARevokedSignerSaysDeniesNothing: whoever has a stolen key could else refuse whatever it likes.
func TestWhatARevokedSignerSaysDeniesNothing(t *testing.T) {
	s := newStory()
	s.doc.Identities["thief"] = policy.Principal{{Key: "thief"}}
	s.doc.Steps["base"].AnyOf[0].Ingested.Signers = []string{"thief"}
	s.doc.Steps["base"].AnyOf[2].Pinned = []string{idBase}
	s.revoke(policy.Revocation{Identity: &policy.RevokedSigner{Key: "thief"}, Since: ago(90 * day)})
	s.decides(t)
	let := policy.Claim{Type: policy.TypeIngestion, Subject: idBase, Kind: "model", At: ago(day)}
	s.add(idBase, says("thief", let))
	s.decides(t)
	s.doc.Steps["base"].AnyOf[2].Pinned = []string{idOther}
	s.decides(t, policy.Revoked, policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)
}

// TestSummariesAreLookedUpByClass: what a summary rests on may be a commit as well as an artifact.
func TestSummariesAreLookedUpByClass(t *testing.T) {
	rests := func(on ...policy.Ancestor) *story {
		s := newStory()
		s.nodes[idBase].Evidence = nil
		s.add(idBase, says("data", summary()))
		s.claim(idBase, policy.TypeVSA).VSA.Ancestors = on
		return s
	}
	on := []policy.Ancestor{{Class: "artifact", Digest: idOther}, {Class: "gitCommit", Digest: commit + "aa"}}
	s := rests(on...)
	s.revoke(policy.Revocation{Class: "file", Digest: idOther}, policy.Revocation{Class: "gitCommit", Digest: commit + "bb", Descendants: true})
	s.decides(t)
	s = rests(on...)
	s.revoke(policy.Revocation{Class: "gitCommit", Digest: commit + "aa", Descendants: true})
	if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.Revoked) {
		t.Errorf("a commit: %s because of %v", d.Verdict(), d.Reasons())
	}
	// Which files the artifacts below have nobody says, where single files are revoked with all that was made from them.
	for i, verdict := range []policy.Verdict{policy.Unknown, policy.Yes} { // a commit has no such files
		s = rests(on[i])
		s.revoke(policy.Revocation{Class: "file", Digest: idOther, Descendants: true})
		if d := s.decide(); d.Verdict() != verdict || slices.Contains(d.Reasons(), policy.FilesUnknown) != (verdict == policy.Unknown) {
			t.Errorf("a file, and %s below: %s because of %v", on[i].Class, d.Verdict(), d.Reasons())
		}
	}
}

// TestASummaryIsAboutEveryURIThatLeadsHere does not depend on which of two inputs names the artifact first.
func TestASummaryIsAboutEveryURIThatLeadsHere(t *testing.T) {
	for _, late := range []string{"oci://example.com/base", "oci://example.com/copy"} {
		s := newStory()
		s.nodes[idBase].Evidence = nil
		s.add(idBase, says("data", summary()))
		early := "oci://example.com/copy"
		if late == early {
			early = "oci://example.com/base"
		}
		s.claim(idRelease, policy.TypeProvenance).Making.Inputs[0].URI = early
		s.doc.Steps["data"].Provenance = &policy.Provenance{Types: []string{"finetune"}, Signers: []string{"trainer"}}
		s.doc.Steps["data"].Inputs = map[string]*policy.Inputs{"base-model": {Step: "base", Min: 1}}
		c := made(idData, 2*day)
		c.Kind, c.Making.Inputs = "dataset", c.Making.Inputs[:1]
		c.Making.Inputs[0].URI = late
		s.add(idData, says("trainer", c))
		s.decides(t)
	}
}

// TestKindsThatSignersDisagreeOnAreNoKind: who is trusted for tests alone does not choose the step, nor hide an adapter.
func TestKindsThatSignersDisagreeOnAreNoKind(t *testing.T) {
	byKind := func() *story {
		s := newStory()
		s.doc.Targets = map[string]string{"model": "release", "adapter": "lax"}
		s.doc.Steps["lax"] = &policy.Step{Name: "lax", Evidence: s.doc.Steps["release"].Evidence[:1]}
		return s
	}
	byKind().decides(t)
	s := byKind()
	other := signature("red", "adapter")
	s.nodes[idRelease].Evidence = append([]policy.Evidence{other}, s.nodes[idRelease].Evidence...)
	s.decides(t, policy.WrongKind)

	s = adapterOn(idOther)
	s.nodes[idRelease].Evidence = append([]policy.Evidence{signature("red", "model")}, s.nodes[idRelease].Evidence...)
	s.doc.Targets = map[string]string{"": "release"}
	s.doc.Steps["release"].Kind = ""
	if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.BaseMismatch) {
		t.Errorf("an adapter that somebody calls a model: %s because of %v", d.Verdict(), d.Reasons())
	}
	s = adapterOn(idOther)
	s.doc.Targets = map[string]string{"": "release"}
	s.doc.Steps["release"].Kind = ""
	s.nodes[idRelease].Evidence[0].Kind = "" // another tool's signature
	if d := s.decide(); d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.BaseMismatch) {
		t.Errorf("an adapter by its provenance alone: %s because of %v", d.Verdict(), d.Reasons())
	}
}

// TestAStepsKindHoldsForTheWayThatLetItIn: the step behind a way need not ask for a kind itself.
func TestAStepsKindHoldsForTheWayThatLetItIn(t *testing.T) {
	either := func(kind string) *story {
		s := newStory()
		s.doc.Steps["data"].Kind = ""
		s.doc.Steps["either"] = &policy.Step{Name: "either", Kind: kind, AnyOf: []*policy.Alternative{{Step: "data"}}}
		s.doc.Steps["release"].Inputs["dataset.train"].Step = "either"
		return s
	}
	either("dataset").decides(t)
	either("model").decides(t, policy.WrongKind)
}

// TestOwnWorkIsKnownInEveryFormAndStep: a policy that asks for the work in one step and for the approval in another, or
// knows one signer by two patterns, asks for two people all the same.
func TestOwnWorkIsKnownInEveryFormAndStep(t *testing.T) {
	apart := func(approver string) *story {
		s := newStory()
		signOff := s.doc.Steps["release"].Evidence[1]
		signOff.Signers = []string{"trainer", "lead1", "lead2"}
		s.doc.Steps["release"].Evidence = s.doc.Steps["release"].Evidence[:1]
		s.doc.Targets[""] = "approved"
		s.doc.Steps["approved"] = &policy.Step{Name: "approved", Evidence: []*policy.Requirement{signOff}, AnyOf: []*policy.Alternative{{Step: "release"}}}
		s.nodes[idRelease].Evidence[3].Signer = key(approver)
		return s
	}
	apart("lead1").decides(t)
	apart("trainer").decides(t, policy.OwnWork, policy.QuorumMissed)

	patterns := func(subject string) *story {
		s := newStory()
		keyless := func(pattern string) policy.Principal {
			p, err := trust.CompilePattern(pattern)
			if err != nil {
				t.Fatal(err)
			}
			return policy.Principal{{Issuer: "https://issuer.example", Pattern: p}}
		}
		s.doc.Identities["trainer"], s.doc.Identities["lead1"] = keyless("ann@.*"), keyless(".*@example.com")
		maker := &trust.Signer{Method: trust.MethodKeyless, Issuer: "https://issuer.example", Subject: "ann@example.com"}
		s.nodes[idRelease].Evidence[0].Signer, s.nodes[idRelease].Evidence[1].Signer = maker, maker
		other := *maker
		other.Subject = subject
		s.nodes[idRelease].Evidence[3].Signer = &other
		return s
	}
	patterns("bob@example.com").decides(t)
	patterns("ann@example.com").decides(t, policy.OwnWork, policy.QuorumMissed)
}

// TestListsThatLieTogetherAreCumulative does not depend on their order, nor on a state.
func TestListsThatLieTogetherAreCumulative(t *testing.T) {
	x := policy.Revocation{Class: "artifact", Digest: idOther, Reason: "x", Since: ago(10 * day)}
	further := x
	further.Descendants, further.Since = true, ago(90*day)
	list := func(sequence uint64, entries ...policy.Revocation) policy.Revocations {
		return policy.Revocations{Evidence: policy.Evidence{Where: "list", Signer: key("data")}, Sequence: sequence, Issued: ago(day), Expires: now.Add(day), Entries: entries}
	}
	for name, c := range map[string]struct {
		lists   []policy.Revocations
		reasons []policy.Reason
	}{
		"one after the other":              {[]policy.Revocations{list(5), list(6, x)}, nil},
		"an entry that reaches further":    {[]policy.Revocations{list(5, x), list(6, further)}, nil},
		"an entry that reaches less far":   {[]policy.Revocations{list(5, further), list(6, x)}, []policy.Reason{policy.RevocationsRollback}},
		"an entry that is gone":            {[]policy.Revocations{list(5, x), list(6)}, []policy.Reason{policy.RevocationsRollback}},
		"two of one number":                {[]policy.Revocations{list(6, x), list(6)}, []policy.Reason{policy.RevocationsRollback}},
		"two of one number, and a newer":   {[]policy.Revocations{list(5, x), list(5), list(6, x)}, nil},
		"a stranger's, with another entry": {[]policy.Revocations{func() policy.Revocations { l := list(5, x); l.Evidence.Signer = key("mary"); return l }(), list(6)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				s := newStory()
				s.revoke()
				s.o.Lists = c.lists
				s.decides(t, c.reasons...)
				slices.Reverse(c.lists)
			}
		})
	}
	for name, entry := range map[string]policy.Revocation{
		"a builder":   {Builder: "https://acme.example/desk", Since: ago(day)},
		"a source":    {Source: "https://x.example", Since: ago(day)},
		"an identity": {Identity: &policy.RevokedSigner{Key: "mary"}, Since: ago(day)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.revoke()
			s.o.Lists = []policy.Revocations{list(5, entry), list(6, entry)}
			s.decides(t)
			other := entry
			other.Since = now
			s.o.Lists = []policy.Revocations{list(5, entry), list(6, other)}
			s.decides(t, policy.RevocationsRollback)
			other = entry
			switch {
			case entry.Builder != "":
				other.Builder = "https://acme.example/desk2"
			case entry.Source != "":
				other.Source = "https://y.example"
			default:
				other.Identity = &policy.RevokedSigner{Key: "bob"}
			}
			s.o.Lists = []policy.Revocations{list(5, entry), list(6, other)}
			s.decides(t, policy.RevocationsRollback)
		})
	}
	s := newStory()
	s.revoke(x)
	w := s.walk()
	w.Decide()
	state := w.State()
	s.o.State = &state
	s.revoke(further)
	s.o.Lists[0].Sequence = 6
	s.decides(t) // the entry was made to reach further since
}

// TestAWayThatEvidenceCouldOpenIsADontKnow: what the source that failed has could let the base in, though the policy does
// not name it.
func TestAWayThatEvidenceCouldOpenIsADontKnow(t *testing.T) {
	lost := func(ways ...*policy.Alternative) *story {
		s := newStory()
		s.nodes[idBase].Evidence = nil
		s.nodes[idBase].Problems = []policy.Finding{{Code: policy.Unreachable}}
		s.doc.Steps["base"].AnyOf = ways
		return s
	}
	ingested := &policy.Alternative{Ingested: &policy.Ingested{Signers: []string{"data"}}}
	pinned := &policy.Alternative{Pinned: []string{idOther}}
	if d := lost(ingested, pinned).decide(); d.Verdict() != policy.Unknown {
		t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
	}
	if d := lost(pinned).decide(); d.Verdict() != policy.No {
		t.Errorf("pinned alone: %s because of %v", d.Verdict(), d.Reasons())
	}
	denied := lost(ingested, pinned)
	denied.revoke(policy.Revocation{Class: "artifact", Digest: idBase, Descendants: true})
	if d := denied.decide(); d.Verdict() != policy.No {
		t.Errorf("revoked: %s because of %v", d.Verdict(), d.Reasons())
	}
}

// TestARevokedAttestationIsRevokedUnderItsOtherName: who has the bundle can turn its ECDSA signature, which gives it another
// name and needs no key.
func TestARevokedAttestationIsRevokedUnderItsOtherName(t *testing.T) {
	turned := func(revoked string) *story {
		s := newStory()
		s.nodes[idRelease].Evidence[1].Twin = artifactID("twin")
		s.revoke(policy.Revocation{Class: "attestation", Digest: revoked})
		return s
	}
	turned(artifactID("another")).decides(t)
	turned(artifactID("twin")).decides(t, policy.Revoked, policy.LinkUnattested)
}
