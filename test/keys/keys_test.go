// Package keys signs with keys as organisations hold them: in Vault's transit engine, in a PKCS#11 token, and with others
// that saw it. The command is run as a person does.
package keys

import (
	"errors"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/test/lab/witness"
	"github.com/hallmark-project/hallmark/test/program"
)

var (
	binary string
	folder string
)

func TestMain(m *testing.M) {
	var err error
	if folder, err = os.MkdirTemp("", "hallmark-keys"); err != nil {
		log.Fatal(err)
	}
	if binary, err = program.Build(folder); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	_ = os.RemoveAll(folder)
	os.Exit(code)
}

// long skips a test that builds the command with other tags, which takes minutes the first time.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") == "" {
		t.Skip("long: HALLMARK_E2E=1 runs it")
	}
}

// missing ends a test that lacks something outside of the tree: skipped for people, failed where everything must run.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("HALLMARK_CI") == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// desk is a folder with a model in it, and the environment that commands get.
type desk struct {
	t       *testing.T
	dir     string
	program string
	env     []string
}

func newDesk(t *testing.T, program string, env ...string) *desk {
	t.Helper()
	d := &desk{t: t, dir: t.TempDir(), program: program, env: append(os.Environ(), env...)}
	d.write("chat/model.safetensors", []byte("weights"))
	return d
}

