package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/signer"
)

// testCase is a case's config.json.
type testCase struct {
	Description string   `json:"description"`
	Method      string   `json:"method"`
	Model       string   `json:"model"`
	RelativeTo  string   `json:"model_relative_to"`
	Expect      string   `json:"expect"`
	SigInside   bool     `json:"sig_inside_model"`
	Files       []string `json:"expected_signed_files"`
	Changes     struct {
		Inject   map[string]string `json:"inject"`
		Tamper   map[string]string `json:"tamper"`
		Delete   []string          `json:"delete"`
		Symlinks map[string]string `json:"symlinks"`
	} `json:"model_modifications"`
	Sign struct {
		PrivateKey  string   `json:"private_key"`
		SigningCert string   `json:"signing_cert"`
		CertChain   []string `json:"cert_chain"`
		TokenEnv    string   `json:"identity_token_env"`
	} `json:"sign"`
	Verify struct {
		PublicKey      string   `json:"public_key"`
		CertChain      []string `json:"cert_chain"`
		Identity       string   `json:"identity"`
		Provider       string   `json:"identity_provider"`
		IgnorePaths    []string `json:"ignore_paths"`
		IgnoreUnsigned bool     `json:"ignore_unsigned_files"`
	} `json:"verify"`
}

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

func read(t *testing.T, dir string) testCase {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	var c testCase
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// each runs one test for every case of a folder, and fails if there are fewer than expected.
func each(t *testing.T, pattern string, atLeast int, test func(t *testing.T, dir string, c testCase)) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(vectors(t), "oms", "cases", filepath.FromSlash(pattern)))
	if err != nil || len(dirs) < atLeast {
		t.Fatalf("%d cases, want %d at least: %v", len(dirs), atLeast, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) { test(t, dir, read(t, dir)) })
	}
}

