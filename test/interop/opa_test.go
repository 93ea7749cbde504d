package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// opaModule is Open Policy Agent, which reads decisions as the lineage example shows it.
const opaModule = "github.com/open-policy-agent/opa@v1.22.4"

// TestOPAReadsDecisions holds the lineage example's serve.rego, and the form that it reads, to what OPA makes of them.
func TestOPAReadsDecisions(t *testing.T) {
	opa := tool(t, opaModule)
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	lab := filepath.Join(t.TempDir(), "lab")
	must(t, exec.CommandContext(t.Context(), filepath.Join(examples, "training", "run.sh"), lab))
	policy, err := os.ReadFile(filepath.Join(examples, "lineage", "policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(lab, "policy.yaml"), policy, 0o644); err != nil {
		t.Fatal(err)
	}
	in := func(code int, args ...string) []byte {
		t.Helper()
		c := hallmark(t, args...)
		var out bytes.Buffer
		c.Dir, c.Stdout = lab, &out
		if _ = c.Run(); c.ProcessState.ExitCode() != code {
			t.Fatalf("%s: %s\n%s", c, c.ProcessState, out.Bytes())
		}
		return out.Bytes()
	}
	in(0, "revoke", "--init", "--list", "oci:store:revoked", "--private-key", "data.key")
	verify := []string{"verify", "robust-int8", "--policy", "policy.yaml", "--evidence", "oci:store", "--json", "--release-floor"}
	yes, no := in(0, append(verify, "stable=1")...), in(1, append(verify, "stable=2")...)

	for name, c := range map[string]struct {
		decision []byte
		allowed  bool
		deny     []string
	}{
		"a yes":          {yes, true, nil},
		"a no":           {no, false, nil},
		"an old yes":     {edited(t, yes, func(d map[string]any) { d["at"] = time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) }), false, []string{"decided more than ten minutes ago"}},
		"a timeless yes": {edited(t, yes, func(d map[string]any) { delete(d, "at") }), false, []string{"decided more than ten minutes ago"}},
		"a yes without numbers": {edited(t, yes, func(d map[string]any) { d["evidence"] = []any{} }), false,
			[]string{"nobody measured robust_accuracy"}},
		"a yes on weak numbers": {edited(t, yes, func(d map[string]any) {
			for _, e := range d["evidence"].([]any) {
				if claim, ok := e.(map[string]any)["claim"].(map[string]any); ok && claim["subtype"] == "attack" {
					claim["metrics"].([]any)[0].(map[string]any)["value"] = 0.59
				}
			}
		}), false, []string{"robust_accuracy is 0.59, less than 0.6"}},
		"a yes on what is from elsewhere": {edited(t, yes, func(d map[string]any) {
			for _, l := range d["chain"].([]any) {
				for _, e := range l.(map[string]any)["evidence"].([]any) {
					if claim, ok := e.(map[string]any)["claim"].(map[string]any); ok && claim["type"] == "ingestion" {
						claim["upstream"] = "https://elsewhere.example digits@v1"
						l.(map[string]any)["artifact"].(map[string]any)["ref"] = "mnist"
					}
				}
			}
		}), false, []string{"mnist was let in from https://elsewhere.example digits@v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			query := func(args ...string) (int, []byte) {
				rego := exec.CommandContext(t.Context(), opa, append([]string{"eval", "--stdin-input", "--data", filepath.Join(examples, "lineage", "serve.rego")}, args...)...)
				var out bytes.Buffer
				rego.Stdin, rego.Stdout = bytes.NewReader(c.decision), &out
				_ = rego.Run()
				return rego.ProcessState.ExitCode(), out.Bytes()
			}
			if code, out := query("--fail", "data.serve.allow"); (code == 0) != c.allowed {
				t.Errorf("allowed: exit %d\n%s", code, out)
			}
			_, out := query("--format", "json", "data.serve.deny")
			var answer struct {
				Result []struct {
					Expressions []struct{ Value []string }
				}
			}
			if err := json.Unmarshal(out, &answer); err != nil || len(answer.Result) != 1 {
				t.Fatalf("deny: %v\n%s", err, out)
			}
			if got := answer.Result[0].Expressions[0].Value; !slices.Equal(got, c.deny) {
				t.Errorf("denied because of %q, want %q", got, c.deny)
			}
		})
	}
}

// edited is a decision, changed.
func edited(t *testing.T, decision []byte, change func(map[string]any)) []byte {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal(decision, &d); err != nil {
		t.Fatal(err)
	}
	change(d)
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