func (d *desk) write(name string, data []byte) {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// run runs hallmark, which must end with the code, and returns all that it printed.
func (d *desk) run(code int, args ...string) string {
	d.t.Helper()
	c := exec.Command(d.program, args...)
	c.Dir, c.Env = d.dir, d.env
	out, err := c.CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		d.t.Fatal(err)
	}
	if got != code {
		d.t.Fatalf("hallmark %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return string(out)
}

func (d *desk) says(out, want string) {
	d.t.Helper()
	if !strings.Contains(out, want) {
		d.t.Errorf("%q is not in\n%s", want, out)
	}
}

// unsigned fails the test where something half-signed was left.
func (d *desk) unsigned() {
	d.t.Helper()
	for _, name := range []string{"chat/model.sig", "chat/claims.sig"} {
		if _, err := os.Stat(filepath.Join(d.dir, name)); !errors.Is(err, os.ErrNotExist) {
			d.t.Errorf("%s is there: %v", name, err)
		}
	}
}

func TestSignWithWitnesses(t *testing.T) {
	lab, err := witness.New(time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	d := newDesk(t, binary, "HALLMARK_TRUST_DIR="+t.TempDir())
	d.write("root.json", lab.TrustedRoot)
	d.write("config.json", lab.SigningConfig)
	d.run(0, "keygen", "trainer")
	key := []string{"sign", "./chat", "--private-key", "trainer.key"}
	with := func(more ...string) []string { return append(key[:len(key):len(key)], more...) }
	verify := []string{"verify", "./chat", "--public-key", "trainer.pub", "--offline"}

	d.says(d.run(4, with("--tsa-url", lab.TimestampURL)...), "--trusted-root FILE")
	d.says(d.run(4, "sign", "./chat", "--identity-token", "x", "--tsa-url", lab.TimestampURL), "--tsa-url needs --private-key")
	d.says(d.run(3, with("--tsa-url", lab.TimestampURL+"/none", "--trusted-root", "root.json")...), "get a timestamp from")
	d.unsigned()

	d.run(0, with("--tsa-url", lab.TimestampURL, "--trusted-root", "root.json")...)
	d.says(d.run(0, verify...), "ok       signature   key ")
	d.says(d.run(0, append(verify, "--trusted-root", "root.json")...), ", timestamped 2026-11-20 14:03 UTC")
	d.says(d.run(4, append(verify, "--require-log")...), "--trusted-root FILE")
	d.says(d.run(1, append(verify, "--trusted-root", "root.json", "--require-log")...), "log-entry-missing")

	d.run(0, with("--signing-config", "config.json", "--trusted-root", "root.json")...)
	d.says(d.run(0, append(verify, "--trusted-root", "root.json", "--require-log", "--json")...), `"loggedBy"`)
	d.says(d.run(0, append(verify, "--trusted-root", "root.json", "--json")...), `"notBefore": "2026-11-20T14:03:00Z"`)

	// An imported root stands in for the flag, where something is asked that it alone can tell.
	d.run(0, "trust", "import", "root.json")
	d.run(0, append(verify, "--require-log")...)
	d.says(d.run(1, append(verify, "--log-threshold", "2")...), "logged by 1 of 2 distinct parties")
	d.says(d.run(1, append(verify, "--timestamp-threshold", "2")...), "timed by 1 of 2 distinct parties")
	d.run(0, with("--tsa-url", lab.TimestampURL)...)
	d.says(d.run(1, append(verify, "--require-log")...), "log-entry-missing")

	other, err := witness.New(time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d.write("other.json", other.TrustedRoot)
	d.says(d.run(1, append(verify, "--trusted-root", "other.json")...), "timestamp-invalid")
	d.says(d.run(3, with("--tsa-url", other.TimestampURL, "--trusted-root", "root.json")...), "by no authority of the trusted root")

	// The same key under another authority is no second signer.
	d.says(d.run(0, with("--tsa-url", other.TimestampURL, "--trusted-root", "other.json")...), "signature  chat/model.sig")
	d.run(0, append(verify, "--trusted-root", "other.json")...)
}

// TestStatementsByAKeyThatCountsFromADayOn has a policy ask for statements and a list of what is revoked by a key with
// validFrom: what is stated counts with a timestamp authority, and not without.
func TestStatementsByAKeyThatCountsFromADayOn(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second) // the command's clock too
	lab, err := witness.New(now)
	if err != nil {
		t.Fatal(err)
	}
	defer lab.Close()
	d := newDesk(t, binary, "HALLMARK_TRUST_DIR="+t.TempDir())
	d.write("root.json", lab.TrustedRoot)
	d.write("config.json", lab.SigningConfig)
	d.write("junit.xml", []byte(`<testsuite name="unit" tests="1" timestamp="`+now.Add(-time.Hour).Format("2006-01-02T15:04:05Z")+`"><testcase classname="a" name="b"/></testsuite>`))
	d.write("policy.yaml", []byte(`apiVersion: hallmark/v1
kind: Policy
name: prod
version: 1
identities:
  trainer: {key: trainer.pub}
  owner: {key: owner.pub, validFrom: `+now.AddDate(0, 0, -1).Format(time.DateOnly)+`}
revocations: {from: revoked.jsonl, signers: [owner]}
target: release
steps:
  release:
    signature: [trainer]
    evidence:
      - {name: unit, type: test-result, activity: test, signers: [owner], maxAge: 365d}
      - {name: approval, type: approval, signers: [owner], maxAge: 7d}
      - {name: deployment, type: deployment, signers: [owner], maxAge: 7d}
`))
	d.run(0, "keygen", "trainer")
	d.run(0, "keygen", "owner")
	d.run(0, "sign", "./chat", "--private-key", "trainer.key")
	state := func(witnesses ...string) {
		with := append([]string{"--private-key", "owner.key"}, witnesses...)
		unit := strings.TrimSpace(d.run(0, append([]string{"attest", "./chat", "--type", "test-result", "--from", "junit.xml", "--quiet"}, with...)...))
		d.run(0, append([]string{"approve", "./chat", "--decision", "approved", "--scope", "production", "--evidence", unit, "--expires", "24h"}, with...)...)
		d.run(0, append([]string{"deploy", "./chat", "--target", "k8s://prod/chat", "--action", "retire"}, with...)...)
		d.run(0, append([]string{"revoke", "--init", "--list", "revoked.jsonl"}, with...)...)
	}
	verify := []string{"verify", "./chat", "--policy", "policy.yaml", "--trusted-root", "root.json", "--offline"}
	state()
	d.says(d.run(1, verify...), "key-time-missing")
	for _, name := range []string{"revoked.jsonl", "chat/claims.sig"} {
		if err := os.Remove(filepath.Join(d.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	state("--tsa-url", lab.TimestampURL, "--trusted-root", "root.json")
	d.run(0, verify...)
	d.says(d.run(0, "revoke", "--renew", "--list", "revoked.jsonl", "--private-key", "owner.key"), "number 2")
	d.says(d.run(3, verify...), "revocations-missing")
	d.run(0, "revoke", "--renew", "--list", "revoked.jsonl", "--private-key", "owner.key", "--signing-config", "config.json", "--trusted-root", "root.json")
	d.run(0, verify...)
}

func TestKeyURIsInTheProgramAsShipped(t *testing.T) {
	d := newDesk(t, binary, "PATH="+t.TempDir())
	for uri, says := range map[string]string{
		"hashivault://trainer": "build it with -tags kms, or put the plugin sigstore-kms-hashivault into PATH",
		"awskms:///alias/t":    "build it with -tags kms",
		"other://trainer":      `key service "other" is not known here`,
		"pkcs11:token=t;object=k?module-path=/usr/lib/p11.so": "CGO_ENABLED=1 and -tags pkcs11",
		"pkcs11:token=t": "names no library",
	} {
		d.says(d.run(3, "sign", "./chat", "--private-key", uri), says)
		d.unsigned()
	}
}
