package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	_ "crypto/sha256" // the hashes that trust.SignatureHash names
	_ "crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// bundleMediaType is the media type of what Sign returns.
const bundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// bundle is a Sigstore bundle as JSON: the members that a bundle by a key or a chain has (OMS §4).
type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	content
}

// content is what was signed, with its signature. Exactly one of the two is set.
type content struct {
	Message  *message  `json:"messageSignature,omitzero"`
	Envelope *envelope `json:"dsseEnvelope,omitzero"`
}

// signature is that of c.
func (c content) signature() []byte {
	if c.Message != nil {
		return c.Message.Signature
	}
	return c.Envelope.Signatures[0].Sig
}

// material says how to verify. Exactly one of PublicKey and Chain is set.
type material struct {
	PublicKey  *publicKey        `json:"publicKey,omitzero"`
	Chain      *certificateChain `json:"x509CertificateChain,omitzero"`
	LogEntries []jsontext.Value  `json:"tlogEntries"` // always written, if empty
	Stamps     *stamps           `json:"timestampVerificationData,omitzero"`
}

type stamps struct {
	RFC3161 []stamp `json:"rfc3161Timestamps"`
}

type stamp struct {
	Response []byte `json:"signedTimestamp"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

type certificateChain struct {
	Certificates []certificate `json:"certificates"`
}

type certificate struct {
	RawBytes []byte `json:"rawBytes"`
}

type envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid"` // empty: the key is named in the material (OMS §4.1)
}

// message is a signature on a file's bytes.
type message struct {
	Digest    messageDigest `json:"messageDigest"`
	Signature []byte        `json:"signature"`
}

type messageDigest struct {
	Algorithm string `json:"algorithm"`
	Digest    []byte `json:"digest"`
}

// checkPayload refuses to sign nothing.
func checkPayload(payloadType string, payload []byte) error {
	switch {
	case payloadType == "":
		return errors.New("it has no type")
	case len(payload) == 0:
		return errors.New("it is empty")
	}
	return nil
}

// contextSigner is a key that is used over a network or a bus, where waiting may end.
type contextSigner interface {
	// SignContext is crypto.Signer's Sign, until ctx is done.
	SignContext(ctx context.Context, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

// signDSSE signs the pre-authentication encoding of a payload (DSSE v1, protocol.md).
func signDSSE(ctx context.Context, key crypto.Signer, payloadType string, payload []byte) ([]byte, error) {
	if err := checkPayload(payloadType, payload); err != nil {
		return nil, err
	}
	return signMessage(ctx, key, dsse.PAE(payloadType, payload))
}

// signMessage signs message by the hash that goes with the key.
func signMessage(ctx context.Context, key crypto.Signer, message []byte) ([]byte, error) {
	hash := trust.SignatureHash(key.Public())
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	// Without PSS options an RSA key signs as PKCS #1 v1.5, which is what Sigstore's verifiers expect.
	var sig []byte
	var err error
	if remote, ok := key.(contextSigner); ok {
		sig, err = remote.SignContext(ctx, message, hash)
	} else {
		sig, err = key.Sign(rand.Reader, message, hash)
	}
	if err != nil {
		return nil, err
	}
	if len(sig) == 0 {
		return nil, errors.New("the key returned an empty signature")
	}
	return sig, nil
}

// encodeBundle writes the bundle into a buffer that need not grow: a payload can list a hundred thousand files, and a
// buffer that does would hold it several times over. The encoder wants a quarter of the buffer to be free at all times.
func encodeBundle(m material, c content) ([]byte, error) {
	size := base64.StdEncoding.EncodedLen(len(c.signature()))
	if c.Envelope != nil {
		size += base64.StdEncoding.EncodedLen(len(c.Envelope.Payload)) + len(c.Envelope.PayloadType)
	}
	if m.Chain != nil {
		for _, c := range m.Chain.Certificates {
			size += base64.StdEncoding.EncodedLen(len(c.RawBytes)) + len(`{"rawBytes":""},`)
		}
	}
	for _, e := range m.LogEntries {
		size += len(e)
	}
	if m.Stamps != nil {
		for _, t := range m.Stamps.RFC3161 {
			size += base64.StdEncoding.EncodedLen(len(t.Response))
		}
	}
	buf := bytes.NewBuffer(make([]byte, 0, size+size/3+4096))
	if err := json.MarshalWrite(buf, bundle{bundleMediaType, m, c}); err != nil {
		return nil, fmt.Errorf("encode bundle: %w", err)
	}
	return buf.Bytes(), nil
}
