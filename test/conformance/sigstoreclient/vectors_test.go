package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/pkg/trust/store"
)

// Kinds of refusal that are not about a bundle and so have no reason code.
const (
	badRoot policy.Reason = "trusted root cannot be read"
	badKey  policy.Reason = "key cannot be read"
)

// refusals is why each folder must be refused. Some bundles have more than one fault; the first that is met counts, and
// that is the log entry's where what was signed was altered, since the log vouches for what it saw.
var refusals = map[string]policy.Reason{
	// Not a bundle, or not a whole one.
	"bundle-empty-certificate-chain_fail":       policy.BundleMalformed,
	"bundle-invalid-base64-signature_fail":      policy.BundleMalformed,
	"bundle-malformed-json_fail":                policy.BundleMalformed,
	"bundle-unknown-version_fail":               policy.BundleMalformed,
	"bundle-with-root-cert_fail":                policy.BundleMalformed,
	"intoto-missing-inclusion-proof_fail":       policy.BundleMalformed,
	"rekor2-no-inclusion-proof_fail":            policy.BundleMalformed,
	"rekor2-timestamp-with-incorrect-time_fail": policy.BundleMalformed, // its base64 has line ends in it

	// Another file than the signed one.
	"message-digest-mismatch_fail": policy.DigestMismatch,
	"wrong-material_fail":          policy.DigestMismatch,

	// A log that nobody trusts, and entries that do not prove the signature.
	"bundle-from-wrong-instance_fail":              policy.LogUntrusted,
	"bundle-negative-log-index_fail":               policy.LogInvalid,
	"checkpoint-bad-keyhint_fail":                  policy.LogInvalid,
	"checkpoint-wrong-roothash_fail":               policy.LogInvalid,
	"dsse-invalid-sig_fail":                        policy.LogInvalid,
	"dsse-mismatch-envelope_fail":                  policy.LogInvalid,
	"dsse-mismatch-sig_fail":                       policy.LogInvalid,
	"inclusion-proof-corrupted-hash_fail":          policy.LogInvalid,
	"incorrect-public-key_fail":                    policy.LogInvalid,
	"intoto-log-entry-mismatch_fail":               policy.LogInvalid,
	"invalid-checkpoint-signature_fail":            policy.LogInvalid,
	"invalid-inclusion-proof_fail":                 policy.LogInvalid,
	"rekor2-checkpoint-missing-log-signature_fail": policy.LogInvalid,
	"rekor2-checkpoint-missing-origin_fail":        policy.LogInvalid,
	"rekor2-checkpoint-missing-root-hash_fail":     policy.LogInvalid,
	"rekor2-checkpoint-missing-size_fail":          policy.LogInvalid,
	"rekor2-checkpoint-no-matching-signature_fail": policy.LogInvalid,
	"rekor2-dsse-invalid-sig_fail":                 policy.LogInvalid,
	"rekor2-dsse-mismatch-envelope_fail":           policy.LogInvalid,
	"rekor2-dsse-mismatch-sig_fail":                policy.LogInvalid,
	"set-invalid-signature_fail":                   policy.LogInvalid,
	"signature-mismatch_fail":                      policy.LogInvalid,
	"wrong-hashedrekord-artifact_fail":             policy.LogInvalid,
	"wrong-hashedrekord-cert-and-sig_fail":         policy.LogInvalid,
	"wrong-hashedrekord-entry_fail":                policy.LogInvalid,

	// A trusted time outside the certificate's window.
	"integrated-time-in-future_fail":                  policy.CertificateExpired,
	"intoto-expired-certificate_fail":                 policy.CertificateTooEarly, // made later than the log saw the signature
	"intoto-set-outside-signing-cert-validity_fail":   policy.CertificateExpired,
	"intoto-tsa-timestamp-outside-cert-validity_fail": policy.CertificateExpired,

	// No time that somebody trusted vouches for.
	"rekor2-no-timestamp_fail":                                  policy.TimeMissing,
	"rekor2-timestamp-outside-trust-root-tsa-validity_fail":     policy.TimeMissing,
	"rekor2-timestamp-outside-tsa-cert-validity_fail":           policy.TimeMissing,
	"rekor2-timestamp-payload-mismatch_fail":                    policy.TimeMissing,
	"rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail":    policy.TimeMissing,
	"rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail": policy.TimeMissing,

	// A certificate that no trusted CT log knows; a signer that nobody trusts; trust that cannot be read.
	"invalid-ct-key_fail":                         policy.SCTInvalid,
	"managed-key-no-key_fail":                     policy.UntrustedSigner,
	"managed-key-wrong-key_fail":                  badKey, // its point is on no curve
	"trust-root-tlog-missing-validity-start_fail": badRoot,
}

