package keyless

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
	"github.com/hallmark-project/hallmark/test/program"
)

const trainer = "trainer@example.com"

// worlds is how many run at a time. They cost little but waiting: Rekor answers once it has published a checkpoint,
// which it looks for every second.
const worlds = "12"

// binary is the hallmark binary that TestMain built; empty where the tests are not asked for.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	if os.Getenv("HALLMARK_E2E") != "1" {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "hallmark-keyless-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = program.Build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if err := flag.Set("test.parallel", worlds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// world is a real Sigstore with a proxy before each server, and a model to sign.
type world struct {
	*sigstore.World
	t       *testing.T
	proxies [3]*lab.Proxy // by sigstore.Server
	model   string
}

func newWorld(t *testing.T, o sigstore.Options) *world {
	t.Helper()
	w := &world{t: t, model: filepath.Join(t.TempDir(), "chat")}
	o.Front = func(s sigstore.Server, next http.Handler) http.Handler {
		w.proxies[s] = lab.NewProxy(next)
		t.Cleanup(w.proxies[s].Close)
		return w.proxies[s]
	}
	w.World = sigstore.Run(t, o)
	w.clearFaults()
	if err := os.Mkdir(w.model, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(w.model, "model.safetensors"), "weights")
	return w
}

// clearFaults has all servers answer as they are, and counts requests anew.
func (w *world) clearFaults() {
	for _, p := range w.proxies {
		p.Set()
	}
}

func (w *world) asked(s sigstore.Server) int { return len(w.proxies[s].Requests()) }

// answer is what the command said and how it ended.
type answer struct {
	code     int
	out, err string
}

// hallmark runs the command, free of what the caller's environment might add to it.
func (w *world) hallmark(args ...string) answer {
	w.t.Helper()
	c := exec.CommandContext(w.t.Context(), binary, args...)
	c.Dir = w.t.TempDir()
	c.Env = []string{"HOME=" + c.Dir, "PATH=" + os.Getenv("PATH")}
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("run %s: %v", c, err)
	}
	return answer{c.ProcessState.ExitCode(), out.String(), said.String()}
}

// tokenFile writes a token to where the command reads it.
func (w *world) tokenFile(o sigstore.TokenOptions) string {
	w.t.Helper()
	token, err := w.Token(trainer, o)
	if err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(w.t.TempDir(), "token")
	write(w.t, path, token)
	return path
}

// sign signs what is at path, with a good token.
func (w *world) sign(path string, flags ...string) answer {
	w.t.Helper()
	return w.signWith(w.tokenFile(sigstore.TokenOptions{}), path, flags...)
}

func (w *world) signWith(token, path string, flags ...string) answer {
	w.t.Helper()
	return w.hallmark(append([]string{"sign", path, "--identity-token-file", token,
		"--trusted-root", w.TrustedRoot, "--signing-config", w.SigningConfig}, flags...)...)
}

// verify verifies what is at path as the trainer's.
func (w *world) verify(path string, flags ...string) answer {
	w.t.Helper()
	return w.hallmark(append([]string{"verify", path, "--trusted-root", w.TrustedRoot,
		"--identity", trainer, "--identity-provider", w.Issuer}, flags...)...)
}

// mustSign signs the model and verifies it: the same steps as a refusal's, without the fault.
func (w *world) mustSign() {
	w.t.Helper()
	w.clearFaults()
	if a := w.sign(w.model); a.code != 0 {
		w.t.Fatalf("sign without a fault: exit %d\n%s", a.code, a.err)
	}
	if a := w.verify(w.model); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		w.t.Fatalf("verify: exit %d\n%s%s", a.code, a.out, a.err)
	}
}

// failed checks that a sign ended as a don't know, said what it should, and left nothing behind.
func (w *world) failed(a answer, says ...string) {
	w.t.Helper()
	if a.code != 3 {
		w.t.Errorf("exit %d, want 3\n%s%s", a.code, a.out, a.err)
	}
	for _, want := range says {
		if !strings.Contains(a.err, want) {
			w.t.Errorf("does not say %q:\n%s", want, a.err)
		}
	}
	if lines := strings.Count(strings.TrimSpace(a.err), "\n"); lines > 1 || strings.Contains(a.err, "panic") {
		w.t.Errorf("says more than an error and a hint:\n%s", a.err)
	}
	if got := list(w.t, filepath.Dir(w.model)); !slices.Equal(got, []string{".", "chat", "chat/model.safetensors"}) {
		w.t.Errorf("left behind: %q", got)
	}
}

// list is every file and folder under dir.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, _ fs.DirEntry, err error) error {
		names = append(names, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
