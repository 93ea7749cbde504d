package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// edited is the whole policy with one text in place of another, which has to be there once.
func edited(t *testing.T, old, text string) string {
	t.Helper()
	raw := testdata(t, "prod-llm.yaml")
	if strings.Count(raw, old) != 1 {
		t.Fatalf("%q is there %d times", old, strings.Count(raw, old))
	}
	return strings.Replace(raw, old, text, 1)
}

// Every refusal is the policy that loads with one edit, and points at a text of its own.
func TestLoadRefusesWithPosition(t *testing.T) {
	if _, err := Load([]byte(testdata(t, "prod-llm.yaml")), words); err != nil {
		t.Fatal(err)
	}
	const pii = `{name: pii, type: test-result, signers: [data], rule: '"privacy/pii-scan" in predicate.passedTests'}`
	for name, c := range map[string]struct {
		old, text string
		at        string // what stands where the error points
		message   string
		hint      string
	}{
		"an unknown key":           {"signature: [trainer]", "signatur: [trainer]", "signatur:", `unknown key "signatur" in step release`, "did you mean signature?"},
		"another letter case":      {"target: release", "Target: release", "Target", `unknown key "Target"`, "did you mean target?"},
		"a duplicate key":          {"target: release", "target: release\ntarget: release", "target: release\nsteps", `"target" is there twice`, ""},
		"a duplicate in a step":    {"{kind: dataset,", "{kind: dataset, kind: dataset,", "kind: dataset, signature", `"kind" is there twice`, ""},
		"a duplicate step":         {"  clean-data: {kind", "  release: {kind", "release: {kind", `"release" is there twice`, ""},
		"warn":                     {"target: release", "warn: true\ntarget: release", "warn", `unknown key "warn"`, ""},
		"an anchor":                {"signature: [trainer]", "signature: &s [trainer]", "&s", "an anchor", ""},
		"an alias":                 {"signature: [trainer]", "signature: &s [trainer]\n    uncovered: *s", "", "an a", ""},
		"a merge":                  {"target: release", "target: release\n<<: {x: y}", "<<", "", ""},
		"a tag":                    {"target: release", "target: !!str release", "!!str", "a tag", ""},
		"another version":          {"apiVersion: hallmark/v1", "apiVersion: hallmark/v2", "hallmark/v2", "apiVersion", "hallmark/v1"},
		"another kind":             {"kind: Policy", "kind: policy", "policy", "kind is", "Policy"},
		"no name":                  {"name: prod-llm\n", "", "apiVersion", "the policy has no name", ""},
		"a name for a path":        {"name: prod-llm", "name: ../prod", "../prod", "no name for the policy", ""},
		"a number for a name":      {"name: prod-llm", "name: 12", "12", "has to be a text", "quote it"},
		"version 0":                {"version: 7", "version: 0", "0", "from 1", ""},
		"a negative version":       {"version: 7", "version: -7", "-7", "from 1", ""},
		"a version of hex":         {"version: 7", "version: 0x7", "0x7", "from 1", ""},
		"a version that is a text": {"version: 7", `version: "7"`, `"7"`, "not of type int", ""},
		"a wrong time":             {"expires: 2027-03-01", "expires: 2027-02-30", "2027-02-30", "no time", "2027-03-01"},
		"an empty value":           {"expires: 2027-03-01", "expires:", "", "expires is empty", ""},
		"no target":                {"target: release\n", "", "apiVersion", "has no target", ""},
		"an undefined target":      {"target: release", "target: releas", "releas", `no step "releas"`, "did you mean release?"},
		"a target of no kind":      {"target: release", "target: {modle: release}", "modle", `unknown kind "modle"`, "did you mean model?"},
		"a target of another kind": {"target: release", "target: {model: release, adapter: clean-data}", "clean-data}", "for a dataset", ""},

		"no identities":          {"lead-1, lead-2], distinct: 2", "lead-1, lead-3], distinct: 2", "lead-3", `no identity "lead-3"`, "did you mean lead-"},
		"a CA alone":             {`{ca: keys/ca.pem, subject: "spiffe://acme/red-team"}`, "{ca: keys/ca.pem}", "{ca:", "a CA alone is never enough", "add subject"},
		"an issuer alone":        {`, subject: "https://github.com/acme/train/.github/workflows/train.yml@refs/heads/main", claims`, ", claims", "{issuer:", "issuer alone", "add subject"},
		"two forms in one":       {"lead-1: {key: keys/lead1.pub}", "lead-1: {key: keys/lead1.pub, ca: keys/ca.pem}", "{key: keys/lead1", "exactly one of", "list"},
		"no form":                {"lead-1: {key: keys/lead1.pub}", "lead-1: {subject: me}", "{subject: me", "exactly one of", ""},
		"a key with a subject":   {"lead-1: {key: keys/lead1.pub}", "lead-1: {key: keys/lead1.pub, subject: me}", "keys/lead1", "identity lead-1: a key has no subject", ""},
		"a window of a CA":       {`red-team: {ca: keys/ca.pem,`, `red-team: {ca: keys/ca.pem, validFrom: 2026-01-01,`, "keys/ca.pem", "only a key has a validity window", ""},
		"a window that is none":  {"validFrom: 2026-01-01", "validFrom: 2026-01-01, validUntil: 2025-01-01", "keys/data.pub", "identity data", ""},
		"a key of two":           {"lead-2: {key: keys/lead2.pub}", "lead-2: {key: keys/lead1.pub}", "keys/lead1.pub}\nbuilders", "identity lead-2 is identity lead-1 too", "list under one name"},
		"a form twice":           {"lead-2: {key: keys/lead2.pub}", "lead-2: [{key: keys/lead2.pub}, {key: keys/lead2.pub}]", "keys/lead2.pub}]", "has this form twice", ""},
		"a subject of two":       {"lead-2: {key: keys/lead2.pub}", `lead-2: {ca: keys/ca.pem, subjectPattern: "spiffe://acme/.*"}`, "keys/ca.pem, subjectP", "identity lead-2 is identity red-team too", ""},
		"an issuer of two":       {"lead-2: {key: keys/lead2.pub}", `lead-2: {issuer: https://token.actions.githubusercontent.com, subjectPattern: ".*"}`, "{issuer: https://token.actions.githubusercontent.com, subjectP", "identity lead-2 is identity trainer too", ""},
		"a bad pattern":          {`subject: "spiffe://acme/red-team"`, `subjectPattern: "("`, `"("`, "missing closing", ""},
		"a pattern and more":     {`subject: "spiffe://acme/red-team"`, `subject: a, subjectPattern: "a"`, "keys/ca.pem", "both a subject and a pattern", ""},
		"an unknown claim":       {"runnerEnvironment", "runnerEnviroment", "runnerEnviroment", "unknown claim", "did you mean runnerEnvironment?"},
		"no claims":              {"{runnerEnvironment: github-hosted}", "{}", "{}", "claims is empty", ""},
		"a key elsewhere":        {"keys/lead1.pub", "../keys/lead1.pub", "../keys", "no file beside the policy", "below"},
		"a key by backslash":     {"keys/lead1.pub", `keys\lead1.pub`, `keys\lead1`, "no file beside the policy", "below"},
		"a key at the root":      {"keys/lead1.pub", "/keys/lead1.pub", "/keys", "no file beside the policy", "below"},
		"a missing key":          {"keys/lead1.pub", "keys/lead9.pub", "keys/lead9", "no such file", ""},
		"a CA for a key":         {"keys/lead1.pub", "keys/ca.pem", "keys/ca.pem}\n  lead-2", "read public key", ""},
		"a key for a CA":         {"{ca: keys/ca.pem", "{ca: keys/data.pub", "keys/data.pub, subj", "PUBLIC KEY", ""},
		"an identity's odd name": {"  lead-2:", "  lead 2:", "lead 2", "no name for an identity", ""},

		"a builder without signers": {"k8s-train, signers: [trainer], level: 2}", "k8s-train, level: 2}", "{id", "a builder has no signers", ""},
		"a builder's empty signers": {"k8s-train, signers: [trainer], level: 2}", "k8s-train, signers: []}", "[]", "signers of a builder is empty", ""},
		"a builder twice":           {"\nrevocations:", "\n  - {id: https://acme.example/builders/k8s-train, signers: [data]}\nrevocations:", "https://acme.example/builders/k8s-train, signers: [data]", "there twice", ""},
		"a level that is none":      {"level: 2", "level: 4", "4}", "from 1 to 3", ""},
		"revocations by nobody":     {"latest, signers: [data], maxAge: 72h", "latest, maxAge: 72h", "{from", "revocations has no signers", ""},
		"an age of nothing":         {"maxAge: 72h", "maxAge: 0s", "0s", "no span of time", "30d"},
		"an age without unit":       {"maxAge: 72h", "maxAge: 72", "72}", "has to be a text", ""},
		"a source with a scheme":    {"target: release", "sources: [{prefix: https://registry.example/}]\ntarget: release", "https://registry.example/}", "no prefix", "registry.example/acme/"},
		"a source without end":      {"target: release", "sources: [{prefix: registry.example/acme}]\ntarget: release", "registry.example/acme}", "no prefix", ""},
		"a source that climbs":      {"target: release", "sources: [{prefix: registry.example/acme/../}]\ntarget: release", "registry.example/acme/../", "no prefix", ""},

		"no steps":                  {"target: release\nsteps:", "target: release\nsteps: {}\nwas:", "{}", "there are no steps", ""},
		"a step that asks nothing":  {"clean-data: {kind: dataset, signature: [data], evidence: [" + pii + "]}", "clean-data: {kind: dataset}", "{kind: dataset}", "step clean-data asks nothing", ""},
		"no signers":                {"signature: [trainer]", "signature: []", "[]", "signature is empty", ""},
		"distinct 0":                {"distinct: 2", "distinct: 0", "0, maxAge", "from 1", ""},
		"distinct of too few":       {"distinct: 2", "distinct: 3", "3, maxAge", "needs 3 distinct signers and names 2", ""},
		"a signer twice":            {"[lead-1, lead-2]", "[lead-1, lead-1]", "lead-1], distinct", `"lead-1" is there twice`, ""},
		"a quorum of too few":       {"signature: [trainer]", "signature: {signers: [trainer], distinct: 2}", "2}", "needs 2", ""},
		"an unknown build type":     {"[finetune, quantize]", "[finetune, quantise]", "quantise", "unknown build type", "did you mean quantize?"},
		"an unknown role":           {"base-model: {step", "base-modell: {step", "base-modell", "unknown role", "did you mean base-model?"},
		"provenance by no builder":  {"quantize], signers: [trainer]}", "quantize], signers: [data]}", "{types", "nobody can meet this", "builders"},
		"too high a level":          {"quantize], signers: [trainer]}", "quantize], signers: [trainer], level: 3}", "{types", "level 3 or more", "builders"},
		"inputs without provenance": {"    provenance: {types: [finetune, quantize], signers: [trainer]}\n", "", "base-model", "asks for no provenance", ""},
		"an uncovered path":         {"signature: [trainer]", "signature: [trainer]\n    uncovered: [../README.md]", "../README", "no path", ""},
		"an undefined step":         {"step: clean-data, min: 1", "step: clean, min: 1", "clean, min", `no step "clean"`, ""},
		"an unreachable step":       {"dataset.train: {step: clean-data, min: 1}", "dataset.train: {uri: https://acme.example/d}", "clean-data: {kind", `step "clean-data" is never asked`, ""},
		"inputs of anything":        {"{step: clean-data, min: 1}", "{min: 1}", "{min", "may be anything", "one of step"},
		"count and min":             {"{step: clean-data, min: 1}", "{step: clean-data, count: 2, min: 1}", "1}", "count and min or max", ""},
		"count 0":                   {"count: 1", "count: 0", "0}", "from 1", ""},
		"more min than max":         {"{step: clean-data, min: 1}", "{step: clean-data, min: 3, max: 2}", "2}", "min 3 and max 2", ""},
		"a bad pattern of URIs":     {`uri: ["git+https://github.com/acme/train"]`, `uriPattern: ["["]`, `"["`, "missing closing", ""},
		"a digest that is none":     {`uri: ["git+https://github.com/acme/train"]`, `pinned: ["gitCommit:123"]`, `"gitCommit:123"`, "no digest", ""},
		"a truth in capitals":       {`uri: ["git+https://github.com/acme/train"]`, `uri: git, allowDirty: True`, "True", "allowDirty", "true or false"},
		"a truth that is none":      {`uri: ["git+https://github.com/acme/train"]`, `uri: git, allowDirty: yes`, "yes", "allowDirty", ""},

		"an unknown type":              {"type: approval", "type: aproval", "aproval", "unknown type of statement", "did you mean approval?"},
		"provenance as evidence":       {"type: approval", "type: provenance", "provenance, signers: [lead", "by its own key", "provenance:"},
		"a summary as evidence":        {"type: approval", "type: vsa", "vsa, signers: [lead", "no evidence", "anyOf"},
		"a name twice":                 {"{name: sign-off,", "{name: robustness,", "{name: robustness, type: approval", "there twice in step release", ""},
		"the latest of any age":        {"type: test-result, signers: [data]", "type: test-result, latest: true, signers: [data]", "true", "no maxAge", "add maxAge"},
		"an activity of approvals":     {"type: approval", "type: approval, activity: attack", "attack", "activity is of test results", ""},
		"an unknown activity":          {"type: test-result, signers: [data]", "type: test-result, activity: atack, signers: [data]", "atack", "unknown activity", "did you mean attack?"},
		"own work of tests":            {"type: test-result, signers: [data]", "type: test-result, ownWork: true, signers: [data]", "true", "ownWork is of approvals", ""},
		"approving own work":           {"signature: [trainer]", "signature: {signers: [trainer, lead-1, lead-2], distinct: 1}", "{name: sign-off", "nobody but its makers", "somebody who does not"},
		"a rule that does not compile": {`'metric("robust_accuracy") >= 0.6'`, `'metrics("robust_accuracy") >= 0.6'`, `("robust`, "undeclared reference to 'metrics'", ""},
		"a rule that is a number":      {`'metric("robust_accuracy") >= 0.6'`, `'metric("robust_accuracy")'`, `metric("r`, "has to be boolean", ""},
		"a rule that is empty":         {`'metric("robust_accuracy") >= 0.6'`, `''`, `''`, "rule is empty", ""},
		"a rule that is true":          {`'metric("robust_accuracy") >= 0.6'`, `true`, `true, controls`, "has to be a text", "quote it"},

		"an alternative of nothing": {"{anyOf: [{ingested: {signers: [data]}},", "{anyOf: [{},", "{},", "exactly one member, and has 0", ""},
		"no alternatives":           {"{anyOf: [{ingested: {signers: [data]}}, {vsa: {verifiers: [\"https://acme.example/verify\"], signers: [data], maxAge: 2160h}}, {pinned: [\"sha256:2751fee5c1d1ad0f2b0a2e6de0b2c1d6a9f3f6f40d1b6d3e2c0a7f4b5e8d9c10\"]}]}", "{anyOf: []}", "[]}", "anyOf is empty", ""},
		"an alternative of two":     {"{ingested: {signers: [data]}}", "{ingested: {signers: [data]}, step: clean-data}", "{ingested", "exactly one member, and has 2", ""},
		"a summary of any verifier": {`{verifiers: ["https://acme.example/verify"], signers`, "{signers", "{signers: [data], maxAge: 2160h", "vsa has no verifiers", ""},
		"a summary by nobody":       {`verify"], signers: [data], maxAge: 2160h`, `verify"], maxAge: 2160h`, "{verifiers", "vsa has no signers", ""},
		"a summary of any age":      {`verify"], signers: [data], maxAge: 2160h`, `verify"], signers: [data]`, "{verifiers", "vsa has no maxAge", ""},
		"its own alternative":       {"{ingested: {signers: [data]}}", "{step: approved-base}", "approved-base}", "its own alternative", ""},
		"a short digest":            {`pinned: ["sha256:2751fee5`, `pinned: ["sha256:751fee5`, `"sha256:751`, "no artifact ID", "64"},

		"a waiver of a revocation":        {"finding: stale", "finding: revoked", "revoked", "nothing that a waiver excuses", "stale or evidence-missing"},
		"a waiver without end":            {"until: 2026-12-01, ", "", "{finding", "a waiver has no until", ""},
		"a waiver without reason":         {`, reason: "suite broken, ticket 42"`, "", "{finding", "a waiver has no reason", ""},
		"a waiver of all":                 {`subject: "sha256:77aa41f0d2c39be8a5a0b7c6d5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6"`, `subject: "*"`, `"*"`, "no artifact ID", ""},
		"a waiver in no step":             {"step: release, evidence: robustness", "step: releases, evidence: robustness", "{finding", `no step "releases"`, ""},
		"a waiver of no evidence":         {"evidence: robustness", "evidence: robust", "{finding", `no evidence "robust"`, ""},
		"a waiver of an approval":         {"evidence: robustness", "evidence: sign-off", "{finding", "never excuses an approval", ""},
		"a waiver of what is never stale": {"step: release, evidence: robustness", "step: clean-data, evidence: pii", "{finding", "never stale", ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := edited(t, c.old, c.text)
			d, err := Load([]byte(raw), words)
			var refused *LoadError
			if !errors.As(err, &refused) || d != nil {
				t.Fatalf("%v, %v", d, err)
			}
			if !strings.Contains(err.Error(), c.message) || !strings.Contains(refused.Hint, c.hint) {
				t.Errorf("%v", err)
			}
			if want := fmt.Sprintf("read policy prod.yaml:%d:%d: ", refused.Line, refused.Column); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v does not begin with %s", err, want)
			}
			lines := strings.SplitAfter(raw, "\n")
			if refused.Line < 1 || refused.Line > len(lines) || refused.Column < 1 {
				t.Fatalf("at %d:%d", refused.Line, refused.Column)
			}
			rest := strings.Join(lines[refused.Line-1:], "")
			if rest = rest[min(refused.Column-1, len(rest)):]; !strings.HasPrefix(rest, c.at) {
				t.Errorf("%v: points at %.40q", err, rest)
			}
		})
	}
}

