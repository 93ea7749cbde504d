// Package readme runs the README's commands as they stand there.
package readme

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/program"
)

func TestReadmeCommandsRun(t *testing.T) {
	top, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	hallmark, err := program.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"chat/model.safetensors": "weights", "base/model.safetensors": "base weights",
		"corpus/a.txt": "data", "code/train.sh": "mkdir tuned && cat base/model.safetensors corpus/a.txt >tuned/model.safetensors\n",
		"prod.yaml": `{apiVersion: hallmark/v1, kind: Policy, name: prod, version: 1, identities: {trainer: {key: trainer.pub}, data: {key: data.pub}},
revocations: {from: revoked.jsonl, signers: [data]}, target: release, steps: {release: {signature: [trainer]}}}`,
		"junit.xml": `<testsuite name="robustness" tests="1"><testcase classname="robustness" name="typos"/></testsuite>`,
	} {
		path := filepath.Join(work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"data", "tester", "reviewer", "release"} { // of other people
		c := exec.Command(hallmark, "keygen", key)
		c.Dir = work
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("keygen %s: %v\n%s", key, err, out)
		}
	}
	bundle := "" // the name of the one that was made last, which is what a reader puts for sha256:…
	makefile := read(t, filepath.Join(top, "Makefile"))
	ran := 0
	for _, line := range commands(read(t, filepath.Join(top, "README.md"))) {
		fields := strings.Fields(line)
		switch fields[0] {
		case "make": // each has a test or a run of its own
			if !strings.Contains(makefile, "\n"+fields[1]+":") {
				t.Errorf("the Makefile has no target for %q", line)
			}
		case "hallmark":
			ran++
			for i := range fields {
				if fields[i] == "sha256:…" {
					fields[i] = bundle
				}
			}
			c := exec.Command(hallmark, fields[1:]...)
			c.Dir = work
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
			}
			if made := regexp.MustCompile(`(?m)^bundle +(sha256:[0-9a-f]{64})$`).FindSubmatch(out); made != nil {
				bundle = string(made[1])
			}
		default:
			t.Errorf("neither make nor hallmark: %q", line)
		}
	}
	if ran < 7 {
		t.Errorf("ran %d commands: the README lost some", ran)
	}
}

// TestReadmeLinksLead follows every relative link.
func TestReadmeLinksLead(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^):#]+)(#[^)]*)?\)`).FindAllStringSubmatch(read(t, filepath.Join("..", "..", "README.md")), -1)
	if len(links) < 10 {
		t.Fatalf("%d links found", len(links))
	}
	for _, l := range links {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(l[1]))); err != nil {
			t.Errorf("link %s: %v", l[1], err)
		}
	}
}

// commands are the lines of the README's sh blocks, without comments.
func commands(readme string) []string {
	var out []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme, -1) {
		for _, line := range strings.Split(strings.TrimSpace(block[1]), "\n") {
			if command, _, _ := strings.Cut(line, "#"); strings.TrimSpace(command) != "" {
				out = append(out, strings.TrimSpace(command))
			}
		}
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
