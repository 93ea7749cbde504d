package audit

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/test/lab"
)

// chainPolicy asks for a dataset and models with provenance, tests of models, and a list of what is revoked. MORE is put
// into the model's step.
const chainPolicy = `apiVersion: hallmark/v1
kind: Policy
name: prod
version: 1
expires: 2027-06-01
identities: {trainer: {key: trainer.pub}, tester: {key: tester.pub}}
builders: [{id: "https://builder.example/trainer", signers: [trainer]}]
revocations: {from: revoked.jsonl, signers: [trainer]}
target: {model: model, dataset: corpus}
steps:
  model:
    kind: model
    signature: [trainer]
    provenance: {types: [train, finetune], signers: [trainer]}
    inputs:
      base-model: {step: model, min: 0, max: 1}
      dataset.train: {step: corpus, min: 1}
      source: {uri: ["git+https://git.example/train"]}
    evidence: [{name: robustness, type: test-result, signers: [tester], maxAge: 1080h, controls: [VAL-1, other:9]}MORE]
  corpus: {kind: dataset, signature: [trainer]}
`

// chained is a world with a policy over the chain.
type chained struct {
	*world
	other              signer.Signer // tests
	corpus, base, chat string
	list               attestations.Revocations
	policy             string
}

// newChained pushes a corpus, a base that was trained on it and a fine-tune of that, all as the policy asks.
func newChained(t *testing.T) *chained {
	t.Helper()
	c := &chained{world: newWorld(t, lab.Options{Referrers: true}), policy: strings.ReplaceAll(chainPolicy, "MORE", "")}
	c.other = newSigner(t)
	c.corpus = c.putKind("data/corpus", "v1", attestations.KindDataset, c.by)
	c.base, c.chat = c.put("llm/base", "v1", c.by), c.put("llm/chat", "v1", c.by)
	c.claim("llm/base", c.base, c.by, made(attestations.BuildTrain, source, input(attestations.RoleDatasetTrain, c.corpus)))
	c.claim("llm/chat", c.chat, c.by, made(attestations.BuildFinetune, source, input(attestations.RoleBaseModel, c.base), input(attestations.RoleDatasetTrain, c.corpus)))
	c.claim("llm/base", c.base, c.other, tested(then))
	c.claim("llm/chat", c.chat, c.other, tested(then))
	c.list = attestations.Revocations{Sequence: 1, Issued: then, Expires: then.Add(10000 * time.Hour), Entries: []attestations.Revocation{}}
	return c
}

func tested(at time.Time) attestations.TestResult {
	return attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"robustness/typos"},
		Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: at}}
}

// judge decides by the policy.
func (c *chained) judge() Judge { return c.judgeBy(c.policy) }

func (c *chained) judgeBy(text string) Judge {
	c.t.Helper()
	keys := map[string][]byte{"trainer.pub": publicKey(c.t, c.by), "tester.pub": publicKey(c.t, c.other)}
	doc, err := policy.Load([]byte(text), policy.LoadOptions{Read: func(name string) ([]byte, error) { return keys[name], nil }})
	if err != nil {
		c.t.Fatal(err)
	}
	st, err := attestations.NewRevocations(c.list)
	if err != nil {
		c.t.Fatal(err)
	}
	return Judge{Document: doc, Options: chain.PolicyOptions{Revocations: []chain.Source{items{{Where: "revoked.jsonl line 1", Bundle: c.sign(st, c.by)}}}}}
}