func TestLoadRefusesWhatIsNoPolicyAtAll(t *testing.T) {
	whole := testdata(t, "prod-llm.yaml")
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.Repeat("*"+string(c-1)+", ", 10))
	}
	for name, raw := range map[string]string{
		"nothing":            "",
		"a comment":          "# none\n",
		"a text":             "allow",
		"a list":             "[]",
		"an empty mapping":   "{}",
		"two documents":      whole + "---\n" + whole,
		"an empty second":    whole + "---\n",
		"bytes":              "\xff\xfe" + whole,
		"a NUL":              whole + "\x00",
		"an alias bomb":      bomb,
		"a bomb in a policy": whole + bomb,
		"deep lists":         strings.Repeat("[", 500_000),
		"deep mappings":      strings.Repeat("{a: ", 100_000),
		"many keys":          "identities: {" + strings.Repeat("a: b, ", 100_000) + "}",
		"too many bytes":     whole + strings.Repeat("#", MaxFile),
		"a broken end":       whole + "}",
		"tabs":               strings.ReplaceAll(whole, "  release:", "\trelease:"),
	} {
		d, err := Load([]byte(raw), words)
		var refused *LoadError
		if d != nil || !errors.As(err, &refused) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	for name, c := range map[string]struct{ raw, at string }{
		"a second document": {whole + "---\n" + whole, fmt.Sprintf(":%d:", strings.Count(whole, "\n")+1)},
		"a broken end":      {whole + "}", fmt.Sprintf(":%d:1: ", strings.Count(whole, "\n")+1)},
	} {
		if _, err := Load([]byte(c.raw), words); err == nil || !strings.Contains(err.Error(), c.at) {
			t.Errorf("%s: %v is not at %s", name, err, c.at)
		}
	}
	if _, err := Load(bytes.TrimSpace([]byte("---\n"+whole+"...\n")), words); err != nil {
		t.Errorf("one document, with its marks: %v", err)
	}
}
