package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// revoke has the story's policy ask for revocations, and gives it a list of entries.
func (s *story) revoke(entries ...policy.Revocation) *policy.Revocations {
	s.doc.Lists = &policy.RevocationSource{From: "revocations", Signers: []string{"data"}, MaxAge: 3 * day}
	for i := range entries {
		entries[i].Reason = "poisoned"
	}
	s.o.Lists = []policy.Revocations{{Evidence: policy.Evidence{Where: "list", Digest: artifactID("list"), Signer: key("data")},
		Sequence: 5, Issued: ago(day), Expires: now.Add(day), Entries: entries}}
	return &s.o.Lists[0]
}

func TestWalkRefusesWhatIsRevoked(t *testing.T) {
	for name, c := range map[string]struct {
		entry   policy.Revocation
		verdict policy.Verdict
		where   string // whose evidence gets a trusted time before the revocation
	}{
		"the release":                       {policy.Revocation{Class: "artifact", Digest: idRelease}, policy.No, ""},
		"the base and all below":            {policy.Revocation{Class: "artifact", Digest: idBase, Descendants: true}, policy.No, ""},
		"the base alone":                    {policy.Revocation{Class: "artifact", Digest: idBase}, policy.Yes, ""},
		"a file of the release":             {policy.Revocation{Class: "file", Digest: artifactID("file " + idRelease[7:12])}, policy.No, ""},
		"a file of the data":                {policy.Revocation{Class: "file", Digest: artifactID("file " + idData[7:12]), Descendants: true}, policy.No, ""},
		"another file":                      {policy.Revocation{Class: "file", Digest: idOther, Descendants: true}, policy.Yes, ""},
		"an artifact ID as a file":          {policy.Revocation{Class: "file", Digest: idRelease}, policy.Yes, ""},
		"the commit":                        {policy.Revocation{Class: "gitCommit", Digest: commit, Descendants: true}, policy.No, ""},
		"another commit":                    {policy.Revocation{Class: "gitCommit", Digest: "gitCommit:00", Descendants: true}, policy.Yes, ""},
		"the trainer":                       {policy.Revocation{Identity: &policy.RevokedSigner{Key: "trainer"}, Since: ago(10 * day)}, policy.No, ""},
		"the trainer, later than signed":    {policy.Revocation{Identity: &policy.RevokedSigner{Key: "trainer"}, Since: ago(time.Hour)}, policy.Yes, idRelease},
		"the trainer, earlier than signed":  {policy.Revocation{Identity: &policy.RevokedSigner{Key: "trainer"}, Since: ago(30 * day)}, policy.No, idRelease},
		"somebody else":                     {policy.Revocation{Identity: &policy.RevokedSigner{Key: "mary"}, Since: ago(10 * day)}, policy.Yes, ""},
		"an issuer's subject":               {policy.Revocation{Identity: &policy.RevokedSigner{Issuer: "i", Subject: "trainer"}, Since: ago(10 * day)}, policy.Yes, ""},
		"the builder":                       {policy.Revocation{Builder: "https://acme.example/k8s", Since: ago(10 * day)}, policy.No, ""},
		"the builder, later than it built":  {policy.Revocation{Builder: "https://acme.example/k8s", Since: ago(time.Hour)}, policy.Yes, idRelease},
		"the source":                        {policy.Revocation{Source: "git+https://github.com/acme/train", Since: ago(10 * day)}, policy.No, ""},
		"where the base is from":            {policy.Revocation{Source: "https://huggingface.co acme/base@1f3b", Since: ago(90 * day)}, policy.No, ""},
		"another source":                    {policy.Revocation{Source: "https://x.example", Since: ago(10 * day)}, policy.Yes, ""},
		"the attestation of the provenance": {policy.Revocation{Class: "attestation", Digest: "PROVENANCE"}, policy.No, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			if c.entry.Digest == "PROVENANCE" {
				c.entry.Digest = s.nodes[idRelease].Evidence[1].Digest
			}
			s.revoke(c.entry)
			if c.where != "" {
				for i := range s.nodes[c.where].Evidence {
					at := ago(12 * day)
					s.nodes[c.where].Evidence[i].Time = &at
				}
			}
			d := s.decide()
			if d.Verdict() != c.verdict || c.verdict == policy.No && !slices.Contains(d.Reasons(), policy.Revoked) {
				t.Errorf("%s because of %v, want %s\n%+v", d.Verdict(), d.Reasons(), c.verdict, d.Checks)
			}
		})
	}
}

