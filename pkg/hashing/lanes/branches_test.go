package lanes

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// countBranches is the end of a test run over assembly that counts: it prints how often each branch was taken and passed by.
const countBranches = `package lanes

import (
	"fmt"
	"os"
	"testing"
)

var branches [%d][2]uint64

func TestMain(m *testing.M) {
	code := m.Run()
	for i, n := range branches {
		fmt.Println("branch", i, n[0], n[1])
	}
	os.Exit(code)
}
`

var (
	function = regexp.MustCompile(`^TEXT ·(\w+)\(SB\)`)
	branch   = regexp.MustCompile(`^\t(J[A-Z]+) (\w+)$`)
	inverse  = map[string]string{"JNZ": "JZ", "JZ": "JNZ"} // add those that the generator comes to use
)

// counting returns the assembly with a counter on both ways out of each conditional jump, and what each jump is in.
func counting(t *testing.T, assembly string) (counted string, jumps []string) {
	t.Helper()
	var out strings.Builder
	in := ""
	for line := range strings.Lines(assembly) {
		if f := function.FindStringSubmatch(line); f != nil {
			in = f[1]
		}
		j := branch.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case strings.HasPrefix(line, "\tJ") && j == nil:
			t.Fatalf("cannot read the jump %q", line)
		case j == nil || j[1] == "JMP":
			out.WriteString(line)
			continue
		case inverse[j[1]] == "":
			t.Fatalf("the opposite of %s is not known here", j[1])
		}
		n := len(jumps)
		jumps = append(jumps, in+": "+j[1]+" "+j[2])
		fmt.Fprintf(&out, "\t%s passed%d\n\tINCQ ·branches+%d(SB)\n\tJMP %s\n\npassed%d:\n\tINCQ ·branches+%d(SB)\n", inverse[j[1]], n, 16*n, j[2], n, 16*n+8)
	}
	return out.String(), jumps
}

// TestBranchesOfTheAssemblyAreAllTaken runs this package's tests over assembly that counts. A branch that none of them takes,
// or none passes by, is one that nobody has seen work.
func TestBranchesOfTheAssemblyAreAllTaken(t *testing.T) {
	if !Paired() {
		t.Skip("the assembly is not used here")
	}
	assembly, err := os.ReadFile("block_amd64.s")
	if err != nil {
		t.Fatal(err)
	}
	counted, jumps := counting(t, string(assembly))
	if len(jumps) < 3 { // each shape has its loop
		t.Fatalf("only these jumps were found: %v", jumps)
	}
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for name, text := range map[string]string{"block_amd64.s": counted, "counted_test.go": fmt.Sprintf(countBranches, len(jumps))} {
		replace[filepath.Join(here, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-overlay="+filepath.Join(dir, "overlay.json"), "-run=^(TestDigests|TestPair|TestVectors)", ".")
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for i, jump := range jumps {
		var taken, passed uint64
		_, after, _ := strings.Cut(string(out), fmt.Sprintf("branch %d ", i))
		if _, err := fmt.Sscan(after, &taken, &passed); err != nil || taken == 0 || passed == 0 {
			t.Errorf("%s was taken %d times and passed by %d times (%v)", jump, taken, passed, err)
		}
	}
}
