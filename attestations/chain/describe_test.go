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