func (c *chained) mustAudit(change func(*Options)) *Report {
	c.t.Helper()
	r, err := c.auditOf(c.judge(), change)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func publicKey(t testing.TB, s signer.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.Roots().Keys[0].Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

const allYes = "data/corpus v1 artifact yes\nllm/base v1 artifact yes\nllm/chat v1 artifact yes\n"

var allReused = strings.ReplaceAll(allYes, "yes\n", "yes (reused)\n")

func TestAuditByPolicyFollowsTheChain(t *testing.T) {
	c := newChained(t)
	r := c.mustAudit(nil)
	c.expect(r, allYes)
	links := r.Rows[2].Links
	if len(links) != 3 || links[1].Digest != c.base || !links[1].Held || links[1].Verdict == nil || *links[1].Verdict != policy.Yes || links[0].Held {
		t.Errorf("links %+v", links)
	}
	if r.Totals.Broken != nil || r.Totals.Stale != nil || r.Totals.GoingStale != nil || r.Totals.Ending != nil || r.Totals.Revoked != nil {
		t.Errorf("totals %+v", r.Totals)
	}

	// The corpus is gone: what was made from it hangs in the air.
	c.g.Tag("data/corpus", "v1", "")
	r = c.mustAudit(nil)
	c.expect(r, "llm/base v1 artifact no no-evidence\nllm/chat v1 artifact no no-evidence\n")
	if len(r.Totals.Broken) != 3 || r.Totals.Broken[0].Input != c.corpus {
		t.Errorf("broken: %+v", r.Totals.Broken)
	}
}

// TestAuditByPolicyNamesStrangers has a stranger sign something of which then nobody who counts says what it is.
func TestAuditByPolicyNamesStrangers(t *testing.T) {
	c := newChained(t)
	c.put("llm/foreign", "v1", newSigner(t))
	c.put("llm/unsigned", "v1")
	r := c.mustAudit(nil)
	c.expect(r, allYes+"llm/foreign v1 artifact no no-evidence\nllm/unsigned v1 artifact no no-evidence\n")
	if row := r.Rows[3]; row.Evidence != 1 || row.Signatures != 1 || len(row.Strangers) != 1 {
		t.Errorf("row %+v", row)
	}
	if !slices.Equal(r.Totals.Unsigned, []string{r.Rows[4].Pinned()}) || len(r.Totals.Unexpected) != 1 {
		t.Errorf("totals %+v", r.Totals)
	}
}

func TestWarmAuditByPolicyLooksAtEverythingBelow(t *testing.T) {
	c := newChained(t)
	c.state = &State{t.TempDir()}
	c.mustAudit(nil)
	c.expect(c.mustAudit(nil), allReused)
	c.list.Sequence, c.list.Issued, c.list.Expires = 2, then.Add(time.Minute), c.list.Expires.Add(time.Hour) // the same, issued anew
	c.expect(c.mustAudit(nil), allReused)

	// What is said of the base concerns what was made from it.
	c.claim("llm/base", c.base, c.other, attestations.TestResult{Result: attestations.ResultFailed, Configuration: []attestations.Resource{}, FailedTests: []string{"robustness/typos"},
		Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: then.Add(time.Minute)}})
	c.expect(c.mustAudit(nil), "data/corpus v1 artifact yes (reused)\nllm/base v1 artifact no refuted\nllm/chat v1 artifact no refuted\n")
	c.expect(c.mustAudit(nil), "data/corpus v1 artifact yes (reused)\nllm/base v1 artifact no refuted (reused)\nllm/chat v1 artifact no refuted (reused)\n")
}

func TestWarmAuditByPolicyNoticesWhatElseChanged(t *testing.T) {
	for name, change := range map[string]func(c *chained, o *Options){
		"another version": func(c *chained, _ *Options) { c.policy = strings.Replace(c.policy, "version: 1", "version: 2", 1) },
		"a longer list": func(c *chained, _ *Options) {
			c.list.Sequence, c.list.Entries = 2, []attestations.Revocation{{Builder: "https://builder.example/other", Reason: "gone", Scope: attestations.ScopeSelf, Since: then}}
		},
		"a rule that reads the time": func(c *chained, _ *Options) {
			if !strings.Contains(c.policy, "now") {
				c.policy = strings.Replace(c.policy, "maxAge: 1080h", "maxAge: 1080h, rule: 'now > at'", 1)
			}
		},
		"what else is remembered": nil,
	} {
		c := newChained(t)
		c.state = &State{t.TempDir()}
		var o Options
		if change != nil && strings.HasPrefix(name, "a rule") {
			change(c, &o)
		}
		c.mustAudit(nil)
		if change != nil {
			change(c, &o)
		}
		j := c.judge()
		if change == nil {
			j.Options.State = &policy.State{Channels: map[string]uint64{"stable": 2}}
		}
		r, err := c.auditOf(j, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.text(r); got != allYes {
			t.Errorf("%s: rows\n%s", name, got)
		}
	}
}

// TestWarmAuditLooksAgainWhenAStatementsTimeHasCome has a test that is dated ahead, which counts only then.
func TestWarmAuditLooksAgainWhenAStatementsTimeHasCome(t *testing.T) {
	c := newChained(t)
	c.state = &State{t.TempDir()}
	late := c.putBytes("llm/late", "v1", "late", c.by)
	c.claim("llm/late", late, c.by, made(attestations.BuildTrain, source, input(attestations.RoleDatasetTrain, c.corpus)))
	c.claim("llm/late", late, c.other, tested(then.Add(48*time.Hour)))
	c.expect(c.mustAudit(nil), allYes+"llm/late v1 artifact no stale\n")
	c.expect(c.mustAudit(nil), allReused+"llm/late v1 artifact no stale\n")
	c.now = then.Add(72 * time.Hour)
	c.expect(c.mustAudit(nil), allReused+"llm/late v1 artifact yes\n")
}

func TestAuditTellsWhatGoesStale(t *testing.T) {
	c := newChained(t)
	c.state = &State{t.TempDir()}
	c.now = then.Add(20 * 24 * time.Hour) // the tests hold for 45 days
	r := c.mustAudit(nil)
	c.expect(r, allYes)
	if len(r.Totals.GoingStale) != 2 || r.Totals.GoingStale[0].Then.Verdict != policy.No || !slices.Equal(r.Totals.GoingStale[0].Then.Reasons, []policy.Reason{policy.Stale}) {
		t.Errorf("going stale: %+v", r.Totals.GoingStale)
	}
	r = c.mustAudit(func(o *Options) { o.Within = 24 * time.Hour })
	if r.Totals.GoingStale != nil {
		t.Errorf("within a day: %+v", r.Totals.GoingStale)
	}
	// It is told as soon as it comes within reach, though nothing else changed.
	c.now = then.Add(time.Hour)
	c.mustAudit(func(o *Options) { o.Within = 10 * 24 * time.Hour })
	c.now = then.Add(36 * 24 * time.Hour)
	r = c.mustAudit(func(o *Options) { o.Within = 10 * 24 * time.Hour })
	c.expect(r, strings.Replace(allYes, "corpus v1 artifact yes", "corpus v1 artifact yes", 1))
	if len(r.Totals.GoingStale) != 2 {
		t.Errorf("later: %+v", r.Totals.GoingStale)
	}
	c.now = then.Add(46 * 24 * time.Hour)
	r = c.mustAudit(nil)
	c.expect(r, "data/corpus v1 artifact yes\nllm/base v1 artifact no stale\nllm/chat v1 artifact no stale\n")
	if len(r.Totals.Stale) != 1 || r.Totals.Stale[0].Input != c.base {
		t.Errorf("stale links: %+v", r.Totals.Stale)
	}
}

func TestAuditTellsWhatEnds(t *testing.T) {
	c := newChained(t)
	c.list.Expires = then.Add(10 * 24 * time.Hour)
	c.policy = strings.Replace(c.policy, "expires: 2027-06-01", "expires: 2026-12-10", 1)
	c.policy = strings.Replace(c.policy, "version: 1\n", "version: 1\nwaivers: [{finding: stale, subject: \""+c.chat+"\", step: model, evidence: robustness, until: 2026-12-01, reason: \"ticket 42\"}]\n", 1)
	r := c.mustAudit(nil)
	c.expect(r, allYes)
	if len(r.Totals.Ending) != 3 || r.Totals.GoingStale != nil {
		t.Fatalf("ending: %+v, going stale %+v", r.Totals.Ending, r.Totals.GoingStale)
	}
	for i, want := range []string{"list of what is revoked", "waiver of robustness for " + c.chat, "policy prod"} {
		if got := r.Totals.Ending[i].What; got != want {
			t.Errorf("ending %d is %q, want %q", i, got, want)
		}
	}
	if off := r.Totals.Ending[0].Until.Sub(c.list.Expires); off > 0 || off < -time.Minute {
		t.Errorf("the list ends %s", r.Totals.Ending[0].Until)
	}
}

func TestWarmAuditEndsWithItsList(t *testing.T) {
	c := newChained(t)
	c.state = &State{t.TempDir()}
	c.list.Expires = then.Add(10 * 24 * time.Hour)
	c.mustAudit(nil)
	c.expect(c.mustAudit(nil), allReused)
	c.now = then.Add(11 * 24 * time.Hour)
	r := c.mustAudit(nil)
	if r.Totals.Unknown != 3 || r.Totals.Reused != 0 || !r.Rows[0].Has(policy.RevocationsStale) {
		t.Errorf("after the list's end:\n%s", c.text(r))
	}
}

func TestAuditTellsWhatIsRevokedAndBelow(t *testing.T) {
	c := newChained(t)
	for scope, want := range map[attestations.RevocationScope]string{
		attestations.ScopeDescendants: "data/corpus v1 artifact no revoked\nllm/base v1 artifact no revoked\nllm/chat v1 artifact no revoked\n",
		attestations.ScopeSelf:        "data/corpus v1 artifact no revoked\nllm/base v1 artifact yes\nllm/chat v1 artifact yes\n",
	} {
		c.list.Entries = []attestations.Revocation{{Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: c.corpus[7:]}, Scope: scope, Reason: "poisoned", Since: then}}
		r := c.mustAudit(nil)
		c.expect(r, want)
		if len(r.Totals.Revoked) != 1 || r.Totals.Revoked[0].What != c.corpus || len(r.Totals.Revoked[0].Hit)+len(r.Totals.Revoked[0].Below) != 3 {
			t.Errorf("%s: %+v", scope, r.Totals.Revoked)
		}
		if scope == attestations.ScopeSelf && len(r.Totals.Revoked[0].Below) != 2 {
			t.Errorf("below: %+v", r.Totals.Revoked[0].Below)
		}
	}
}

func TestSimulateTellsWhatStopsWorking(t *testing.T) {
	c := newChained(t)
	next := c.judgeBy(strings.ReplaceAll(chainPolicy, "MORE", ", {name: bias, type: test-result, signers: [tester]  , activity: bias-scan}"))
	c.claim("llm/base", c.base, c.other, attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"a"},
		Evaluation: attestations.Evaluation{Activity: attestations.ScannedForBias, FinishedOn: then}})
	r := c.mustAudit(func(o *Options) { o.Simulate = &next })
	c.expect(r, allYes)
	if len(r.Totals.Worse) != 1 || r.Totals.Worse[0].Artifact != r.Rows[2].Pinned() || !slices.Equal(r.Totals.Worse[0].Then.Reasons, []policy.Reason{policy.EvidenceMissing}) {
		t.Errorf("worse: %+v", r.Totals.Worse)
	}
}

