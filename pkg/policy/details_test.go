package policy_test

import (
	"math"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestPolicySaysInWordsWhatItAsks(t *testing.T) {
	for want, p := range map[string]policy.Policy{
		"signed by key a1":                         {LogThreshold: 1, TimeThreshold: 1},
		"signed by key a1; logged by 2 parties":    {LogThreshold: 2},
		"signed by key a1; timed by 3 parties":     {TimeThreshold: 3},
		"signed by key a1; unsigned files ignored": {AllowUnsigned: true},
	} {
		p.Signers = []trust.Identity{{Key: "a1"}}
		if d := policy.Decide(p, facts(), now); d.Policy != want {
			t.Errorf("%q, not %q", d.Policy, want)
		}
	}
}

// TestAYesSaysHowMuchWasRead in the units of disks, and never that bytes were read which were not.
func TestAYesSaysHowMuchWasRead(t *testing.T) {
	for _, c := range []struct {
		files int
		size  int64
		bytes policy.Bytes
		want  string
	}{
		{1, 0, policy.BytesRead, "1 file, 0 B, read and equal"},
		{0, 999, policy.BytesRead, "0 files, 999 B, read and equal"},
		{2, 1000, policy.BytesUnread, "2 files, 1.0 kB, equal by digest, bytes unread"},
		{2, 999_949, policy.BytesRead, "2 files, 999.9 kB, read and equal"},
		{2, 999_950, policy.BytesRead, "2 files, 1.0 MB, read and equal"},
		{3, 12_400_000_000, policy.BytesUnread, "3 files, 12.4 GB, equal by digest, bytes unread"},
		{3, math.MaxInt64, policy.BytesRead, "3 files, 9.2 EB, read and equal"},
	} {
		f := facts(signedBy(alice))
		f.Artifact.Files, f.Artifact.Size, f.Artifact.Bytes = c.files, c.size, c.bytes
		if check := named(policy.Decide(trustsAlice(), f, now).Checks, "files"); check.Verdict != policy.Yes || check.Detail != c.want {
			t.Errorf("%s: %q, not %q", check.Verdict, check.Detail, c.want)
		}
	}
}

// TestANoSumsUpWhatDiffers by kind, and shows the first of what has no kind to be counted by.
func TestANoSumsUpWhatDiffers(t *testing.T) {
	of := func(codes ...policy.Reason) []policy.Finding {
		var out []policy.Finding
		for _, code := range codes {
			out = append(out, policy.Finding{Code: code, Detail: "about " + string(code)})
		}
		return out
	}
	for want, found := range map[string][]policy.Finding{
		"1 of 3 differs": of(policy.DigestMismatch),
		"2 of 3 differ, 1 missing, 3 not signed, 1 refused": of(policy.FileUnsigned, policy.DigestMismatch, policy.FileMissing, policy.FileUnsigned,
			policy.FileRefused, policy.DigestMismatch, policy.FileUnsigned),
		"1 missing":         of(policy.FileMissing, policy.IDMismatch),
		"about id-mismatch": of(policy.IDMismatch, policy.NotCanonical),
	} {
		d := policy.Decide(trustsAlice(), facts(signedBy(alice, found...)), now)
		if check := named(d.Checks, "files"); check.Verdict != policy.No || check.Detail != want {
			t.Errorf("%s: %q, not %q", check.Verdict, check.Detail, want)
		}
	}
}

// TestOfTwoMissesThatAreAsNearTheFirstIsShown, so that the same evidence in the same order reads the same.
func TestOfTwoMissesThatAreAsNearTheFirstIsShown(t *testing.T) {
	first, second := policy.Finding{Code: policy.DigestMismatch, File: "a"}, policy.Finding{Code: policy.DigestMismatch, File: "b"}
	d := policy.Decide(trustsAlice(), facts(signedBy(alice, first), signedBy(alice, second)), now)
	if found := named(d.Checks, "files").Findings; len(found) != 1 || found[0].File != "a" {
		t.Errorf("%+v", found)
	}
}
