package signer

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// The files in testdata hold one key, made and encrypted by OpenSSL 3.0 with the password "correct".
func testFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func say(password string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(password), nil }
}

// never fails the test if a password is asked for.
func never(t *testing.T) func() ([]byte, error) {
	return func() ([]byte, error) {
		t.Error("password was asked for")
		return nil, errors.New("no")
	}
}

func TestParsePrivateKeyReadsEveryForm(t *testing.T) {
	for _, a := range []Algorithm{ECDSAP256, ECDSAP384, ECDSAP521, Ed25519, RSA2048} {
		private, public, err := GenerateKey(a, nil)
		if err != nil {
			t.Fatal(err)
		}
		want, err := trust.LoadKey(public)
		if err != nil {
			t.Fatal(err)
		}
		key, err := ParsePrivateKey(private, never(t))
		if err != nil {
			t.Fatal(err)
		}
		forms := map[string][]byte{
			"PKCS #8":           private,
			"with text before":  append([]byte("Bag Attributes\n    friendlyName: signer\n"), private...),
			"with text after":   append(bytes.Clone(private), "-----BEGIN CERTIFICATE-----\nnot looked at\n"...),
			"with CRLF":         bytes.ReplaceAll(private, []byte("\n"), []byte("\r\n")),
			"PKCS #1 or SEC 1:": olderForm(t, key),
		}
		for name, data := range forms {
			got, err := ParsePrivateKey(data, never(t))
			if err != nil {
				t.Errorf("%s %s: %v", a, name, err)
			} else if !sameKey(got.Public(), want.Public()) {
				t.Errorf("%s %s: another key", a, name)
			}
		}
	}
}

