package attestations_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
)

// foreign are predicates as other tools write them by the specifications' field definitions: optional members, members
// that are not known here, digests by other algorithms.
var foreign = map[string][]string{
	attestations.PredicateTestResult: {
		`{"result":"FAILED","configuration":[{"name":"ci.yml","downloadLocation":"https://git.example/ci.yml","digest":{"gitBlob":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}}],` +
			`"url":"https://ci.example/runs/7","passedTests":["build (linux)"],"warnedTests":[],"failedTests":["build (windows)"]}`,
		`{"result":"FAILED","configuration":[]}`,
	},
	attestations.PredicateVulnerabilities: {
		`{"scanner":{"uri":"pkg:github/acme/scan@244fd47e","version":"0.19.2","db":{"uri":"pkg:github/acme/db@4c76","version":"v1","lastUpdate":"2026-08-06T17:45:50.52Z"},` +
			`"result":[{"id":"CVE-123","severity":[{"method":"nvd","score":"medium"},{"method":"cvss_score","score":"5.2"}],"annotations":[{"fixed":"1.2"}]}]},` +
			`"metadata":{"scanStartedOn":"2026-08-06T17:45:50.52Z","scanFinishedOn":"2026-08-06T17:50:50.52Z"}}`,
	},
	attestations.PredicateVSA: {
		`{"verifier":{"id":"https://verifier.example/v1","version":{"a":"1"}},"timeVerified":"2026-01-02T03:04:05Z","resourceUri":"pkg:oci/chat",` +
			`"policy":{"uri":"https://policy.example","digest":{"sha512":"` + hexOf(1) + hexOf(2) + `"}},` +
			`"inputAttestations":[{"uri":"https://a.example/1","digest":{"sha256":"` + hexOf(3) + `"}}],"verificationResult":"PASSED",` +
			`"verifiedLevels":["SLSA_BUILD_LEVEL_3","SLSA_SOURCE_LEVEL_2","ACME_REVIEWED"],"dependencyLevels":{"SLSA_BUILD_LEVEL_0":1},"slsaVersion":"1.1"}`,
	},
	attestations.PredicateSVR: {
		`{"verifier":{"id":"https://verifier.example/v2","policies":[]},"timeCreated":"1985-04-12T23:20:50.52Z","properties":["SLSA_BUILD_LEVEL_3","ACME_APPROVED"]}`,
	},
	attestations.PredicateRelease: {
		`{"purl":"pkg:oci/image@sha256%3Afedc?repository_url=registry.example/my/image&tag=v1.2.3","packageId":"1234"}`,
	},
	attestations.PredicateIngestion: {
		`{"ingestor":{"id":"https://acme.example/"},"ingestionPlatform":{"id":"https://mirror.example/"},"upstream":{"registry":"https://npm.example/","name":"left","version":"4.17.21"},` +
			`"ingestion":{"timestamp":"2026-06-15T14:23:00Z","path":"https://mirror.example/left-4.17.21.tgz"},"resolvedFrom":null,"scans":[{"type":"malware","availability":"unavailable"}]}`,
		`{"ingestor":{"id":"https://acme.example/"},"ingestionPlatform":{"id":"https://mirror.example/"},"upstream":{"registry":"https://npm.example/","name":"left","version":"4.17.21"},` +
			`"ingestion":{"timestamp":"2026-06-15T14:23:00Z","path":"https://mirror.example/left-4.17.21.tgz"},"resolvedFrom":{"subject":{"sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}},` +
			`"integrity":{"method":"signature","keyId":"https://keys.example/1","expected":{"sig":"AAAA"},"result":"verified"},` +
			`"publisherSignature":{"method":"sigstore","keyId":"https://left.example","result":"verified"},` +
			`"policyEvaluations":[{"policy":{"id":"https://policy.example/age","version":"2"},"timestamp":"2026-06-15T14:22:59Z","result":"allow"}],` +
			`"upstreamProvenance":{"predicateType":"https://slsa.dev/provenance/v1","ref":"https://attest.example/left","verification":{"result":"verified"}},` +
			`"upstreamAttestations":[{"availability":"unavailable"},{"verification":{"result":"not-attempted"}}],` +
			`"signingIsolation":{"method":"other","description":"x","signerIdentity":"https://s.example"}}`,
	},
}

func TestDecodePredicateReadsWhatOthersWrite(t *testing.T) {
	for kind, all := range foreign {
		schema := compileSchema(t, kind)
		for _, raw := range all {
			if _, err := attestations.DecodePredicate(kind, []byte(raw)); err != nil {
				t.Errorf("%v: %s", err, raw)
			}
			if err := fits(t, schema, []byte(raw)); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// TestIngestionReadsBothNamesOfUpstreamProvenance: the draft had two.
func TestIngestionReadsBothNamesOfUpstreamProvenance(t *testing.T) {
	p, err := attestations.DecodePredicate(attestations.PredicateIngestion, []byte(foreign[attestations.PredicateIngestion][1]))
	if err != nil {
		t.Fatal(err)
	}
	in := p.(attestations.Ingestion)
	if in.UpstreamProvenance == nil || in.UpstreamProvenance.Verification.Result != attestations.ResultVerified || len(in.UpstreamAttestations) != 2 {
		t.Errorf("read %+v and %+v", in.UpstreamProvenance, in.UpstreamAttestations)
	}
}
