package attestations

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// SignedBlob is a file whose Sigstore bundle was checked against trust roots. Only OpenBlob makes one; the zero
// SignedBlob was signed by nobody. It is immutable.
//
// It is what every Sigstore tool means by a signed file, and says nothing of artifacts: no decision counts it.
type SignedBlob struct {
	name      string
	predicate string
	proof
}

// Name is the bundle's own name, as Attestation.Name is.
func (s *SignedBlob) Name() string { return s.name }

// PredicateType is what a statement claims of the file; empty where its bytes alone were signed.
func (s *SignedBlob) PredicateType() string { return s.predicate }

// Signer is who signed.
func (s *SignedBlob) Signer() trust.Signer { return s.signer }

// Time is the earliest time at which somebody trusted saw the signature, as Attestation.Time is.
func (s *SignedBlob) Time() (t time.Time, source string, ok bool) {
	return s.time, s.source, !s.time.IsZero()
}

// OpenBlob checks that b, a Sigstore bundle v0.1 to v0.3, is a signature by somebody in roots on the file with this
// SHA-256: on its bytes (a message signature), or on an in-toto statement with it as subject. Keyless bundles are held to
// what Open holds them to. A bundle by a key needs no log entry; where roots has a Sigstore, those that it has must hold.
// Message signatures are verified for SHA-256 alone. Every error is an *OpenError. OpenBlob never dials.
func OpenBlob(b Bundle, file hashing.Sum, roots trust.Roots) (*SignedBlob, error) {
	if len(b) > MaxBundle {
		return nil, refuse(policy.BundleMalformed, "bundle of %d bytes, at most %d are read", len(b), MaxBundle)
	}
	w, err := b.decode()
	if err != nil {
		return nil, &OpenError{policy.BundleMalformed, err}
	}
	s := &SignedBlob{}
	if w.Message != nil {
		err = w.checkMessage(file)
	} else {
		s.predicate, err = w.checkSubject(file)
	}
	if err != nil {
		return nil, err
	}
	s.name = w.name()
	if w.Material.PublicKey != nil {
		s.proof, err = proveKey(w, file, roots)
		return s.orRefused(err)
	}
	leaf, err := w.leaf()
	if err != nil {
		return nil, err
	}
	var over *hashing.Sum
	if w.Message != nil {
		over = &file
	}
	s.proof, err = proveKeyless(b, w, leaf, over, roots)
	return s.orRefused(err)
}

func (s *SignedBlob) orRefused(err error) (*SignedBlob, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// sha256Name is what Sigstore's bundles call SHA-256.
const sha256Name = "SHA2_256"

// checkMessage refuses a message signature on something else than the file. The digest that the bundle names is a hint;
// one that is wrong still tells what went wrong better than the signature does.
func (w *wire) checkMessage(file hashing.Sum) error {
	m := w.Message
	switch {
	case w.Envelope != nil:
		return refuse(policy.BundleMalformed, "bundle has both a message signature and a DSSE envelope")
	case len(m.Signature) == 0:
		return refuse(policy.BundleMalformed, "message signature is empty")
	case m.Digest == nil:
		return refuse(policy.BundleMalformed, "message signature without the message's digest")
	case m.Digest.Algorithm != sha256Name:
		return refuse(policy.Unsupported, "message digest is by %q, not %s", clip(m.Digest.Algorithm), sha256Name)
	case !slices.Equal(m.Digest.Digest, file[:]):
		return refuse(policy.DigestMismatch, "bundle is on the file with sha256:%x, not %s", m.Digest.Digest, file)
	}
	return nil
}

// checkSubject refuses an envelope that states nothing about the file, and returns the predicate type.
func (w *wire) checkSubject(file hashing.Sum) (string, error) {
	if err := w.checkEnvelope(); err != nil {
		return "", &OpenError{policy.BundleMalformed, err}
	}
	if w.Envelope.PayloadType != PayloadType {
		return "", refuse(policy.UnexpectedStatement, "payload is of type %q, not %s", clip(w.Envelope.PayloadType), PayloadType)
	}
	h, err := parseHeader(w.Envelope.Payload)
	if err != nil {
		return "", &OpenError{policy.UnexpectedStatement, err}
	}
	about := func(s Subject) bool { return s.Digest["sha256"] == file.Hex() }
	if !slices.ContainsFunc(h.Subject, about) {
		return "", refuse(policy.DigestMismatch, "statement has no subject with %s", file)
	}
	return h.PredicateType, nil
}

// leaf is the signing certificate. Bundles before v0.3 have it in a chain, from which nothing else is used.
func (w *wire) leaf() ([]byte, error) {
	if w.Material.Chain == nil {
		return w.Material.Certificate.RawBytes, nil
	}
	leaf, rest, err := w.chain()
	if err != nil {
		return nil, &OpenError{policy.BundleMalformed, err}
	}
	for _, c := range rest {
		if c.CheckSignatureFrom(c) == nil {
			return nil, refuse(policy.BundleMalformed, "certificate chain brings its own root %q", c.Subject)
		}
	}
	return leaf.Raw, nil
}

// proveKey checks a bundle that was signed with a key, and what logs and timestamp authorities in roots say of it.
func proveKey(w *wire, file hashing.Sum, roots trust.Roots) (proof, error) {
	k, err := w.keyThat(roots, func(k crypto.PublicKey) bool {
		if w.Message != nil {
			return verifyDigest(k, file, w.Message.Signature)
		}
		return verifySignature(k, w.pae(), w.signature(), trust.SignatureHash(k))
	})
	if err != nil {
		return proof{}, err
	}
	p := proof{signer: trust.Signer{Method: trust.MethodKey, Key: k.Fingerprint()}}
	return p, p.witness(w, trust.Logged{Key: k.Public()}, roots)
}

// verifyDigest verifies a signature on a file of which the SHA-256 alone is known. A key that goes with another hash, or
// like Ed25519 signs the bytes themselves, verifies nothing.
func verifyDigest(key crypto.PublicKey, file hashing.Sum, sig []byte) bool {
	if trust.SignatureHash(key) != crypto.SHA256 {
		return false
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, file[:], sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, file[:], sig) == nil
	}
	return false
}
