package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The tools whose reports are imported, and that can be had quickly.
const (
	staticcheckModule = "honnef.co/go/tools/cmd/staticcheck@v0.8.2"
	gotestsumModule   = "gotest.tools/gotestsum@v1.13.0"
	pytestPackage     = "pytest==9.2.0"
	banditPackage     = "bandit[sarif]==1.9.4"
)

// Sources that the tools look at.
const (
	clean     = "package main\n\nfunc main() {}\n"
	suspect   = "package main\n\nfunc main() {\n\tx := 1\n\tx = x\n\t_ = x\n}\n"
	unsound   = "package main\n\nfunc main() { return 1 }\n"
	passing   = "package main\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { t.Skip() }\n"
	failing   = "package main\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\nfunc TestB(t *testing.T) { t.Fatal() }\n"
	testless  = "package main\n\nimport \"testing\"\n\nfunc helper(t *testing.T) {}\n"
	pythonic  = "import pytest\n\ndef test_a(): pass\n\n@pytest.mark.skip\ndef test_b(): pass\n"
	pythonBad = "def test_a(): pass\n\ndef test_b(): assert False\n"
	pythonOdd = "import nothing_of_that_name\n\ndef test_a(): pass\n"
	unpickles = "import pickle\n\npickle.load(open('weights', 'rb'))\n"
)

// imported is what becomes of a report: the exit code of attest and what show or the error says.
type imported struct {
	code int
	says string
}

// attested states what a report says about some model, and returns what became of it.
func attested(t *testing.T, report string) imported {
	t.Helper()
	dir := t.TempDir()
	key, model := filepath.Join(dir, "tester"), filepath.Join(dir, "chat")
	write(t, filepath.Join(model, "model.safetensors"), "weights")
	must(t, hallmark(t, "keygen", key))
	if a := ask(t, hallmark(t, "attest", model, "--type", "test-result", "--from", report, "--private-key", key+".key")); a.code != 0 {
		return imported{a.code, a.out}
	}
	return imported{0, ask(t, hallmark(t, "show", model, "--public-key", key+".pub")).out}
}

// within runs a tool in a folder, with what it needs and no more. Its exit code is its verdict, which the report repeats.
func within(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Dir, c.Env = dir, append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "PYTHONDONTWRITEBYTECODE=1")
	out, err := c.Output()
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestStaticcheckReportsAreImported pins a difference: SARIF has a list of results, if an empty one, wherever a scan ended;
// staticcheck, up to this version, leaves it out where it found nothing. Such a report is refused.
func TestStaticcheckReportsAreImported(t *testing.T) {
	staticcheck := tool(t, staticcheckModule)
	for source, want := range map[string]imported{
		suspect: {0, " passed, 1 warned, 0 failed"}, // SA4018, by SARIF's default a warning
		unsound: {0, "test FAILED: "},               // it does not compile, which is its one result
		clean:   {1, "no list of results"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "go.mod"), "module checked\n\ngo 1.26\n")
		write(t, filepath.Join(dir, "main.go"), source)
		report := filepath.Join(t.TempDir(), "staticcheck.sarif")
		write(t, report, within(t, dir, staticcheck, "-f", "sarif", "./..."))
		if got := attested(t, report); got.code != want.code || !strings.Contains(got.says, want.says) {
			t.Errorf("%q: exit code %d, want %d and %q\n%s", source, got.code, want.code, want.says, got.says)
		}
	}
}

func TestGotestsumReportsAreImported(t *testing.T) {
	gotestsum := tool(t, gotestsumModule)
	for tests, want := range map[string]imported{
		passing:  {0, "test PASSED: 1 passed, 0 warned, 0 failed"},
		failing:  {0, "test FAILED: 1 passed, 0 warned, 1 failed"},
		testless: {1, "0 of 0 passed is not passed"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "go.mod"), "module checked\n\ngo 1.26\n")
		write(t, filepath.Join(dir, "main.go"), clean)
		write(t, filepath.Join(dir, "main_test.go"), tests)
		report := filepath.Join(t.TempDir(), "junit.xml")
		within(t, dir, gotestsum, "--junitfile", report, "--", "-vet=off", "./...")
		if got := attested(t, report); got.code != want.code || !strings.Contains(got.says, want.says) {
			t.Errorf("%q: exit code %d, want %d and %q\n%s", tests, got.code, want.code, want.says, got.says)
		}
	}
}

// pythons is an environment of Python with the packages above, made once for all tests beside the binary.
var pythons = sync.OnceValues(func() (string, error) {
	home := filepath.Join(filepath.Dir(binary), "venv")
	python := filepath.Join(home, "bin", "python")
	for _, c := range []*exec.Cmd{
		exec.Command("python3", "-m", "venv", home),
		exec.Command(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "2", "--timeout", "15",
			pytestPackage, banditPackage),
	} {
		if out, err := c.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", c, err, out)
		}
	}
	return python, nil
})

// python skips the test where it was not asked for or the packages can't be had; with HALLMARK_CI=1 it then fails.
func python(t *testing.T) string {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("needs Python packages: set HALLMARK_E2E=1")
	}
	path, err := pythons()
	if err != nil && os.Getenv("HALLMARK_CI") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// TestBanditReportsAreImported pins what bandit says where it found nothing: no rules, and how many lines it looked at.
func TestBanditReportsAreImported(t *testing.T) {
	python := python(t)
	for source, want := range map[string]imported{
		unpickles: {0, "test WARNED: 1 passed, 1 warned, 0 failed"}, // the import is but noted,
		"pass\n":  {0, "test PASSED: 1 passed, 0 warned, 0 failed"},
		"def (\n": {1, "it did not look at everything"},
		"":        {1, "0 of 0 passed is not passed"}, // no line was looked at
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "load.py"), source)
		report := filepath.Join(t.TempDir(), "bandit.sarif")
		within(t, dir, python, "-m", "bandit", "-q", "-f", "sarif", "-o", report, "load.py")
		if got := attested(t, report); got.code != want.code || !strings.Contains(got.says, want.says) {
			t.Errorf("%q: exit code %d, want %d and %q\n%s", source, got.code, want.code, want.says, got.says)
		}
	}
}

func TestPytestReportsAreImported(t *testing.T) {
	python := python(t)
	for tests, want := range map[string]imported{
		pythonic:  {0, "test PASSED: 1 passed, 0 warned, 0 failed"},
		pythonBad: {0, "test FAILED: 1 passed, 0 warned, 1 failed"},
		pythonOdd: {0, "test FAILED: 0 passed, 0 warned, 1 failed"}, // it cannot be collected
		"":        {1, "0 of 0 passed is not passed"},
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "test_chat.py"), tests)
		report := filepath.Join(t.TempDir(), "junit.xml")
		within(t, dir, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", report)
		if got := attested(t, report); got.code != want.code || !strings.Contains(got.says, want.says) {
			t.Errorf("%q: exit code %d, want %d and %q\n%s", tests, got.code, want.code, want.says, got.says)
		}
	}
}
