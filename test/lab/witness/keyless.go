package witness

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"google.golang.org/protobuf/encoding/protojson"
)

// Keyless signs as keyless signers do, with a certificate for ten minutes that the root's authority issued and a
// certificate-transparency log saw, a log entry and a timestamp; no server is asked. The trusted root opens its bundles.
type Keyless struct {
	w    *Witnesses
	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
}

// Keyless returns a signer whom an identity provider knows by an email address. It signs within its certificate's ten
// minutes: the witnesses' time must not leave them.
func (w *Witnesses) Keyless(provider, email string) (*Keyless, error) {
	k := &Keyless{w: w}
	var err error
	if k.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if k.leaf, err = w.certify(k.key, provider, email); err != nil {
		return nil, fmt.Errorf("certify %s: %w", email, err)
	}
	return k, nil
}

// Extensions of Fulcio's certificates, and of RFC 6962 §3.3.
var (
	issuerExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
	sctExtension    = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}
)

// certify issues a certificate that has the log's word in it (RFC 6962 §3.2): made once without, signed for by the log, made
// again.
func (w *Witnesses) certify(key *ecdsa.PrivateKey, provider, email string) (*x509.Certificate, error) {
	w.mu.Lock()
	now := w.now
	w.mu.Unlock()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: now.Add(-time.Minute), NotAfter: now.Add(9 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses: []string{email}, ExtraExtensions: []pkix.Extension{{Id: issuerExtension, Value: []byte(provider)}},
	}
	before, err := issue(template, w.ca, key.Public(), w.caKey)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: w.ctID}, Timestamp: uint64(now.UnixMilli())}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{TimestampedEntry: &ct.TimestampedEntry{
		Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType,
		PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(w.ca.RawSubjectPublicKeyInfo), TBSCertificate: before.RawTBSCertificate},
	}}})
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(input)
	sct.Signature.Algorithm = cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA}
	if sct.Signature.Signature, err = ecdsa.SignASN1(rand.Reader, w.ctKey, digest[:]); err != nil {
		return nil, err
	}
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct})
	if err != nil {
		return nil, err
	}
	raw, err := cttls.Marshal(*list)
	if err != nil {
		return nil, err
	}
	if raw, err = asn1.Marshal(raw); err != nil {
		return nil, err
	}
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{Id: sctExtension, Value: raw})
	return issue(template, w.ca, key.Public(), w.caKey)
}

// Sign returns a Sigstore bundle over the payload, as a signer.Signer does.
func (k *Keyless) Sign(ctx context.Context, payloadType string, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	digest := sha256.Sum256(dsse.PAE(payloadType, payload))
	sig, err := ecdsa.SignASN1(rand.Reader, k.key, digest[:])
	if err != nil {
		return nil, err
	}
	certificate := &protocommon.X509Certificate{RawBytes: k.leaf.Raw}
	request, err := protojson.Marshal(&rekortiles.CreateEntryRequest{Spec: &rekortiles.CreateEntryRequest_HashedRekordRequestV002{
		HashedRekordRequestV002: &rekortiles.HashedRekordRequestV002{Digest: digest[:], Signature: &rekortiles.Signature{Content: sig,
			Verifier: &rekortiles.Verifier{Verifier: &rekortiles.Verifier_X509Certificate{X509Certificate: certificate}, KeyDetails: protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256}}},
	}})
	if err != nil {
		return nil, err
	}
	raw, err := k.w.enter(request)
	if err != nil {
		return nil, err
	}
	var entry protorekor.TransparencyLogEntry
	if err := protojson.Unmarshal(raw, &entry); err != nil {
		return nil, err
	}
	stamp, err := k.w.Stamp(sig)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(&protobundle.Bundle{
		MediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: certificate},
			TlogEntries:               []*protorekor.TransparencyLogEntry{&entry},
			TimestampVerificationData: &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: payload, PayloadType: payloadType, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	})
}
