package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry/audit"
)

// layoutOf makes a layout with one model by the trainer, and with the others that are named: "unsigned", "foreign" (by
// another key).
func layoutOf(t *testing.T, others ...string) {
	t.Helper()
	signedModel(t)
	for _, name := range others {
		if err := os.MkdirAll(name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name+"/weights", []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if name == "foreign" {
			mustRun(t, "keygen", "foreign-key")
			mustRun(t, "sign", name, "--private-key", "foreign-key.key")
		}
		mustRun(t, "push", name, "oci:layout:"+name)
	}
}

func TestAuditExitCodes(t *testing.T) {
	for _, c := range []struct {
		others string
		code   int
		args   string
	}{
		{"", exitDone, "oci:layout"},
		{"unsigned", exitNo, "oci:layout"},
		{"unsigned", exitNo, "oci:layout --fail-on no"},
		{"unsigned", exitDone, "oci:layout --fail-on unknown"},
		{"foreign", exitNo, "oci:layout --format csv"},
		{"", exitUnknown, "oci:layout oci:nowhere"},
		{"", exitUnknown, "oci:layout oci:nowhere --fail-on unknown"},
		{"", exitDone, "oci:layout oci:nowhere --fail-on no"},
		{"unsigned", exitUnknown, "oci:layout oci:nowhere"},
		{"", exitUnknown, "oci:nowhere --fail-on no"}, // nothing to decide on is never a yes
		{"", exitUsage, "oci:layout:v1"},
		{"", exitUsage, "layout"},
		{"", exitUsage, "oci:layout --format xml"},
		{"", exitUsage, "oci:layout --json --format csv"},
		{"", exitUsage, "oci:layout --fail-on never"},
		{"", exitUsage, "oci:layout --resume"},
		{"", exitUsage, "oci:layout --within 0d"},
		{"", exitUsage, "oci:layout --within soon"},
		{"", exitUsage, "oci:layout --workers 0"},
		{"", exitUsage, "oci:layout --simulate policy.yaml"},
		{"", exitUsage, "oci:layout --controls ai-security"},
		{"", exitUsage, "oci:layout --evidence ./chat"},
		{"", exitUsage, "oci:layout --policy policy.yaml"},
	} {
		layoutOf(t, strings.Fields(c.others)...)
		code, out, errs := hallmark(t, append(strings.Fields("audit "+c.args), "--public-key", "trainer.pub")...)
		if code != c.code {
			t.Errorf("%s with %q: exit code %d, want %d\n%s%s", c.args, c.others, code, c.code, out, errs)
		}
	}
}

func TestAuditByNobodyIsWrongUsage(t *testing.T) {
	layoutOf(t)
	if code, _, errs := hallmark(t, "audit", "oci:layout"); code != exitUsage || !strings.Contains(errs, "nobody to trust") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestAuditSimulationIsAboutWhatGetsWorse(t *testing.T) {
	layoutOf(t, "unsigned")
	for name, step := range map[string]string{"now.yaml": "{signature: [trainer]}", "next.yaml": "{signature: [trainer], evidence: [{name: t, type: test-result, signers: [trainer]}]}"} {
		text := "apiVersion: hallmark/v1\nkind: Policy\nname: p\nversion: 1\nidentities: {trainer: {key: trainer.pub}}\ntarget: release\nsteps: {release: " + step + "}\n"
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := hallmark(t, "audit", "oci:layout", "--policy", "now.yaml"); code != exitNo {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := hallmark(t, "audit", "oci:layout", "--policy", "now.yaml", "--simulate", "now.yaml"); code != exitDone { // what is a no today stops nothing
		t.Errorf("the same policy: exit code %d\n%s%s", code, out, errs)
	}
	code, out, errs := hallmark(t, "audit", "oci:layout", "--policy", "now.yaml", "--simulate", "next.yaml")
	if code != exitNo || !strings.Contains(out, "stops working under the simulated policy\n  oci:layout@sha256:") || !strings.Contains(out, "yes → no  evidence-missing") {
		t.Errorf("the next policy: exit code %d\n%s%s", code, out, errs)
	}
}

func TestAuditQuietPrintsTotalsAlone(t *testing.T) {
	layoutOf(t)
	out := mustRun(t, "audit", "oci:layout", "--public-key", "trainer.pub", "--quiet")
	if !strings.HasPrefix(out, "1 artifacts: 1 yes, 0 no, 0 unknown;") {
		t.Errorf("printed\n%s", out)
	}
	raw := mustRun(t, "audit", "oci:layout", "--public-key", "trainer.pub", "--quiet", "--json")
	var line struct{ Type string }
	if err := json.Unmarshal([]byte(raw), &line); err != nil || line.Type != "totals" {
		t.Errorf("printed\n%s", raw)
	}
}

func TestAuditTextShowsTextAsText(t *testing.T) {
	const evil = "\x1b[2Jno\u202eevil\n\x00"
	no := policy.No
	row := audit.Row{Class: audit.ClassArtifact, Repository: evil, Tags: []string{evil}, Digest: evil, Kind: evil, Detail: evil, Signers: []string{evil}, Strangers: []string{evil},
		Links: []audit.Link{{Role: evil, Name: evil, Digest: evil, Verdict: &no}}}
	report := &audit.Report{At: time.Unix(0, 0), Rows: []audit.Row{row}, Totals: audit.Totals{
		Unexpected: []audit.Signing{{Artifact: evil, Signer: evil}}, Moved: []audit.Move{{Repository: evil, Tag: evil, From: evil}}, Unsigned: []string{evil},
		Broken: []audit.BrokenLink{{Artifact: evil, Role: evil, Name: evil, Input: evil}}, Revoked: []audit.Revocation{{What: evil, Hit: []string{evil}, Below: []string{evil}}},
		Ending: []audit.Ending{{What: evil}}, Signers: []audit.Count{{Name: evil}}, Repositories: []audit.Coverage{{Repository: evil}}, Shrunk: []audit.Shrinkage{{Artifact: evil}},
		Worse: []audit.Change{{Artifact: evil}}}}
	var out bytes.Buffer
	if err := writeRow(&out, &row); err != nil {
		t.Fatal(err)
	}
	if err := writeTotals(&out, report); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\u202e\x00") || strings.Contains(text, "\nevil") || strings.Count(text, `\x1b[2J`) < 20 {
		t.Errorf("printed %q", text)
	}
}

func TestAuditListsAreCutForPeople(t *testing.T) {
	report := &audit.Report{At: time.Unix(0, 0)}
	for range maxListed + 7 {
		report.Totals.Unsigned = append(report.Totals.Unsigned, "registry.example/a")
	}
	var out bytes.Buffer
	if err := writeTotals(&out, report); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "registry.example/a"); n != maxListed || !strings.Contains(out.String(), "\n  and 7 more\n") {
		t.Errorf("printed\n%s", out.String())
	}
}

// TestShippedControlsNameWhatIsThere holds the list of what is implemented to the commands and rooms that there are.
func TestShippedControlsNameWhatIsThere(t *testing.T) {
	f, err := audit.ShippedFramework("ai-security")
	if err != nil {
		t.Fatal(err)
	}
	root, looked := newRoot(streams{}), 0
	for _, c := range f.Controls {
		for _, p := range c.Parts {
			words := strings.Fields(p.By)
			switch {
			case len(words) == 0: // planned
			case words[0] != "hallmark":
				if _, err := os.Stat("../../" + p.By); err != nil {
					t.Errorf("%s: %v", c.ID, err)
				}
			default:
				looked++
				if !isThere(root, words[1:]) {
					t.Errorf("%s: there is no %s", c.ID, p.By)
				}
			}
		}
	}
	if looked < 30 || isThere(root, []string{"nothing"}) || isThere(root, []string{"audit", "--nothing"}) {
		t.Errorf("%d commands were looked up", looked)
	}
}

// isThere finds a command by its words, and its flags.
func isThere(root *cobra.Command, words []string) bool {
	at := root
	for _, w := range words {
		if flag, ok := strings.CutPrefix(w, "--"); ok {
			if at.Flags().Lookup(flag) == nil {
				return false
			}
			continue
		}
		next := at
		for _, sub := range at.Commands() {
			if sub.Name() == w {
				next = sub
			}
		}
		if next == at && at.Flags().Lookup("format") == nil { // a flag's value follows
			return false
		}
		at = next
	}
	return at != root
}