func TestWalkHoldsListsOfRevocationsToTheirRules(t *testing.T) {
	entry := policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true}
	for name, c := range map[string]struct {
		change func(s *story, l *policy.Revocations)
		reason policy.Reason // empty: a yes
	}{
		"as it should be": {func(*story, *policy.Revocations) {}, ""},
		"none":            {func(s *story, _ *policy.Revocations) { s.o.Lists = nil }, policy.RevocationsMissing},
		"by a key that is out of its window": {func(s *story, _ *policy.Revocations) {
			s.doc.Identities["keeper"] = policy.Principal{{Name: "keeper", Key: "keeper", Window: trust.Window{ValidUntil: ago(day)}}}
			s.doc.Lists.Signers = []string{"keeper"}
			s.o.Lists[0].Evidence.Signer = key("keeper")
		}, policy.RevocationsMissing},
		"by another":             {func(_ *story, l *policy.Revocations) { l.Evidence.Signer = key("red") }, policy.RevocationsMissing},
		"that could not be read": {func(s *story, _ *policy.Revocations) { s.o.Problems = []policy.Finding{{Code: policy.Unreachable}} }, policy.Unreachable},
		"expired":                {func(_ *story, l *policy.Revocations) { l.Expires = ago(time.Second) }, policy.RevocationsStale},
		"old":                    {func(_ *story, l *policy.Revocations) { l.Issued = ago(4 * day) }, policy.RevocationsStale},
		"stamped old":            {func(_ *story, l *policy.Revocations) { at := ago(4 * day); l.Evidence.Time = &at }, policy.RevocationsStale},
		"from the future":        {func(_ *story, l *policy.Revocations) { l.Issued = now.Add(time.Hour) }, policy.ClockBehind},
		"an older one":           {func(s *story, _ *policy.Revocations) { s.o.State = &policy.State{Sequence: 6} }, policy.RevocationsRollback},
		"far ahead":              {func(s *story, l *policy.Revocations) { s.o.State = &policy.State{Sequence: 5}; l.Sequence = 1006 }, policy.RevocationsRollback},
		"the next":               {func(s *story, _ *policy.Revocations) { s.o.State = &policy.State{Sequence: 4} }, ""},
		"that lost an entry": {func(s *story, _ *policy.Revocations) {
			s.o.State = &policy.State{Sequence: 4, Revoked: []string{"digest artifact x"}}
		}, policy.RevocationsRollback},
		"another of its sequence": {func(s *story, _ *policy.Revocations) { s.o.State = &policy.State{Sequence: 5} }, policy.RevocationsRollback},
		"two that differ": {func(s *story, l *policy.Revocations) {
			other := *l
			other.Entries = nil
			s.o.Lists = append(s.o.Lists, other)
		}, policy.RevocationsRollback},
		"an older one beside it": {func(s *story, l *policy.Revocations) {
			other := *l
			other.Entries, other.Sequence = nil, 4
			s.o.Lists = append(s.o.Lists, other)
		}, ""},
		"files, and unknown ones": {func(s *story, l *policy.Revocations) {
			l.Entries = append(l.Entries, policy.Revocation{Class: "file", Digest: idOther, Descendants: true})
			s.nodes[idBase].Files = nil
		}, policy.FilesUnknown},
		"files of what is used alone, and those unknown": {func(s *story, l *policy.Revocations) {
			l.Entries = append(l.Entries, policy.Revocation{Class: "file", Digest: idOther})
			s.nodes[idRelease].Files = nil
		}, policy.FilesUnknown},
		"no files, and those of what is used unknown": {func(s *story, _ *policy.Revocations) { s.nodes[idRelease].Files = nil }, ""},
		"exactly as old as it may be":                 {func(_ *story, l *policy.Revocations) { l.Issued = ago(3 * day) }, ""},
		"of any age":                                  {func(s *story, l *policy.Revocations) { l.Issued = ago(300 * day); s.doc.Lists.MaxAge = 0 }, ""},
		"that ends now":                               {func(_ *story, l *policy.Revocations) { l.Expires = now }, ""},
		"of a minute from now":                        {func(_ *story, l *policy.Revocations) { l.Issued = now.Add(time.Minute) }, ""},
		"files of what is used alone, and unknown ones below": {func(s *story, l *policy.Revocations) {
			l.Entries = append(l.Entries, policy.Revocation{Class: "file", Digest: idOther})
			s.nodes[idBase].Files = nil
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			l := s.revoke(entry)
			c.change(s, l)
			d := s.decide()
			switch {
			case c.reason == "" && d.Verdict() != policy.Yes:
				t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
			case c.reason != "" && (d.Verdict() != policy.Unknown || !slices.Contains(d.Reasons(), c.reason)):
				t.Errorf("%s because of %v, want %s", d.Verdict(), d.Reasons(), c.reason)
			}
		})
	}
}

