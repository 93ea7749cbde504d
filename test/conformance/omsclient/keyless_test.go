package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// TestKeylessRoundtripCases runs the cases that need an identity token and a Sigstore instance, with one of our own. The
// suite fills in identity and provider from its environment.
func TestKeylessRoundtripCases(t *testing.T) {
	const identity = "conformance@example.com"
	w := sigstore.Run(t, sigstore.Options{})
	token, err := w.Token(identity, sigstore.TokenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	trusted := []string{"--method", "sigstore", "--trusted-root", w.TrustedRoot}
	ran := 0
	each(t, "roundtrip/*", 25, func(t *testing.T, dir string, c testCase) {
		if c.Sign.TokenEnv == "" {
			t.Skip("not keyless: see TestRoundtripCases")
		}
		ran++
		model := c.model(t, dir)
		bundle := filepath.Join(t.TempDir(), "bundle.sig")
		if c.SigInside {
			bundle = filepath.Join(model, "model.sig")
		}
		var ignored []string
		for _, p := range c.Verify.IgnorePaths {
			ignored = append(ignored, "--ignore-paths", filepath.Join(model, p))
		}
		sign := slices.Concat([]string{"sign-model", "--model-path", model, "--output-bundle", bundle,
			"--identity-token", token, "--signing-config", w.SigningConfig}, trusted, ignored)
		if err := run(context.Background(), sign); err != nil {
			t.Fatal(err)
		}
		if got := signedFiles(t, bundle); c.Files != nil && !slices.Equal(got, c.Files) {
			t.Errorf("signed files %q, want %q", got, c.Files)
		}
		verify := func(who, provider string) error {
			return run(context.Background(), slices.Concat([]string{"verify-model", "--model-path", model, "--bundle", bundle,
				"--identity", who, "--identity-provider", provider}, trusted, ignored))
		}
		if err := verify(identity, w.Issuer); err != nil {
			t.Errorf("%s: %v", c.Description, err)
		}
		for _, other := range [][2]string{{"somebody@example.com", w.Issuer}, {identity, "https://accounts.example.com"}} {
			if err := verify(other[0], other[1]); err == nil || !strings.Contains(err.Error(), "untrusted-signer") {
				t.Errorf("verified as %q: %v", other, err)
			}
		}
	})
	if ran != 5 {
		t.Errorf("%d keyless cases, want 5", ran)
	}
}
