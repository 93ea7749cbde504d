package attack

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/program"
)

// The exit codes that the binary promises.
const (
	exitYes         = 0
	exitNo          = 1
	exitUnknown     = 3
	exitUsage       = 4
	exitInterrupted = 130
)

// patience is how long one run of the binary may take before it counts as hung. It is far above what any takes.
const patience = 2 * time.Minute

// built is where the binary lies, once it was needed.
var built struct {
	once   sync.Once
	folder string
	err    error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.folder != "" {
		_ = os.RemoveAll(built.folder)
	}
	os.Exit(code)
}

// binary builds cmd/hallmark and returns its path.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "hallmark-attack-"); built.err != nil {
			return
		}
		if built.err = os.Chmod(built.folder, 0o755); built.err != nil {
			return
		}
		_, built.err = program.Build(built.folder)
	})
	if built.err != nil {
		t.Fatalf("build the binary: %v", built.err)
	}
	return filepath.Join(built.folder, "hallmark")
}

// ran is what one run of the binary left.
type ran struct {
	code           int
	stdout, stderr string
}

// run runs the binary with nothing but a path in its environment. A panic is a failure whatever the case wants.
func run(t *testing.T, args ...string) ran {
	t.Helper()
	return finish(t, command(t, args...))
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, binary(t), args...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	return c
}

// limited has the shell put a limit on c, by the flag of ulimit that sets it, in that flag's units.
func limited(t *testing.T, c *exec.Cmd, flag string, limit int) *exec.Cmd {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell to set limits with")
	}
	c.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit %s %d && exec "$0" "$@"`, flag, limit)}, c.Args...)
	c.Path = shell
	return c
}

// withMemory bounds what c may write to, in bytes. A Go program that wants more is ended by its runtime, loudly, so the
// bound does not depend on when anybody looks. The runtime takes memory by 64 MiB: less than 128 MiB means nothing.
func withMemory(t *testing.T, c *exec.Cmd, limit int) *exec.Cmd {
	t.Helper()
	return limited(t, c, "-d", limit>>10)
}

func finish(t *testing.T, c *exec.Cmd) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if c.Stdout == nil {
		c.Stdout = &stdout
	}
	if c.Stderr == nil {
		c.Stderr = &stderr
	}
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", c.Args, err)
	}
	r := ran{code: c.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	mustNotPanic(t, c, r)
	return r
}

func mustNotPanic(t *testing.T, c *exec.Cmd, r ran) {
	t.Helper()
	if r.code == 2 || strings.Contains(r.stderr, "panic:") || strings.Contains(r.stderr, "goroutine ") || strings.Contains(r.stderr, "fatal error:") {
		t.Errorf("%q crashed with %d:\n%.2000s", c.Args, r.code, r.stderr)
	}
}

// mustExit wants an exit code. An error's message must be there, and not go on for ever.
func (r ran) mustExit(t *testing.T, code int) ran {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%.2000s\n%.2000s", r.code, code, r.stdout, r.stderr)
	}
	if code != exitYes && r.stdout == "" && r.stderr == "" {
		t.Errorf("exit code %d without a word", code)
	}
	return r
}

// mustBecause wants the decision that was printed as JSON to have exactly these reasons.
func (r ran) mustBecause(t *testing.T, reasons ...policy.Reason) ran {
	t.Helper()
	var d struct {
		Reasons []policy.Reason `json:"reasons"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatalf("the output is no decision: %v\n%.2000s\n%.2000s", err, r.stdout, r.stderr)
	}
	if !slices.Equal(d.Reasons, reasons) {
		t.Errorf("because of %v, want %v\n%.2000s", d.Reasons, reasons, r.stdout)
	}
	return r
}

// desk is a world with its keys in files, so that the binary can use them.
type desk struct {
	*world
	private, public string
}

func newDesk(t *testing.T, files map[string]string) *desk {
	t.Helper()
	w := newWorld(t, files)
	keys := filepath.Join(filepath.Dir(w.dir), "keys")
	der, err := x509.MarshalPKCS8PrivateKey(w.key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(w.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{world: w, private: filepath.Join(keys, "trainer.key"), public: filepath.Join(keys, "trainer.pub")}
	write(t, d.private, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	write(t, d.public, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
	return d
}

// signArtifact and verifyArtifact run the two commands on the artifact, with flags besides.
func (d *desk) signArtifact(t *testing.T, flags ...string) ran {
	t.Helper()
	return run(t, append([]string{"sign", d.dir, "--private-key", d.private}, flags...)...)
}

func (d *desk) verifyArtifact(t *testing.T, flags ...string) ran {
	t.Helper()
	return run(t, append([]string{"verify", d.dir, "--json", "--public-key", d.public}, flags...)...)
}

// tree lists what is in the artifact's folder, folders with a slash, sorted.
func (d *desk) tree(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == d.dir {
			return err
		}
		name, err := filepath.Rel(d.dir, path)
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// mustLeave runs what must leave the artifact's folder as it is, file by file.
func (d *desk) mustLeave(t *testing.T, f func()) {
	t.Helper()
	before := d.tree(t)
	f()
	if after := d.tree(t); !slices.Equal(before, after) {
		t.Errorf("left behind %q, before there was %q", after, before)
	}
}