// The signer of every folder that names no other.
const (
	theIdentity = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
	theIssuer   = "https://token.actions.githubusercontent.com"
)

// vectors is the folder with other people's test data.
func vectors(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HALLMARK_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "vectors")
		if _, err := os.Stat(dir); err != nil {
			t.Skip("no test vectors beside the project: set HALLMARK_VECTORS")
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// kind is what sort of refusal err is.
func kind(err error) policy.Reason {
	var refused *attestations.OpenError
	switch {
	case errors.As(err, &refused):
		return refused.Reason
	case errors.Is(err, errNotThem):
		return policy.UntrustedSigner
	case errors.Is(err, trust.ErrRoot):
		return badRoot
	case errors.Is(err, trust.ErrKey):
		return badKey
	}
	return policy.Reason(fmt.Sprintf("none that is known: %v", err))
}

// folder is one folder of the suite.
type folder struct {
	t   *testing.T
	dir string
}

// file is the folder's file of that name, or else the one given.
func (f folder) file(name, otherwise string) string {
	if path := filepath.Join(f.dir, name); exists(path) {
		return path
	}
	return otherwise
}

func (f folder) text(name, otherwise string) string {
	path := f.file(name, "")
	if path == "" {
		return otherwise
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.TrimSpace(string(raw))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (f folder) artifact() string { return f.file("artifact", filepath.Join(f.dir, "..", "a.txt")) }

func (f folder) digest() string {
	raw, err := os.ReadFile(f.artifact())
	if err != nil {
		f.t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(raw))
}

// args is the command line for a file or its digest.
func (f folder) args(input string) []string {
	args := []string{"verify-bundle", "--bundle", filepath.Join(f.dir, "bundle.sigstore.json")}
	if key := f.file("key.pub", ""); key != "" {
		args = append(args, "--key", key)
	} else {
		args = append(args, "--certificate-identity", f.text("identity", theIdentity), "--certificate-oidc-issuer", f.text("issuer", theIssuer))
	}
	if root := f.file("trusted_root.json", ""); root != "" {
		args = append(args, "--trusted-root", root)
	}
	return append(args, input)
}

// publicGood is a file of the public-good instance's.
func publicGood(t *testing.T, name string) string {
	return filepath.Join(vectors(t), "trust", "public-good", name)
}

const servers = "signing_config_rekor_v2.v0.2.json" // the public-good instance's

// importPublicGood imports the public-good instance's trusted root, which folders without one of their own go by.
func importPublicGood(t *testing.T, signingConfig []byte) {
	t.Helper()
	data, err := os.ReadFile(publicGood(t, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := (store.Store{Dir: filepath.Join(dir, "store")}).Import(data, signingConfig, "trusted_root.json"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HALLMARK_TRUST_DIR", filepath.Join(dir, "store"))
}

func TestVerifyBundleFolders(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(vectors(t), "sigstore-conformance", "bundle-verify", "*", "bundle.sigstore.json"))
	if err != nil || len(dirs) != 70 {
		t.Fatalf("%d folders: %v", len(dirs), err)
	}
	importPublicGood(t, nil)
	seen := map[string]bool{}
	for _, bundle := range dirs {
		f := folder{t, filepath.Dir(bundle)}
		name := filepath.Base(f.dir)
		seen[name] = true
		for form, input := range map[string]string{"path": f.artifact(), "digest": f.digest()} {
			t.Run(name+"/"+form, func(t *testing.T) {
				err := run(context.Background(), f.args(input))
				want, refused := refusals[name]
				switch {
				case refused != strings.HasSuffix(name, "_fail"):
					t.Errorf("the table says refused: %t", refused)
				case !refused && err != nil:
					t.Error(err)
				case refused && (err == nil || kind(err) != want):
					t.Errorf("refused as %q, want %q: %v", kind(err), want, err)
				}
			})
		}
	}
	for name := range refusals {
		if !seen[name] {
			t.Errorf("the table names %q, which is no folder", name)
		}
	}
}

// TestVerifyBundleHoldsWhoSigned has bundles that hold refused for their signer alone.
func TestVerifyBundleHoldsWhoSigned(t *testing.T) {
	f := folder{t, filepath.Join(vectors(t), "sigstore-conformance", "bundle-verify", "happy-path-v0.3")}
	importPublicGood(t, nil)
	if err := run(context.Background(), f.args(f.digest())); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][]string{
		"another identity": {"--certificate-identity", theIdentity + "2"},
		"a pattern":        {"--certificate-identity", ".*"},
		"another issuer":   {"--certificate-oidc-issuer", theIssuer + "/"},
	} {
		args := f.args(f.digest())
		args = append(args[:len(args)-1], append(change, args[len(args)-1])...) // the last of a flag counts
		if err := run(context.Background(), args); kind(err) != policy.UntrustedSigner {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTrustedRootIsTheInstancesOwn(t *testing.T) {
	f := folder{t, filepath.Join(vectors(t), "sigstore-conformance", "bundle-verify", "happy-path-v0.3")}
	t.Setenv("HALLMARK_TRUST_DIR", t.TempDir())
	if err := run(context.Background(), f.args(f.digest())); !errors.Is(err, store.ErrNone) || !strings.Contains(err.Error(), store.PublicGood) {
		t.Errorf("nothing imported: %v", err)
	}
	importPublicGood(t, nil)
	if err := run(context.Background(), f.args(f.digest())); err != nil {
		t.Errorf("public-good: %v", err)
	}
	staging := append([]string{"verify-bundle", "--staging"}, f.args(f.digest())[1:]...)
	if err := run(context.Background(), staging); !errors.Is(err, errInstance) || !strings.Contains(err.Error(), store.Staging) {
		t.Errorf("staging: %v", err)
	}
}

// TestSignBundleLeavesNothingHalfDone has a token refused before anybody is asked for anything. Which servers those would
// be is said by a file or by what was imported, and has to be said.
func TestSignBundleLeavesNothingHalfDone(t *testing.T) {
	dir := t.TempDir()
	file, bundle := filepath.Join(dir, "f"), filepath.Join(dir, "f.sigstore.json")
	if err := os.WriteFile(file, []byte("f"), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(publicGood(t, servers))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		imported []byte
		flags    []string
		wants    error
	}{
		{nil, []string{"--signing-config", publicGood(t, servers)}, signer.ErrToken},
		{nil, []string{"--signing-config", publicGood(t, servers), "--in-toto"}, signer.ErrToken},
		{config, nil, signer.ErrToken},
		{nil, nil, errNoServers},
		{config, []string{"--trusted-root", publicGood(t, "trusted_root.json")}, errNoServers},
	} {
		importPublicGood(t, test.imported)
		args := append([]string{"sign-bundle", "--identity-token", "x", "--bundle", bundle}, test.flags...)
		if err := run(context.Background(), append(args, file)); !errors.Is(err, test.wants) || exists(bundle) {
			t.Errorf("%q, %d bytes imported: %v, want %v", test.flags, len(test.imported), err, test.wants)
		}
	}
}

func TestUsageIsRefused(t *testing.T) {
	for _, args := range [][]string{
		{}, {"verify"}, {"verify-bundle"}, {"verify-bundle", "--bundle", "b"}, {"verify-bundle", "--bundle", "b", "f"},
		{"verify-bundle", "--bundle", "b", "--certificate-identity", "i", "f"},
		{"verify-bundle", "--bundle", "b", "--key", "k", "--certificate-identity", "i", "f"},
		{"sign-bundle", "--bundle", "b", "--identity-token", "t", "f"},
	} {
		if err := run(context.Background(), args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
