package attestations

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that signatures use
	_ "crypto/sha512"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Attestation is a statement whose signature was checked against trust roots. Only Open makes one; the zero
// Attestation says nothing and was signed by nobody. It is immutable.
type Attestation struct {
	header  header
	payload []byte
	name    string
	twin    string
	proof
	notes []string
}

// PredicateType is the type of the claim.
func (a *Attestation) PredicateType() string { return a.header.PredicateType }

// Subjects are the things that the statement is about.
func (a *Attestation) Subjects() []Subject { return a.header.Subject }

// Predicate is the claim itself, as signed JSON. Do not modify it.
func (a *Attestation) Predicate() []byte { return a.header.Predicate }

// Name is the bundle's own name, "sha256:" and hex: the digest of what was signed and the signature.
func (a *Attestation) Name() string { return a.name }

// Twin is the name that the bundle has where somebody else turned its ECDSA signature into the one other form that
// verifies too, which takes no key; empty for other keys. What is revoked by name is revoked by either. For keyless bundles
// it is empty: their log holds the one form.
func (a *Attestation) Twin() string { return a.twin }

// Signer is who signed.
func (a *Attestation) Signer() trust.Signer { return a.signer }

// Time is the earliest time at which somebody trusted saw the signature, and who that was: "logged" or "timestamped".
// ok is false where nobody did.
func (a *Attestation) Time() (t time.Time, source string, ok bool) {
	return a.time, a.source, !a.time.IsZero()
}

// Logs names the distinct witnesses (trust.Witness) whose transparency logs hold the signature. Signatures by keys and
// certificates may be in none.
func (a *Attestation) Logs() []string { return a.logs }

// Clocks names the distinct witnesses that vouch for a time of signing, with a log or a timestamp authority.
func (a *Attestation) Clocks() []string { return a.clocks }

// Notes are deviations that were no reason to refuse.
func (a *Attestation) Notes() []string { return a.notes }

// OpenError refuses a bundle. Reason is the code for the decision.
type OpenError struct {
	Reason policy.Reason
	Err    error
}

func (e *OpenError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *OpenError) Unwrap() error { return e.Err }

