package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// refusedFor loads what must not load and returns why.
func refusedFor(t *testing.T, raw, message string) *LoadError {
	t.Helper()
	_, err := Load([]byte(raw), words)
	var refused *LoadError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), message) {
		t.Fatalf("%v, and not for %q", err, message)
	}
	return refused
}

func TestApprovalByTheOneWhoSaysHowItWasMade(t *testing.T) {
	raw := strings.Replace(edited(t, "signers: [lead-1, lead-2], distinct: 2", "signers: [trainer]"), "    signature: [trainer]\n", "", 1)
	refusedFor(t, raw, "nobody but its makers: trainer")
	for name, good := range map[string]string{
		"said so":     strings.Replace(raw, "type: approval", "type: approval, ownWork: true", 1),
		"another too": strings.Replace(raw, "signers: [trainer], maxAge: 2160h", "signers: [trainer, lead-1], maxAge: 2160h", 1),
	} {
		if _, err := Load([]byte(good), words); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A step whose makers nobody says has none who could approve their own work.
	alone := edited(t, "{name: pii, type: test-result, signers: [data], rule: '\"privacy/pii-scan\" in predicate.passedTests'}", "{name: ok, type: approval, signers: [lead-1]}")
	if _, err := Load([]byte(alone), words); err != nil {
		t.Error(err)
	}
}

func TestRuleOfSeveralLinesPointsAtTheRule(t *testing.T) {
	const rule = `'metric("robust_accuracy") >= 0.6'`
	block := edited(t, "{name: robustness, type: test-result, signers: [red-team], maxAge: 720h, rule: "+rule+", controls: [VAL-1]}",
		"name: robustness\n        type: test-result\n        signers: [red-team]\n        maxAge: 720h\n        rule: |\n          metric(\"robust_accuracy\") >= 0.6 &&\n            kind == \"model\"")
	d, err := Load([]byte(block), words)
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Steps["release"].Evidence[0].Rule.String(); !strings.Contains(got, "&&\n") {
		t.Errorf("%q", got)
	}
	for _, bad := range []string{strings.Replace(block, `kind == "model"`, `kinds == "model"`, 1), strings.Replace(block, "metric(", "metrics(", 1)} {
		e := refusedFor(t, bad, "of the rule: undeclared reference")
		if line := strings.Split(bad, "\n")[e.Line-1]; !strings.HasPrefix(line[e.Column-1:], "|") {
			t.Errorf("points at %d:%d: %q", e.Line, e.Column, line)
		}
	}
	plain := refusedFor(t, edited(t, rule, `kind == model`), "of the rule: undeclared reference to 'model'")
	if line := strings.Split(edited(t, rule, `kind == model`), "\n")[plain.Line-1]; !strings.HasPrefix(line[plain.Column-1:], "model") {
		t.Errorf("points at %d:%d: %q", plain.Line, plain.Column, line)
	}
}

func TestAStepIsNoAlternativeOfItself(t *testing.T) {
	base := func(more string) string {
		return edited(t, "  approved-base: {anyOf: [{ingested: {signers: [data]}},", more+"  approved-base: {anyOf: [{step: mirrored}, {ingested: {signers: [data]}},")
	}
	if _, err := Load([]byte(base("  mirrored: {anyOf: [{step: copied}, {step: clean-data}]}\n  copied: {anyOf: [{step: clean-data}]}\n")), words); err != nil {
		t.Errorf("by two ways to a third: %v", err)
	}
	refusedFor(t, base("  mirrored: {anyOf: [{step: mirrored}]}\n"), "step mirrored is, by way of anyOf, its own alternative")
	refusedFor(t, base("  mirrored: {anyOf: [{step: copied}]}\n  copied: {anyOf: [{step: approved-base}]}\n"), "step mirrored is, by way of anyOf, its own alternative")
	refusedFor(t, base("  mirrored: {anyOf: [{step: clean-data}]}\n  copied: {anyOf: [{step: copied}]}\n"), "its own alternative")
}

func TestAuthorityOfTwoIsTrustedOnce(t *testing.T) {
	d, err := Load([]byte(edited(t, "lead-2: {key: keys/lead2.pub}", `lead-2: {ca: keys/ca.pem, subject: "spiffe://acme/lead-2"}`)), words)
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Roots.Authorities) != 1 || len(d.Roots.Keys) != 2 || d.Identities["lead-2"][0].CA != d.Identities["red-team"][0].CA {
		t.Errorf("%d authorities, %d keys", len(d.Roots.Authorities), len(d.Roots.Keys))
	}
}

func TestLoadTakesNoMoreThanItsCaps(t *testing.T) {
	list := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("https://acme.example/%d", i))
		}
		return edited(t, `uri: ["git+https://github.com/acme/train"]`, "uri: ["+strings.Join(all, ", ")+"]")
	}
	if _, err := Load([]byte(list(maxItems)), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, list(maxItems+1), "has 501 items, at most 500 are read")
	keys := func(n int) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, "  extra-%d: {issuer: https://acme.example, subject: s%d}\n", i, i)
		}
		return edited(t, "builders:\n", all.String()+"builders:\n")
	}
	if _, err := Load([]byte(keys(maxItems-5)), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, keys(maxItems-4), "has 501 keys, at most 500 are read")
	name := func(n int) string { return edited(t, "name: prod-llm", "name: "+strings.Repeat("n", n)) }
	if _, err := Load([]byte(name(maxName)), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, name(maxName+1), "no name for the policy")
	text := func(n int) string {
		return edited(t, `reason: "suite broken, ticket 42"`, "reason: "+strings.Repeat("r", n))
	}
	if _, err := Load([]byte(text(maxText)), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, text(maxText+1), "has 4097 bytes, at most 4096 are read")
	pem := func(n int) string {
		const begin = "-----BEGIN "
		return edited(t, "keys/lead1.pub", `"`+begin+strings.Repeat("a", n-len(begin))+`"`)
	}
	refusedFor(t, pem(maxPEM), "read public key")
	refusedFor(t, pem(maxPEM+1), "key has 32769 bytes, at most 32768 are read")
	file := func(n int) string {
		raw := testdata(t, "prod-llm.yaml")
		return raw + strings.Repeat("#", n-len(raw))
	}
	if _, err := Load([]byte(file(MaxFile)), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, file(MaxFile+1), "at most 1048576 are read")
}