func TestStateRemembersTheListAndTakesItAgain(t *testing.T) {
	s := newStory()
	s.revoke(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true})
	w := s.walk()
	if d := w.Decide()[0]; d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v", d.Verdict(), d.Reasons())
	}
	state := w.State()
	if state.Sequence != 5 || len(state.Revoked) != 1 || state.PolicyVersion != 7 {
		t.Fatalf("state %+v", state)
	}
	s.o.State = &state
	if d := s.decide(); d.Verdict() != policy.Yes {
		t.Errorf("the same again: %s because of %v", d.Verdict(), d.Reasons())
	}
	s.o.Lists[0].Entries, s.o.Lists[0].Sequence = nil, 6
	if d := s.decide(); d.Verdict() != policy.Unknown || !slices.Contains(d.Reasons(), policy.RevocationsRollback) {
		t.Errorf("an emptied list: %s because of %v", d.Verdict(), d.Reasons())
	}
}

func TestRevokedSignersAreKnownInEveryForm(t *testing.T) {
	certified := trust.Signer{Method: trust.MethodCertificate, CA: "root", Others: []string{"cross"}, Subject: "trainer"}
	keyless := trust.Signer{Method: trust.MethodKeyless, Issuer: "https://issuer.example", Subject: "trainer"}
	for name, c := range map[string]struct {
		signer  trust.Signer
		revoked policy.RevokedSigner
		verdict policy.Verdict
	}{
		"a key":                              {*key("trainer"), policy.RevokedSigner{Key: "trainer"}, policy.No},
		"another key":                        {*key("trainer"), policy.RevokedSigner{Key: "other"}, policy.Yes},
		"a key's name by a certificate":      {certified, policy.RevokedSigner{Key: "trainer"}, policy.Yes},
		"a whole authority":                  {certified, policy.RevokedSigner{CA: "root"}, policy.No},
		"an authority that signed it across": {certified, policy.RevokedSigner{CA: "cross"}, policy.No},
		"another authority":                  {certified, policy.RevokedSigner{CA: "other"}, policy.Yes},
		"a subject of the authority":         {certified, policy.RevokedSigner{CA: "root", Subject: "trainer"}, policy.No},
		"another subject":                    {certified, policy.RevokedSigner{CA: "root", Subject: "ann"}, policy.Yes},
		"an issuer's subject":                {keyless, policy.RevokedSigner{Issuer: "https://issuer.example", Subject: "trainer"}, policy.No},
		"another issuer's":                   {keyless, policy.RevokedSigner{Issuer: "https://other.example", Subject: "trainer"}, policy.Yes},
		"an issuer's other":                  {keyless, policy.RevokedSigner{Issuer: "https://issuer.example", Subject: "ann"}, policy.Yes},
		"an authority of that name":          {keyless, policy.RevokedSigner{CA: "https://issuer.example", Subject: "trainer"}, policy.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.doc.Identities["trainer"] = policy.Principal{{Key: "trainer"}, {CA: "root", Subject: "trainer"}, {Issuer: "https://issuer.example", Subject: "trainer"}}
			s.nodes[idRelease].Evidence[0].Signer, s.nodes[idRelease].Evidence[1].Signer = &c.signer, &c.signer
			s.revoke(policy.Revocation{Identity: &c.revoked, Since: ago(30 * day)})
			if d := s.decide(); d.Verdict() != c.verdict || c.verdict == policy.No && !slices.Contains(d.Reasons(), policy.Revoked) {
				t.Errorf("%s because of %v, want %s", d.Verdict(), d.Reasons(), c.verdict)
			}
		})
	}
}

// TestStateIsNotMadeLessByAListThatIsRefused: what was seen stays seen.
func TestStateIsNotMadeLessByAListThatIsRefused(t *testing.T) {
	s := newStory()
	l := s.revoke(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true})
	s.o.State = &policy.State{Sequence: 9, Revoked: []string{"digest artifact x"}, PolicyVersion: 9, Latest: now}
	l.Sequence = 8
	w := s.walk()
	if d := w.Decide()[0]; d.Verdict() != policy.Unknown {
		t.Fatal(d.Verdict())
	}
	if got := w.State(); got.Sequence != 9 || !slices.Equal(got.Revoked, s.o.State.Revoked) || got.PolicyVersion != 9 || !got.Latest.Equal(now) {
		t.Errorf("state %+v", got)
	}
}

