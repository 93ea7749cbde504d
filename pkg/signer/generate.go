package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/youmark/pkcs8"
)

// Algorithm is a kind of key that GenerateKey makes.
type Algorithm string

// The algorithms. The zero value is ECDSAP256, which every verifier of bundles knows.
const (
	ECDSAP256 Algorithm = "ecdsa-p256"
	ECDSAP384 Algorithm = "ecdsa-p384"
	ECDSAP521 Algorithm = "ecdsa-p521"
	Ed25519   Algorithm = "ed25519"
	RSA2048   Algorithm = "rsa-2048"
	RSA3072   Algorithm = "rsa-3072"
	RSA4096   Algorithm = "rsa-4096"
)

// Algorithms lists all algorithms, the default first.
func Algorithms() []Algorithm {
	return []Algorithm{ECDSAP256, ECDSAP384, ECDSAP521, Ed25519, RSA2048, RSA3072, RSA4096}
}

// encryption is how GenerateKey encrypts. PBKDF2 rather than scrypt: OpenSSL, Java and FIPS builds all read it. The
// iterations are OWASP's figure for HMAC-SHA-256 and take about a quarter of a second.
var encryption = &pkcs8.Opts{
	Cipher:  pkcs8.AES256CBC,
	KDFOpts: pkcs8.PBKDF2Opts{SaltSize: 16, IterationCount: 600_000, HMACHash: crypto.SHA256},
}

// GenerateKey makes a key pair and returns it as PEM: the private key as PKCS #8 (RFC 5958), encrypted under password
// (PBES2, RFC 8018) unless that is empty, and the public key as SubjectPublicKeyInfo. An unknown algorithm is an error.
func GenerateKey(a Algorithm, password []byte) (private, public []byte, err error) {
	key, err := generate(a)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	kind := "PRIVATE KEY"
	if len(password) > 0 {
		kind = "ENCRYPTED PRIVATE KEY"
	}
	privateDER, err := pkcs8.MarshalPrivateKey(key, password, encryption)
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encode public key: %w", err)
	}
	private = pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: privateDER})
	public = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: publicDER})
	return private, public, nil
}

func generate(a Algorithm) (crypto.Signer, error) {
	switch a {
	case "", ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ECDSAP521:
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("algorithm %q is unknown: it is one of %q", a, Algorithms())
}
