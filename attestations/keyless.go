package attestations

import (
	"bytes"
	"crypto/x509"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// openKeyless leaves the verification to sigstore-go and holds it to all that a keyless signature needs: one log entry,
// one certificate-transparency entry and one trusted time at least. Who signed is taken from the certificate only after
// that; whether it is the right identity is policy's question.
func (a *Attestation) openKeyless(b Bundle, w *wire, roots trust.Roots) error {
	if roots.Sigstore == nil {
		return refuse(policy.UntrustedSigner, "signed keyless, and no Sigstore trusted root is given")
	}
	if len(w.Material.LogEntries) == 0 {
		return refuse(policy.LogMissing, "keyless bundle without a transparency-log entry (OMS §4.1)")
	}
	if _, err := x509.ParseCertificate(w.Material.Certificate.RawBytes); err != nil {
		return refuse(policy.BundleMalformed, "decode certificate: %w", err)
	}
	var entity bundle.Bundle
	if err := entity.UnmarshalJSON(b); err != nil {
		return &OpenError{policy.BundleMalformed, err}
	}
	if !bytes.Equal(entity.GetDsseEnvelope().GetPayload(), w.Envelope.Payload) {
		return refuse(policy.BundleMalformed, "bundle reads as two different payloads")
	}
	material := roots.Sigstore.Material()
	verifier, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithSignedCertificateTimestamps(1),
		verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate())
	if err != nil {
		return &OpenError{policy.Unsupported, err}
	}
	result, err := verifier.Verify(&entity, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return &OpenError{failedStep(&entity, material), err}
	}
	summary := result.Signature.Certificate
	if summary == nil || summary.SubjectAlternativeName == "" || summary.Issuer == "" {
		return refuse(policy.UntrustedSigner, "certificate names no identity or no identity provider")
	}
	a.signer = trust.Signer{
		Method: trust.MethodKeyless, Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer, Claims: claims(summary.Extensions),
	}
	for _, t := range result.VerifiedTimestamps {
		if a.time.IsZero() || t.Timestamp.Before(a.time) {
			a.time, a.source = t.Timestamp, "timestamped"
			if t.Type == "Tlog" {
				a.source = "logged"
			}
		}
	}
	if a.time.IsZero() {
		return refuse(policy.TimeMissing, "nobody trusted vouches for a time of signing")
	}
	return nil
}

// failedStep finds which step of a keyless verification refuses, by taking them one after another: sigstore-go returns
// one untyped error for all.
func failedStep(entity *bundle.Bundle, material root.TrustedMaterial) policy.Reason {
	logged, err := verify.VerifyTlogEntry(entity, material, 1, true)
	if err != nil {
		return policy.LogInvalid
	}
	stamped, _, err := verify.VerifySignedTimestamp(entity, material)
	if err != nil || len(logged)+len(stamped) == 0 {
		return policy.TimeMissing
	}
	content, err := entity.VerificationContent()
	if err != nil {
		return policy.BundleMalformed
	}
	leaf := content.Certificate()
	var chains [][]*x509.Certificate
	for _, t := range logged {
		if chains, err = verify.VerifyLeafCertificate(t.Time, leaf, material); err != nil {
			return leafReason(leaf, t)
		}
	}
	for _, t := range stamped {
		if chains, err = verify.VerifyLeafCertificate(t.Time, leaf, material); err != nil {
			return leafReason(leaf, *t)
		}
	}
	if verify.VerifySignedCertificateTimestamp(chains, 1, material) != nil {
		return policy.SCTInvalid
	}
	if signature, err := entity.SignatureContent(); err != nil || verify.VerifySignature(signature, content, material) != nil {
		return policy.BadSignature
	}
	return policy.UntrustedSigner
}

// leafReason says why a certificate does not stand: its window at the trusted time, or its issuer.
func leafReason(leaf *x509.Certificate, t root.Timestamp) policy.Reason {
	switch {
	case t.Time.Before(leaf.NotBefore):
		return policy.CertificateTooEarly
	case t.Time.After(leaf.NotAfter):
		return policy.CertificateExpired
	}
	return policy.UntrustedSigner
}

// claims lists what else the identity provider said, by the names of Fulcio's extensions.
func claims(e certificate.Extensions) map[string]string {
	raw, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	var all map[string]string
	if json.Unmarshal(raw, &all) != nil {
		return nil
	}
	for k, v := range all {
		if v == "" || strings.EqualFold(k, "issuer") {
			delete(all, k)
		}
	}
	return all
}

// describe fills in what the verification material says of its signer, unchecked.
func (u *Unverified) describe(w *wire) error {
	switch {
	case w.Material.PublicKey != nil:
		u.Method = string(trust.MethodKey)
		if w.Material.PublicKey.Hint != nil {
			u.Signer = *w.Material.PublicKey.Hint
		}
	case w.Material.Chain != nil:
		leaf, _, err := w.chain()
		if err != nil {
			return err
		}
		u.Method, u.Signer = string(trust.MethodCertificate), trust.CertificateSubject(leaf)
	default:
		leaf, err := x509.ParseCertificate(w.Material.Certificate.RawBytes)
		if err != nil {
			return err
		}
		u.Method, u.Signer = string(trust.MethodKeyless), trust.CertificateSubject(leaf)
		if summary, err := certificate.SummarizeCertificate(leaf); err == nil {
			u.Signer, u.Issuer = summary.SubjectAlternativeName, summary.Issuer
		}
	}
	return nil
}