func TestControlsSayWhatEvidenceSupports(t *testing.T) {
	c := newChained(t)
	f, err := ShippedFramework("ai-security")
	if err != nil {
		t.Fatal(err)
	}
	status := func(report *ControlsReport, id string) ControlItem {
		at := slices.IndexFunc(report.Controls, func(i ControlItem) bool { return i.ID == id })
		if at < 0 {
			t.Fatalf("no control %s", id)
		}
		return report.Controls[at]
	}
	c.policy = strings.Replace(c.policy, "type: test-result,", "type: test-result, activity: attack,", 1)
	report := Controls(c.mustAudit(nil), f)
	if got := status(report, "VAL-1"); got.Status != StatusSupports || !slices.Equal(got.Artifacts, sorted([]string{c.base, c.chat})) || len(got.Requirements) != 1 || got.Requirements[0].Met != 2 {
		t.Errorf("VAL-1: %+v", got)
	}
	if got := status(report, "INF-3"); got.Status != StatusSupports || got.Requirements[0].Name != "provenance" {
		t.Errorf("INF-3: %+v", got)
	}
	for id, want := range map[string]ControlStatus{"VAL-3": StatusNotEvidenced, "ACC-2": StatusPlanned, "MOD-2": StatusCode, "ACC-1": StatusCodePart, "ADV-5": StatusOut} {
		if got := status(report, id); got.Status != want {
			t.Errorf("%s is %s, want %s", id, got.Status, want)
		}
	}
	if len(report.Controls) != 90 || report.Controls[0].Status != StatusNotEvidenced || report.Unknown != nil {
		t.Errorf("%d controls, first %+v, unknown %q", len(report.Controls), report.Controls[0], report.Unknown)
	}

	// The same evidence is none for a control that takes another kind, and too little where one artifact lacks it.
	c.policy = strings.Replace(c.policy, "VAL-1,", "GOV-3, XYZ-1,", 1)
	report = Controls(c.mustAudit(nil), f)
	if got := status(report, "GOV-3"); got.Status != StatusNotEvidenced || len(got.Requirements) != 1 || got.Requirements[0].Counts {
		t.Errorf("GOV-3: %+v", got)
	}
	if !slices.Equal(report.Unknown, []string{"XYZ-1"}) {
		t.Errorf("unknown: %q", report.Unknown)
	}
	c.policy = strings.Replace(c.policy, "GOV-3, XYZ-1,", "ai-security:VAL-1,", 1)
	c.putBytes("llm/untested", "v1", "untested", c.by)
	report = Controls(c.mustAudit(nil), f)
	if got := status(report, "VAL-1"); got.Status != StatusSupportsPart || len(got.Lacking) != 1 {
		t.Errorf("VAL-1: %+v", got)
	}
	var out bytes.Buffer
	if err := report.WriteText(&out, func(s string) string { return s }); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); !strings.Contains(text, "evidence supports in part\n") || !strings.Contains(text, "\n  VAL-1 ") || strings.Contains(strings.ToLower(text), "complian") && !strings.Contains(text, "compliance checks") {
		t.Errorf("text:\n%s", text)
	}
	if err := report.WriteHTML(&out); err != nil {
		t.Fatal(err)
	}
}

