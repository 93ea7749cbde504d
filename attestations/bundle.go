package attestations

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Caps on what is read of a bundle.
const (
	MaxSignatureBundle = 64 << 20 // bytes of an OMS bundle, which lists every file
	MaxBundle          = 8 << 20  // bytes of any other bundle
	maxCertificates    = 16       // certificates in a chain
	maxLogEntries      = 32       // transparency-log entries
)

// BundleMediaType is the media type of the bundles that Hallmark writes.
const BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// mediaTypes are those of every version of the format (OMS §8.1).
var mediaTypes = []string{
	"application/vnd.dev.sigstore.bundle+json;version=0.1",
	"application/vnd.dev.sigstore.bundle+json;version=0.2",
	"application/vnd.dev.sigstore.bundle+json;version=0.3",
	BundleMediaType,
}

// IsBundleMediaType reports whether s is the media type of a version of Sigstore's bundle that is read here.
func IsBundleMediaType(s string) bool { return slices.Contains(mediaTypes, s) }

// Bundle is the bytes of a Sigstore bundle. Believe nothing in it before Open.
type Bundle []byte

// wire is a Sigstore bundle as it is written in JSON. What belongs to Sigstore's own library is left unread.
type wire struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey *struct {
			Hint     *string         `json:"hint"`
			RawBytes *jsontext.Value `json:"rawBytes"` // OMS §11.1: before v1.1.0
			Details  *string         `json:"keyDetails"`
		} `json:"publicKey"`
		Chain *struct {
			Certificates []certificateBytes `json:"certificates"`
		} `json:"x509CertificateChain"`
		Certificate *certificateBytes `json:"certificate"`
		LogEntries  []jsontext.Value  `json:"tlogEntries"`
		Timestamps  *jsontext.Value   `json:"timestampVerificationData"`
	} `json:"verificationMaterial"`
	Envelope *struct {
		Payload     []byte `json:"payload"`
		PayloadType string `json:"payloadType"`
		Signatures  []struct {
			Sig   []byte  `json:"sig"`
			KeyID *string `json:"keyid"` // not used for verification (OMS §4.1)
		} `json:"signatures"`
	} `json:"dsseEnvelope"`
	Message *struct { // a signature on a file's bytes, without a statement: OpenBlob's business alone
		Digest *struct {
			Algorithm string `json:"algorithm"`
			Digest    []byte `json:"digest"`
		} `json:"messageDigest"`
		Signature []byte `json:"signature"`
	} `json:"messageSignature"`
}

type certificateBytes struct {
	RawBytes []byte `json:"rawBytes"`
}

// decode reads b strictly: unknown, duplicate or re-cased members, trailing data, another media type, and anything but
// exactly one kind of verification material are errors. What was signed is not looked at.
func (b Bundle) decode() (*wire, error) {
	if len(b) > MaxSignatureBundle {
		return nil, fmt.Errorf("bundle of %d bytes, at most %d are read", len(b), MaxSignatureBundle)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("bundle is empty")
	}
	var w wire
	if err := json.Unmarshal(b, &w, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("decode bundle: %w", err)
	}
	kinds := 0
	for _, present := range []bool{w.Material.PublicKey != nil, w.Material.Chain != nil, w.Material.Certificate != nil} {
		if present {
			kinds++
		}
	}
	switch {
	case !IsBundleMediaType(w.MediaType):
		return nil, fmt.Errorf("media type %q is not a Sigstore bundle's", clip(w.MediaType))
	case kinds != 1:
		return nil, fmt.Errorf("bundle has %d kinds of verification material, not one", kinds)
	case w.Material.Chain != nil && (len(w.Material.Chain.Certificates) == 0 || len(w.Material.Chain.Certificates) > maxCertificates):
		return nil, fmt.Errorf("certificate chain has %d certificates, not 1 to %d", len(w.Material.Chain.Certificates), maxCertificates)
	case len(w.Material.LogEntries) > maxLogEntries:
		return nil, fmt.Errorf("bundle has %d log entries, at most %d are read", len(w.Material.LogEntries), maxLogEntries)
	}
	return &w, nil
}

// parse is decode for a bundle around a statement: anything but one DSSE envelope with one signature is an error.
func (b Bundle) parse() (*wire, error) {
	w, err := b.decode()
	if err != nil {
		return nil, err
	}
	if w.Message != nil {
		return nil, errors.New("bundle signs a file's bytes and states nothing")
	}
	if err := w.checkEnvelope(); err != nil {
		return nil, err
	}
	return w, nil
}

