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
	if err := os.Mkdir(filepath.Join(work, "chat"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "chat", "model.safetensors"), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
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
			c := exec.Command(hallmark, fields[1:]...)
			c.Dir = work
			if out, err := c.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, out)
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
