package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func newSigner(t *testing.T) signer.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func trusting(by signer.Signer) chain.Options {
	return chain.Options{Roots: by.Roots(), Policy: policy.Policy{
		Signers: []trust.Identity{{Key: by.Roots().Keys[0].Fingerprint()}}, AllowUncovered: true,
	}}
}

// signedModel is a model on disk with its signature.
func signedModel(t *testing.T, by signer.Signer, o manifest.Options) (string, *manifest.Manifest) {
	t.Helper()
	ctx := context.Background()
	dir := model(t, nil)
	m, err := manifest.Build(ctx, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	made, err := attestations.SignArtifact(ctx, m, attestations.KindModel, by)
	if err != nil {
		t.Fatal(err)
	}
	never := func(attestations.Bundle) bool { return false }
	if _, err := StoreSignature(ctx, dir, "", made.Signature, [][]byte{made.ForCosign}, never); err != nil {
		t.Fatal(err)
	}
	return dir, m
}

func publish(t *testing.T, dir string, m *manifest.Manifest, ref Ref) Published {
	t.Helper()
	ctx := context.Background()
	evidence, err := ReadEvidence(ctx, dir, EvidenceOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Publish(ctx, dir, m, evidence, ref, PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublishedArtifactIsFoundDecidedAndFetched(t *testing.T) {
	ctx := context.Background()
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	for _, p := range stores() {
		t.Run(p.name, func(t *testing.T) {
			ref := p.ref(t)
			published := publish(t, dir, m, ref)
			if published.Evidence != 2 || published.Tag != "v1" || published.Pinned != ref.Pinned(published.ID) {
				t.Errorf("published %+v", published)
			}
			stored, err := Find(ctx, ref, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer stored.Close()
			d, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, trusting(by))
			if err != nil || d.Verdict() != policy.Yes || d.Artifact.Pinned != published.Pinned {
				t.Fatalf("verdict %s, %v: %v", d.Verdict(), d.Reasons(), err)
			}
			to := filepath.Join(t.TempDir(), "to")
			if err := stored.Fetch(ctx, d, by.Roots(), to, FetchOptions{}); err != nil {
				t.Fatal(err)
			}
			fetched, original := tree(t, to), tree(t, dir)
			if len(fetched) != len(original) {
				t.Errorf("%d files, want %d", len(fetched), len(original))
			}
			for name, content := range original {
				if fetched[name] != content {
					t.Errorf("%q differs", name)
				}
			}
		})
	}
}

func TestFetchNeedsAYesOnThisArtifact(t *testing.T) {
	ctx := context.Background()
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	ref := places()[0].ref(t)
	publish(t, dir, m, ref)
	stored, err := Find(ctx, ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	no, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, trusting(newSigner(t)))
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "to")
	if err := stored.Fetch(ctx, no, by.Roots(), to, FetchOptions{}); err == nil {
		t.Error("fetched after a no")
	}
	if err := stored.Fetch(ctx, policy.Decision{}, by.Roots(), to, FetchOptions{}); err == nil {
		t.Error("fetched without a decision")
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("something was written")
	}
}

// TestFetchWritesOnlyWhatOpened: a stranger's bundle stays in the registry.
func TestFetchWritesOnlyWhatOpened(t *testing.T) {
	ctx := context.Background()
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	ref := places()[0].ref(t)
	publish(t, dir, m, ref)
	stored, err := Find(ctx, ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := stored.Attach(ctx, testBundleStatement(t)); err != nil {
		t.Fatal(err)
	}
	d, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, trusting(by))
	if err != nil || d.Verdict() != policy.Yes || len(d.Evidence) != 3 {
		t.Fatalf("verdict %s with %d bundles: %v", d.Verdict(), len(d.Evidence), err)
	}
	to := filepath.Join(t.TempDir(), "to")
	if err := stored.Fetch(ctx, d, by.Roots(), to, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	items, err := ReadEvidence(ctx, to, EvidenceOptions{})
	if err != nil || len(items) != 2 {
		t.Errorf("%d bundles were written, want 2: %v", len(items), err)
	}
}

// testBundleStatement is a bundle by a stranger.
func testBundleStatement(t *testing.T) attestations.Bundle {
	t.Helper()
	st, err := attestations.NewCosignStatement("sha256:0000000000000000000000000000000000000000000000000000000000000000")
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := attestations.Sign(context.Background(), st, newSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStoredArtifactIsSignedWhereItLies(t *testing.T) {
	ctx := context.Background()
	by := newSigner(t)
	ref := places()[1].ref(t)
	publishUnsigned(t, ref)
	stored, err := Find(ctx, ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := stored.List()
	if err != nil {
		t.Fatal(err)
	}
	made, err := attestations.SignArtifact(ctx, m, attestations.KindDataset, by)
	if err != nil || made.ID != stored.Digest {
		t.Fatalf("signed %s, want %s: %v", made.ID, stored.Digest, err)
	}
	if err := stored.Attach(ctx, made.Signature, made.ForCosign); err != nil {
		t.Fatal(err)
	}
	d, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, trusting(by))
	if err != nil || d.Verdict() != policy.Yes || d.Artifact.Kind != "dataset" {
		t.Errorf("verdict %s because of %v: %v", d.Verdict(), d.Reasons(), err)
	}
}

func publishUnsigned(t *testing.T, ref Ref) {
	t.Helper()
	dir := model(t, nil)
	m, err := manifest.Build(context.Background(), dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, dir, m, ref)
}

func TestStoreSignatureKeepsAStrangers(t *testing.T) {
	ctx := context.Background()
	alice, bob := newSigner(t), newSigner(t)
	dir, m := signedModel(t, alice, manifest.Options{})
	first, err := ReadSignature(dir, "")
	if err != nil || first == nil {
		t.Fatal(err)
	}
	made, err := attestations.SignArtifact(ctx, m, attestations.KindModel, bob)
	if err != nil {
		t.Fatal(err)
	}
	stranger := func(attestations.Bundle) bool { return false }
	where, err := StoreSignature(ctx, dir, "", made.Signature, nil, stranger)
	if err != nil || filepath.Base(where) != manifest.ClaimsName {
		t.Errorf("stored in %s: %v", where, err)
	}
	if kept, err := ReadSignature(dir, ""); err != nil || string(kept) != string(first) {
		t.Errorf("the first signature changed: %v", err)
	}
	own := func(attestations.Bundle) bool { return true }
	if where, err = StoreSignature(ctx, dir, "", made.Signature, nil, own); err != nil || filepath.Base(where) != manifest.SignatureName {
		t.Errorf("stored in %s: %v", where, err)
	}
}

func TestRemoveLeftoversOfAKilledWriter(t *testing.T) {
	dir := model(t, nil)
	left := filepath.Join(dir, temporaryPrefix+manifest.SignatureName)
	if err := os.WriteFile(left, []byte("half a bun"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := RemoveLeftovers(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, manifest.SignatureName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a signature appeared: %v", err)
	}
}
