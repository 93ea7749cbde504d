package signer

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// MaxKeyFile caps what is read of a private-key file, in bytes.
const MaxKeyFile = 1 << 20

// Why an encrypted key was not read.
var (
	ErrPassword      = errors.New("key is encrypted and no password was given")
	ErrWrongPassword = errors.New("password is wrong, or the key is damaged")
)

// ParsePrivateKey reads the first key of a PEM file: PKCS #8, SEC 1 ("EC PRIVATE KEY") or PKCS #1 ("RSA PRIVATE KEY"),
// of the kinds in trust.CheckPublicKey. Text and curve parameters before the key are skipped, as OpenSSL writes them; any
// other block there is an error, and nothing after the key is looked at.
//
// password is called once, and only if the key is PKCS #8 encrypted with PBES2; where it is nil or returns nothing, the
// error is ErrPassword. Legacy PEM encryption and cosign's own format are refused by name.
func ParsePrivateKey(data []byte, password func() ([]byte, error)) (crypto.Signer, error) {
	if len(data) > MaxKeyFile {
		return nil, fmt.Errorf("read private key: %d bytes, at most %d are read", len(data), MaxKeyFile)
	}
	block, rest := pem.Decode(data)
	for block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errors.New("read private key: no PEM block found")
	}
	parsed, err := parseBlock(block, password)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("read private key: keys of type %T cannot sign", parsed)
	}
	if err := trust.CheckPublicKey(key.Public()); err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	return key, nil
}

func parseBlock(block *pem.Block, password func() ([]byte, error)) (any, error) {
	// The legacy scheme derives its key with one round of MD5 and authenticates nothing, so that a wrong password can
	// yield a wrong key. RFC 1421 fixes the header's name.
	if strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errors.New("legacy PEM encryption (\"Proc-Type: 4,ENCRYPTED\") is not safe and not read: convert the key to encrypted PKCS #8")
	}
	switch block.Type {
	case "PRIVATE KEY":
		return x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return decrypt(block.Bytes, password)
	case "ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY":
		return nil, fmt.Errorf("%q is cosign's own format, which is not read: use the PKCS #8 key that it was made from, or a new key", block.Type)
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return nil, errors.New("it is a public key: the private key belongs here")
	case "CERTIFICATE":
		return nil, errors.New("it is a certificate: the private key belongs here")
	}
	return nil, fmt.Errorf("PEM block is %q, not \"PRIVATE KEY\"", block.Type)
}

// decrypt opens an encrypted PKCS #8 key. The password is asked for after everything that can be judged without it.
func decrypt(der []byte, password func() ([]byte, error)) (any, error) {
	key, err := parseEncrypted(der)
	if err != nil {
		return nil, err
	}
	if password == nil {
		return nil, ErrPassword
	}
	secret, err := password()
	if err != nil {
		return nil, fmt.Errorf("ask for the key's password: %w", err)
	}
	if len(secret) == 0 {
		return nil, ErrPassword
	}
	return key.open(secret)
}