// TestStateRemembersTheLatestTrustedTime of evidence and of lists, and the first release of a channel.
func TestStateRemembersTheLatestTrustedTime(t *testing.T) {
	s := newStory()
	s.release(7)
	early, late := ago(3*day), ago(2*day)
	l := s.revoke()
	l.Evidence.Time = &late
	s.nodes[idData].Evidence[0].Time = &early
	s.o.State = &policy.State{}
	w := s.walk()
	if d := w.Decide()[0]; d.Verdict() != policy.Yes {
		t.Fatalf("%s because of %v", d.Verdict(), d.Reasons())
	}
	if got := w.State(); !got.Latest.Equal(late) || got.Channels["stable"] != 7 {
		t.Errorf("state %+v", got)
	}
	l.Evidence.Time, s.nodes[idData].Evidence[0].Time = &early, &late
	if w = s.walk(); !w.State().Latest.Equal(late) {
		t.Errorf("state %+v", w.State())
	}
}

func TestListsMoveInBoundedSteps(t *testing.T) {
	for sequence, reason := range map[uint64]policy.Reason{4: policy.RevocationsRollback, 5: "", 1005: "", 1006: policy.RevocationsRollback} {
		s := newStory()
		l := s.revoke()
		l.Sequence = sequence
		s.o.State = &policy.State{Sequence: 5}
		if reason == "" {
			s.decides(t)
		} else {
			s.decides(t, reason)
		}
	}
}

// TestAListNeverReachesLessFar in either way that an entry has.
func TestAListNeverReachesLessFar(t *testing.T) {
	entry := policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true, Since: ago(10 * day), Reason: "poisoned"}
	for name, c := range map[string]struct {
		change func(*policy.Revocation)
		reason []policy.Reason
	}{
		"the same":          {func(*policy.Revocation) {}, nil},
		"another reason":    {func(r *policy.Revocation) { r.Reason = "leaked" }, nil},
		"for itself alone":  {func(r *policy.Revocation) { r.Descendants = false }, []policy.Reason{policy.RevocationsRollback}},
		"since a day later": {func(r *policy.Revocation) { r.Since = ago(9 * day) }, []policy.Reason{policy.RevocationsRollback}},
		"since a day more":  {func(r *policy.Revocation) { r.Since = ago(11 * day) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.revoke(entry)
			w := s.walk()
			w.Decide()
			state := w.State()
			s.o.State = &state
			next := entry
			c.change(&next)
			s.revoke(next).Sequence = 6
			s.decides(t, c.reason...)
		})
	}
}

// TestFilesThatNobodyKnowsDenyNothing: another way that lets the artifact in does so still.
func TestFilesThatNobodyKnowsDenyNothing(t *testing.T) {
	s := newStory()
	s.doc.Targets[""] = "either"
	s.doc.Steps["either"] = &policy.Step{Name: "either", AnyOf: []*policy.Alternative{{Pinned: []string{idRelease}}, {Step: "release"}}}
	s.revoke(policy.Revocation{Class: "file", Digest: idOther, Descendants: true})
	s.nodes[idBase].Files = nil
	s.decides(t)
	s.doc.Steps["either"].AnyOf[0].Pinned = []string{idOther}
	if d := s.decide(); d.Verdict() != policy.Unknown || !slices.Contains(d.Reasons(), policy.FilesUnknown) {
		t.Errorf("no other way: %s because of %v", d.Verdict(), d.Reasons())
	}
}

func TestAYesNamesTheListThatHasNothingAgainstIt(t *testing.T) {
	for n, want := range []string{"which has 0 entries", "which has 1 entry", "which has 2 entries"} {
		s := newStory()
		s.revoke(make([]policy.Revocation, n)...)
		if c := named(s.decide().Checks, "revocations"); c.Verdict != policy.Yes || c.Detail != "not on list 5 of 2026-11-22 12:00 UTC, "+want {
			t.Errorf("%s: %s", c.Verdict, c.Detail)
		}
	}
}

// TestAListThatWasSignedAgainCountsByItsLaterForm in whatever order the two are found.
func TestAListThatWasSignedAgainCountsByItsLaterForm(t *testing.T) {
	for _, late := range []int{0, 1} {
		s := newStory()
		l := s.revoke(policy.Revocation{Class: "artifact", Digest: idOther, Descendants: true})
		s.o.Lists = append(s.o.Lists, *l)
		s.o.Lists[1-late].Issued = ago(9 * day)
		s.decides(t)
		s.o.Lists[late].Issued = ago(4 * day)
		s.decides(t, policy.RevocationsStale)
	}
}
