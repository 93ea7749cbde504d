package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// isolated runs the program in a network namespace of its own, in which there is no route and not even loopback is up.
// It skips the test where the system does not allow that.
func isolated(t *testing.T, dir string, args ...string) (code int, out string) {
	t.Helper()
	c := exec.Command(binary, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "HALLMARK_TRUST_DIR="+filepath.Join(dir, "store"))
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 { // a user namespace gives the right to make the other
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
	}
	raw, err := c.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), string(raw)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOSPC):
		t.Skipf("a network namespace cannot be made here: %v", err)
	case err != nil:
		t.Fatal(err)
	}
	return 0, string(raw)
}

// step is one command, and what comes of it.
type step struct {
	code int
	args string
	says string
}

// TestVerifyingNeedsNoNetwork runs every command that verifies where there is none.
func TestVerifyingNeedsNoNetwork(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "chat"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "chat", "model.bin"), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	steps := []step{
		{0, "keygen trainer", ""},
		{0, "sign chat --private-key trainer.key", ""},
		{0, "push chat oci:layout:v1 --offline", ""},
		{0, "verify ./chat --public-key trainer.pub --offline", "yes"},
		{0, "verify oci:layout:v1 --public-key trainer.pub --offline", "yes"},
		{3, "verify registry.test/llm/chat:v1 --public-key trainer.pub --offline", "offline"},
		{3, "verify 127.0.0.1:5000/llm/chat:v1 --public-key trainer.pub --offline", "offline"},
		{0, "pull oci:layout:v1 pulled --public-key trainer.pub --offline", "yes"},
		{0, "inspect ./chat --offline", "UNVERIFIED"},
		{0, "inspect oci:layout:v1 --public-key trainer.pub --offline", "verified"},
		{3, "inspect registry.test/llm/chat:v1 --offline", "offline"},
		{3, "trust show", "no trusted root was imported"},
	}
	steps = append(steps, chained(t, dir)...)
	if v := vectors(); v != "" {
		historical := filepath.Join(v, "oms", "cases", "verify", "historical", "historical-v1.1.0-sigstore")
		steps = append(steps,
			step{0, "trust import " + filepath.Join(v, "trust", "public-good", "trusted_root.json"), "trusted root"},
			step{0, "trust show", "https://fulcio.sigstore.dev"},
			step{0, "verify " + filepath.Join(historical, "model") + " --signature " + filepath.Join(historical, "bundle.sig") +
				" --identity stefanb@us.ibm.com --identity-provider https://sigstore.verify.ibm.com/oauth2 --offline", "yes"},
		)
	}
	// What needs the network fails: the namespace has none.
	steps = append(steps, step{3, "trust update --mirror https://tuf-repo-cdn.sigstore.dev", "fetch "})
	for _, s := range steps {
		code, out := isolated(t, dir, strings.Fields(s.args)...)
		if code != s.code || !strings.Contains(strings.ToLower(out), strings.ToLower(s.says)) {
			t.Errorf("hallmark %s: exit code %d, want %d\n%s", s.args, code, s.code, out)
		}
	}
}

// chained writes a policy that asks for a list of what is revoked, which lies in a registry, and returns the steps that pack
// what it takes to verify by it while the list can be had, and that verify with what was packed.
func chained(t *testing.T, dir string) []step {
	t.Helper()
	text := `{apiVersion: hallmark/v1, kind: Policy, name: prod, version: 1, identities: {trainer: {key: trainer.pub}},
revocations: {from: %s, signers: [trainer]}, target: release, steps: {release: {signature: [trainer]}}}`
	for name, from := range map[string]string{"here.yaml": "oci:lists:latest", "away.yaml": "oci://registry.test/acme/revoked:latest"} {
		if err := os.WriteFile(filepath.Join(dir, name), fmt.Appendf(nil, text, from), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return []step{
		{0, "revoke --init --list oci:lists:latest --private-key trainer.key", "number 1"},
		{0, "export ./chat --policy here.yaml --out packed --offline", "hallmark verify"},
		{0, "verify ./chat --policy packed/policy.yaml --evidence packed --offline", "yes"},
		{0, "verify ./chat --policy away.yaml --evidence packed --offline", "yes"},
		{3, "verify ./chat --policy away.yaml --offline", "revocations-missing"},
		{3, "verify ./chat --policy away.yaml --evidence packed", "unreachable"},
	}
}
