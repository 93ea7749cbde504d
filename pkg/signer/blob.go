package signer

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// BlobSigner is a Signer that also signs bytes as they are, without a statement about them, as every Sigstore tool reads
// it. A signature on a model is never that: it says neither what the bytes are nor what they are called.
type BlobSigner interface {
	Signer

	// SignBlob signs data and returns a Sigstore bundle v0.3 with a message signature as JSON. No data is an error, and so
	// is a key that does not sign by SHA-256, which the bundle names the data by: ECDSA P-256 and RSA do. Where ctx is
	// done, its error is returned.
	SignBlob(ctx context.Context, data []byte) ([]byte, error)
}

// NewKeyless, NewKey and NewWitnessed return one. That of NewCertificate only refuses: a bundle with a chain is a form of
// OMS's, for statements.
var (
	_ BlobSigner = (*keyless)(nil)
	_ BlobSigner = (*local)(nil)
	_ BlobSigner = (*witnessed)(nil)
)

var errNoBlob = errors.New("sign blob: it is empty")

// sha256Name is what Sigstore's bundles call SHA-256.
const sha256Name = "SHA2_256"

// SignBlob implements BlobSigner.
func (k *keyless) SignBlob(ctx context.Context, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errNoBlob
	}
	return k.sign(ctx, data, func(b *protobundle.Bundle, sig, digest []byte) {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: protoMessage(digest, sig)}
	})
}

// SignBlob implements BlobSigner.
func (l *local) SignBlob(ctx context.Context, data []byte) ([]byte, error) {
	c, err := l.signBlob(ctx, data)
	if err != nil {
		return nil, err
	}
	return encodeBundle(l.material, c)
}

// SignBlob implements BlobSigner.
func (w *witnessed) SignBlob(ctx context.Context, data []byte) ([]byte, error) {
	return w.witness(ctx, func(ctx context.Context) (content, error) { return w.signBlob(ctx, data) })
}

// signBlob signs without making a bundle of it.
func (l *local) signBlob(ctx context.Context, data []byte) (content, error) {
	switch {
	case len(data) == 0:
		return content{}, errNoBlob
	case l.leaf != nil:
		return content{}, errors.New("sign blob: a bundle with a certificate chain is for statements: use a key")
	case trust.SignatureHash(l.key.Public()) != crypto.SHA256:
		return content{}, errors.New("sign blob: the key does not sign by SHA-256: use an ECDSA P-256 or RSA key")
	case ctx.Err() != nil:
		return content{}, fmt.Errorf("sign blob: %w", context.Cause(ctx))
	}
	sig, err := signMessage(ctx, l.key, data)
	if err != nil {
		return content{}, fmt.Errorf("sign blob: %w", err)
	}
	digest := sha256.Sum256(data)
	return content{Message: &message{messageDigest{sha256Name, digest[:]}, sig}}, nil
}

// protoMessage is a signature on bytes with this SHA-256 as sigstore-go has it.
func protoMessage(digest, sig []byte) *protocommon.MessageSignature {
	return &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest}, Signature: sig,
	}
}
