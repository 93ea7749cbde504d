//go:build pkcs11 && cgo

package signer

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/ThalesGroup/crypto11"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// maxPIN caps what is read of a PIN file, in bytes.
const maxPIN = 4096

// tokenKey is a private key in a token, and the login that it is used under.
type tokenKey struct {
	crypto.Signer
	token *crypto11.Context
}

// Close logs out of the token. The key is of no use afterwards.
func (k *tokenKey) Close() error { return k.token.Close() }

// openPKCS11 logs into the token and finds the one key that u names.
func openPKCS11(u *pkcs11URI, o KeyURIOptions) (PrivateKey, error) {
	pin, err := u.login(o)
	if err != nil {
		return nil, err
	}
	config := &crypto11.Config{Path: u.module, Pin: string(pin), PoolWaitTimeout: o.Timeout}
	switch { // crypto11 takes exactly one
	case u.slot != nil && u.token == "" && u.serial == "":
		config.SlotNumber = u.slot
	case u.slot == nil && u.token != "" && u.serial == "":
		config.TokenLabel = u.token
	case u.slot == nil && u.token == "" && u.serial != "":
		config.TokenSerial = u.serial
	default:
		return nil, errors.New("name the token by one of token, serial and slot-id")
	}
	if _, err := os.Stat(u.module); err != nil { // dlopen's own trouble comes without a reason
		return nil, fmt.Errorf("load PKCS#11 library: %w", err)
	}
	token, err := crypto11.Configure(config)
	if err != nil {
		return nil, fmt.Errorf("log into token: %w", err)
	}
	key, err := u.find(token)
	if err != nil {
		return nil, errors.Join(err, token.Close())
	}
	return &tokenKey{Signer: key, token: token}, nil
}

// find returns the key pair that u names, if there is exactly one.
func (u *pkcs11URI) find(token *crypto11.Context) (crypto.Signer, error) {
	keys, err := token.FindKeyPairs(u.id, []byte(u.object))
	if len(u.id) == 0 {
		keys, err = token.FindKeyPairs(nil, []byte(u.object))
	} else if u.object == "" {
		keys, err = token.FindKeyPairs(u.id, nil)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("find key: %w", err)
	case len(keys) == 0:
		return nil, errors.New("find key: the token has no key pair of this name whose public half it tells")
	case len(keys) > 1:
		return nil, fmt.Errorf("find key: the token has %d keys of this name: add id=", len(keys))
	}
	return keys[0], trust.CheckPublicKey(keys[0].Public())
}

// login returns the PIN from where u says, else from whom the options ask.
func (u *pkcs11URI) login(o KeyURIOptions) ([]byte, error) {
	switch {
	case u.pin != nil:
		o.Warn("the PIN is in the key's URI, where other users of the machine and logs can see it: use pin-source or --password-env")
		return u.pin, nil
	case u.pinSource != "":
		return readPIN(u.pinSource)
	case o.Password == nil:
		return nil, ErrPassword
	}
	pin, err := o.Password()
	if err != nil {
		return nil, fmt.Errorf("ask for the token's PIN: %w", err)
	}
	if len(pin) == 0 {
		return nil, ErrPassword
	}
	return pin, nil
}

// readPIN reads a file, by path or file: URI (RFC 7512 §2.4), without the line's end.
func readPIN(source string) (pin []byte, err error) {
	path := source
	if strings.HasPrefix(source, "file:") {
		u, err := url.Parse(source)
		if err != nil || u.Path == "" || (u.Host != "" && u.Host != "localhost") {
			return nil, errors.New("read PIN: pin-source is no file on this machine")
		}
		path = u.Path
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if pin, err = io.ReadAll(io.LimitReader(f, maxPIN+1)); err != nil {
		return nil, fmt.Errorf("read PIN: %w", err)
	}
	pin = bytes.TrimRight(pin, "\r\n")
	if len(pin) == 0 || len(pin) > maxPIN {
		return nil, fmt.Errorf("read PIN: %d bytes, not 1 to %d", len(pin), maxPIN)
	}
	return pin, nil
}
