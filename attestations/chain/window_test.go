package chain_test

import (
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
