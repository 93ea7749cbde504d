package trust

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// ErrLogEntry is in every error about a transparency-log entry that does not hold; ErrLogUntrusted too, where no entry is by
// a log of the trusted root.
var (
	ErrLogEntry     = errors.New("log entry does not hold")
	ErrLogUntrusted = errors.New("no log of the trusted root has it")
)

// Logged is a signature by a key or certificate, as a transparency log should have it: in DSSE on a payload, or on a file.
type Logged struct {
	MediaType   string // the bundle's: its version says what an entry must bring
	PayloadType string
	Payload     []byte
	File        []byte // SHA-256 of the file whose bytes were signed; nil: Payload was, in DSSE
	Signature   []byte
	Leaf        *x509.Certificate // the certificate that signed; nil: Key did
	Key         crypto.PublicKey  // the public key that signed, where there is no certificate
	Entries     [][]byte          // the bundle's log entries, each as JSON
}

// VerifyLogEntries checks that a log of s has the signature: at least one entry is by such a log, includes exactly this
// payload, signature and key or certificate, and every entry by such a log is sound. Entries by other logs don't count.
//
// It returns the earliest time of inclusion that a log signed, and the zero time where none did: a Rekor v2 log vouches
// for inclusion only. Errors wrap ErrLogEntry.
func (s *Sigstore) VerifyLogEntries(l Logged) (time.Time, error) {
	if len(l.Entries) == 0 {
		return time.Time{}, fmt.Errorf("%w: there is none", ErrLogEntry)
	}
	entity, err := l.entity()
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: decode: %w", ErrLogEntry, err)
	}
	material := root.TrustedMaterial(s.material)
	if l.Leaf == nil {
		if material, err = withKey(material, l.Key); err != nil {
			return time.Time{}, fmt.Errorf("%w: %w", ErrLogEntry, err)
		}
	}
	if entries, err := entity.TlogEntries(); err == nil && !slices.ContainsFunc(entries, func(e *tlog.Entry) bool {
		return material.RekorLogs()[hex.EncodeToString([]byte(e.LogKeyID()))] != nil
	}) {
		return time.Time{}, fmt.Errorf("%w: %w", ErrLogEntry, ErrLogUntrusted)
	}
	times, err := verify.VerifyTlogEntry(entity, material, 1, true)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrLogEntry, err)
	}
	var earliest time.Time
	for _, t := range times {
		if earliest.IsZero() || t.Time.Before(earliest) {
			earliest = t.Time
		}
	}
	return earliest, nil
}

// entity is the bundle that sigstore-go would have made. It refuses bundles with a certificate chain, OMS's form, so the
// leaf stands alone here: a log knows no more of it.
func (l Logged) entity() (*bundle.Bundle, error) {
	material := &protobundle.VerificationMaterial{}
	if l.Leaf != nil {
		material.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: l.Leaf.Raw}}
	} else {
		material.Content = &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}}
	}
	for i, raw := range l.Entries {
		var entry protorekor.TransparencyLogEntry
		if err := protojson.Unmarshal(raw, &entry); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		material.TlogEntries = append(material.TlogEntries, &entry)
	}
	b := &protobundle.Bundle{MediaType: l.MediaType, VerificationMaterial: material}
	if l.File != nil {
		b.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
			MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: l.File},
			Signature:     l.Signature,
		}}
	} else {
		b.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: l.Payload, PayloadType: l.PayloadType, Signatures: []*protodsse.Signature{{Sig: l.Signature}},
		}}
	}
	return bundle.NewBundle(b)
}

// keyed is a trusted root together with the one key that a bundle was found to be signed with.
type keyed struct {
	root.TrustedMaterial
	verifier root.TimeConstrainedVerifier
}

// PublicKeyVerifier implements root.TrustedMaterial. The hint was resolved before.
func (k keyed) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	return k.verifier, nil
}

func withKey(m root.TrustedMaterial, key crypto.PublicKey) (root.TrustedMaterial, error) {
	if err := CheckPublicKey(key); err != nil {
		return nil, err
	}
	hash := SignatureHash(key)
	v, err := signature.LoadVerifier(key, hash)
	if err != nil {
		return nil, err
	}
	return keyed{m, root.NewExpiringKey(v, time.Time{}, time.Time{})}, nil // windows are policy's question
}