func TestAWaiverIsNoEvidence(t *testing.T) {
	c := newChained(t)
	c.now = then.Add(46 * 24 * time.Hour)
	c.policy = strings.Replace(c.policy, "version: 1\n", "version: 1\nwaivers: [{finding: stale, subject: \""+c.base+"\", step: model, evidence: robustness, until: 2027-02-01, reason: \"ticket 42\"}]\n", 1)
	r := c.mustAudit(nil)
	c.expect(r, "data/corpus v1 artifact yes\nllm/base v1 artifact yes\nllm/chat v1 artifact no stale\n")
	for _, q := range r.Rows[1].Requirements {
		if q.Name == "robustness" && q.Met {
			t.Errorf("requirement %+v", q)
		}
	}
}

func TestFrameworksAreReadStrictly(t *testing.T) {
	good := `{"schema":"hallmark.controls/v1","id":"acme","title":"Acme's own","source":"https://acme.example/controls","version":"3","controls":[{"id":"1.1","title":"tests","class":"gated","evidence":[{"type":"test-result","activity":"attack"}]}]}`
	if _, err := LoadFramework([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for old, bad := range map[string]string{
		`"version":"3"`: `"version":""`, `"source":"https://acme.example/controls",`: ``, `"id":"acme"`: `"id":"a:b"`, `"class":"gated"`: `"class":"done"`, "controls/v1": "controls/v2",
		`"type":"test-result"`: `"type":"tests"`, `"evidence":[`: `"more":1,"evidence":[`, `"activity":"attack"`: `"type":"bom"`, `[{"id"`: `[{"id":"1.1","title":"t","class":"gated"},{"id"`,
		`"title":"tests"`: `"title":"tests","parts":[{"what":"x"}]`,
	} {
		text := strings.Replace(good, old, bad, 1)
		if text == good {
			t.Fatalf("%s is not there", old)
		}
		if _, err := LoadFramework([]byte(text)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	if _, err := LoadFramework(make([]byte, MaxFramework+1)); err == nil {
		t.Error("a huge one was read")
	}
	if _, err := ShippedFramework("../controls"); err == nil || !strings.Contains(err.Error(), "ai-security") {
		t.Errorf("error %v", err)
	}
}
