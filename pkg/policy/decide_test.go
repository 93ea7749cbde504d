package policy_test

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

var (
	alice = trust.Signer{Method: trust.MethodKey, Key: "a1"}
	mary  = trust.Signer{Method: trust.MethodKey, Key: "b2"}
	now   = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

func trustsAlice() policy.Policy {
	return policy.Policy{Signers: []trust.Identity{{Key: "a1"}}, AllowUncovered: true}
}

// signedBy is a signature that was opened and compared, with what stood in the way.
func signedBy(s trust.Signer, findings ...policy.Finding) policy.Evidence {
	return policy.Evidence{Where: "model.sig", Signature: true, Signer: &s, Compared: true, Findings: findings, Kind: "model"}
}

func facts(evidence ...policy.Evidence) policy.Facts {
	return policy.Facts{
		Artifact: policy.Artifact{Ref: "./chat", Bytes: policy.BytesRead, Files: 3, Size: 12_400_000},
		Evidence: evidence,
	}
}

func TestDecideSaysYesToATrustedSignatureThatHolds(t *testing.T) {
	d := policy.Decide(trustsAlice(), facts(signedBy(alice)), now)
	if d.Verdict() != policy.Yes || len(d.Reasons()) != 0 || !d.Evidence[0].Counted || d.Artifact.Kind != "model" {
		t.Fatalf("verdict %s, reasons %v, %+v", d.Verdict(), d.Reasons(), d)
	}
}

func TestDecideRefuses(t *testing.T) {
	differs := policy.Finding{Code: policy.DigestMismatch, File: "w.bin", Want: "sha256:1", Got: "sha256:2"}
	unopened := policy.Evidence{Where: "model.sig", Findings: []policy.Finding{{Code: policy.BadSignature, Detail: "no"}}}
	unsigned := policy.Finding{Code: policy.FileUnsigned, File: "extra"}
	failing := facts(signedBy(alice))
	failing.Problems = []policy.Finding{{Code: policy.Unreachable, Detail: "registry gone"}}
	hidden := facts(signedBy(alice))
	hidden.Artifact.Uncovered = []string{".git/config"}
	other := signedBy(alice)
	other.Signature, other.Compared = false, false
	broken := signedBy(alice, policy.Finding{Code: policy.StatementMalformed})
	broken.Compared = false
	notCompared := signedBy(alice)
	notCompared.Compared = false
	failedAndUntrusted := facts(signedBy(mary))
	failedAndUntrusted.Problems = failing.Problems
	failedAndDifferent := facts(signedBy(alice, differs))
	failedAndDifferent.Problems = failing.Problems

	for name, c := range map[string]struct {
		policy  policy.Policy
		facts   policy.Facts
		verdict policy.Verdict
		reasons []policy.Reason
	}{
		"a policy that trusts nobody":         {policy.Policy{}, facts(signedBy(alice)), policy.Unknown, []policy.Reason{policy.PolicyUnusable}},
		"an identity without a provider":      {policy.Policy{Signers: []trust.Identity{{Subject: "a@example.com"}}}, facts(signedBy(alice)), policy.Unknown, []policy.Reason{policy.PolicyUnusable}},
		"no evidence":                         {trustsAlice(), facts(), policy.No, []policy.Reason{policy.NoEvidence}},
		"somebody else's signature":           {trustsAlice(), facts(signedBy(mary)), policy.No, []policy.Reason{policy.UntrustedSigner}},
		"a bundle that did not open":          {trustsAlice(), facts(unopened), policy.No, []policy.Reason{policy.BadSignature}},
		"another statement alone":             {trustsAlice(), facts(other), policy.No, []policy.Reason{policy.NoEvidence}},
		"evidence that says nothing":          {trustsAlice(), facts(policy.Evidence{}), policy.No, []policy.Reason{policy.BundleMalformed}},
		"a signature that was never compared": {trustsAlice(), facts(notCompared), policy.Unknown, []policy.Reason{policy.Unreadable}},
		"a malformed statement":               {trustsAlice(), facts(broken), policy.No, []policy.Reason{policy.StatementMalformed}},
		"a file that differs":                 {trustsAlice(), facts(signedBy(alice, differs)), policy.No, []policy.Reason{policy.DigestMismatch}},
		"an unsigned file":                    {trustsAlice(), facts(signedBy(alice, unsigned)), policy.No, []policy.Reason{policy.FileUnsigned}},
		"an uncovered file, not allowed":      {policy.Policy{Signers: trustsAlice().Signers}, hidden, policy.No, []policy.Reason{policy.Uncovered}},
		"a source that failed":                {trustsAlice(), failing, policy.Unknown, []policy.Reason{policy.Unreachable}},
		"a failed source and a stranger":      {trustsAlice(), failedAndUntrusted, policy.Unknown, []policy.Reason{policy.UntrustedSigner, policy.Unreachable}},
		"a failed source and other bytes":     {trustsAlice(), failedAndDifferent, policy.No, []policy.Reason{policy.DigestMismatch, policy.Unreachable}},
	} {
		t.Run(name, func(t *testing.T) {
			d := policy.Decide(c.policy, c.facts, now)
			if d.Verdict() != c.verdict || !slices.Equal(d.Reasons(), c.reasons) {
				t.Errorf("verdict %s because of %v, want %s because of %v", d.Verdict(), d.Reasons(), c.verdict, c.reasons)
			}
		})
	}
}

func TestDecideAllowsWhatThePolicyNames(t *testing.T) {
	p := trustsAlice()
	p.AllowUnsigned = true
	unsigned := policy.Finding{Code: policy.FileUnsigned, File: "extra"}
	if d := policy.Decide(p, facts(signedBy(alice, unsigned)), now); d.Verdict() != policy.Yes {
		t.Errorf("unsigned files are allowed: verdict %s because of %v", d.Verdict(), d.Reasons())
	}
	differs := policy.Finding{Code: policy.DigestMismatch, File: "w.bin"}
	if d := policy.Decide(p, facts(signedBy(alice, unsigned, differs)), now); d.Verdict() != policy.No {
		t.Errorf("a different file beside them: verdict %s", d.Verdict())
	}
}

// TestDecideShowsTheNearestMiss has two trusted signatures that do not hold, one by far.
func TestDecideShowsTheNearestMiss(t *testing.T) {
	far := signedBy(alice, policy.Finding{Code: policy.FileMissing, File: "a"}, policy.Finding{Code: policy.FileMissing, File: "b"})
	near := signedBy(alice, policy.Finding{Code: policy.DigestMismatch, File: "c"})
	d := policy.Decide(trustsAlice(), facts(far, near), now)
	if got := d.Checks[0].Findings; len(got) != 1 || got[0].File != "c" {
		t.Errorf("found %+v, want the one finding of the second signature", got)
	}
}

func TestZeroDecisionIsNo(t *testing.T) {
	var d policy.Decision
	if d.Verdict() != policy.No || policy.Verdict(0) != policy.No || policy.Verdict(17).String() != "no" {
		t.Error("the zero Decision or Verdict is not a no")
	}
}

func TestDecisionMatchesItsSchema(t *testing.T) {
	schema := compile(t)
	stamp := now
	full := signedBy(trust.Signer{Method: trust.MethodKeyless, Subject: "a", Issuer: "b", Claims: map[string]string{"x": "y"}})
	full.Time, full.TimeSource, full.Digest, full.PredicateType = &stamp, "logged", "sha256:"+strings.Repeat("0", 64), "p"
	full.LoggedBy, full.TimedBy, full.Signer.Others = []string{"a.test"}, []string{"a.test"}, []string{"ca"}
	withFindings := facts(full, signedBy(alice, policy.Finding{Code: policy.DigestMismatch, File: "f", Want: "w", Got: "g", Detail: "d", Where: "x"}))
	withFindings.Artifact.ID, withFindings.Artifact.Uncovered = full.Digest, []string{"a"}
	withFindings.Notes = []string{"note"}
	withFindings.TrustedRoot = &trust.Origin{Source: trust.Imported, From: "https://mirror.test", Digest: full.Digest}
	chained := policy.Decide(trustsAlice(), facts(signedBy(alice)), now)
	claimed := full
	claimed.Principal = "p"
	claimed.Signature, claimed.Claim = false, &policy.Claim{
		Type: policy.TypeProvenance, Subject: full.Digest, Kind: "model", At: now, Expires: now, SaysNo: true, Subtype: "attack", Summary: "s", Upstream: "u",
		Making: &policy.Making{BuildType: "finetune", Builder: "https://b", Began: now, Inputs: []policy.Input{
			{Name: "base", Role: "base-model", Class: "artifact", Digest: full.Digest, URI: "oci://x", Content: true},
			{Name: "code", Role: "source", Class: "gitCommit", Digest: "gitCommit:" + strings.Repeat("0", 40), Dirty: true}}},
		Release: &policy.ReleaseClaim{Channel: "stable", Sequence: 1},
		VSA:     &policy.VSAClaim{Verifier: "v", Resource: "r", Policy: full.Digest, Levels: []string{"l"}, Ancestors: []policy.Ancestor{{Class: "artifact", Digest: full.Digest}}, Oldest: now, Inputs: []string{full.Digest}},
		Metrics: []policy.Metric{{Name: "m", Value: 0.5, Dataset: full.Digest}},
	}
	chained.Chain = []policy.Link{
		{Step: "release", Artifact: withFindings.Artifact, Verdict: policy.Yes, Checks: chained.Checks, Evidence: []policy.Evidence{full, claimed}, Edges: []policy.Edge{
			{Role: "base-model", Name: "base", Class: "artifact", Digest: full.Digest, URI: "oci://x", Step: "base", Verdict: policy.Yes, Signer: "a", Principal: "p", Time: &stamp, Why: "w"}}},
		{Step: "base", Artifact: withFindings.Artifact},
	}
	for name, d := range map[string]policy.Decision{
		"yes":     policy.Decide(trustsAlice(), facts(signedBy(alice)), now),
		"chained": chained,
		"no":      policy.Decide(trustsAlice(), withFindings, now),
		"unknown": policy.Decide(policy.Policy{}, facts(), now),
	} {
		raw, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, raw)
		}
		value.(map[string]any)["verdict"] = "maybe"
		if schema.Validate(value) == nil {
			t.Error("the schema takes any verdict")
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(policy.Schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("decision.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("decision.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestEveryReasonIsDocumented holds the constants and the README's table to each other.
func TestEveryReasonIsDocumented(t *testing.T) {
	source, err := os.ReadFile("reason.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var codes, rows []string
	for _, m := range regexp.MustCompile(`Reason = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		codes = append(codes, m[1])
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| (no|unknown) \\|").FindAllStringSubmatch(string(readme), -1) {
		rows = append(rows, m[1])
		if want := policy.Reason(m[1]).Verdict().String(); want != m[2] {
			t.Errorf("README says %s leads to %s, it leads to %s", m[1], m[2], want)
		}
	}
	if len(codes) < 20 || !slices.Equal(codes, rows) {
		t.Errorf("reasons\n%v\nREADME\n%v", codes, rows)
	}
}

func TestVerdictReadsWhatItWrites(t *testing.T) {
	for _, v := range []policy.Verdict{policy.No, policy.Unknown, policy.Yes} {
		var back policy.Verdict
		if err := back.UnmarshalText([]byte(v.String())); err != nil || back != v {
			t.Errorf("%s reads as %s: %v", v, back, err)
		}
	}
	v := policy.Yes
	if err := v.UnmarshalText([]byte("YES")); err == nil {
		t.Error("YES is taken for a verdict")
	}
}

func TestThresholdsCountDistinctParties(t *testing.T) {
	keyless := trust.Signer{Method: trust.MethodKeyless, Subject: "ann", Issuer: "https://issuer.test"}
	seenBy := func(s trust.Signer, logs, clocks []string) policy.Evidence {
		e := signedBy(s)
		e.LoggedBy, e.TimedBy = logs, clocks
		return e
	}
	seen := func(logs, clocks []string) policy.Evidence { return seenBy(keyless, logs, clocks) }
	ask := func(logs, times int) policy.Policy {
		return policy.Policy{Signers: []trust.Identity{{Subject: "ann", Issuer: "https://issuer.test"}, {Key: "a1"}}, LogThreshold: logs, TimeThreshold: times}
	}
	one, two, twice := []string{"one.test"}, []string{"one.test", "two.test"}, []string{"one.test", "one.test"}
	for name, c := range map[string]struct {
		policy  policy.Policy
		facts   policy.Facts
		reasons []policy.Reason
	}{
		"one of each, nothing asked":   {ask(0, 0), facts(seen(one, one)), nil},
		"one of each, one asked":       {ask(1, 1), facts(seen(one, one)), nil},
		"two logs":                     {ask(2, 1), facts(seen(two, one)), nil},
		"one log":                      {ask(2, 1), facts(seen(one, two)), []policy.Reason{policy.LogThreshold}},
		"one log twice":                {ask(2, 1), facts(seen(twice, one)), []policy.Reason{policy.LogThreshold}},
		"two clocks":                   {ask(1, 2), facts(seen(one, two)), nil},
		"one clock twice":              {ask(1, 2), facts(seen(two, twice)), []policy.Reason{policy.TimeThreshold}},
		"neither":                      {ask(2, 2), facts(seen(one, one)), []policy.Reason{policy.LogThreshold, policy.TimeThreshold}},
		"a key that nobody logged":     {ask(2, 1), facts(signedBy(alice)), []policy.Reason{policy.LogThreshold}},
		"a key that two logged":        {ask(2, 2), facts(seenBy(alice, two, two)), nil},
		"a key, one asked":             {ask(1, 1), facts(signedBy(alice)), nil},
		"one signature that is enough": {ask(2, 1), facts(seen(one, one), seen(two, one)), nil},
		"two that only add up":         {ask(2, 1), facts(seen(one, one), seen([]string{"two.test"}, one)), []policy.Reason{policy.LogThreshold}},
		"nonsense":                     {ask(-1, 1), facts(seen(two, two)), []policy.Reason{policy.PolicyUnusable}},
	} {
		d := policy.Decide(c.policy, c.facts, now)
		if !slices.Equal(d.Reasons(), c.reasons) || (d.Verdict() == policy.Yes) != (c.reasons == nil) {
			t.Errorf("%s: %s because of %q, want %q", name, d.Verdict(), d.Reasons(), c.reasons)
		}
	}
	// A file that differs is not what stands in the way of a signature that does not count.
	short := seen(one, one)
	short.Findings = []policy.Finding{{Code: policy.DigestMismatch, File: "f"}}
	if d := policy.Decide(ask(2, 1), facts(short), now); !slices.Equal(d.Reasons(), []policy.Reason{policy.LogThreshold}) {
		t.Errorf("short and different: %q", d.Reasons())
	}
}
