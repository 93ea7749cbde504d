package signer

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	sigstorebundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

// spare is how long before its end a certificate is no longer used: what is signed with it has to be timestamped within
// its validity too.
const spare = time.Minute

// unlimited tells sigstore-go's clients to set no timeout of their own: the step's goes over all.
const unlimited = -1

// identity is an ephemeral key with the certificate that says whose it is for the moment.
type identity struct {
	keypair *sign.EphemeralKeypair
	leaf    *x509.Certificate
	offset  time.Duration // of the authority's clock from ours, where the certificate shows that ours is off
}

// usable reports whether the certificate is good for longer than spare when our clock says now.
func (id *identity) usable(now time.Time) bool {
	return now.Add(id.offset).Before(id.leaf.NotAfter.Add(-spare))
}

// identity returns the current identity, or a new one where that is missing or about to expire. Of several callers at
// once, one gets the certificate and the others wait for it.
func (k *keyless) identity(ctx context.Context, server string) (*identity, error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a certificate: %w", context.Cause(ctx))
	}
	if id := k.current.Load(); id != nil && id.usable(k.options.Now()) {
		return id, nil
	}
	token, err := k.options.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("get an identity token: %w", err)
	}
	if token, err = checkToken(token, k.options.Now()); err != nil {
		return nil, err
	}
	keypair, err := sign.NewEphemeralKeypair(nil) // ECDSA P-256: every Fulcio and Rekor takes it
	if err != nil {
		return nil, fmt.Errorf("make an ephemeral key: %w", err)
	}
	id := &identity{keypair: keypair}
	err = k.step(ctx, "get a certificate from", server, []int{http.StatusOK}, func(ctx context.Context, transport http.RoundTripper) error {
		fulcio := sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimRight(server, "/"), Timeout: unlimited, Transport: transport})
		der, err := fulcio.GetCertificate(ctx, keypair, &sign.CertificateProviderOptions{IDToken: token})
		if err != nil {
			return err
		}
		id.leaf, err = checkCertificate(der, keypair, k.options.TrustedRoot.Material())
		return err
	})
	if err != nil {
		return nil, err
	}
	if now := k.options.Now(); now.Before(id.leaf.NotBefore) || now.After(id.leaf.NotAfter) {
		id.offset = id.leaf.NotBefore.Sub(now)
	}
	k.current.Store(id)
	return id, nil
}

// checkCertificate parses a certificate as Fulcio returned it and checks that it is for our key, by an authority of the
// trusted root, and known to a certificate-transparency log: all before anything is published under its name. It is
// judged at the start of its validity, so that a local clock that is off spoils nothing.
func checkCertificate(der []byte, keypair *sign.EphemeralKeypair, material root.TrustedMaterial) (*x509.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("decode certificate: %w", err)
	}
	if !sameKey(leaf.PublicKey, keypair.GetPublicKey()) {
		return nil, errors.New("certificate is for another key than ours")
	}
	return leaf, checkChain(leaf, leaf.NotBefore, material)
}

// oidSAN is the subject alternative name (RFC 5280 §4.2.1.6). Fulcio writes user names in a form of it that crypto/x509
// does not know, and marks it critical.
var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

func checkChain(leaf *x509.Certificate, at time.Time, material root.TrustedMaterial) error {
	known := *leaf
	known.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), oidSAN.Equal)
	chains, err := verify.VerifyLeafCertificate(at, &known, material)
	if err != nil {
		return errors.New("certificate is not by an authority of the trusted root, or not valid at its time")
	}
	if err := verify.VerifySignedCertificateTimestamp(chains, 1, material); err != nil {
		return fmt.Errorf("certificate transparency: %w", err)
	}
	return nil
}

// stamp gets an RFC 3161 timestamp on b's signature sig and adds it to b. It is checked before anything is logged: a public
// log should not hold for ever what nobody could verify.
func (k *keyless) stamp(ctx context.Context, server string, leaf *x509.Certificate, sig []byte, b *protobundle.Bundle) error {
	answer, err := k.timestamp(ctx, server, sig, k.options.TrustedRoot)
	if err != nil {
		return err
	}
	if b.VerificationMaterial.TimestampVerificationData == nil {
		b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{}
	}
	all := b.VerificationMaterial.TimestampVerificationData
	all.Rfc3161Timestamps = append(all.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: answer})
	entity, err := sigstorebundle.NewBundle(b)
	if err == nil {
		_, err = checkTimestamps(entity, leaf, len(all.Rfc3161Timestamps), k.options.TrustedRoot.Material())
	}
	if err != nil {
		return &ServerError{"get a timestamp from", server, err}
	}
	return nil
}

