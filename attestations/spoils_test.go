package attestations_test

import (
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
)

// How a bad predicate is to be refused: by the schema as well, or only by the reader, where a schema cannot say it.
const (
	both   = true
	reader = false
)

type spoiled struct {
	name     string
	old, new string
	schema   bool
}

// spoils are edits of the samples' text that make each unsound.
var spoils = map[string][]spoiled{
	attestations.PredicateProvenance: {
		{"an unknown parameter", `"externalParameters":{`, `"externalParameters":{"debug":"1"`, both},
		{"another type's parameter", `"externalParameters":{`, `"externalParameters":{"scheme":"int8"`, both},
		{"a seed as a number", `"externalParameters":{`, `"externalParameters":{"seed":7`, both},
		{"a seed with a fraction", `"externalParameters":{`, `"externalParameters":{"seed":"7.0"`, both},
		{"an unknown role", `role":"source"`, `role":"sources"`, both},
		{"no base model", `role":"base-model"`, `role":"config"`, both},
		{"two base models", `role":"dataset.train"`, `role":"base-model"`, both},
		{"no training data", `role":"dataset.train"`, `role":"dataset.validation"`, both},
		{"a role that is not its own", `role":"dataset.train"`, `role":"merge-parent"`, both},
		{"another class", `digest-class":"artifact"`, `digest-class":"file"`, both},
		{"a foreign build", `build/finetune/v1`, `build/other/v1`, both},
		{"a relative builder", `"id":"https://builder.example/trainer"`, `"id":"trainer"`, both},
		{"no end", `,"finishedOn":"2026-11-20T15:33:00Z"`, ``, both},
		{"the end before the start", `"finishedOn":"2026`, `"finishedOn":"2025`, reader},
		{"a short digest", hexOf(11), hexOf(11)[2:], both},
		{"an upper-case digest", hexOf(11), strings.ToUpper(hexOf(11)), both},
		{"no digest", `"digest":{"sha256":"` + hexOf(11) + `"}`, `"digest":{}`, both},
		{"names that collide", `"name":"base-model-1"`, `"name":"source-0"`, reader},
	},
	attestations.PredicateIngestion: {
		{"no ingestor", `"id":"https://acme.example"`, `"name":"acme"`, both},
		{"no version", `"version":"` + hexOf(3)[24:] + `"`, `"version":""`, both},
		{"a failed check", `"result":"verified"`, `"result":"failed"`, both},
		{"verified against nothing", `"expected":{"sha256":"` + hexOf(4) + `"},`, ``, both},
		{"an unknown method", `"method":"hash"`, `"method":"look"`, both},
		{"a signature of nobody", `"method":"hash"`, `"method":"signature"`, both},
		{"both a result and none", `"availability":"unavailable"`, `"availability":"unavailable","result":"unverified"`, both},
		{"more that is claimed", `"license"`, `"safe":"yes","license"`, both},
		{"a policy that denied", `"integrity"`, `"policyEvaluations":[{"policy":{"id":"x:y","version":"1"},"timestamp":"2026-11-20T14:03:00Z","result":"deny"}],"integrity"`, both},
		{"upstream's of no type", `"integrity"`, `"upstreamProvenance":{"verification":{"result":"verified"}},"integrity"`, both},
		{"an entry of the other name", `"integrity"`, `"upstreamAttestations":[{}],"integrity"`, both},
		{"no time", `"timestamp":"2026-11-20T14:03:00Z",`, ``, both},
	},
	attestations.PredicateTestResult: {
		{"no tests", `"passedTests":["arc","mmlu"],`, ``, both},
		{"an empty list of tests", `["arc","mmlu"]`, `[]`, both},
		{"a pass with a failure", `"passedTests"`, `"failedTests":["x"],"passedTests"`, both},
		{"a pass with a warning", `"passedTests"`, `"warnedTests":["x"],"passedTests"`, both},
		{"a warning of nothing", `PASSED`, `WARNED`, both},
		{"a result of its own", `PASSED`, `OK`, both},
		{"a test twice", `"mmlu"`, `"arc"`, both},
		{"no configuration", `"configuration":[],`, ``, both},
		{"a configuration without digest", `"configuration":[]`, `"configuration":[{"uri":"x:y"}]`, both},
		{"a value that is no number", `0.712`, `NaN`, both},
		{"a value that is not text", `"0.712"`, `0.712`, both},
		{"a number nobody keeps", `1172`, `9007199254740993`, both},
		{"more beside a metric", `"name":"accuracy"`, `"name":"accuracy","stderr":"0.1"`, both},
		{"an unknown activity", `"activity":"evaluation"`, `"activity":"look"`, both},
		{"no time", `"finishedOn":"2026-11-20T15:33:00Z",`, ``, both},
		{"a commit as dataset", `"class":"artifact"`, `"class":"gitCommit"`, both},
	},
	attestations.PredicateVulnerabilities: {
		{"no findings at all", `"result":[`, `"results":[`, both},
		{"no severity", `{"method":"cvss_score","score":"9.8"}`, ``, both},
		{"a severity that is no list", `[{"method":"cvss_score","score":"9.8"}]`, `{"method":"cvss_score","score":"9.8"}`, both},
		{"no ID", `"id":"CVE-2026-0001",`, ``, both},
		{"no scanner", `"uri":"https://scanner.example"`, `"version":"1"`, both},
		{"no knowledge", `"lastUpdate":"2026-11-20T14:03:00Z"`, ``, both},
		{"knowledge of the future", `"lastUpdate":"2026`, `"lastUpdate":"2027`, reader},
		{"the end before the start", `"scanFinishedOn":"2026-11-20T15`, `"scanFinishedOn":"2026-11-20T14:02:00Z","x":"2`, reader},
	},
	attestations.PredicateBOM: {
		{"another format", `"bomFormat":"CycloneDX"`, `"bomFormat":"SPDX"`, both},
		{"another version", `"specVersion":"1.6"`, `"specVersion":"1.4"`, both},
		{"a library", `"component":{"type":"machine-learning-model"`, `"component":{"type":"library"`, both},
		{"no time", `"timestamp":"2026-11-20T15:33:00Z",`, ``, both},
		{"a dataset that is not there", `"ref":"talk"`, `"ref":"walk"`, reader},
		{"one reference for two", `"bom-ref":"base"`, `"bom-ref":"chat"`, reader},
		{"a short hash", hexOf(11), hexOf(11)[1:], both},
		{"no name", `"name":"talk"`, `"name":""`, both},
	},
	attestations.PredicateRelease: {
		{"no package URL", `pkg:oci`, `oci`, both},
		{"no version", `@1.2.0`, ``, both},
		{"an empty version", `@1.2.0`, `@`, both},
		{"a sequence as a number", `"7"`, `7`, both},
		{"a sequence of zero", `"7"`, `"0"`, both},
		{"a sequence with a zero before", `"7"`, `"07"`, both},
		{"a sequence that is too large", `"7"`, `"99999999999999999999"`, reader},
		{"no channel", `"channel":"stable",`, ``, both},
		{"more in the order", `"channel"`, `"previous":"6","channel"`, both},
		{"no time", `,"releasedOn":"2026-11-20T15:33:00Z"`, ``, both},
	},
	attestations.PredicateVSA: {
		{"a warning", `PASSED`, `WARNED`, both},
		{"a no with a level", `PASSED`, `FAILED`, both},
		{"a yes at level FAILED", `["SLSA_BUILD_LEVEL_2"]`, `["FAILED"]`, both},
		{"two levels of a track", `["SLSA_BUILD_LEVEL_2"]`, `["SLSA_BUILD_LEVEL_2","SLSA_BUILD_LEVEL_3"]`, reader},
		{"no levels", `"verifiedLevels":["SLSA_BUILD_LEVEL_2"],`, ``, both},
		{"a policy without digest", `"digest":{"sha256":"` + hexOf(40) + `"}`, `"digest":{}`, both},
		{"a policy by MD5", `"sha256":"` + hexOf(40) + `"`, `"md5":"d41d8cd98f00b204e9800998ecf8427e"`, both},
		{"a policy without URI", `"uri":"https://policy.example/prod",`, ``, both},
		{"a count as text", `"SLSA_BUILD_LEVEL_1":2`, `"SLSA_BUILD_LEVEL_1":"2"`, both},
		{"a count below zero", `"SLSA_BUILD_LEVEL_1":2`, `"SLSA_BUILD_LEVEL_1":-2`, both},
		{"a time with an offset", `15:33:00Z`, `15:33:00+01:00`, both},
		{"a verifier of another case", `"verifier"`, `"Verifier"`, both},
		{"null for a list", `["SLSA_BUILD_LEVEL_2"]`, `null`, both},
		{"a basis without ancestors", `"ancestors":[{"class":"artifact","hex":"` + hexOf(13) + `"}],`, ``, both},
		{"more in the basis", `"ancestors"`, `"others":[],"ancestors"`, both},
		{"an ancestor of a class that nothing is made from", `"class":"artifact"`, `"class":"attestation"`, both},
		{"an ancestor twice", `{"class":"artifact","hex":"` + hexOf(13) + `"}`, `{"class":"artifact","hex":"` + hexOf(13) + `"},{"class":"artifact","hex":"` + hexOf(13) + `"}`, both},
		{"evidence of the future", `"oldestEvidence":"2026`, `"oldestEvidence":"2027`, reader},
	},
	attestations.PredicateSVR: {
		{"no properties", `["SLSA_BUILD_LEVEL_2"]`, `[]`, both},
		{"no policies", `"policies"`, `"policy"`, both},
		{"no time", `"timeCreated":"2026-11-20T15:33:00Z",`, ``, both},
		{"a month that is none", `2026-11-20T15`, `2026-13-20T15`, reader},
	},
	attestations.PredicateApproval: {
		{"nothing reviewed", `["` + aBundle + `"]`, `[]`, both},
		{"a digest without its name", `"` + aBundle + `"`, `"` + aBundle[7:] + `"`, both},
		{"the same evidence twice", `["` + aBundle + `"]`, `["` + aBundle + `","` + aBundle + `"]`, both},
		{"for ever", `,"expires":"2027-02-20T15:33:00Z"`, ``, both},
		{"ended before", `"expires":"2027`, `"expires":"2025`, reader},
		{"for nothing", `["production"]`, `[]`, both},
		{"a maybe", `"approved"`, `"maybe"`, both},
		{"more", `"scope"`, `"by":"me","scope"`, both},
		{"no time", `"decidedOn":"2026-11-20T15:33:00Z",`, ``, both},
	},
	attestations.PredicateRevocations: {
		{"a sequence of zero", `"sequence":"3"`, `"sequence":"0"`, both},
		{"a sequence as a number", `"sequence":"3"`, `"sequence":3`, both},
		{"no entries", `"entries":[`, `"revoked":[`, both},
		{"an entry of nothing", `"builder":"https://builder.example",`, ``, both},
		{"an entry of two things", `"builder":`, `"source":"x:y","builder":`, both},
		{"an unknown scope", `"scope":"descendants"`, `"scope":"all"`, both},
		{"an identity of any issuer", `"issuer":"https://issuer.example",`, ``, both},
		{"an identity of two forms", `"issuer":"https://issuer.example"`, `"issuer":"https://issuer.example","key":"` + hexOf(1) + `"`, both},
		{"an unknown class", `"class":"artifact"`, `"class":"image"`, both},
		{"a commit's digest of 64 as 63", hexOf(12), hexOf(12)[1:], both},
		{"descendants of an attestation", `"scope":"self","reason":"withdrawn"`, `"scope":"descendants","reason":"withdrawn"`, both},
		{"no reason", `"reason":"left"`, `"reason":""`, both},
		{"expired when issued", `"expires":"2026-11-20T15:33:00Z"`, `"expires":"2026-11-20T14:03:00Z"`, reader},
		{"more", `"issued"`, `"by":"me","issued"`, both},
	},
	attestations.PredicateDeployment: {
		{"no verification", `"vsa":"` + aBundle + `",`, ``, both},
		{"an unknown action", `"action":"deploy"`, `"action":"try"`, both},
		{"no target", `"target":"k8s://prod/llm"`, `"target":""`, both},
		{"more", `"action"`, `"by":"me","action"`, both},
		{"no time", `,"deployedOn":"2026-11-20T15:33:00Z"`, ``, both},
	},
}
