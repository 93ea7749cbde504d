package trust

import (
	"bytes"
	"crypto"
	//lint:ignore SA1019 a key of this kind has to be refused
	"crypto/dsa" //nolint:staticcheck // to see it refused
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

func spki(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func rsaKey(t *testing.T, bits int) *rsa.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return &key.PublicKey
}

func TestLoadKeyReadsEveryKind(t *testing.T) {
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := rsaKey(t, MinRSABits)
	for name, public := range map[string]crypto.PublicKey{
		"P-256": ecKey(t, elliptic.P256()).Public(), "P-384": ecKey(t, elliptic.P384()).Public(),
		"P-521": ecKey(t, elliptic.P521()).Public(), "RSA": r, "Ed25519": ed,
	} {
		data := block("PUBLIC KEY", spki(t, public))
		key, err := LoadKey(append([]byte("a key\n"), data...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(spki(t, key.Public()), spki(t, public)) {
			t.Errorf("%s: another key", name)
		}
		sum := sha256.Sum256(data)
		if key.Fingerprint() != hex.EncodeToString(sum[:]) {
			t.Errorf("%s: fingerprint is %s", name, key.Fingerprint())
		}
	}
	older, err := LoadKey(block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(r)))
	if err != nil {
		t.Fatal(err)
	}
	newer, err := NewKey(r)
	if err != nil || older.Fingerprint() != newer.Fingerprint() {
		t.Errorf("one key, two fingerprints by its file's form: %s, %s, %v", older.Fingerprint(), newer.Fingerprint(), err)
	}
}

func TestLoadKeyRefuses(t *testing.T) {
	private := ecKey(t, elliptic.P256())
	good := block("PUBLIC KEY", spki(t, private.Public()))
	if _, err := LoadKey(good); err != nil {
		t.Fatalf("key without a fault: %v", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der := spki(t, private.Public())
	offCurve := bytes.Clone(der)
	offCurve[len(offCurve)-1] ^= 1
	for _, test := range []struct {
		says string
		data []byte
	}{
		{"no PEM block", nil},
		{"no PEM block", []byte("ssh-ed25519 AAAA")},
		{"no PEM block", good[:60]},
		{`"PRIVATE KEY"`, block("PRIVATE KEY", pkcs8)},
		{`"CERTIFICATE"`, issue(t, nil, caTemplate("ca")).pem()},
		{`"CERTIFICATE"`, append(issue(t, nil, caTemplate("ca")).pem(), good...)}, // the first block decides
		{"P-224", block("PUBLIC KEY", spki(t, ecKey(t, elliptic.P224()).Public()))},
		{"1024 bits is too short", block("PUBLIC KEY", spki(t, rsaKey(t, 1024)))},
		{"1024 bits is too short", block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(rsaKey(t, 1024)))},
		{"*ecdh.PublicKey are not supported", block("PUBLIC KEY", spki(t, x25519.PublicKey()))},
		{"read public key", block("PUBLIC KEY", der[:20])},
		{"read public key", block("PUBLIC KEY", append(bytes.Clone(der), 0))},
		{"read public key", block("PUBLIC KEY", offCurve)},
		{"at most", append(bytes.Repeat([]byte("#\n"), MaxFile/2), good...)},
	} {
		_, err := LoadKey(test.data)
		refused(t, err, test.says)
	}
}

func TestCheckPublicKeyRefusesHollowKeys(t *testing.T) {
	for _, public := range []crypto.PublicKey{
		nil, "key", &dsa.PublicKey{}, (*ecdsa.PublicKey)(nil), &ecdsa.PublicKey{}, (*rsa.PublicKey)(nil), &rsa.PublicKey{},
		ed25519.PublicKey(nil), make(ed25519.PublicKey, 31), make(ed25519.PublicKey, 33), &rsa.PublicKey{N: big.NewInt(15), E: 3},
		*rsaKey(t, MinRSABits), // a value is not what crypto/x509 returns
	} {
		if err := CheckPublicKey(public); err == nil {
			t.Errorf("%T is accepted", public)
		}
		if _, err := NewKey(public); err == nil {
			t.Errorf("NewKey accepts %T", public)
		}
	}
	if err := CheckPublicKey(rsaKey(t, MinRSABits)); err != nil {
		t.Errorf("key without a fault: %v", err)
	}
}

func TestFingerprintIsTheReferenceImplementations(t *testing.T) {
	key, err := LoadKey(vectors(t, "oms/assets/keys/certificate/signing-key-pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	const hint = "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e" // OMS v1.0, appendix A
	if key.Fingerprint() != hint {
		t.Errorf("fingerprint is %s, want %s", key.Fingerprint(), hint)
	}
	if match, known := key.MatchesHint(hint); !match || !known {
		t.Errorf("hint: match %v, known %v", match, known)
	}
}

func TestMatchesHint(t *testing.T) {
	private := ecKey(t, elliptic.P256())
	key, err := NewKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewKey(ecKey(t, elliptic.P256()).Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(spki(t, private.Public()))
	sigstore := base64.StdEncoding.EncodeToString(sum[:])
	for _, test := range []struct {
		hint         string
		match, known bool
	}{
		{key.Fingerprint(), true, true},
		{sigstore, true, true},
		{other.Fingerprint(), false, true},
		{strings.ToUpper(key.Fingerprint()), false, true},
		{hex.EncodeToString(sum[:]), false, true}, // the right digest in the wrong form is another key's name
		{"", false, false},
		{"my key", false, false},
		{key.Fingerprint()[:62], false, false},
		{sigstore + "\n", false, true},
	} {
		match, known := key.MatchesHint(test.hint)
		if match != test.match || known != test.known {
			t.Errorf("hint %q: match %v, known %v, want %v, %v", test.hint, match, known, test.match, test.known)
		}
	}
	if match, _ := (Key{}).MatchesHint(""); match {
		t.Error("no key matches no hint")
	}
}
