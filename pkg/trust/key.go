package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// MinRSABits is the shortest RSA modulus that is accepted, in bits.
const MinRSABits = 2048

// ErrKey is what LoadKey's errors wrap where the file holds no public key that can be read.
var ErrKey = errors.New("read public key")

// Key is a trusted public key.
type Key struct {
	public      crypto.PublicKey
	fingerprint string
	spkiHint    string
}

// LoadKey reads the first PUBLIC KEY block of a PEM file: ECDSA P-256, P-384 or P-521, RSA of at least MinRSABits, or
// Ed25519, as SubjectPublicKeyInfo or PKCS#1. A private key, a certificate or an unknown algorithm is an error.
func LoadKey(data []byte) (Key, error) {
	if len(data) > MaxFile {
		return Key{}, fmt.Errorf("%w: %d bytes, at most %d are read", ErrKey, len(data), MaxFile)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return Key{}, fmt.Errorf("%w: no PEM block found", ErrKey)
	}
	var public any
	var err error
	switch block.Type {
	case "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return Key{}, fmt.Errorf("%w: PEM block is %q, not \"PUBLIC KEY\"", ErrKey, block.Type)
	}
	if err != nil {
		return Key{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return NewKey(public)
}

// NewKey makes a Key of a public key in memory; see LoadKey for the kinds that are accepted.
func NewKey(public crypto.PublicKey) (Key, error) {
	if err := CheckPublicKey(public); err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("encode public key: %w", err)
	}
	spki := sha256.Sum256(der)
	return Key{public: public, fingerprint: pemFingerprint(der), spkiHint: base64.StdEncoding.EncodeToString(spki[:])}, nil
}

// CheckPublicKey returns nil for the kinds and sizes of key that Hallmark signs and verifies with. Keys without a value,
// or of a length that the standard library would panic on, are errors.
func CheckPublicKey(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k == nil || k.Curve == nil {
			return errors.New("ecdsa key has no value")
		}
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("elliptic curve %s is not supported: P-256, P-384 and P-521 are", k.Curve.Params().Name)
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			return errors.New("rsa key has no value")
		}
		if bits := k.N.BitLen(); bits < MinRSABits {
			return fmt.Errorf("rsa key of %d bits is too short: %d at least", bits, MinRSABits)
		}
		return nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("ed25519 key of %d bytes has not %d", len(k), ed25519.PublicKeySize)
		}
		return nil
	}
	return fmt.Errorf("keys of type %T are not supported", public)
}

// SignatureHash is the hash that goes with a key: by the size of the curve for ECDSA (OMS's algorithm registry, following
// Sigstore's), SHA-256 for RSA, none for Ed25519, which hashes by itself.
func SignatureHash(public crypto.PublicKey) crypto.Hash {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return crypto.SHA384
		case elliptic.P521():
			return crypto.SHA512
		}
	case ed25519.PublicKey:
		return 0
	}
	return crypto.SHA256
}

// Public is the key itself.
func (k Key) Public() crypto.PublicKey { return k.public }

// Fingerprint is the lower-case hex SHA-256 of the key's PEM encoding as SubjectPublicKeyInfo: the hint that OMS bundles
// carry (OMS §4.1).
func (k Key) Fingerprint() string { return k.fingerprint }

// MatchesHint reports whether a bundle's key hint names this key, as OMS writes it (hex) or as Sigstore's clients do
// (base64 of the SHA-256 of the SubjectPublicKeyInfo). known is false for a hint of neither form, which names no key.
func (k Key) MatchesHint(hint string) (match, known bool) {
	if b, err := hex.DecodeString(hint); err == nil && len(b) == sha256.Size {
		return hint == k.fingerprint, true
	}
	if b, err := base64.StdEncoding.DecodeString(hint); err == nil && len(b) == sha256.Size {
		return hint == k.spkiHint, true
	}
	return false, false
}

func pemFingerprint(spki []byte) string {
	sum := sha256.Sum256(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	return hex.EncodeToString(sum[:])
}
