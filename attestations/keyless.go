package attestations

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// proveKeyless leaves the verification to sigstore-go and holds it to all that a keyless signature needs: one log entry,
// one certificate-transparency entry and one trusted time at least. Who signed is taken from the certificate only after
// that; whether it is the right identity is policy's question. leaf is the certificate; file is what a signature without
// a statement must be over, nil for an envelope.
func proveKeyless(b Bundle, w *wire, leaf []byte, file *hashing.Sum, roots trust.Roots) (proof, error) {
	if roots.Sigstore == nil {
		return proof{}, refuse(policy.UntrustedSigner, "signed keyless, and no Sigstore trusted root is given")
	}
	if len(w.Material.LogEntries) == 0 {
		return proof{}, refuse(policy.LogMissing, "keyless bundle without a transparency-log entry (OMS §4.1)")
	}
	if _, err := x509.ParseCertificate(leaf); err != nil {
		return proof{}, refuse(policy.BundleMalformed, "decode certificate: %w", err)
	}
	entity, err := decodeEntity(b, w)
	if err != nil {
		return proof{}, err
	}
	material := roots.Sigstore.Material()
	verifier, err := verify.NewVerifier(material, verify.WithTransparencyLog(1), verify.WithSignedCertificateTimestamps(1),
		verify.WithObserverTimestamps(1), verify.WithoutStatementPredicate())
	if err != nil {
		return proof{}, &OpenError{policy.Unsupported, err}
	}
	over := verify.WithoutArtifactUnsafe() // a statement says itself what it is about
	if file != nil {
		over = verify.WithArtifactDigest("sha256", file[:])
	}
	result, err := verifier.Verify(entity, verify.NewPolicy(over, verify.WithoutIdentitiesUnsafe()))
	if err != nil {
		return proof{}, &OpenError{failedStep(entity, file, material), err}
	}
	summary := result.Signature.Certificate
	if summary == nil || summary.SubjectAlternativeName == "" || summary.Issuer == "" {
		return proof{}, refuse(policy.UntrustedSigner, "certificate names no identity or no identity provider")
	}
	p := proof{signer: trust.Signer{
		Method: trust.MethodKeyless, Subject: summary.SubjectAlternativeName, Issuer: summary.Issuer, Claims: claims(summary.Extensions),
	}}
	for _, t := range result.VerifiedTimestamps {
		p.seen(t.Timestamp, t.Type == "Tlog")
	}
	if p.time.IsZero() {
		return proof{}, refuse(policy.TimeMissing, "nobody trusted vouches for a time of signing")
	}
	p.hear(entity, roots.Sigstore)
	return p, nil
}

// decodeEntity reads b with sigstore-go's decoder, which must see the signed bytes that ours sees.
func decodeEntity(b Bundle, w *wire) (*bundle.Bundle, error) {
	var parsed protobundle.Bundle
	if err := protojson.Unmarshal(b, &parsed); err != nil {
		return nil, &OpenError{policy.BundleMalformed, err}
	}
	for i, e := range parsed.GetVerificationMaterial().GetTlogEntries() {
		if _, err := tlog.ParseTransparencyLogEntry(e); err != nil {
			return nil, refuse(policy.LogInvalid, "decode log entry %d: %w", i+1, err)
		}
	}
	entity, err := bundle.NewBundle(&parsed)
	if err != nil {
		return nil, &OpenError{policy.BundleMalformed, err}
	}
	same := w.Envelope != nil && bytes.Equal(entity.GetDsseEnvelope().GetPayload(), w.Envelope.Payload)
	if w.Message != nil {
		same = bytes.Equal(entity.GetMessageSignature().GetSignature(), w.Message.Signature)
	}
	if !same {
		return nil, refuse(policy.BundleMalformed, "bundle reads as two different payloads")
	}
	return entity, nil
}

// hear asks each witness of s alone what it says of a bundle that holds. sigstore-go counts the keys of logs and the
// addresses of timestamp authorities; of these, one party may have several.
func (p *proof) hear(entity *bundle.Bundle, s *trust.Sigstore) {
	entries, err := entity.TlogEntries()
	if err != nil {
		return // nothing was proven by them
	}
	for _, w := range s.Witnesses() {
		timed := false
		if slices.ContainsFunc(entries, func(e *tlog.Entry) bool { return logged(e, w.Material()) }) {
			at, err := verify.VerifyTlogEntry(entity, w.Material(), 1, true)
			if err == nil {
				p.logs = append(p.logs, w.Name())
				timed = len(at) > 0
			}
		}
		if !timed {
			stamped, _, err := verify.VerifySignedTimestamp(entity, w.Material())
			timed = err == nil && len(stamped) > 0
		}
		if timed {
			p.clocks = append(p.clocks, w.Name())
		}
	}
}

// logged reports whether e claims to be in one of material's logs.
func logged(e *tlog.Entry, material root.TrustedMaterial) bool {
	return material.RekorLogs()[hex.EncodeToString([]byte(e.LogKeyID()))] != nil
}

// failedStep finds which step of a keyless verification refuses, by taking them one after another: sigstore-go returns
// one untyped error for all.
func failedStep(entity *bundle.Bundle, file *hashing.Sum, material root.TrustedMaterial) policy.Reason {
	content, err := entity.VerificationContent()
	if err != nil {
		return policy.BundleMalformed
	}
	leaf := content.Certificate()
	logged, err := verify.VerifyTlogEntry(entity, material, 1, true)
	if err != nil {
		return logReason(entity, leaf, material)
	}
	stamped, _, err := verify.VerifySignedTimestamp(entity, material)
	if err != nil || len(logged)+len(stamped) == 0 {
		return policy.TimeMissing
	}
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
	signature, err := entity.SignatureContent()
	switch {
	case err != nil:
		return policy.BadSignature
	case file != nil:
		err = verify.VerifySignatureWithArtifactDigests(signature, content, material, []verify.ArtifactDigest{{Algorithm: "sha256", Digest: file[:]}})
	default:
		err = verify.VerifySignature(signature, content, material)
	}
	if err != nil {
		return policy.BadSignature
	}
	return policy.UntrustedSigner
}

// logReason says why no log entry proves the signature: no log of them is trusted, a trusted one saw the signature
// outside the certificate's window, or the entry proves something else.
func logReason(entity *bundle.Bundle, leaf *x509.Certificate, material root.TrustedMaterial) policy.Reason {
	entries, err := entity.TlogEntries()
	if err != nil {
		return policy.LogInvalid
	}
	signed, err := entity.SignatureContent()
	if err != nil {
		return policy.BundleMalformed
	}
	reason := policy.LogUntrusted
	for _, e := range entries {
		if !logged(e, material) {
			continue
		}
		reason = policy.LogInvalid
		certificate, _ := e.PublicKey().(*x509.Certificate)
		about := bytes.Equal(e.Signature(), signed.Signature()) && certificate.Equal(leaf) && e.HasInclusionPromise() &&
			tlog.VerifySET(e, material.RekorLogs()) == nil
		at := root.Timestamp{Time: e.IntegratedTime()}
		if about && (at.Time.Before(leaf.NotBefore) || at.Time.After(leaf.NotAfter)) {
			return leafReason(leaf, at)
		}
	}
	return reason
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
// SignerClaims returns the names of what an identity provider may say of a keyless signer besides who it is, as
// trust.Signer has them, in alphabetical order (Fulcio, OID information).
func SignerClaims() []string {
	var e certificate.Extensions
	var names []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(e)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && !strings.EqualFold(name, "issuer") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

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