// checkTimestamps verifies that count trusted authorities saw entity's signature within leaf's validity, and returns
// when.
func checkTimestamps(entity verify.SignedEntity, leaf *x509.Certificate, count int, material root.TrustedMaterial) ([]root.Timestamp, error) {
	stamped, err := verify.VerifySignedTimestampWithThreshold(entity, material, count)
	if err != nil {
		return nil, fmt.Errorf("timestamp: %w", err)
	}
	var times []root.Timestamp
	for _, t := range stamped {
		if err := checkChain(leaf, t.Time, material); err != nil {
			return nil, fmt.Errorf("%w: %w", errOutside, err)
		}
		times = append(times, *t)
	}
	return times, nil
}

// errOutside marks a certificate that was not valid when somebody trusted saw its signature: by a clock that is off, for
// instance.
var errOutside = errors.New("timestamp outside the certificate's validity")

// enter has b's signature entered into a transparency log, adds the entry to b and checks it.
func (k *keyless) enter(ctx context.Context, server root.Service, leaf *x509.Certificate, b *protobundle.Bundle) error {
	if err := k.log(ctx, server, certificatePEM(leaf), b); err != nil {
		return err
	}
	entity, err := sigstorebundle.NewBundle(b)
	if err == nil {
		_, err = checkEntries(entity, len(b.VerificationMaterial.TlogEntries), k.options.TrustedRoot.Material())
	}
	if err != nil {
		return &ServerError{"log the signature at", server.URL, err}
	}
	return nil
}

// certificatePEM is a certificate as logs want to be told it.
func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// log has b's signature entered into a transparency log and adds the entry to b. verifier is the PEM of the public key or
// certificate that the signature verifies with.
func (n *network) log(ctx context.Context, server root.Service, verifier []byte, b *protobundle.Bundle) error {
	accept := []int{http.StatusOK, http.StatusCreated}
	if server.MajorAPIVersion != rekorV2 {
		accept = append(accept, http.StatusConflict) // v1 says where the entry is that it has already
	}
	return n.step(ctx, "log the signature at", server.URL, accept, func(ctx context.Context, transport http.RoundTripper) error {
		client, err := newLogClient(server, transport)
		if err != nil {
			return err
		}
		return client.GetTransparencyLogEntry(ctx, verifier, b)
	})
}

// checkEntries verifies count log entries for entity's signature, and returns the times that the logs vouch for.
func checkEntries(entity verify.SignedEntity, count int, material root.TrustedMaterial) ([]root.Timestamp, error) {
	logged, err := verify.VerifyTlogEntry(entity, material, count, true)
	if err != nil {
		return nil, fmt.Errorf("log entry: %w", err)
	}
	return logged, nil
}

// checkBundle verifies a finished bundle as any verifier will: every log entry and timestamp that was asked for, the
// certificate at each of those times, its transparency, and the signature. sigstore-go's Verifier would do the same for
// an in-toto payload only, and decode all of it.
func checkBundle(b *protobundle.Bundle, material root.TrustedMaterial, servers services) error {
	entity, err := sigstorebundle.NewBundle(b)
	if err != nil {
		return err
	}
	content, err := entity.VerificationContent()
	if err != nil {
		return err
	}
	stamped, err := checkTimestamps(entity, content.Certificate(), len(servers.timestamps), material)
	if err != nil {
		return err
	}
	logged, err := checkEntries(entity, len(servers.logs), material)
	if err != nil {
		return err
	}
	if len(logged)+len(stamped) == 0 {
		return errors.New("nobody trusted vouches for its time")
	}
	for _, t := range logged {
		if err := checkChain(content.Certificate(), t.Time, material); err != nil {
			return err
		}
	}
	signed, err := entity.SignatureContent()
	if err != nil {
		return err
	}
	if m := b.GetMessageSignature(); m != nil {
		over := []verify.ArtifactDigest{{Algorithm: "sha256", Digest: m.GetMessageDigest().GetDigest()}}
		err = verify.VerifySignatureWithArtifactDigests(signed, content, material, over)
	} else {
		err = verify.VerifySignature(signed, content, material)
	}
	if err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	return nil
}