// checkEnvelope returns an error unless there is one DSSE envelope with one signature on something.
func (w *wire) checkEnvelope() error {
	switch {
	case w.Envelope == nil:
		return errors.New("bundle has no DSSE envelope")
	case len(w.Envelope.Signatures) != 1:
		return fmt.Errorf("envelope has %d signatures, not one", len(w.Envelope.Signatures))
	case len(w.Envelope.Signatures[0].Sig) == 0:
		return errors.New("envelope has an empty signature")
	case len(w.Envelope.Payload) == 0:
		return errors.New("envelope has no payload")
	}
	return nil
}

// signature is what signs the envelope, or the file where there is none.
func (w *wire) signature() []byte {
	if w.Message != nil {
		return w.Message.Signature
	}
	return w.Envelope.Signatures[0].Sig
}

// pae is DSSE's pre-authentication encoding: the bytes that were signed.
func (w *wire) pae() []byte { return dsse.PAE(w.Envelope.PayloadType, w.Envelope.Payload) }

// name is the bundle's own name: the SHA-256 of what was signed (of a message signature: its digest) and the signature.
// Two writings of the same bundle in JSON are one bundle.
func (w *wire) name() string { return w.nameWith(w.signature()) }

func (w *wire) nameWith(signature []byte) string {
	h := sha256.New()
	if w.Message != nil {
		h.Write(w.Message.Digest.Digest)
	} else {
		h.Write(w.pae())
	}
	h.Write(signature)
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// twin is the name that the bundle has with the other form of its ECDSA signature: of (r, s) and (r, n−s) either verifies,
// and anybody makes one of the other (SEC 1, 4.1.4). It is empty for other keys, whose signatures have one form.
func (w *wire) twin(key crypto.PublicKey) string {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return ""
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(w.signature(), &sig); err != nil {
		return ""
	}
	sig.S.Sub(k.Params().N, sig.S)
	other, err := asn1.Marshal(sig)
	if err != nil {
		return ""
	}
	return w.nameWith(other)
}

func (w *wire) chain() (leaf *x509.Certificate, rest []*x509.Certificate, err error) {
	for i, c := range w.Material.Chain.Certificates {
		cert, err := x509.ParseCertificate(c.RawBytes)
		if err != nil {
			return nil, nil, fmt.Errorf("decode certificate %d of the chain: %w", i+1, err)
		}
		if i == 0 {
			leaf = cert
		} else {
			rest = append(rest, cert)
		}
	}
	return leaf, rest, nil
}

// Unverified is what a bundle says of itself. None of it is checked; it is for showing to people, marked as such.
type Unverified struct {
	Name          string    // the bundle's own name, the same before and after Open
	Method        string    // key, certificate or keyless, by its verification material
	Signer        string    // key hint or certificate subject
	Issuer        string    // keyless: OIDC issuer in the certificate
	PredicateType string    // of the statement
	Subject       []Subject // of the statement
	LogEntries    int       // transparency-log entries that are there
	IgnorePaths   []string  // an OMS statement's exclusions
	AllowSymlinks bool      // an OMS statement's
	Kind          Kind      // an OMS statement's; empty where it does not say
}

// Peek reads what b says of itself. An error means that Open would refuse b whatever is trusted, or that the exclusions
// of an OMS statement cannot be read.
func (b Bundle) Peek() (Unverified, error) {
	w, err := b.parse()
	if err != nil {
		return Unverified{}, err
	}
	h, err := parseHeader(w.Envelope.Payload)
	if err != nil {
		return Unverified{}, err
	}
	u := Unverified{Name: w.name(), PredicateType: h.PredicateType, Subject: h.Subject, LogEntries: len(w.Material.LogEntries)}
	if h.PredicateType == PredicateOMS {
		var p omsPredicate
		if err := json.Unmarshal(h.Predicate, &p); err != nil {
			return Unverified{}, fmt.Errorf("decode predicate: %w", err)
		}
		if p.Serialization.IgnorePaths != nil {
			u.IgnorePaths = *p.Serialization.IgnorePaths
		}
		u.Kind = peekKind(p.Resources)
		u.AllowSymlinks = p.Serialization.AllowSymlinks != nil && *p.Serialization.AllowSymlinks
	}
	if err := u.describe(w); err != nil {
		return Unverified{}, err
	}
	return u, nil
}

// peekKind is the kind that an OMS statement's first resource is annotated with, or nothing.
func peekKind(resources jsontext.Value) Kind {
	var all []struct {
		Annotations map[string]jsontext.Value `json:"annotations"`
	}
	var kind Kind
	if json.Unmarshal(resources, &all) != nil || len(all) == 0 || json.Unmarshal(all[0].Annotations[annotationKind], &kind) != nil {
		return ""
	}
	if _, err := ParseKind(string(kind)); err != nil {
		return ""
	}
	return kind
}
