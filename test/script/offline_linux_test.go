package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// offlineCommands are the commands that have the flag.
func offlineCommands(t *testing.T) []string {
	t.Helper()
	help := func(args ...string) string {
		out, err := exec.Command(binary, append(args, "--help")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	_, list, found := strings.Cut(help(), "Available Commands:\n")
	list, _, ended := strings.Cut(list, "\n\n")
	if !found || !ended {
		t.Fatal("the help lists no commands")
	}
	var names []string
	for line := range strings.Lines(list) {
		if name := strings.Fields(line)[0]; strings.Contains(help(name), "--offline ") {
			names = append(names, name)
		}
	}
	return names
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
	const policy = "apiVersion: hallmark/v1\nkind: Policy\nname: prod\nversion: 1\nidentities: {trainer: {key: trainer.pub}}\n" +
		"target: release\nsteps: {release: {kind: model, signature: [trainer]}}\n"
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o644); err != nil {
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
		{0, "inspect chat/model.sig --public-key trainer.pub --offline", "verified"},
		{3, "inspect registry.test/llm/chat:v1 --offline", "offline"},
		{0, "copy oci:layout:v1 oci-archive:chat.tar:v1 --offline", "copied"},
		{3, "copy registry.test/llm/chat:v1 oci:other:v1 --offline", "offline"},
		{3, "copy oci:layout:v1 registry.test/llm/chat:v1 --offline", "offline"},
		{3, "push chat registry.test/llm/chat:v1 --offline", "offline"},
		{0, "verify oci-archive:chat.tar:v1 --public-key trainer.pub --offline", "yes"},
		{0, "pull oci-archive:chat.tar:v1 unpacked --public-key trainer.pub --offline", "yes"},
		{3, "pull registry.test/llm/chat:v1 fetched --public-key trainer.pub --offline", "offline"},
		{0, "show ./chat --public-key trainer.pub --offline", "verified"},
		{0, "show oci:layout:v1 --input ./chat --public-key trainer.pub --offline", "verified"},
		{3, "show registry.test/llm/chat:v1 --public-key trainer.pub --offline", "offline"},
		{3, "show ./chat --input registry.test/llm/base:v1 --public-key trainer.pub --offline", "offline"},
		{0, "digest chat", "sha256:"},
		{0, "approve chat --decision rejected --scope production --private-key trainer.key", ""},
		{0, "verify ./chat --policy policy.yaml --offline", "yes"},
		{3, "verify registry.test/llm/chat:v1 --policy policy.yaml --offline", "offline"},
		{0, "export ./chat --policy policy.yaml --out exported --offline", "verify"},
		{0, "verify ./chat --policy exported/policy.yaml --evidence exported --offline", "yes"},
		{0, "audit oci:layout --policy policy.yaml --offline", "1 yes"},
		{3, "audit registry.test --public-key trainer.pub --offline", "offline"},
		{0, "lineage ID --in oci:layout --public-key trainer.pub --offline", "sha256:"},
		{0, "impact ID --in oci:layout --public-key trainer.pub --offline", "sha256:"},
		{3, "lineage ID --in registry.test/llm/chat --public-key trainer.pub --offline", "offline"},
		{3, "impact ID --in registry.test/llm/chat --public-key trainer.pub --offline", "offline"},
		{0, "audit oci:layout --public-key trainer.pub --offline", "yes"},
		{3, "audit registry.test/llm/chat --public-key trainer.pub --offline", "offline"},
		{3, "trust show", "no trusted root was imported"},
		{4, "trust update --offline", "an update is what the network is for"},
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
	for _, name := range offlineCommands(t) {
		if !slices.ContainsFunc(steps, func(s step) bool { return s.code == 0 && strings.HasPrefix(s.args, name+" ") }) {
			t.Errorf("hallmark %s --offline is not tried", name)
		}
	}
	// What needs the network fails: the namespace has none.
	id := ""
	steps = append(steps, step{3, "trust update --mirror https://tuf-repo-cdn.sigstore.dev", "fetch "})
	for _, s := range steps {
		if id == "" && strings.Contains(s.args, "ID") {
			_, out := isolated(t, dir, "digest", "chat", "--quiet")
			id = strings.TrimSpace(out)
		}
		code, out := isolated(t, dir, strings.Fields(strings.ReplaceAll(s.args, "ID", id))...)
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
