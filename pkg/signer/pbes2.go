package signer

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"
)

// Caps on what an encrypted key may cost to open. A key file names its own cost, so without them a file of a hundred
// bytes could take all memory, or a day.
const (
	maxIterations   = 10_000_000 // of PBKDF2; ours are 600,000
	maxScryptMemory = 256 << 20  // bytes; OpenSSL's default takes 16 MiB
	maxScryptLanes  = 16         // scrypt's parallelization parameter
)

// Object identifiers of RFC 8018 (PBES2, PBKDF2) and RFC 7914 (scrypt).
var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidScrypt = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 4, 11}
)

// cbcCipher is a block cipher in CBC mode.
type cbcCipher struct {
	key, block int // bytes
	open       func(key []byte) (cipher.Block, error)
}

var cbcCiphers = map[string]cbcCipher{
	"2.16.840.1.101.3.4.1.2":  {16, aes.BlockSize, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.BlockSize, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.BlockSize, aes.NewCipher},
	"1.2.840.113549.3.7":      {24, des.BlockSize, des.NewTripleDESCipher}, // OpenSSL 1.0's default; keys live long
}

// prfs are the functions under PBKDF2; the empty name is the default (RFC 8018 §A.2).
var prfs = map[string]func() hash.Hash{
	"":                    sha1.New,
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
}

type encryptedKeyInfo struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

type pbes2Parameters struct {
	KDF    pkix.AlgorithmIdentifier
	Cipher pkix.AlgorithmIdentifier
}

type pbkdf2Parameters struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"` // Java writes it, OpenSSL does not
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

type scryptParameters struct {
	Salt      []byte
	N, R, P   int
	KeyLength int `asn1:"optional"`
}

// encryptedKey is an encrypted PKCS #8 key (RFC 5958 §3) that can be opened at a bearable cost.
type encryptedKey struct {
	derive func(password []byte) ([]byte, error) // the cipher's key
	cipher cbcCipher
	iv     []byte
	data   []byte // whole blocks, one at least
}

// parseEncrypted reads all of an encrypted key that needs no password. Lengths on which the decryption would panic, and
// costs above the caps, are errors.
func parseEncrypted(der []byte) (*encryptedKey, error) {
	var info encryptedKeyInfo
	if err := decodeDER(der, &info); err != nil {
		return nil, fmt.Errorf("decode encrypted key: %w", err)
	}
	if !info.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, fmt.Errorf("key is encrypted with scheme %s: PBES2 is supported", info.Algorithm.Algorithm)
	}
	var scheme pbes2Parameters
	if err := decodeDER(info.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, fmt.Errorf("decode the key's encryption scheme: %w", err)
	}
	c, ok := cbcCiphers[scheme.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("key is encrypted with cipher %s: AES and triple DES in CBC mode are supported", scheme.Cipher.Algorithm)
	}
	e := &encryptedKey{cipher: c, data: info.Data}
	if err := decodeDER(scheme.Cipher.Parameters.FullBytes, &e.iv); err != nil {
		return nil, fmt.Errorf("decode the key's initialization vector: %w", err)
	}
	if len(e.iv) != c.block || len(e.data) == 0 || len(e.data)%c.block != 0 {
		return nil, errors.New("encrypted key is damaged: its length does not fit its cipher")
	}
	var err error
	if e.derive, err = keyDerivation(scheme.KDF, c.key); err != nil {
		return nil, err
	}
	return e, nil
}

// keyDerivation returns the function from a password to a key of size bytes.
func keyDerivation(kdf pkix.AlgorithmIdentifier, size int) (func([]byte) ([]byte, error), error) {
	switch {
	case kdf.Algorithm.Equal(oidPBKDF2):
		var p pbkdf2Parameters
		if err := decodeDER(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, fmt.Errorf("decode PBKDF2 parameters: %w", err)
		}
		if p.Iterations < 1 || p.Iterations > maxIterations {
			return nil, fmt.Errorf("key asks for %d iterations of PBKDF2, at most %d are done", p.Iterations, maxIterations)
		}
		prf, ok := prfs[p.PRF.Algorithm.String()]
		if !ok || (p.KeyLength != 0 && p.KeyLength != size) {
			return nil, fmt.Errorf("key is encrypted with PBKDF2 of function %q and length %d, which is not supported", p.PRF.Algorithm, p.KeyLength)
		}
		return func(password []byte) ([]byte, error) {
			return pbkdf2.Key(prf, string(password), p.Salt, p.Iterations, size)
		}, nil
	case kdf.Algorithm.Equal(oidScrypt):
		var p scryptParameters
		if err := decodeDER(kdf.Parameters.FullBytes, &p); err != nil {
			return nil, fmt.Errorf("decode scrypt parameters: %w", err)
		}
		// Divided, not multiplied: the product of two large factors can come out small.
		if p.N < 2 || p.R < 1 || p.N > maxScryptMemory/128/p.R || p.P < 1 || p.P > maxScryptLanes || (p.KeyLength != 0 && p.KeyLength != size) {
			return nil, fmt.Errorf("key asks for scrypt with N=%d r=%d p=%d: at most %d MiB and p=%d are spent", p.N, p.R, p.P, maxScryptMemory>>20, maxScryptLanes)
		}
		return func(password []byte) ([]byte, error) {
			return scrypt.Key(password, p.Salt, p.N, p.R, p.P, size)
		}, nil
	}
	return nil, fmt.Errorf("key is encrypted with key derivation %s: PBKDF2 and scrypt are supported", kdf.Algorithm)
}

// open decrypts and parses the key. A wrong password and damaged data can't be told apart: nothing is authenticated, it
// shows only in padding or key that make no sense. Both are ErrWrongPassword.
func (e *encryptedKey) open(password []byte) (any, error) {
	derived, err := e.derive(password)
	if err != nil {
		return nil, fmt.Errorf("derive the key's key: %w", err)
	}
	block, err := e.cipher.open(derived)
	if err != nil {
		return nil, fmt.Errorf("open the key's cipher: %w", err)
	}
	plain := make([]byte, len(e.data))
	cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(plain, e.data)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > e.cipher.block || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, ErrWrongPassword
	}
	key, err := x509.ParsePKCS8PrivateKey(plain[:len(plain)-padding])
	if err != nil {
		return nil, ErrWrongPassword
	}
	return key, nil
}

func decodeDER(der []byte, into any) error {
	rest, err := asn1.Unmarshal(der, into)
	if err == nil && len(rest) > 0 {
		err = errors.New("trailing data")
	}
	return err
}
