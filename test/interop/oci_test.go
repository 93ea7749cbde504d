package interop

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/test/program"
)

// The tools of other projects that read what is pushed, as modules at a version.
const (
	cosignModule = "github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3"
	orasModule   = "oras.land/oras/cmd/oras@v1.3.6"
)

// tool returns a program that the Go toolchain built once into the user's cache folder. The test is skipped where it
// was not asked for or can't be had; with HALLMARK_CI=1 it then fails.
func tool(t *testing.T, module string) string {
	t.Helper()
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("needs tools of other projects: set HALLMARK_E2E=1")
	}
	path, err := program.Install(t.Context(), module)
	if err != nil && os.Getenv("HALLMARK_CI") == "1" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// inMemory is the HOST:PORT of a registry on loopback that keeps nothing.
func inMemory(t *testing.T, referrers bool) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// published is a signed model in a registry on loopback, with and without the referrers API.
func published(t *testing.T, referrers bool) (ref, key string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files = map[string]string{"model.safetensors": "weights", "config.json": "{}\n"}
	model := filepath.Join(dir, "chat")
	if err := os.Mkdir(model, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(model, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ref = inMemory(t, referrers) + "/team/chat:v1"
	key = filepath.Join(dir, "k")
	for _, args := range [][]string{{"keygen", key}, {"sign", model, "--private-key", key + ".key"}, {"push", model, ref}} {
		if a := ask(t, hallmark(t, args...)); a.code != 0 {
			t.Fatalf("hallmark %v: %s", args, a.out)
		}
	}
	return ref, key + ".pub", files
}

// TestCosignAcceptsWhatIsPushed: a key's bundle has no log entry, so cosign must be told not to want one.
func TestCosignAcceptsWhatIsPushed(t *testing.T) {
	cosign := tool(t, cosignModule)
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %t", referrers), func(t *testing.T) {
			ref, key, _ := published(t, referrers)
			verify := func(key string) answer {
				return ask(t, exec.Command(cosign, "verify", "--key", key, "--insecure-ignore-tlog=true", "--allow-http-registry", ref))
			}
			if a := verify(key); a.code != 0 || !strings.Contains(a.out, "signatures were verified against the specified public key") {
				t.Errorf("exit code %d\n%s", a.code, a.out)
			}
			other := filepath.Join(t.TempDir(), "other")
			if a := ask(t, hallmark(t, "keygen", other)); a.code != 0 {
				t.Fatal(a.out)
			}
			if a := verify(other + ".pub"); a.code == 0 {
				t.Errorf("verified with another key\n%s", a.out)
			}
		})
	}
}

func TestOrasReadsWhatIsPushed(t *testing.T) {
	oras := tool(t, orasModule)
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %t", referrers), func(t *testing.T) {
			ref, _, files := published(t, referrers)
			a := ask(t, exec.Command(oras, "discover", "--plain-http", ref))
			for _, predicate := range []string{"https://model_signing/signature/v1.0", "https://sigstore.dev/cosign/sign/v1"} {
				if a.code != 0 || !strings.Contains(a.out, predicate) {
					t.Errorf("discover does not list %s: exit code %d\n%s", predicate, a.code, a.out)
				}
			}
			out := t.TempDir()
			if a := ask(t, exec.Command(oras, "pull", "--plain-http", ref, "-o", out)); a.code != 0 {
				t.Fatalf("pull: exit code %d\n%s", a.code, a.out)
			}
			for name, content := range files {
				if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != content {
					t.Errorf("pulled %q as %q: %v", name, got, err)
				}
			}
		})
	}
}