// olderForm is a key as OpenSSL wrote it before PKCS #8; Ed25519 never had one.
func olderForm(t *testing.T, key any) []byte {
	t.Helper()
	block := &pem.Block{Type: "PRIVATE KEY"}
	var err error
	switch k := key.(type) {
	case interface {
		ECDH() (*ecdh.PrivateKey, error)
	}:
		block.Type = "EC PRIVATE KEY"
		block.Bytes, err = x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey))
	case crypto.Signer:
		block.Bytes, err = x509.MarshalPKCS8PrivateKey(k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestParsePrivateKeyReadsOpenSSLFiles(t *testing.T) {
	public, err := trust.LoadKey(testFile(t, "public.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for name, password := range map[string]func() ([]byte, error){
		"ec-with-parameters.pem": never(t), "pbkdf2.pem": say("correct"), "scrypt.pem": say("correct"), "des3.pem": say("correct"),
		"sha512.pem": say("correct"),
	} {
		key, err := ParsePrivateKey(testFile(t, name), password)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !sameKey(key.Public(), public.Public()) {
			t.Errorf("%s: another key", name)
		}
	}
}

func TestParsePrivateKeyAsksForThePasswordOnce(t *testing.T) {
	private, public, err := GenerateKey(ECDSAP256, []byte("pässword"))
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := pem.Decode(private); b == nil || b.Type != "ENCRYPTED PRIVATE KEY" {
		t.Fatalf("key is %s", private)
	}
	asked := 0
	key, err := ParsePrivateKey(private, func() ([]byte, error) { asked++; return []byte("pässword"), nil })
	if err != nil || asked != 1 {
		t.Fatalf("asked %d times, %v", asked, err)
	}
	loaded, err := trust.LoadKey(public)
	if err != nil || !sameKey(key.Public(), loaded.Public()) {
		t.Errorf("another key, %v", err)
	}
}

func TestParsePrivateKeyRefusesWithoutTheRightPassword(t *testing.T) {
	file := testFile(t, "pbkdf2.pem")
	gone := errors.New("terminal is gone")
	tests := map[string]struct {
		password func() ([]byte, error)
		want     error
	}{
		"none":     {nil, ErrPassword},
		"empty":    {say(""), ErrPassword},
		"wrong":    {say("Correct"), ErrWrongPassword},
		"no input": {func() ([]byte, error) { return nil, gone }, gone},
	}
	for name, test := range tests {
		if key, err := ParsePrivateKey(file, test.password); !errors.Is(err, test.want) || key != nil {
			t.Errorf("%s: %v, %v, want %v", name, key, err, test.want)
		}
	}
	if _, err := ParsePrivateKey(file, say("correct")); err != nil {
		t.Errorf("right password: %v", err)
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	good, public, err := GenerateKey(ECDSAP256, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParsePrivateKey(good, nil); err != nil {
		t.Fatalf("key without a fault: %v", err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, nil, newKeyPair(t, ECDSAP256), leafFor("ann"))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.cert.Raw})
	block := func(kind string, content []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
	}
	tests := []struct {
		says string
		data []byte
	}{
		{"no PEM block", nil},
		{"no PEM block", []byte("-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n")},
		{"no PEM block", testFile(t, "ec-with-parameters.pem")[:90]},
		{"public key", public},
		{"certificate", certificate},
		{"certificate", append(bytes.Clone(certificate), good...)},
		{"P-224", pkcs8File(t, p224)},
		{"1024 bits", pkcs8File(t, shortRSA(t))},
		{"cannot sign", pkcs8File(t, x25519)},
		{"1.2.840.10040.4.1", block("PRIVATE KEY", dsaPKCS8(t))},
		{`"DSA PRIVATE KEY"`, block("DSA PRIVATE KEY", []byte{1})},
		{`"OPENSSH PRIVATE KEY"`, block("OPENSSH PRIVATE KEY", []byte{1})},
		{"cosign's own format", block("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("{}"))},
		{"cosign's own format", block("ENCRYPTED COSIGN PRIVATE KEY", []byte("{}"))},
		{"legacy PEM encryption", testFile(t, "legacy.pem")},
		{"at most", append(bytes.Repeat([]byte("#\n"), MaxKeyFile/2), good...)},
		{"asn1", block("PRIVATE KEY", []byte{0x30})},
	}
	for _, test := range tests {
		_, err := ParsePrivateKey(test.data, never(t))
		refused(t, err, test.says)
	}
}

func pkcs8File(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func dsaPKCS8(t *testing.T) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}}, []byte{2, 1, 1}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// encrypted builds an encrypted key around parameters that no tool would write.
func encrypted(t *testing.T, kdf, parameters any, cipher asn1.ObjectIdentifier, iv, data []byte) []byte {
	t.Helper()
	raw := func(v any) asn1.RawValue {
		der, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return asn1.RawValue{FullBytes: der}
	}
	scheme := pbes2Parameters{
		KDF:    pkix.AlgorithmIdentifier{Algorithm: kdf.(asn1.ObjectIdentifier), Parameters: raw(parameters)},
		Cipher: pkix.AlgorithmIdentifier{Algorithm: cipher, Parameters: raw(iv)},
	}
	der := raw(encryptedKeyInfo{pkix.AlgorithmIdentifier{Algorithm: oidPBES2, Parameters: raw(scheme)}, data}).FullBytes
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der})
}

func TestParsePrivateKeyCapsTheCostOfDecryption(t *testing.T) {
	salt, iv, data := make([]byte, 8), make([]byte, 16), make([]byte, 32)
	aes256, gcm := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 46}
	cheap := pbkdf2Parameters{Salt: salt, Iterations: 1, PRF: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}}}
	dear := cheap
	dear.Iterations = maxIterations + 1
	free := cheap
	free.Iterations = 0
	long := cheap
	long.KeyLength = 16
	md5 := cheap
	md5.PRF.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	java := cheap
	java.KeyLength = 32

	// Without a fault the password is asked for, and is wrong.
	for _, file := range [][]byte{
		encrypted(t, oidPBKDF2, cheap, aes256, iv, data),
		encrypted(t, oidPBKDF2, java, aes256, iv, data),
		encrypted(t, oidScrypt, scryptParameters{Salt: salt, N: 16, R: 8, P: 1}, aes256, iv, data),
	} {
		if _, err := ParsePrivateKey(file, say("x")); !errors.Is(err, ErrWrongPassword) {
			t.Errorf("key without a fault: %v", err)
		}
	}
	tests := []struct {
		says string
		file []byte
	}{
		{"10000001 iterations", encrypted(t, oidPBKDF2, dear, aes256, iv, data)},
		{"0 iterations", encrypted(t, oidPBKDF2, free, aes256, iv, data)},
		{"length 16", encrypted(t, oidPBKDF2, long, aes256, iv, data)},
		{"1.2.840.113549.2.5", encrypted(t, oidPBKDF2, md5, aes256, iv, data)},
		{"scrypt with N=4194304", encrypted(t, oidScrypt, scryptParameters{Salt: salt, N: 1 << 22, R: 8, P: 1}, aes256, iv, data)},
		{"r=1073741824", encrypted(t, oidScrypt, scryptParameters{Salt: salt, N: 16, R: 1 << 30, P: 1}, aes256, iv, data)},
		{"p=17", encrypted(t, oidScrypt, scryptParameters{Salt: salt, N: 16, R: 8, P: 17}, aes256, iv, data)},
		{"r=0", encrypted(t, oidScrypt, scryptParameters{Salt: salt, N: 16, R: 0, P: 1}, aes256, iv, data)},
		{"damaged", encrypted(t, oidPBKDF2, cheap, aes256, iv[:15], data)},
		{"damaged", encrypted(t, oidPBKDF2, cheap, aes256, iv, data[:31])},
		{"damaged", encrypted(t, oidPBKDF2, cheap, aes256, iv, nil)},
		{"cipher 2.16.840.1.101.3.4.1.46", encrypted(t, oidPBKDF2, cheap, gcm, iv, data)},
		{"key derivation 1.2.840.113549.1.5.13", encrypted(t, oidPBES2, cheap, aes256, iv, data)},
		{"PBKDF2 parameters", encrypted(t, oidPBKDF2, 1, aes256, iv, data)},
		{"scrypt parameters", encrypted(t, oidScrypt, 1, aes256, iv, data)},
		{"scheme 1.2.840.113549.1.12.1.3", testFile(t, "pbes1.pem")},
		{"decode encrypted key", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{0x30, 0}})},
	}
	for _, test := range tests {
		_, err := ParsePrivateKey(test.file, never(t))
		refused(t, err, test.says)
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, name := range []string{"ec-with-parameters.pem", "pbkdf2.pem", "scrypt.pem", "des3.pem", "pbes1.pem", "legacy.pem", "public.pem"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		if b, _ := pem.Decode(data); b != nil {
			f.Add([]byte("-----BEGIN " + b.Type + "-----\n" + base64.StdEncoding.EncodeToString(b.Bytes) + "\n-----END " + b.Type + "-----\n"))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// The password is withheld: what it costs to try one is capped, but too slow for a fuzzer.
		key, err := ParsePrivateKey(data, nil)
		if (key == nil) == (err == nil) {
			t.Fatalf("key %v, error %v", key, err)
		}
		if err == nil && trust.CheckPublicKey(key.Public()) != nil {
			t.Fatal("a key of a kind that is not supported")
		}
	})
}
