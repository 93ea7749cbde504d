package signer

import (
	"context"
	"errors"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

// BlobSigner is a Signer that also signs bytes as they are, without a statement about them, as every Sigstore tool reads
// it. A signature on a model is never that: it says neither what the bytes are nor what they are called.
type BlobSigner interface {
	Signer

	// SignBlob signs data and returns a Sigstore bundle v0.3 with a message signature as JSON. No data is an error. Where
	// ctx is done, its error is returned.
	SignBlob(ctx context.Context, data []byte) ([]byte, error)
}

var _ BlobSigner = (*keyless)(nil) // NewKeyless returns one

// SignBlob implements BlobSigner.
func (k *keyless) SignBlob(ctx context.Context, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, errors.New("sign blob: it is empty")
	}
	return k.sign(ctx, data, func(b *protobundle.Bundle, sig, digest []byte) {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: digest},
			Signature:     sig,
		}}
	})
}
