package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/test/program"
)

// clientProgram is the public Sigstore suite's client, built once for all tests.
var clientProgram = sync.OnceValues(func() (string, error) { return program.BuildSigstoreClient(filepath.Dir(binary)) })

// blobClient is a command line of ours for files, with the project's own client.
func (in *instance) blobClient(args ...string) *exec.Cmd {
	in.t.Helper()
	path, err := clientProgram()
	if err != nil {
		in.t.Fatal(err)
	}
	c := exec.Command(path, args...)
	c.Env = []string{"HOME=" + in.t.TempDir()}
	return c
}

// blobHolds asserts that every tool verifies a bundle over a file as the trainer's and as nobody else's, and no longer
// once the file is another.
func (in *instance) blobHolds(name, bundle, file string, checks map[string]func(who, file string) *exec.Cmd) {
	in.t.Helper()
	other := in.write("other", append(in.read(file), '!'))
	for tool, check := range checks {
		in.holdsThere(tool+", "+name, func(who string) *exec.Cmd { return check(who, file) })
		if a := ask(in.t, check(trainer, other)); a.code == 0 {
			in.t.Errorf("%s, %s: verified another file\n%s", tool, name, a.out)
		}
	}
}

// TestKeylessBlobsCrossVerify signs the bytes of a file with each of the three tools, and verifies with all of them.
func TestKeylessBlobsCrossVerify(t *testing.T) {
	client, cosign, in := reference(t), tool(t, cosignModule), newInstance(t)
	file := in.write("weights.bin", []byte("bytes are bytes"))
	bundleOf := func(name string) string { return filepath.Join(t.TempDir(), name+".sigstore.json") }
	signers := []struct {
		name string
		sign func(bundle string) *exec.Cmd
	}{
		{"ours", func(bundle string) *exec.Cmd {
			return in.blobClient("sign-bundle", "--identity-token", in.token, "--bundle", bundle,
				"--trusted-root", in.TrustedRoot, "--signing-config", in.SigningConfig, file)
		}},
		{"cosign's", func(bundle string) *exec.Cmd {
			return exec.Command(cosign, "sign-blob", "--identity-token", in.tokenFile, "--bundle", bundle,
				"--trusted-root", in.TrustedRoot, "--signing-config", in.SigningConfig, "--yes", file)
		}},
		{"sigstore-python's", func(bundle string) *exec.Cmd {
			return client.Sigstore(t.Context(), "--trust-config", in.trustConfig, "sign", "--identity-token", in.token, "--bundle", bundle, file)
		}},
	}
	// Ours comes first. The first entry of a log has index 0, which cosign's bundle leaves out, as protobuf's JSON may, and
	// sigstore-python misses.
	for _, by := range signers {
		name, sign := by.name, by.sign
		bundle := bundleOf(strings.TrimSuffix(name, "'s"))
		must(t, sign(bundle))
		if text := string(in.read(bundle)); !strings.Contains(text, `"messageSignature"`) {
			t.Errorf("%s: no message signature in %s", name, text)
		}
		in.blobHolds(name, bundle, file, map[string]func(who, file string) *exec.Cmd{
			"ours": func(who, file string) *exec.Cmd {
				return in.blobClient("verify-bundle", "--bundle", bundle, "--certificate-identity", who,
					"--certificate-oidc-issuer", in.Issuer, "--trusted-root", in.TrustedRoot, file)
			},
			"cosign": func(who, file string) *exec.Cmd {
				return exec.Command(cosign, append([]string{"verify-blob", "--bundle", bundle, file}, in.cosignKeyless(who)...)...)
			},
			"sigstore-python": func(who, file string) *exec.Cmd {
				return client.Sigstore(t.Context(), "--trust-config", in.trustConfig, "verify", "identity", "--offline",
					"--bundle", bundle, "--cert-identity", who, "--cert-oidc-issuer", in.Issuer, file)
			},
		})
	}
}

