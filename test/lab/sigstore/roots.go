package sigstore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"os"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// origin is what Rekor's checkpoints are signed for. A verifier takes it from the host of the trusted root's baseUrl; the
// URL that a signer reaches the log at need not have to do with it.
const origin = "rekor.lab.test"

// writeTrustedRoot writes whom a verifier of this world's bundles believes.
func (p *pki) writeTrustedRoot(path string) error {
	ctID, err := keyID(p.ctlog.Public())
	if err != nil {
		return fmt.Errorf("write trusted root: %w", err)
	}
	_, rekorID, err := rekornote.KeyHash(origin, p.rekor.Public())
	if err != nil {
		return fmt.Errorf("write trusted root: %w", err)
	}
	log := func(host string, id []byte, key crypto.PublicKey) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: "https://" + host, ID: id, HashFunc: crypto.SHA256, PublicKey: key, ValidityPeriodStart: p.start,
		}}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Root: p.root.cert, Intermediates: []*x509.Certificate{p.fulcio.cert}, ValidityPeriodStart: p.start, URI: "https://fulcio.lab.test",
		}},
		log("ctlog.lab.test", ctID, p.ctlog.Public()),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Root: p.root.cert, Intermediates: []*x509.Certificate{p.tsaCA.cert}, Leaf: p.tsa.cert, ValidityPeriodStart: p.start, URI: "https://tsa.lab.test",
		}},
		log(origin, rekorID, p.rekor.Public()))
	if err != nil {
		return fmt.Errorf("write trusted root: %w", err)
	}
	text, err := trusted.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write trusted root: %w", err)
	}
	return os.WriteFile(path, text, 0o644)
}

// writeSigningConfig writes which servers a signer uses.
func (w *World) writeSigningConfig(path string) error {
	service := func(url string, version uint32) []root.Service {
		return []root.Service{{URL: url, MajorAPIVersion: version, ValidityPeriodStart: w.pki.start, Operator: "lab"}}
	}
	any := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	config, err := root.NewSigningConfig(root.SigningConfigMediaType02,
		service(w.URL(Fulcio), 1), service(w.Issuer, 1), service(w.URL(Rekor), 2), any, service(w.URL(TSA)+tsaPath, 1), any)
	if err != nil {
		return fmt.Errorf("write signing config: %w", err)
	}
	text, err := config.MarshalJSON()
	if err != nil {
		return fmt.Errorf("write signing config: %w", err)
	}
	return os.WriteFile(path, text, 0o644)
}

// keyID is a certificate-transparency log's ID (RFC 6962 §3.2).
func keyID(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}
