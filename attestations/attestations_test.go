package attestations_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

var ctx = context.Background()

func newSigner(t testing.TB) signer.Signer {
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

func artifact(t testing.TB, o manifest.Options) *manifest.Manifest {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chat")
	for name, data := range map[string]string{"model.safetensors": "weights", "config.json": "{}\n", "sub/empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := manifest.Build(ctx, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSignedStatementReadsAsItWasMade(t *testing.T) {
	for name, o := range map[string]manifest.Options{
		"files":   {IgnorePaths: []string{"sub/none"}},
		"shards":  {Method: manifest.Shards, ShardSize: 3},
		"blake2b": {Algorithm: hashing.BLAKE2b},
		"blake3":  {Algorithm: hashing.BLAKE3, Method: manifest.Shards, ShardSize: 4},
	} {
		t.Run(name, func(t *testing.T) {
			m := artifact(t, o)
			by := newSigner(t)
			st, err := attestations.NewSignature(m, attestations.KindAdapter)
			if err != nil {
				t.Fatal(err)
			}
			bundle, a, err := attestations.Sign(ctx, st, by)
			if err != nil {
				t.Fatal(err)
			}
			s, err := attestations.ReadSignature(a)
			if err != nil {
				t.Fatal(err)
			}
			id, err := m.ID()
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != "chat" || s.Kind != attestations.KindAdapter || s.ArtifactID != id || len(s.Notes) != 0 {
				t.Errorf("read %+v", s)
			}
			if s.Serialization.Method != m.Serialization.Method || s.Serialization.Algorithm != m.Serialization.Algorithm ||
				s.Serialization.ShardSize != m.Serialization.ShardSize || !slices.Equal(s.Serialization.IgnorePaths, m.Serialization.IgnorePaths) {
				t.Errorf("serialization %+v, want %+v", s.Serialization, m.Serialization)
			}
			if len(s.Resources) != len(m.Resources) {
				t.Errorf("%d resources, want %d", len(s.Resources), len(m.Resources))
			}
			checkSchema(t, bundle)
		})
	}
}

// checkSchema holds a bundle against OMS's published schemas, all four layers.
func checkSchema(t *testing.T, bundle []byte) {
	t.Helper()
	c := jsonschema.NewCompiler()
	ids := map[string]string{}
	for _, name := range []string{"bundle", "envelope", "statement", "predicate"} {
		raw, err := os.ReadFile(filepath.Join(vectors(t), "oms", "schemas", name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = document.(map[string]any)["$id"].(string)
		if err := c.AddResource(ids[name], document); err != nil {
			t.Fatal(err)
		}
	}
	validate := func(name string, raw []byte) {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := c.Compile(ids[name])
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	validate("bundle", bundle)
	validate("statement", payloadOf(t, bundle))
}

func vectors(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HALLMARK_VECTORS"); dir != "" {
		return dir
	}
	dir := filepath.Join("..", "..", "shared", "vectors")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no test vectors beside the project: set HALLMARK_VECTORS")
	}
	return dir
}

func payloadOf(t testing.TB, bundle []byte) []byte {
	t.Helper()
	var b struct {
		Envelope struct {
			Payload []byte `json:"payload"`
		} `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	return b.Envelope.Payload
}

func TestOpenTakesEveryKindOfKey(t *testing.T) {
	for name, generate := range map[string]func() (crypto.Signer, error){
		"P-256":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"P-384":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"P-521":   func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"RSA":     func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"Ed25519": func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err },
	} {
		t.Run(name, func(t *testing.T) {
			key, err := generate()
			if err != nil {
				t.Fatal(err)
			}
			by, err := signer.NewKey(key)
			if err != nil {
				t.Fatal(err)
			}
			bundle, _, err := attestations.Sign(ctx, cosignStatement(t), by)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := attestations.Open(flipSignature(t, bundle), by.Roots()); reason(err) != policy.BadSignature {
				t.Errorf("with one bit of the signature flipped: %v", err)
			}
			if _, err := attestations.Open(bundle, newSigner(t).Roots()); reason(err) != policy.UntrustedSigner {
				t.Errorf("against another key: %v", err)
			}
			if _, err := attestations.Open(bundle, trust.Roots{}); reason(err) != policy.UntrustedSigner {
				t.Errorf("against nobody: %v", err)
			}
		})
	}
}

func reason(err error) policy.Reason {
	var refused *attestations.OpenError
	if errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

func cosignStatement(t testing.TB) attestations.Statement {
	t.Helper()
	s, err := attestations.NewCosignStatement("sha256:" + strings.Repeat("ab", 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func flipSignature(t *testing.T, bundle []byte) []byte {
	t.Helper()
	const key = `"sig":"`
	i := bytes.Index(bundle, []byte(key)) + len(key)
	n := bytes.IndexByte(bundle[i:], '"')
	sig, err := base64.StdEncoding.DecodeString(string(bundle[i : i+n]))
	if err != nil {
		t.Fatal(err)
	}
	sig[len(sig)-1] ^= 1
	return slices.Concat(bundle[:i], []byte(base64.StdEncoding.EncodeToString(sig)), bundle[i+n:])
}

func TestCosignStatementIsNoSignatureOnAnArtifact(t *testing.T) {
	by := newSigner(t)
	_, a, err := attestations.Sign(ctx, cosignStatement(t), by)
	if err != nil {
		t.Fatal(err)
	}
	if a.PredicateType() != attestations.PredicateCosign || a.Subjects()[0].Digest["sha256"] != strings.Repeat("ab", 32) {
		t.Errorf("states %s about %v", a.PredicateType(), a.Subjects())
	}
	var broken *attestations.StatementError
	if _, err := attestations.ReadSignature(a); !errors.As(err, &broken) {
		t.Errorf("read as a signature: %v", err)
	}
	if _, err := attestations.NewCosignStatement("sha256:AB"); err == nil {
		t.Error("a statement about no digest was made")
	}
}

func TestNameIsTheSameHoweverTheBundleIsWritten(t *testing.T) {
	by := newSigner(t)
	bundle, a, err := attestations.Sign(ctx, cosignStatement(t), by)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, bundle, "", "  "); err != nil {
		t.Fatal(err)
	}
	b, err := attestations.Open(indented.Bytes(), by.Roots())
	if err != nil {
		t.Fatal(err)
	}
	u, err := attestations.Bundle(bundle).Peek()
	if err != nil {
		t.Fatal(err)
	}
	if a.Name() != b.Name() || u.Name != a.Name() {
		t.Errorf("names %s, %s, %s", a.Name(), b.Name(), u.Name)
	}
	other, c, err := attestations.Sign(ctx, cosignStatement(t), by)
	if err != nil || len(other) == 0 || c.Name() == a.Name() {
		t.Errorf("a second signature has the same name: %v", err)
	}
}

// turned is a bundle by an ECDSA key with its signature in the other form that verifies, which takes no key to make.
func turned(t testing.TB, bundle []byte, curve elliptic.Curve) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(bundle, &doc); err != nil {
		t.Fatal(err)
	}
	holder := doc["dsseEnvelope"].(map[string]any)["signatures"].([]any)[0].(map[string]any)
	raw, err := base64.StdEncoding.DecodeString(holder["sig"].(string))
	if err != nil {
		t.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(raw, &sig); err != nil {
		t.Fatal(err)
	}
	sig.S.Sub(curve.Params().N, sig.S)
	if raw, err = asn1.Marshal(sig); err != nil {
		t.Fatal(err)
	}
	holder["sig"] = base64.StdEncoding.EncodeToString(raw)
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTwinIsTheNameOfTheOtherFormOfASignature(t *testing.T) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		by, err := signer.NewKey(key)
		if err != nil {
			t.Fatal(err)
		}
		bundle, a, err := attestations.Sign(ctx, cosignStatement(t), by)
		if err != nil {
			t.Fatal(err)
		}
		b, err := attestations.Open(turned(t, bundle, curve), by.Roots())
		if err != nil {
			t.Fatal(err)
		}
		if a.Name() == b.Name() || a.Twin() != b.Name() || b.Twin() != a.Name() {
			t.Errorf("%s: names %s and %s, twins %s and %s", curve.Params().Name, a.Name(), b.Name(), a.Twin(), b.Twin())
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, a, err := attestations.Sign(ctx, cosignStatement(t), by); err != nil || a.Twin() != "" {
		t.Errorf("a signature of one form has a twin %q, %v", a.Twin(), err)
	}
}

// altering signs something else than it is asked to.
type altering struct{ signer.Signer }

func (s altering) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	return s.Signer.Sign(ctx, payloadType, bytes.Replace(payload, []byte("cosign/sign"), []byte("cosign/sigh"), 1))
}

func TestSignNeverReturnsABundleThatDoesNotHold(t *testing.T) {
	by := newSigner(t)
	if _, _, err := attestations.Sign(ctx, cosignStatement(t), by); err != nil {
		t.Fatal(err)
	}
	if _, _, err := attestations.Sign(ctx, cosignStatement(t), altering{by}); err == nil {
		t.Error("a bundle with another statement was returned")
	}
	if _, _, err := attestations.Sign(ctx, attestations.Statement{}, by); err == nil {
		t.Error("an empty statement was signed")
	}
}

func TestSignatureNeedsAnIDAndBytes(t *testing.T) {
	if _, err := attestations.NewSignature(artifact(t, manifest.Options{}), "image"); err == nil {
		t.Error("any kind is taken")
	}
	if _, err := attestations.NewSignature(artifact(t, manifest.Options{Method: manifest.Shards, NoID: true}), attestations.KindModel); !errors.Is(err, manifest.ErrNoID) {
		t.Errorf("without an ID: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Build(ctx, dir, manifest.Options{Method: manifest.Shards})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attestations.NewSignature(m, attestations.KindModel); err == nil {
		t.Error("an empty list of shards was signed")
	}
}

func TestPeekTellsWhatABundleSaysOfItself(t *testing.T) {
	st, err := attestations.NewSignature(artifact(t, manifest.Options{IgnorePaths: []string{"cache"}}), attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	by := newSigner(t)
	bundle, _, err := attestations.Sign(ctx, st, by)
	if err != nil {
		t.Fatal(err)
	}
	u, err := bundle.Peek()
	if err != nil {
		t.Fatal(err)
	}
	if u.Method != "key" || u.Signer != by.Roots().Keys[0].Fingerprint() || u.PredicateType != attestations.PredicateOMS || !slices.Contains(u.IgnorePaths, "cache") {
		t.Errorf("peeked %+v", u)
	}
	if _, err := attestations.Bundle("{}").Peek(); err == nil {
		t.Error("peeked into nothing")
	}
}