// model copies the case's model to where it may be changed, and changes it.
func (c testCase) model(t *testing.T, dir string) string {
	t.Helper()
	from := filepath.Join(vectors(t), "oms", "assets", filepath.FromSlash(c.Model))
	if c.RelativeTo == "test_dir" {
		from = filepath.Join(dir, filepath.FromSlash(c.Model))
	}
	to := filepath.Join(t.TempDir(), filepath.Base(from))
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var data []byte
		if data, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, data, 0o644)
		}
	}
	for _, files := range []map[string]string{c.Changes.Inject, c.Changes.Tamper} {
		for name, text := range files {
			err = errors.Join(err, os.WriteFile(filepath.Join(to, name), []byte(text), 0o644))
		}
	}
	for _, name := range c.Changes.Delete {
		err = errors.Join(err, os.Remove(filepath.Join(to, name)))
	}
	for name, target := range c.Changes.Symlinks {
		err = errors.Join(err, os.Symlink(target, filepath.Join(to, name)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func (c testCase) asset(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(vectors(t), "oms", "assets", filepath.FromSlash(name))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	// One case names a key that the suite does not ship. Any key does: the bundle is keyless.
	_, public, err := signer.GenerateKey(signer.ECDSAP256, nil)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "key.pub")
	if err := os.WriteFile(path, public, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (c testCase) verifyArgs(t *testing.T, model, bundle string) []string {
	t.Helper()
	args := []string{"verify-model", "--method", c.Method, "--model-path", model, "--bundle", bundle}
	switch c.Method {
	case "key":
		args = append(args, "--public-key", c.asset(t, c.Verify.PublicKey))
	case "certificate":
		args = append(args, "--cert-chain")
		for _, p := range c.Verify.CertChain {
			args = append(args, c.asset(t, p))
		}
	case "sigstore":
		args = append(args, "--identity", c.Verify.Identity, "--identity-provider", c.Verify.Provider,
			"--trusted-root", filepath.Join(vectors(t), "trust", "public-good", "trusted_root.json"))
	}
	if len(c.Verify.IgnorePaths) > 0 {
		args = append(args, "--ignore-paths")
		for _, p := range c.Verify.IgnorePaths {
			args = append(args, filepath.Join(model, p))
		}
	}
	if c.Verify.IgnoreUnsigned {
		args = append(args, "--ignore-unsigned-files")
	}
	return args
}

func (c testCase) signArgs(t *testing.T, model, bundle string) []string {
	t.Helper()
	args := []string{"sign-model", "--method", c.Method, "--model-path", model, "--output-bundle", bundle,
		"--private-key", c.asset(t, c.Sign.PrivateKey)}
	if c.Method == "certificate" {
		args = append(args, "--signing-cert", c.asset(t, c.Sign.SigningCert), "--cert-chain")
		for _, p := range c.Sign.CertChain {
			args = append(args, c.asset(t, p))
		}
	}
	for _, p := range c.Verify.IgnorePaths {
		args = append(args, "--ignore-paths", filepath.Join(model, p))
	}
	return args
}

// signedFiles lists the names in a bundle's statement.
func signedFiles(t *testing.T, bundle string) []string {
	t.Helper()
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	var b struct {
		Envelope struct {
			Payload string `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(raw, &b); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(b.Envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var st struct {
		Predicate struct {
			Resources []struct {
				Name string `json:"name"`
			} `json:"resources"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &st); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range st.Predicate.Resources {
		names = append(names, r.Name)
	}
	return names
}

func TestVerifyCases(t *testing.T) {
	for pattern, atLeast := range map[string]int{"verify/positive/*": 7, "verify/negative/*": 23, "verify/historical/*": 13} {
		each(t, pattern, atLeast, func(t *testing.T, dir string, c testCase) {
			bundle := filepath.Join(dir, "bundle.sig")
			err := run(context.Background(), c.verifyArgs(t, c.model(t, dir), bundle))
			wantFail := strings.HasSuffix(dir, "_fail")
			if (err != nil) != wantFail || wantFail != (c.Expect == "fail") {
				t.Errorf("%s: %v", c.Description, err)
			}
			if c.Files != nil && !slices.Equal(signedFiles(t, bundle), c.Files) {
				t.Errorf("signed files %q, want %q", signedFiles(t, bundle), c.Files)
			}
			// A real keyless bundle that is refused for its identity alone must be refused for that.
			if wantFail && strings.Contains(dir, "sigstore-wrong") && !strings.Contains(err.Error(), "untrusted-signer") {
				t.Errorf("refused because of %v", err)
			}
		})
	}
}

func TestRoundtripCases(t *testing.T) {
	each(t, "roundtrip/*", 25, func(t *testing.T, dir string, c testCase) {
		if c.Sign.TokenEnv != "" {
			t.Skip("keyless: see TestKeylessRoundtripCases")
		}
		model := c.model(t, dir)
		bundle := filepath.Join(t.TempDir(), "bundle.sig")
		if c.SigInside {
			bundle = filepath.Join(model, "model.sig")
		}
		err := run(context.Background(), c.signArgs(t, model, bundle))
		if c.Expect == "fail" {
			if _, statErr := os.Stat(bundle); err == nil || !errors.Is(statErr, os.ErrNotExist) {
				t.Errorf("%s: %v, bundle: %v", c.Description, err, statErr)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := signedFiles(t, bundle); !slices.Equal(got, c.Files) {
			t.Errorf("signed files %q, want %q", got, c.Files)
		}
		if err := run(context.Background(), c.verifyArgs(t, model, bundle)); err != nil {
			t.Errorf("%s: %v", c.Description, err)
		}
		if strings.Contains(dir, "deterministic") {
			again := filepath.Join(t.TempDir(), "again.sig")
			if err := run(context.Background(), c.signArgs(t, model, again)); err != nil || !slices.Equal(signedFiles(t, again), signedFiles(t, bundle)) {
				t.Errorf("signed again: %v, files %q", err, signedFiles(t, again))
			}
		}
	})
}

// TestSpecificationVectors holds the specification's own bundles over the models that they sign: the suite's simple
// one, and for keyless the one that was signed at the same time.
func TestSpecificationVectors(t *testing.T) {
	var simple testCase
	simple.Model = "models/simple"
	simple.Verify.IgnorePaths = []string{"ignore-me"}
	simple.Verify.PublicKey = "keys/certificate/signing-key-pub.pem"
	simple.Verify.CertChain = []string{"keys/certificate/ca-cert.pem"}
	simple.Verify.Identity = "stefanb@us.ibm.com"
	simple.Verify.Provider = "https://sigstore.verify.ibm.com/oauth2"
	bundles, err := filepath.Glob(filepath.Join(vectors(t), "oms", "spec-vectors", "*", "*.bundle.json"))
	if err != nil || len(bundles) != 8 {
		t.Fatalf("%d bundles: %v", len(bundles), err)
	}
	for _, bundle := range bundles {
		folder, name := filepath.Base(filepath.Dir(bundle)), filepath.Base(bundle)
		t.Run(folder+"/"+name, func(t *testing.T) {
			c := simple
			c.Method = "key"
			switch {
			case strings.HasPrefix(name, "certificate"):
				c.Method = "certificate"
			case strings.HasPrefix(name, "sigstore"), strings.HasPrefix(name, "missing-tlog"):
				c.Method, c.RelativeTo, c.Model = "sigstore", "test_dir", "model"
			}
			dir := filepath.Join(vectors(t), "oms", "cases", "verify", "historical", "historical-v1.1.0-sigstore")
			err := run(context.Background(), c.verifyArgs(t, c.model(t, dir), bundle))
			if (err == nil) != (folder == "valid") {
				t.Errorf("%s: %v", folder, err)
			}
		})
	}
}

func TestSpreadTakesListsBothWays(t *testing.T) {
	got := spread([]string{"--cert-chain", "a", "b", "--method", "key", "--ignore-unsigned-files"})
	want := []string{"--cert-chain", "a", "--cert-chain", "b", "--method", "key", "--ignore-unsigned-files"}
	if !slices.Equal(got, want) {
		t.Errorf("spread to %q, want %q", got, want)
	}
}
