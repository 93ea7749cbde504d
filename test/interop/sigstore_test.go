package interop

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

const (
	trainer  = "trainer@example.com"
	stranger = "stranger@example.com"
)

// instance is a Sigstore of our own, in the form that each tool wants to be told of it.
type instance struct {
	*sigstore.World
	t           *testing.T
	token       string // the trainer's
	tokenFile   string
	trustConfig string // trusted root and signing config in one file, for sigstore-python
}

// newInstance starts a Sigstore. Its log is empty: what is signed first gets index 0 and a proof without hashes.
func newInstance(t *testing.T) *instance {
	t.Helper()
	in := &instance{World: sigstore.Run(t, sigstore.Options{}), t: t}
	var err error
	if in.token, err = in.Token(trainer, sigstore.TokenOptions{}); err != nil {
		t.Fatal(err)
	}
	in.tokenFile = in.write("token", []byte(in.token))
	config, err := json.Marshal(map[string]json.RawMessage{
		"mediaType":   json.RawMessage(`"application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"`),
		"trustedRoot": in.read(in.TrustedRoot), "signingConfig": in.read(in.SigningConfig),
	})
	if err != nil {
		t.Fatal(err)
	}
	in.trustConfig = in.write("trust_config.json", config)
	return in
}

func (in *instance) read(path string) []byte {
	in.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		in.t.Fatal(err)
	}
	return data
}

func (in *instance) write(name string, data []byte) string {
	in.t.Helper()
	path := filepath.Join(in.t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		in.t.Fatal(err)
	}
	return path
}

// sign signs a path or reference as the trainer.
func (in *instance) sign(what string) {
	in.t.Helper()
	must(in.t, hallmark(in.t, "sign", what, "--identity-token-file", in.tokenFile, "--trusted-root", in.TrustedRoot, "--signing-config", in.SigningConfig))
}

// holdsHere asserts that hallmark verifies a path or reference as the trainer's, and nobody else's.
func (in *instance) holdsHere(what string) {
	in.t.Helper()
	verify := func(who string) answer {
		return ask(in.t, hallmark(in.t, "verify", what, "--identity", who, "--identity-provider", in.Issuer, "--trusted-root", in.TrustedRoot))
	}
	if a := verify(trainer); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		in.t.Errorf("hallmark: exit %d, want a yes\n%s", a.code, a.out)
	}
	if a := verify(stranger); a.code != 1 || !strings.Contains(a.out, "untrusted-signer") {
		in.t.Errorf("hallmark, for a stranger: exit %d, want a no\n%s", a.code, a.out)
	}
}

// holdsThere asserts the same of another tool; command makes its command line for an identity.
func (in *instance) holdsThere(name string, command func(who string) *exec.Cmd) {
	in.t.Helper()
	if a := ask(in.t, command(trainer)); a.code != 0 {
		in.t.Errorf("%s: exit %d\n%s", name, a.code, a.out)
	}
	if a := ask(in.t, command(stranger)); a.code == 0 {
		in.t.Errorf("%s verified it as a stranger's\n%s", name, a.out)
	}
}

// statement returns what a bundle says: its statement, and the digest of the one subject.
func statement(t *testing.T, bundle []byte) (payload []byte, subject string) {
	t.Helper()
	var b struct {
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	var s struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Envelope.Payload, &s); err != nil || len(s.Subject) != 1 {
		t.Fatalf("%d subjects: %v", len(s.Subject), err)
	}
	return b.Envelope.Payload, s.Subject[0].Digest["sha256"]
}

// cosignKeyless are cosign's flags to verify keyless.
func (in *instance) cosignKeyless(who string) []string {
	return []string{"--trusted-root", in.TrustedRoot, "--certificate-identity", who, "--certificate-oidc-issuer", in.Issuer}
}

const (
	omsType    = "https://model_signing/signature/v1.0"
	cosignType = "https://sigstore.dev/cosign/sign/v1"
)

