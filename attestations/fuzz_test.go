package attestations_test

import (
	"crypto/ed25519"
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// fixedSigner signs with a key that is the same in every run, and the same bytes for the same payload: what a fuzzer
// found can be found again.
func fixedSigner(t testing.TB, seed byte) signer.Signer {
	t.Helper()
	s, err := signer.NewKey(ed25519.NewKeyFromSeed(slices.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// seedBundles are sound bundles of each form, by nobody who is trusted in these tests.
func seedBundles(f *testing.F) {
	f.Helper()
	by := fixedSigner(f, 1)
	for _, payload := range seedPayloads(f) {
		raw, err := by.Sign(ctx, attestations.PayloadType, payload)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
}

// seedPayloads are sound statements: on files, on shards, cosign's, and v0.2.0's.
func seedPayloads(f *testing.F) [][]byte {
	f.Helper()
	var payloads [][]byte
	for _, o := range []manifest.Options{{}, {Method: manifest.Shards, ShardSize: 4}, {IgnorePaths: []string{"sub"}}} {
		s, err := attestations.NewSignature(artifact(f, o), attestations.KindModel)
		if err != nil {
			f.Fatal(err)
		}
		payloads = append(payloads, s.Payload())
	}
	legacy := `{"_type":"` + attestations.StatementType + `","predicateType":"` + attestations.PredicateOMSLegacy +
		`","subject":[{"name":"a","digest":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}],"predicate":{}}`
	return append(payloads, []byte(legacy))
}

// FuzzOpen wants that nobody's bytes open against a key that never signed anything, and that every refusal has a reason.
func FuzzOpen(f *testing.F) {
	seedBundles(f)
	roots := fixedSigner(f, 2).Roots()
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, r := range []trust.Roots{roots, {}} {
			a, err := attestations.Open(b, r)
			var refused *attestations.OpenError
			if err == nil || a != nil {
				t.Fatal("it opens")
			}
			if !errors.As(err, &refused) || refused.Reason == "" || refused.Reason.Verdict() != 0 {
				t.Fatalf("refused without a reason for a no: %v", err)
			}
		}
	})
}

// FuzzPeek wants that what a bundle says of itself reads the same every time, and opens nothing.
func FuzzPeek(f *testing.F) {
	seedBundles(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := attestations.Bundle(b).Peek()
		second, again := attestations.Bundle(b).Peek()
		if (err == nil) != (again == nil) || !reflect.DeepEqual(first, second) {
			t.Fatalf("it reads as %+v (%v), then as %+v (%v)", first, err, second, again)
		}
		if err == nil && (len(first.Name) != len("sha256:")+64 || first.Method == "" || first.PredicateType == "") {
			t.Fatalf("it reads, and says nothing of itself: %+v", first)
		}
	})
}

// FuzzReadSignature signs any payload with a trusted key. What is read of it must then keep every rule that those who
// compare files rely on.
func FuzzReadSignature(f *testing.F) {
	for _, payload := range seedPayloads(f) {
		f.Add(payload)
	}
	by := fixedSigner(f, 3)
	f.Fuzz(func(t *testing.T, payload []byte) {
		raw, err := by.Sign(ctx, attestations.PayloadType, payload)
		if err != nil {
			return // an empty payload
		}
		a, err := attestations.Open(raw, by.Roots())
		if err != nil {
			return
		}
		s, err := attestations.ReadSignature(a)
		if err != nil {
			return
		}
		if _, err := attestations.Bundle(raw).Peek(); err != nil {
			t.Errorf("it opens and reads, and does not peek: %v", err)
		}
		checkSignature(t, s)
	})
}

// checkSignature holds what was read to the promises of Signature and Files.
func checkSignature(t *testing.T, s *attestations.Signature) {
	t.Helper()
	files, err := s.Files()
	if err != nil || len(files) == 0 {
		t.Fatalf("it reads, and has no files: %v", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		if err := manifest.CleanName(file.Name); err != nil && !s.Single() {
			t.Errorf("a name that is not clean: %v", err)
		}
		if seen[file.Name] {
			t.Errorf("%q is there twice", file.Name)
		}
		seen[file.Name] = true
		if len(file.Digests) == 0 || s.Serialization.Method == manifest.Files && len(file.Digests) != 1 {
			t.Errorf("%q has %d digests", file.Name, len(file.Digests))
		}
		for _, d := range file.Digests {
			if len(d) != s.Serialization.Algorithm.Size() {
				t.Errorf("%q has a digest of %d bytes", file.Name, len(d))
			}
		}
		if shards := s.Serialization.ShardSize; s.Serialization.Method == manifest.Shards && (shards <= 0 ||
			(file.Size-1)/shards != int64(len(file.Digests))-1) {
			t.Errorf("%q of %d bytes has %d shards of %d", file.Name, file.Size, len(file.Digests), shards)
		}
	}
	if s.Kind != "" {
		if _, err := attestations.ParseKind(string(s.Kind)); err != nil {
			t.Error(err)
		}
	}
}
