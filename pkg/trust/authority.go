package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Authority is a certificate authority whose leaves count under the certificate method (OMS §4.1).
type Authority struct {
	certificate *x509.Certificate
}

// fulcioArc is the arc of every extension that a Fulcio CA puts into the certificates that it issues.
var fulcioArc = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}

// ErrFulcio refuses a Fulcio CA or leaf under the certificate method: a Fulcio CA vouches for everybody with an e-mail
// address, so only identity and issuer together mean anything.
var ErrFulcio = errors.New("a Fulcio certificate is trusted only by identity and identity provider")

// LoadAuthorities reads every CERTIFICATE block of a PEM file. None, another block, a block that does not parse, and a
// Fulcio CA are errors. A certificate that is not a CA is accepted: it then stands for itself alone.
func LoadAuthorities(data []byte) ([]Authority, error) {
	certs, err := ParseCertificates(data)
	if err != nil {
		return nil, err
	}
	var authorities []Authority
	for _, c := range certs {
		if slices.Contains(c.Subject.Organization, "sigstore.dev") || hasFulcioExtension(c) {
			return nil, fmt.Errorf("trust certificate %q: %w", c.Subject, ErrFulcio)
		}
		authorities = append(authorities, Authority{certificate: c})
	}
	return authorities, nil
}

// pemBegin begins a PEM block (RFC 7468).
var pemBegin = []byte("-----BEGIN ")

// ParseCertificates reads every CERTIFICATE block of a PEM file, at least one. Text between the blocks is skipped.
func ParseCertificates(data []byte) ([]*x509.Certificate, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("read certificates: %d bytes, at most %d are read", len(data), MaxFile)
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("read certificates: PEM block is %q, not \"CERTIFICATE\"", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read certificates: %w", err)
		}
		certs = append(certs, c)
	}
	// pem.Decode steps over a block that it can't read. A CA that goes missing that way would be missed much later.
	switch begun := bytes.Count(data, pemBegin); {
	case len(certs) < begun:
		return nil, fmt.Errorf("read certificates: %d of %d PEM blocks are damaged", begun-len(certs), begun)
	case len(certs) == 0:
		return nil, errors.New("read certificates: no PEM block found")
	}
	return certs, nil
}

// Fingerprint is the lower-case hex SHA-256 of the certificate's DER.
func (a Authority) Fingerprint() string {
	sum := sha256.Sum256(a.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// Certificate is the CA's certificate; do not modify it.
func (a Authority) Certificate() *x509.Certificate { return a.certificate }

// ErrNotValidYet and ErrExpired say on which side of a certificate's window the time lies.
var (
	ErrNotValidYet = errors.New("certificate not yet valid")
	ErrExpired     = errors.New("certificate expired")
	ErrUsage       = errors.New("certificate is not for signing")
)

// VerifyChain checks leaf, with the intermediates that came along, against r's authorities, the whole chain at the time
// at, and returns the signer, with every authority that the leaf has a chain to. The leaf must be allowed to sign: key usage digitalSignature or extended key usage
// code signing, as the reference implementation asks. Errors wrap ErrNobody, ErrNotValidYet, ErrExpired, ErrUsage,
// ErrFulcio or an x509 error.
func (r Roots) VerifyChain(leaf *x509.Certificate, intermediates []*x509.Certificate, at time.Time) (Signer, error) {
	if len(r.Authorities) == 0 {
		return Signer{}, ErrNobody
	}
	if hasFulcioExtension(leaf) {
		return Signer{}, ErrFulcio
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageCodeSigning) {
		return Signer{}, ErrUsage
	}
	roots, pool := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range r.Authorities {
		roots.AddCert(a.certificate)
	}
	for _, c := range intermediates {
		pool.AddCert(c)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Signer{}, chainError(err, append([]*x509.Certificate{leaf}, intermediates...), at)
	}
	signer := Signer{Method: MethodCertificate, Subject: CertificateSubject(leaf)}
	for _, a := range r.Authorities { // in the caller's order, so that one leaf always has one name
		fp := a.Fingerprint()
		anchors := func(chain []*x509.Certificate) bool { return chain[len(chain)-1].Equal(a.certificate) }
		switch {
		case !slices.ContainsFunc(chains, anchors) || fp == signer.CA || slices.Contains(signer.Others, fp):
		case signer.CA == "":
			signer.CA = fp
		default:
			signer.Others = append(signer.Others, fp)
		}
	}
	return signer, nil
}

// chainError replaces x509's "expired or is not yet valid" by which of the two, and whose.
func chainError(err error, chain []*x509.Certificate, at time.Time) error {
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		return err
	}
	for _, c := range append([]*x509.Certificate{invalid.Cert}, chain...) {
		switch {
		case c == nil:
		case at.Before(c.NotBefore):
			return fmt.Errorf("%w: %q is valid from %s", ErrNotValidYet, c.Subject, c.NotBefore.UTC().Format(time.RFC3339))
		case at.After(c.NotAfter):
			return fmt.Errorf("%w: %q was valid until %s", ErrExpired, c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	return err
}

// CertificateSubject names the holder of a leaf: its first subject alternative name (URI, e-mail, DNS, in this order),
// else its distinguished name in RFC 2253's form.
func CertificateSubject(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	}
	return c.Subject.String()
}

func hasFulcioExtension(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if len(e.Id) > len(fulcioArc) && slices.Equal(e.Id[:len(fulcioArc)], fulcioArc) {
			return true
		}
	}
	return false
}
