package chain_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/lab/witness"
)

func TestVerifyHoldsKeysToTheirWindows(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	hour := func(n int) time.Time { return at.Add(time.Duration(n) * time.Hour) }
	lab, err := witness.New(at)
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	root, err := trust.LoadSigstore(lab.TrustedRoot)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	// sign has the signature seen at the time that it is in the lab.
	sign := func(o signer.WitnessOptions) chain.Item {
		o.TrustedRoot, o.Now = root, func() time.Time { return at }
		by, err := signer.NewWitnessed(w.by, o)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := attestations.SignArtifact(ctx, m, attestations.KindModel, by)
		if err != nil {
			t.Fatal(err)
		}
		return chain.Item{Where: "model.sig", Bundle: signed.Signature}
	}
	stamped := sign(signer.WitnessOptions{TimestampURLs: []string{lab.TimestampURL}})
	logged := sign(signer.WitnessOptions{SigningConfig: lab.SigningConfig})
	lab.Set(hour(5))
	later := sign(signer.WitnessOptions{TimestampURLs: []string{lab.TimestampURL}})
	bare := w.sign(m, nil)

	for name, c := range map[string]struct {
		window   trust.Window
		log      bool
		evidence items
		reasons  []policy.Reason
	}{
		"no window":                      {trust.Window{}, false, items{bare}, nil},
		"inside":                         {trust.Window{ValidFrom: hour(-1), ValidUntil: hour(1)}, false, items{stamped}, nil},
		"exactly then":                   {trust.Window{ValidFrom: at, ValidUntil: at}, false, items{stamped}, nil},
		"no timestamp":                   {trust.Window{ValidUntil: hour(9)}, false, items{bare}, []policy.Reason{policy.KeyTimeMissing}},
		"too late":                       {trust.Window{ValidUntil: hour(1)}, false, items{later}, []policy.Reason{policy.KeyExpired}},
		"too early":                      {trust.Window{ValidFrom: hour(1)}, false, items{stamped}, []policy.Reason{policy.KeyTooEarly}},
		"before the revocation":          {trust.Window{RevokedAt: hour(1)}, false, items{stamped}, nil},
		"at the revocation":              {trust.Window{RevokedAt: at}, false, items{stamped}, []policy.Reason{policy.Revoked}},
		"one that counts, behind others": {trust.Window{RevokedAt: hour(1)}, false, items{bare, later, stamped}, nil},
		"not in a log":                   {trust.Window{}, true, items{stamped}, []policy.Reason{policy.LogMissing}},
		"in a log":                       {trust.Window{}, true, items{stamped, logged}, nil},
	} {
		o := w.options()
		o.Roots.Sigstore = root
		o.Policy.Signers[0].Window, o.Policy.RequireLog = c.window, c.log
		d, err := chain.Verify(ctx, &chain.Files{Path: w.path}, []chain.Source{c.evidence}, o)
		if err != nil {
			t.Fatal(err)
		}
		verdict := policy.Yes
		if c.reasons != nil {
			verdict = policy.No
		}
		if want(t, d, verdict, c.reasons...); t.Failed() {
			t.Fatalf("in %q", name)
		}
	}

	// Where the trusted root is not given, nobody vouches for a time.
	o := w.options()
	o.Policy.Signers[0].Window = trust.Window{ValidUntil: hour(9)}
	d, err := chain.Verify(ctx, &chain.Files{Path: w.path}, []chain.Source{items{stamped}}, o)
	if err != nil {
		t.Fatal(err)
	}
	want(t, d, policy.No, policy.KeyTimeMissing)
}

// TestClaimsAreHeldToWindowsByWhatIsInside has a key that counts from a day on: only a timestamp inside shows that a statement
// is younger.
func TestClaimsAreHeldToWindowsByWhatIsInside(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	labs := make([]*witness.Witnesses, 2)
	roots := make([]*trust.Sigstore, 2)
	for i := range labs {
		var err error
		if labs[i], err = witness.New(at); err != nil {
			t.Fatal(err)
		}
		defer labs[i].Close()
		if roots[i], err = trust.LoadSigstore(labs[i].TrustedRoot); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, small)
	id := w.id(manifest.Options{})
	// The stranger's lab says the same of the same key; its authority is not trusted.
	var by [2]*world
	for i := range by {
		seen, err := signer.NewWitnessed(w.by, signer.WitnessOptions{TrustedRoot: roots[i], TimestampURLs: []string{labs[i].TimestampURL}, Now: func() time.Time { return at }})
		if err != nil {
			t.Fatal(err)
		}
		by[i] = &world{t: t, by: seen, path: w.path}
	}
	approval := attestations.Approval{Decision: attestations.Approved, Scope: []string{"production"}, Evidence: []string{id}, DecidedOn: at, Expires: at.AddDate(0, 1, 0)}
	list := attestations.Revocations{Sequence: 1, Issued: at, Expires: at.AddDate(0, 0, 7), Entries: []attestations.Revocation{
		{Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("a", 40)}, Scope: attestations.ScopeSelf, Reason: "backdoor", Since: at},
	}}
	// onlyInside leaves the timestamp inside a bundle's statement, and takes the one beside the signature away.
	onlyInside := func(item chain.Item) chain.Item {
		var b map[string]any
		if err := json.Unmarshal(item.Bundle, &b); err != nil {
			t.Fatal(err)
		}
		delete(b["verificationMaterial"].(map[string]any), "timestampVerificationData")
		raw, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return chain.Item{Where: item.Where, Bundle: raw}
	}
	trusted := w.by.Roots()
	trusted.Sigstore = roots[0]
	search := chain.NewSearch(nil, trusted, w.options().Policy)
	window := w.options().Policy
	for name, c := range map[string]struct {
		from    time.Time
		signer  *world
		reasons []policy.Reason // why it does not count; nil: it does
		lists   []policy.Reason // why the list is none
	}{
		"stamped":               {at, by[0], nil, nil},
		"not stamped":           {at, w, []policy.Reason{policy.KeyTimeMissing}, nil},
		"stamped too early":     {at.Add(time.Second), by[0], []policy.Reason{policy.KeyTooEarly}, nil},
		"stamped by a stranger": {at, by[1], []policy.Reason{policy.TimestampInvalid, policy.KeyTimeMissing}, []policy.Reason{policy.Unreadable}},
	} {
		window.Signers[0].Window = trust.Window{ValidFrom: c.from}
		e := search.Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{onlyInside(c.signer.state(id, approval))}}}).Evidence[0]
		if got := codes(append(e.Findings, window.Refuses(e)...)); !slices.Equal(got, c.reasons) || (e.Claim == nil) != (c.lists != nil) {
			t.Errorf("%s: approval: %v, want %v: %+v", name, got, c.reasons, e)
		}
		lists, problems := search.Revocations(ctx, items{onlyInside(c.signer.state("", list))})
		if !slices.Equal(codes(problems), c.lists) || (len(lists) == 1) != (c.lists == nil) {
			t.Errorf("%s: %d lists: %v", name, len(lists), problems)
			continue
		}
		if c.lists == nil && !slices.Equal(codes(window.Refuses(lists[0].Evidence)), c.reasons) {
			t.Errorf("%s: list: %v, want %v", name, window.Refuses(lists[0].Evidence), c.reasons)
		}
	}
}