func TestOurKeylessBundlesVerifyElsewhere(t *testing.T) {
	client, cosign, in := reference(t), tool(t, cosignModule), newInstance(t)
	for _, m := range []model{directory(t, nil), directory(t, []string{"cache"})} {
		in.sign(m.path)
		in.holdsHere(m.path)
		in.holdsThere("the reference", func(who string) *exec.Cmd {
			return client.CLI(t.Context(), "verify", "sigstore", "--signature", m.signature(), "--trust_config", in.trustConfig,
				"--identity", who, "--identity_provider", in.Issuer, m.path)
		})
		_, subject := statement(t, in.read(m.signature()))
		in.holdsThere("sigstore-python", func(who string) *exec.Cmd {
			return client.Sigstore(t.Context(), "--trust-config", in.trustConfig, "verify", "identity", "--offline",
				"--bundle", m.signature(), "--cert-identity", who, "--cert-oidc-issuer", in.Issuer, "sha256:"+subject)
		})
		claim := in.write("claim.json", []byte(strings.SplitAfter(string(in.read(m.claims())), "\n")[0]))
		for kind, bundle := range map[string]string{omsType: m.signature(), cosignType: claim} {
			_, subject := statement(t, in.read(bundle))
			in.holdsThere("cosign, "+kind, func(who string) *exec.Cmd {
				return exec.Command(cosign, append([]string{"verify-blob-attestation", "--bundle", bundle, "--type", kind,
					"--digestAlg", "sha256", "--digest", subject}, in.cosignKeyless(who)...)...)
			})
		}
	}
}

// TestKeylessBundlesOfOthersVerifyHere has the reference sign, which sigstore-python does for it, and cosign sign the
// statement that we would.
func TestKeylessBundlesOfOthersVerifyHere(t *testing.T) {
	client, cosign, in := reference(t), tool(t, cosignModule), newInstance(t)
	m := directory(t, nil)
	must(t, client.CLI(t.Context(), "sign", "sigstore", "--signature", m.signature(), "--trust_config", in.trustConfig,
		"--identity_token", in.token, m.path))
	in.holdsHere(m.path)
	flipByte(t, m.flip)
	if a := ask(t, hallmark(t, "verify", m.path, "--identity", trainer, "--identity-provider", in.Issuer, "--trusted-root", in.TrustedRoot)); a.code != 1 || !strings.Contains(a.out, "digest-mismatch") {
		t.Errorf("hallmark, with a byte flipped: exit %d\n%s", a.code, a.out)
	}

	m = directory(t, nil)
	in.sign(m.path)
	text, _ := statement(t, in.read(m.signature()))
	for _, path := range []string{m.signature(), m.claims()} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	must(t, exec.Command(cosign, "attest-blob", "--statement", in.write("statement.json", text), "--bundle", m.signature(),
		"--identity-token", in.tokenFile, "--signing-config", in.SigningConfig, "--trusted-root", in.TrustedRoot, "--yes"))
	in.holdsHere(m.path)
}

// TestKeylessInARegistry verifies with cosign what we attached, and looks at what cosign attached.
func TestKeylessInARegistry(t *testing.T) {
	cosign, in := tool(t, cosignModule), newInstance(t)
	for name, referrers := range map[string]bool{"referrers API": true, "fallback tag": false} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
			t.Cleanup(server.Close)
			in := &instance{in.World, t, in.token, in.tokenFile, in.trustConfig}
			m := directory(t, nil)
			ref := strings.TrimPrefix(server.URL, "http://") + "/team/chat:v1"
			must(t, hallmark(t, "push", m.path, ref))
			cosignVerify := func(who string) *exec.Cmd {
				return exec.Command(cosign, append([]string{"verify", ref, "--allow-http-registry"}, in.cosignKeyless(who)...)...)
			}
			if a := ask(t, cosignVerify(trainer)); a.code == 0 {
				t.Errorf("cosign verified what nobody signed\n%s", a.out)
			}
			must(t, exec.Command(cosign, "sign", ref, "--allow-http-registry", "--identity-token", in.tokenFile,
				"--signing-config", in.SigningConfig, "--trusted-root", in.TrustedRoot, "--yes"))
			in.holdsThere("cosign, its own", cosignVerify)
			a := ask(t, hallmark(t, "verify", ref, "--identity", trainer, "--identity-provider", in.Issuer, "--trusted-root", in.TrustedRoot))
			if a.code != 1 || !strings.Contains(a.out, "no-evidence") {
				t.Errorf("cosign's signature on an image counts for a model: exit %d\n%s", a.code, a.out)
			}
			in.sign(ref)
			in.holdsHere(ref)
			in.holdsThere("cosign, both", cosignVerify)
		})
	}
}

