package chain

import (
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
)

func TestSummaryOfAnApprovalSaysWhy(t *testing.T) {
	for reason, want := range map[string]string{
		"":                                   "rejected for production",
		"reads 7 as 1":                       "rejected for production: reads 7 as 1",
		strings.Repeat("a", maxReason):       "rejected for production: " + strings.Repeat("a", maxReason),
		strings.Repeat("a", maxReason) + "b": "rejected for production: " + strings.Repeat("a", maxReason) + "…",
		strings.Repeat("é", 1000):            "rejected for production: " + strings.Repeat("é", maxReason/2) + "…",
	} {
		got := summary(attestations.Approval{Decision: attestations.Rejected, Scope: []string{"production"}, Reason: reason})
		if got != want {
			t.Errorf("%q", got)
		}
	}
}

func TestSummaryOfEachTypeIsALine(t *testing.T) {
	var bom attestations.BOM
	bom.Metadata.Component.Name = "chat"
	for want, p := range map[string]attestations.Predicate{
		"made by package, https://acme.example/b": attestations.Provenance{BuildDefinition: attestations.BuildDefinition{BuildType: attestations.BuildPackage},
			RunDetails: attestations.RunDetails{Builder: attestations.Builder{ID: "https://acme.example/b"}}},
		"let in from https://huggingface.co acme/base@1f3b": attestations.Ingestion{Upstream: attestations.Upstream{Registry: "https://huggingface.co", Name: "acme/base", Version: "1f3b"}},
		"attack FAILED: 2 passed, 0 warned, 1 failed": attestations.TestResult{Result: attestations.ResultFailed, PassedTests: []string{"a", "b"}, FailedTests: []string{"c"},
			Evaluation: attestations.Evaluation{Activity: attestations.Attacked}},
		"described as chat":                        bom,
		"released as pkg:oci/chat@1.2.0, stable 7": attestations.Release{PURL: "pkg:oci/chat@1.2.0", Order: attestations.ReleaseOrder{Channel: "stable", Sequence: 7}},
		"verified PASSED SLSA_BUILD_LEVEL_2":       attestations.VSA{VerificationResult: attestations.ResultPassed, VerifiedLevels: []string{"SLSA_BUILD_LEVEL_2"}},
		"rollback https://prod.example/chat":       attestations.Deployment{Action: attestations.RolledBack, Target: "https://prod.example/chat"},
		attestations.PredicateSVR:                  attestations.SVR{},
	} {
		if got := summary(p); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}