func TestSpansAreAtMostACentury(t *testing.T) {
	age := func(text string) string { return edited(t, "maxAge: 72h", "maxAge: "+text) }
	d, err := Load([]byte(age("36500d")), words)
	if err != nil || d.Lists.MaxAge != 36500*24*time.Hour {
		t.Errorf("a century: %v", err)
	}
	refusedFor(t, age("36501d"), "no span of time")
	refusedFor(t, age("876000h1ns"), "no span of time")
}

func TestABuilderOfJustTheLevelMeetsIt(t *testing.T) {
	asked := func(level string) string {
		return edited(t, "quantize], signers: [trainer]}", "quantize], signers: [trainer], level: "+level+"}")
	}
	if _, err := Load([]byte(asked("2")), words); err != nil {
		t.Error(err)
	}
	refusedFor(t, asked("3"), "no builder of level 3 or more")
}

// TestClaimsTellTwoSignersApart only where they differ in one: else one signer could have both.
func TestClaimsTellTwoSignersApart(t *testing.T) {
	with := func(claims string) string {
		return edited(t, "lead-2: {key: keys/lead2.pub}", `lead-2: {issuer: https://token.actions.githubusercontent.com, subject: "https://github.com/acme/train/.github/workflows/train.yml@refs/heads/main"`+claims+"}")
	}
	for _, apart := range []string{", claims: {runnerEnvironment: self-hosted}", ", claims: {runnerEnvironment: self-hosted, sourceRepositoryRef: refs/heads/main}"} {
		if _, err := Load([]byte(with(apart)), words); err != nil {
			t.Errorf("%s: %v", apart, err)
		}
	}
	for _, both := range []string{"", ", claims: {runnerEnvironment: github-hosted}", ", claims: {sourceRepositoryRef: refs/heads/main}"} {
		refusedFor(t, with(both), "identity lead-2 is identity trainer too")
	}
}

func TestWaiverExcusesNoMissingWordThatIsNoTest(t *testing.T) {
	with := func(finding, kind string) string {
		raw := edited(t, "name: pii, type: test-result, signers: [data], rule: '\"privacy/pii-scan\" in predicate.passedTests'", "name: pii, type: "+kind+", signers: [data], maxAge: 30d")
		return strings.Replace(raw, `finding: stale, subject: "sha256:77aa41f0d2c39be8a5a0b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6", step: release, evidence: robustness`,
			"finding: "+finding+`, subject: "sha256:77aa41f0d2c39be8a5a0b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6", step: clean-data, evidence: pii`, 1)
	}
	refusedFor(t, with("evidence-missing", "ingestion"), "excuses a test that is missing")
	for _, good := range [][2]string{{"stale", "ingestion"}, {"evidence-missing", "test-result"}, {"evidence-missing", "vulns"}, {"evidence-missing", "bom"}, {"evidence-missing", "svr"}} {
		if _, err := Load([]byte(with(good[0], good[1])), words); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
}

func TestNothingInPlaceOfAMappingIsSaidToBeNothing(t *testing.T) {
	refusedFor(t, edited(t, "target: release\n", "target:\n"), "target is empty")
	refusedFor(t, edited(t, "revocations: {from: oci://registry.example/acme/revocations:latest, signers: [data], maxAge: 72h}", "revocations:"), "revocations is empty")
	refusedFor(t, edited(t, "revocations: {from: oci://registry.example/acme/revocations:latest, signers: [data], maxAge: 72h}", "revocations: yes"), "has to be a mapping")
}

func TestPlainTakesNoMoreValuesThanItsCap(t *testing.T) {
	for values, message := range map[int]string{maxYAMLNodes: "", maxYAMLNodes + 1: "more than 50000 values"} {
		r := &reader{}
		r.plain(&yaml.Node{Kind: yaml.DocumentNode, Content: slices.Repeat([]*yaml.Node{{Kind: yaml.ScalarNode}}, values-1)})
		if got := r.err; (got == nil) != (message == "") || got != nil && got.Message != message {
			t.Errorf("%d values: %v", values, got)
		}
	}
}

// TestTextHasNoControlCharacters wherever in it they are.
func TestTextHasNoControlCharacters(t *testing.T) {
	for _, text := range []string{`"\x01suite"`, `"suite\x7f"`, `"two\nlines"`} {
		refusedFor(t, edited(t, `"suite broken, ticket 42"`, text), "reason of a waiver has control characters")
	}
	if _, err := Load([]byte(edited(t, `"suite broken, ticket 42"`, `"süite bröken"`)), words); err != nil {
		t.Error(err)
	}
}