func refuse(reason policy.Reason, format string, args ...any) error {
	return &OpenError{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// Open checks b's signature against roots and returns what it states. It checks the envelope, the payload type, the
// statement's type, the signature, and for certificates the chain at the trusted time (without one, at roots' present).
// What a bundle by a key or a chain brings of timestamps and log entries is checked where roots hold a Sigstore trusted
// root, must then hold, and is left alone otherwise; for keyless bundles also the certificate-transparency and transparency-log entries and a trusted time. Every error is
// an *OpenError. Open never dials.
func Open(b Bundle, roots trust.Roots) (*Attestation, error) {
	w, err := b.parse()
	if err != nil {
		return nil, &OpenError{policy.BundleMalformed, err}
	}
	if w.Envelope.PayloadType != PayloadType {
		return nil, refuse(policy.UnexpectedStatement, "payload is of type %q, not %s", clip(w.Envelope.PayloadType), PayloadType)
	}
	a := &Attestation{payload: w.Envelope.Payload, name: w.name()}
	switch {
	case w.Material.PublicKey != nil:
		err = a.openKey(w, roots)
	case w.Material.Chain != nil:
		err = a.openChain(w, roots)
	default:
		a.proof, err = proveKeyless(b, w, w.Material.Certificate.RawBytes, nil, roots)
	}
	if err != nil {
		return nil, err
	}
	if a.header, err = parseHeader(a.payload); err != nil {
		return nil, &OpenError{policy.UnexpectedStatement, err}
	}
	return a, nil
}

// openKey verifies by the trusted key that the bundle's hint names, or by any trusted key where it names none.
func (a *Attestation) openKey(w *wire, roots trust.Roots) error {
	k, err := w.keyThat(roots, func(k crypto.PublicKey) bool { return a.verify(w, k) == nil })
	if err != nil {
		return err
	}
	a.signer, a.twin = trust.Signer{Method: trust.MethodKey, Key: k.Fingerprint()}, w.twin(k.Public())
	return a.witness(w, trust.Logged{Key: k.Public()}, roots)
}

// keyThat returns the first of roots' keys that the bundle's hint allows and that verifies.
func (w *wire) keyThat(roots trust.Roots, verifies func(crypto.PublicKey) bool) (trust.Key, error) {
	if len(roots.Keys) == 0 {
		return trust.Key{}, refuse(policy.UntrustedSigner, "signed with a key, and no key is trusted")
	}
	hint := ""
	if w.Material.PublicKey.Hint != nil {
		hint = *w.Material.PublicKey.Hint
	}
	tried := false
	for _, k := range roots.Keys {
		if match, known := k.MatchesHint(hint); known && !match {
			continue
		}
		tried = true
		if verifies(k.Public()) {
			return k, nil
		}
	}
	if !tried {
		return trust.Key{}, refuse(policy.UntrustedSigner, "signed with key %q, which is not trusted", clip(hint))
	}
	if hint == "" {
		return trust.Key{}, refuse(policy.UntrustedSigner, "signed by none of the trusted keys, or altered since")
	}
	return trust.Key{}, refuse(policy.BadSignature, "signature does not verify with the key that it names")
}

// openChain verifies OMS's certificate method: a chain to a trusted authority, judged at the trusted time, so that a
// signature outlives its certificate, and at the present where there is none.
func (a *Attestation) openChain(w *wire, roots trust.Roots) error {
	leaf, rest, err := w.chain()
	if err != nil {
		return &OpenError{policy.BundleMalformed, err}
	}
	if err := a.witness(w, trust.Logged{Leaf: leaf}, roots); err != nil {
		return err
	}
	at := roots.Time()
	if !a.time.IsZero() {
		at = a.time
	}
	signer, err := roots.VerifyChain(leaf, rest, at)
	switch {
	case errors.Is(err, trust.ErrNobody):
		return refuse(policy.UntrustedSigner, "signed with a certificate of %q, and no certificate authority is trusted", trust.CertificateSubject(leaf))
	case errors.Is(err, trust.ErrExpired):
		return &OpenError{policy.CertificateExpired, err}
	case errors.Is(err, trust.ErrNotValidYet):
		return &OpenError{policy.CertificateTooEarly, err}
	case err != nil:
		return refuse(policy.UntrustedSigner, "certificate of %q: %w", trust.CertificateSubject(leaf), err)
	}
	if err := trust.CheckPublicKey(leaf.PublicKey); err != nil {
		return &OpenError{policy.Unsupported, err}
	}
	if err := a.verify(w, leaf.PublicKey); err != nil {
		return refuse(policy.BadSignature, "signature does not verify with the certificate of %q", signer.Subject)
	}
	a.signer, a.twin = signer, w.twin(leaf.PublicKey)
	return nil
}

var errSignature = errors.New("signature does not verify")

// verify checks the envelope's signature. What v0.2.0 signed is accepted for that version's predicate alone, also under
// SHA-256, which it used with every curve.
func (a *Attestation) verify(w *wire, key crypto.PublicKey) error {
	if verifySignature(key, w.pae(), w.signature(), trust.SignatureHash(key)) {
		return nil
	}
	h, err := parseHeader(w.Envelope.Payload)
	if err != nil || h.PredicateType != PredicateOMSLegacy {
		return errSignature
	}
	pae, err := legacyPAE(w.Envelope.PayloadType, w.Envelope.Payload)
	if err != nil {
		return errSignature
	}
	if verifySignature(key, pae, w.signature(), trust.SignatureHash(key)) || verifySignature(key, pae, w.signature(), crypto.SHA256) {
		return nil
	}
	return errSignature
}

func verifySignature(key crypto.PublicKey, message, sig []byte, hash crypto.Hash) bool {
	digest := message
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(k, digest, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(k, hash, digest, sig) == nil
	case ed25519.PublicKey:
		return hash == 0 && ed25519.Verify(k, message, sig)
	}
	return false
}
