package main

import (
	"os"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry/index"
)

// TestVerifyRecordsItsDecision sends a yes and a no to an index, and sees that a no stays one where that fails.
func TestVerifyRecordsItsDecision(t *testing.T) {
	signedModel(t)
	mustRun(t, "index", "update", "oci:layout", "--store", "index.db", "--public-key", "trainer.pub")
	id := strings.TrimSpace(mustRun(t, "digest", "chat", "--quiet"))
	mustRun(t, "keygen", "other")
	for _, c := range []struct {
		code int
		args string
	}{
		{exitDone, "verify ./chat --public-key trainer.pub --index index.db"},
		{exitNo, "verify oci:layout:v1 --public-key other.pub --index index.db"},
		{exitDone, "verify ./chat --policy policy.yaml --index index.db"},
		{exitUnknown, "verify ./chat --public-key trainer.pub --index gone.db"},
		{exitNo, "verify ./chat --public-key other.pub --index gone.db"},
		{exitUsage, "verify ./chat --layout l --layout-key k --index index.db"},
	} {
		code, out, errs := hallmark(t, strings.Fields(c.args)...)
		if code != c.code {
			t.Errorf("hallmark %s: exit code %d, want %d\n%s%s", c.args, code, c.code, out, errs)
		}
		if strings.Contains(c.args, "gone.db") && !strings.Contains(errs, "record the decision in gone.db") {
			t.Errorf("hallmark %s: it does not say that nothing was recorded:\n%s", c.args, errs)
		}
	}
	if _, err := os.Stat("gone.db"); err == nil {
		t.Error("an index was made")
	}
	x, err := index.Open(t.Context(), "index.db", index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	verdicts, err := x.Verdicts(t.Context(), id)
	if err != nil || len(verdicts) != 3 {
		t.Fatalf("%d verdicts: %v", len(verdicts), err)
	}
	for i, want := range []policy.Verdict{policy.Yes, policy.No, policy.Yes} {
		if verdicts[i].Verdict != want {
			t.Errorf("verdict %d: %+v, want %s", i, verdicts[i], want)
		}
	}
}
