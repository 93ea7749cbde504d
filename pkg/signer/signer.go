package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// MaxChain is the largest number of certificates in a bundle, the leaf included.
const MaxChain = 16

// Signer signs payloads. A Signer may be used by several goroutines.
type Signer interface {
	// Sign signs payload as DSSE and returns a Sigstore bundle v0.3 as JSON. An empty payload or payload type is an
	// error: a signature on nothing could later be taken for one on something. Where ctx is done, its error is returned.
	Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error)

	// Roots is what opens this signer's own bundles and no other's key or authority. It serves to check a bundle before
	// it is stored; it says nothing about whether anybody should trust the signer.
	Roots() trust.Roots
}

// local signs with a key at hand. Key and certificate differ only in how the bundle names the verifier.
type local struct {
	key      crypto.Signer
	leaf     *x509.Certificate // nil: the key alone
	material material
	roots    trust.Roots
}

// NewKey returns a Signer for a private key. Its bundles name the key by the hint of OMS §4.1. A key that is nil or not
// of the kinds in trust.CheckPublicKey is an error.
func NewKey(key crypto.Signer) (Signer, error) {
	if key == nil {
		return nil, errors.New("sign with key: there is no key")
	}
	public, err := trust.NewKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign with key: %w", err)
	}
	return &local{
		key:      key,
		material: material{PublicKey: &publicKey{Hint: public.Fingerprint()}},
		roots:    trust.Roots{Keys: []trust.Key{public}},
	}, nil
}

// NewCertificate returns a Signer for a private key and its certificate, with the certificates that lead to an
// authority, leaf's issuer first. All of chain goes into the bundles, a root at its end too (OMS §4.1). It is an error
// if leaf does not certify key, may not sign, is outside its validity, is Fulcio's, or is not certified by chain.
//
// The last certificate of chain, or leaf where chain is empty, is the authority of the Signer's Roots.
func NewCertificate(key crypto.Signer, leaf *x509.Certificate, chain []*x509.Certificate) (Signer, error) {
	if key == nil || leaf == nil {
		return nil, errors.New("sign with certificate: key or certificate is missing")
	}
	if len(chain)+1 > MaxChain {
		return nil, fmt.Errorf("sign with certificate: chain of %d certificates, at most %d are written", len(chain)+1, MaxChain)
	}
	public := key.Public()
	if err := trust.CheckPublicKey(public); err != nil {
		return nil, fmt.Errorf("sign with certificate: %w", err)
	}
	if !sameKey(public, leaf.PublicKey) {
		return nil, fmt.Errorf("sign with certificate %q: it certifies another key than the private key", leaf.Subject)
	}
	certificates := []certificate{{leaf.Raw}}
	anchor := leaf
	for i, c := range chain {
		if c == nil {
			return nil, fmt.Errorf("sign with certificate %q: certificate %d of its chain is missing", leaf.Subject, i+1)
		}
		certificates = append(certificates, certificate{c.Raw})
		anchor = c
	}
	authorities, err := trust.LoadAuthorities(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: anchor.Raw}))
	if err != nil {
		return nil, fmt.Errorf("sign with certificate %q: %w", leaf.Subject, err)
	}
	roots := trust.Roots{Authorities: authorities}
	if _, err := roots.VerifyChain(leaf, chain, roots.Time()); err != nil {
		return nil, fmt.Errorf("sign with certificate %q: %w", leaf.Subject, err)
	}
	return &local{key: key, leaf: leaf, material: material{Chain: &certificateChain{certificates}}, roots: roots}, nil
}

// Sign implements Signer. Signing with a key in memory cannot be interrupted: ctx is asked once, before.
func (l *local) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	c, err := l.sign(ctx, payloadType, payload)
	if err != nil {
		return nil, err
	}
	return encodeBundle(l.material, c)
}

// sign signs without making a bundle of it.
func (l *local) sign(ctx context.Context, payloadType string, payload []byte) (content, error) {
	if err := ctx.Err(); err != nil {
		return content{}, fmt.Errorf("sign payload: %w", err)
	}
	sig, err := signDSSE(ctx, l.key, payloadType, payload)
	if err != nil {
		return content{}, fmt.Errorf("sign payload: %w", err)
	}
	return content{Envelope: &envelope{payload, payloadType, []signature{{Sig: sig}}}}, nil
}

// Roots implements Signer.
func (l *local) Roots() trust.Roots { return l.roots }

// sameKey reports whether a and b are one public key. The encodings are compared: every key that is accepted has one,
// and crypto.PublicKey promises no method to compare with.
func sameKey(a, b crypto.PublicKey) bool {
	x, err := x509.MarshalPKIXPublicKey(a)
	if err != nil {
		return false
	}
	y, err := x509.MarshalPKIXPublicKey(b)
	return err == nil && bytes.Equal(x, y)
}
