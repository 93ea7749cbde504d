package attestations_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/in-toto/in-toto-golang/in_toto"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// TestInTotoVerifiesTheLink signs with each kind of key and has in-toto-golang load and verify the file.
func TestInTotoVerifiesTheLink(t *testing.T) {
	m := artifact(t, manifest.Options{})
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		by, err := signer.NewKey(key)
		if err != nil {
			t.Fatal(err)
		}
		checkLink(t, m, by, key.Public(), strings.ToLower(strings.ReplaceAll(curve.Params().Name, "P-", "ecdsa-sha2-nistp")))
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	checkLink(t, m, by, public, "ed25519")
}

func checkLink(t *testing.T, m *manifest.Manifest, by signer.Signer, public any, scheme string) {
	t.Helper()
	l := attestations.NewLink("finetune", []string{"python", "train.py"})
	l.AddMaterials("corpus", false, m.Files)
	l.AddMaterials("config.yaml", true, m.Files[:1])
	l.AddCommit("source", strings.Repeat("ab", 20))
	l.AddProducts("chat", false, m.Files[:2])
	raw, err := l.Sign(ctx, by)
	if err != nil {
		t.Fatalf("%s: %v", scheme, err)
	}
	path := filepath.Join(t.TempDir(), "finetune.link")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	var key in_toto.Key
	if err := key.LoadKeyReader(strings.NewReader(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))), scheme, []string{"sha256", "sha512"}); err != nil {
		t.Fatal(err)
	}
	loaded, err := in_toto.LoadMetadata(path)
	if err != nil {
		t.Fatalf("%s: %v", scheme, err)
	}
	if err := loaded.VerifySignature(key); err != nil {
		t.Errorf("%s: %v", scheme, err)
	}
	if _, err := loaded.GetSignatureForKeyID(key.KeyID); err != nil {
		t.Errorf("%s: %v", scheme, err)
	}
	link, ok := loaded.GetPayload().(in_toto.Link)
	if !ok || link.Type != "link" || link.Name != "finetune" || len(link.Command) != 2 || len(link.Products) != 2 {
		t.Fatalf("%s: it reads as %+v", scheme, loaded.GetPayload())
	}
	for name, want := range map[string]string{"corpus/model.safetensors": "sha256", "corpus/sub/empty": "sha256", "config.yaml": "sha256", "source": "gitCommit"} {
		if digest := link.Materials[name]; len(digest) != 1 || digest[want] == "" {
			t.Errorf("material %s: %v", name, digest)
		}
	}
	if got := link.Products["chat/config.json"]["sha256"]; got != m.Files[0].SHA256.Hex() {
		t.Errorf("product chat/config.json: %s", got)
	}
	flipped := strings.Replace(string(raw), `"payload": "`, `"payload": "A`, 1)
	if err := os.WriteFile(path, []byte(flipped), 0o644); err != nil {
		t.Fatal(err)
	}
	if loaded, err = in_toto.LoadMetadata(path); err == nil && loaded.VerifySignature(key) == nil {
		t.Errorf("%s: another payload verifies", scheme)
	}
}

func TestLinkNeedsAKeyThatInTotoVerifies(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := attestations.CheckLinkSigner(by); !errors.Is(err, attestations.ErrNoLinkKey) {
		t.Errorf("RSA: %v", err)
	}
	if _, err := attestations.NewLink("train", nil).Sign(ctx, by); !errors.Is(err, attestations.ErrNoLinkKey) {
		t.Errorf("signed by RSA: %v", err)
	}
	if err := attestations.CheckLinkSigner(newSigner(t)); err != nil {
		t.Errorf("ECDSA: %v", err)
	}
}
