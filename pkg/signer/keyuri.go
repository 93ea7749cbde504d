package signer

import (
	"context"
	"crypto"
	"fmt"
	"strings"
	"time"
)

// PrivateKey is a key that NewKey and NewCertificate sign with, wherever it is held.
type PrivateKey = crypto.Signer

// KeyURIOptions says how to open a key by its URI.
type KeyURIOptions struct {
	// Password returns the PIN of a PKCS#11 token whose URI names no source for it. It is called once at most; nil: a URI
	// without a PIN is an error.
	Password func() ([]byte, error)

	// Warn is told what is unwise in a URI and works nevertheless, in one line; nil: nobody is.
	Warn func(string)

	// Timeout goes over each exchange with a key service; 0: DefaultTimeout.
	Timeout time.Duration
}

// IsKeyURI reports whether s names a private key outside of any file: "SCHEME://…" for a key service (KMS) or "pkcs11:…"
// for a token. A file of such a name is meant by "./" before it.
func IsKeyURI(s string) bool {
	_, _, service := kmsScheme(s)
	return service || isPKCS11(s)
}

// OpenKeyURI returns the private key that a URI names, once its public key was read and is of the kinds in
// trust.CheckPublicKey. The key stays where it is: Sign sends it digests.
//
// "pkcs11:…" (RFC 7512) is a key in a hardware token, in programs that were built with the tag pkcs11. Everything else is
// "SCHEME://KEY", a key service: awskms, gcpkms, azurekms and hashivault in programs that were built with the tag kms, and
// any other by the program sigstore-kms-SCHEME in PATH, which speaks Sigstore's plugin protocol.
//
// The key may be used by several goroutines. Its Sign obeys KeyURIOptions.Timeout alone; a Signer made of it passes its
// context on. A key in a token implements io.Closer, which logs out.
func OpenKeyURI(ctx context.Context, uri string, o KeyURIOptions) (PrivateKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("open key: %w", context.Cause(ctx))
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if isPKCS11(uri) {
		parsed, err := parsePKCS11(uri)
		if err != nil {
			return nil, fmt.Errorf("open key: %w", err)
		}
		key, err := openPKCS11(parsed, o)
		if err != nil {
			return nil, fmt.Errorf("open key %q: %w", parsed, err)
		}
		return key, nil
	}
	key, err := openKMS(ctx, uri, o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("open key %q: %w", uri, err)
	}
	return key, nil
}

func isPKCS11(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	return ok && strings.EqualFold(scheme, "pkcs11") // RFC 3986 §3.1: schemes have no case
}