// TestWitnessedKeyInARegistry: with a log entry cosign verifies a key's signature as it does its own, told nothing more.
func TestWitnessedKeyInARegistry(t *testing.T) {
	cosign, in := tool(t, cosignModule), newInstance(t)
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	m, p, other := directory(t, nil), keyed(t, "ecdsa-p256"), keyed(t, "ecdsa-p256")
	ref := strings.TrimPrefix(server.URL, "http://") + "/team/chat:v1"
	must(t, hallmark(t, "push", m.path, ref))
	sign := []string{"sign", ref, "--private-key", p.sign[1]}
	check := func(key string) answer {
		return ask(t, exec.Command(cosign, "verify", ref, "--key", key, "--allow-http-registry", "--trusted-root", in.TrustedRoot))
	}
	must(t, hallmark(t, sign...))
	if a := check(p.verify[1]); a.code == 0 {
		t.Errorf("cosign wants no log entry\n%s", a.out)
	}
	must(t, hallmark(t, append(sign, "--trusted-root", in.TrustedRoot, "--signing-config", in.SigningConfig)...))
	if a := check(p.verify[1]); a.code != 0 {
		t.Errorf("cosign: exit %d\n%s", a.code, a.out)
	}
	if a := check(other.verify[1]); a.code == 0 {
		t.Errorf("cosign verified it with another key\n%s", a.out)
	}
	verify := []string{"verify", ref, "--trusted-root", in.TrustedRoot, "--require-log", "--public-key"}
	if a := ask(t, hallmark(t, append(verify, p.verify[1])...)); a.code != 0 || !strings.HasPrefix(a.out, "yes ") {
		t.Errorf("hallmark: exit %d\n%s", a.code, a.out)
	}
	if a := ask(t, hallmark(t, append(verify, other.verify[1])...)); a.code != 1 || !strings.Contains(a.out, "untrusted-signer") {
		t.Errorf("hallmark, another key: exit %d\n%s", a.code, a.out)
	}
}

// TestKeyedAttestationsCrossVerify signs with a key of hallmark's and of cosign's. Ours has a log entry where a signing
// config is given; without one cosign has to be told not to want it.
func TestKeyedAttestationsCrossVerify(t *testing.T) {
	cosign, in := tool(t, cosignModule), newInstance(t)
	m, p, other := directory(t, nil), keyed(t, "ecdsa-p256"), keyed(t, "ecdsa-p256")
	var text []byte
	for name, how := range map[string]struct{ sign, verify []string }{
		"alone":     {p.sign, []string{"--insecure-ignore-tlog=true"}},
		"witnessed": {append(slices.Clone(p.sign), "--trusted_root", in.TrustedRoot, "--signing_config", in.SigningConfig), nil},
	} {
		must(t, ours(t, "sign", m, m.signature(), how.sign))
		var subject string
		text, subject = statement(t, in.read(m.signature()))
		check := func(key string) answer {
			return ask(t, exec.Command(cosign, append([]string{"verify-blob-attestation", "--key", key, "--bundle", m.signature(),
				"--type", omsType, "--digestAlg", "sha256", "--digest", subject, "--trusted-root", in.TrustedRoot}, how.verify...)...))
		}
		if a := check(p.verify[1]); a.code != 0 {
			t.Errorf("cosign, %s: exit %d\n%s", name, a.code, a.out)
		}
		if a := check(other.verify[1]); a.code == 0 {
			t.Errorf("cosign, %s, verified it with another key\n%s", name, a.out)
		}
	}

	theirs := in.write("theirs.sig", nil)
	must(t, cosignKeyed(t, cosign, p, "attest-blob", "--statement", in.write("statement.json", text), "--bundle", theirs,
		"--signing-config", in.SigningConfig, "--trusted-root", in.TrustedRoot, "--yes"))
	saysYes(t, m, p, theirs)
	saysNo(t, m, other, theirs, "untrusted-signer")
}