// TestKeyedBlobsCrossVerify does the same with keys, which sigstore-python has no command for: it verifies identities
// alone. Without a log entry cosign has to be told not to want one; with one it checks it, and so do we.
func TestKeyedBlobsCrossVerify(t *testing.T) {
	cosign, in := tool(t, cosignModule), newInstance(t)
	file := in.write("weights.bin", []byte("bytes are bytes"))
	p, other := keyed(t, "ecdsa-p256"), keyed(t, "ecdsa-p256")
	keys := map[string]string{trainer: p.verify[1], stranger: other.verify[1]}
	bundles := map[string]string{
		"ours, alone":     in.write("alone.json", in.signBlob(p, file, false)),
		"ours, witnessed": in.write("witnessed.json", in.signBlob(p, file, true)),
		"cosign's":        filepath.Join(t.TempDir(), "cosign.json"),
	}
	must(t, cosignKeyed(t, cosign, p, "sign-blob", "--bundle", bundles["cosign's"], "--trusted-root", in.TrustedRoot,
		"--signing-config", in.SigningConfig, "--yes", file))
	for name, bundle := range bundles {
		checks := map[string]func(who, file string) *exec.Cmd{
			"ours": func(who, file string) *exec.Cmd {
				return in.blobClient("verify-bundle", "--bundle", bundle, "--key", keys[who], "--trusted-root", in.TrustedRoot, file)
			},
			"ours, by digest": func(who, file string) *exec.Cmd {
				sum := sha256.Sum256(in.read(file))
				return in.blobClient("verify-bundle", "--bundle", bundle, "--key", keys[who], "sha256:"+hex.EncodeToString(sum[:]))
			},
			"cosign": func(who, file string) *exec.Cmd {
				args := []string{"verify-blob", "--bundle", bundle, "--key", keys[who], "--trusted-root", in.TrustedRoot, file}
				if name == "ours, alone" {
					args = append(args, "--insecure-ignore-tlog=true")
				}
				return exec.Command(cosign, args...)
			},
		}
		in.blobHolds(name, bundle, file, checks)
	}
	a := ask(t, exec.Command(cosign, "verify-blob", "--bundle", bundles["ours, alone"], "--key", p.verify[1], "--trusted-root", in.TrustedRoot, file))
	if a.code == 0 {
		t.Errorf("cosign does not want a log entry any more: the flag can go\n%s", a.out)
	}
}

// signBlob signs a file's bytes with a key of hallmark's, through the library; witnessed by the instance's servers or alone.
func (in *instance) signBlob(p party, file string, witnessed bool) []byte {
	in.t.Helper()
	key, err := signer.ParsePrivateKey(in.read(p.sign[1]), nil)
	if err != nil {
		in.t.Fatal(err)
	}
	by, err := signer.NewKey(key)
	if err == nil && witnessed {
		var root *trust.Sigstore
		if root, err = trust.LoadSigstore(in.read(in.TrustedRoot)); err == nil {
			by, err = signer.NewWitnessed(by, signer.WitnessOptions{TrustedRoot: root, SigningConfig: in.read(in.SigningConfig)})
		}
	}
	if err != nil {
		in.t.Fatal(err)
	}
	bundle, err := by.(signer.BlobSigner).SignBlob(in.t.Context(), in.read(file))
	if err != nil {
		in.t.Fatal(err)
	}
	return bundle
}

// cosignKeyed is a command line of cosign that signs with a key of hallmark's, which cosign imports first.
func cosignKeyed(t *testing.T, cosign string, p party, verb string, args ...string) *exec.Cmd {
	t.Helper()
	prefix := filepath.Join(t.TempDir(), "cosign")
	withPassword := func(args ...string) *exec.Cmd {
		c := exec.Command(cosign, args...)
		c.Env = append(os.Environ(), "COSIGN_PASSWORD=")
		return c
	}
	must(t, withPassword("import-key-pair", "--key", p.sign[1], "--output-key-prefix", prefix))
	return withPassword(append([]string{verb, "--key", prefix + ".key"}, args...)...)
}
