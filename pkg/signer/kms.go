package signer

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	signing "github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// A scheme becomes part of a program's name, so it holds nothing that could lead out of PATH.
var schemePattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// builtInServices are those that the build tag kms brings.
var builtInServices = []string{"awskms", "gcpkms", "azurekms", "hashivault", "openbao"}

// kmsScheme splits "SCHEME://KEY".
func kmsScheme(uri string) (scheme, rest string, ok bool) {
	scheme, rest, ok = strings.Cut(uri, "://")
	return scheme, rest, ok && schemePattern.MatchString(scheme)
}

// kmsKey is a key in a key service. Digests go there, signatures come back.
type kmsKey struct {
	service kms.SignerVerifier
	uri     string
	public  crypto.PublicKey
	timeout time.Duration
}

// openKMS opens a key and asks for its public half.
func openKMS(ctx context.Context, uri string, timeout time.Duration) (*kmsKey, error) {
	scheme, rest, ok := kmsScheme(uri)
	if !ok || rest == "" {
		return nil, errors.New("a key service's URI is SCHEME://KEY")
	}
	k := &kmsKey{uri: uri, timeout: timeout}
	err := k.load(ctx, crypto.SHA256)
	// The hash follows from the kind of key, which the service had to tell first.
	if hash := trust.SignatureHash(k.public); err == nil && hash != crypto.SHA256 {
		err = k.load(ctx, hash)
	}
	if err != nil {
		return nil, kmsError(scheme, err)
	}
	if err := trust.CheckPublicKey(k.public); err != nil {
		return nil, err
	}
	return k, nil
}

// load asks the service for the key, to be used with hash.
func (k *kmsKey) load(ctx context.Context, hash crypto.Hash) error {
	type loaded struct {
		service kms.SignerVerifier
		public  crypto.PublicKey
	}
	result := make(chan loaded, 1) // not a variable: an exchange that was left must not write it later
	err := k.exchange(ctx, func(ctx context.Context) error {
		service, err := kms.Get(ctx, k.uri, hash)
		if err != nil {
			return err
		}
		public, err := service.PublicKey(options.WithContext(ctx))
		if err == nil {
			result <- loaded{service, public}
		}
		return err
	})
	if err != nil {
		return err
	}
	got := <-result
	k.service, k.public = got.service, got.public
	return nil
}

// kmsError says what is missing where a service is unknown here.
func kmsError(scheme string, err error) error {
	var unknown *kms.ProviderNotFoundError
	if !errors.As(err, &unknown) {
		return err
	}
	if slices.Contains(builtInServices, scheme) {
		return fmt.Errorf("this program was built without key services: build it with -tags kms, or put the plugin sigstore-kms-%s into PATH", scheme)
	}
	return fmt.Errorf("key service %q is not known here, and there is no plugin sigstore-kms-%s in PATH", scheme, scheme)
}

// exchange runs do under the timeout and returns once it is over, even if do does not heed its context: some services'
// clients don't. do is then left to end by itself, and what it writes is not looked at again.
func (k *kmsKey) exchange(ctx context.Context, do func(context.Context) error) error {
	late := fmt.Errorf("no answer within %s: %w", k.timeout, context.DeadlineExceeded)
	ctx, cancel := context.WithTimeoutCause(ctx, k.timeout, late)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// check refuses a signature by another key than the one that was opened. Services sign with a key's latest version, and
// that may have changed since.
func (k *kmsKey) check(sig, digest []byte, hash crypto.Hash) error {
	v, err := signing.LoadVerifier(k.public, hash)
	if err != nil {
		return err
	}
	var o []signing.VerifyOption
	if hash != 0 {
		o = append(o, options.WithDigest(digest), options.WithCryptoSignerOpts(hash))
	}
	if err := v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(digest), o...); err != nil {
		return fmt.Errorf("its signature does not verify with the public key that it named before, as if the key had been rotated: %w", err)
	}
	return nil
}

// Public implements crypto.Signer: the key as it was when it was opened.
func (k *kmsKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer.
func (k *kmsKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.SignContext(context.Background(), digest, opts) // crypto.Signer has no context to pass on
}

// SignContext implements contextSigner.
func (k *kmsKey) SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	result := make(chan []byte, 1) // as in load
	err := k.exchange(ctx, func(ctx context.Context) error {
		var message io.Reader = bytes.NewReader(digest) // a key that hashes by itself
		o := []signing.SignOption{options.WithContext(ctx), options.WithCryptoSignerOpts(opts)}
		if opts.HashFunc() != 0 {
			message, o = bytes.NewReader(nil), append(o, options.WithDigest(digest))
		}
		sig, err := k.service.SignMessage(message, o...)
		if err != nil {
			return err
		}
		result <- sig
		return k.check(sig, digest, opts.HashFunc())
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %q: %w", k.uri, err)
	}
	return <-result, nil
}
