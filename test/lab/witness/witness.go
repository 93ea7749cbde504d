// Package witness is a timestamp authority and a Rekor v2 log on loopback, with the trusted root that vouches for them:
// enough to have a key's signatures seen by others, at whatever time a test says it is. Its certificate authority makes
// keyless signers, too, without a server.
package witness

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/digitorus/timestamp"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	rekortiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekornote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
	signing "github.com/sigstore/sigstore/pkg/signature"
	tlog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// origin is the log's name, in its checkpoints and in the trusted root.
const origin = "rekor.test"

// Witnesses are the two servers. Close ends them.
type Witnesses struct {
	// TimestampURL is the timestamp authority's; LogURL the log's.
	TimestampURL, LogURL string
	// TrustedRoot is trusted_root.json, and SigningConfig signing_config.json, for these servers alone.
	TrustedRoot, SigningConfig []byte

	server *httptest.Server
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
	tsa    *x509.Certificate
	tsaKey *ecdsa.PrivateKey
	logKey *ecdsa.PrivateKey
	logID  [sha256.Size]byte
	ctKey  *ecdsa.PrivateKey // of the certificate-transparency log
	ctID   [sha256.Size]byte

	mu  sync.Mutex
	now time.Time
}

// New starts both servers, at the time now. Their certificates hold at any time: the library behind the authority writes the
// machine's clock into what it signs, beside the time that is asked for.
func New(now time.Time) (*Witnesses, error) {
	w := &Witnesses{now: now}
	if err := w.makeKeys(); err != nil {
		return nil, fmt.Errorf("make witnesses: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tsa", answering(w.stamp))
	mux.HandleFunc("POST /log/api/v2/log/entries", answering(w.enter))
	w.server = httptest.NewServer(mux)
	w.TimestampURL, w.LogURL = w.server.URL+"/tsa", w.server.URL+"/log"
	if err := w.describe(now.AddDate(-1, 0, 0)); err != nil {
		w.Close()
		return nil, fmt.Errorf("make witnesses: %w", err)
	}
	return w, nil
}

// Close stops the servers.
func (w *Witnesses) Close() { w.server.Close() }

// Set makes it another time.
func (w *Witnesses) Set(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = now
}

// makeKeys makes the logs' keys, and the authority's with a certificate that may do nothing but timestamping (RFC 3161 §2.3).
func (w *Witnesses) makeKeys() error {
	var err error
	var keys [4]*ecdsa.PrivateKey
	for i := range keys {
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
	}
	w.caKey, w.tsaKey, w.logKey, w.ctKey = keys[0], keys[1], keys[2], keys[3]
	if w.logID, err = keyID(w.logKey); err != nil {
		return err
	}
	if w.ctID, err = keyID(w.ctKey); err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "witnesses"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if w.ca, err = issue(template, template, w.caKey.Public(), w.caKey); err != nil {
		return err
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		return err
	}
	w.tsa, err = issue(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "timestamps"}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: template.NotBefore, NotAfter: template.NotAfter,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}, w.ca, w.tsaKey.Public(), w.caKey)
	return err
}

// keyID is the name of a log with the key (RFC 6962 §3.2).
func keyID(key *ecdsa.PrivateKey) ([sha256.Size]byte, error) {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	return sha256.Sum256(spki), err
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// describe writes trusted root and signing config.
func (w *Witnesses) describe(since time.Time) error {
	log := func(host string, id []byte, key *ecdsa.PrivateKey) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: "https://" + host, ID: id, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: key.Public(), ValidityPeriodStart: since,
		}}
	}
	r, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: w.ca, URI: "https://fulcio.test", ValidityPeriodStart: since}},
		log("ct.test", w.ctID[:], w.ctKey),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: w.ca, Leaf: w.tsa, URI: "https://tsa.test", ValidityPeriodStart: since}},
		log(origin, w.logID[:], w.logKey))
	if err != nil {
		return err
	}
	if w.TrustedRoot, err = r.MarshalJSON(); err != nil {
		return err
	}
	w.SigningConfig = fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
"rekorTlogUrls":[{"url":%[1]q,"majorApiVersion":2,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"test"}],
"tsaUrls":[{"url":%[2]q,"majorApiVersion":1,"validFor":{"start":"2020-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogConfig":{"selector":"ANY"},"tsaConfig":{"selector":"ANY"}}`, w.LogURL, w.TimestampURL)
	return nil
}

// answering makes a handler of a function from body to body.
func answering(answer func(body []byte) ([]byte, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			body, err = answer(body)
		}
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.WriteHeader(http.StatusCreated)
		_, _ = rw.Write(body)
	}
}

// stamp answers a timestamp request.
func (w *Witnesses) stamp(query []byte) ([]byte, error) {
	request, err := timestamp.ParseRequest(query)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	now := w.now
	w.mu.Unlock()
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce, Time: now,
		SerialNumber: big.NewInt(1), Policy: asn1.ObjectIdentifier{1, 2, 3}, AddTSACertificate: request.Certificates,
	}
	return stamp.CreateResponseWithOpts(w.tsa, w.tsaKey, crypto.SHA256)
}

// Stamp is a timestamp on message as of now, as the authority would answer.
func (w *Witnesses) Stamp(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	query, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:]}).Marshal()
	if err != nil {
		return nil, err
	}
	return w.stamp(query)
}

// hashes are those that the log knows, by their length in bytes.
var hashes = map[int]protocommon.HashAlgorithm{
	32: protocommon.HashAlgorithm_SHA2_256, 48: protocommon.HashAlgorithm_SHA2_384, 64: protocommon.HashAlgorithm_SHA2_512,
}

// enter puts an entry into a log of its own, of size one.
func (w *Witnesses) enter(body []byte) ([]byte, error) {
	var request rekortiles.CreateEntryRequest
	if err := protojson.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	hashed := request.GetHashedRekordRequestV002()
	entry, err := protojson.Marshal(&rekortiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &rekortiles.Spec{Spec: &rekortiles.Spec_HashedRekordV002{HashedRekordV002: &rekortiles.HashedRekordLogEntryV002{
			Data:      &protocommon.HashOutput{Algorithm: hashes[len(hashed.GetDigest())], Digest: hashed.GetDigest()},
			Signature: hashed.GetSignature(),
		}}},
	})
	if err != nil {
		return nil, err
	}
	if entry, err = jsoncanonicalizer.Transform(entry); err != nil {
		return nil, err
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(entry)
	checkpoint, err := w.checkpoint(leaf)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(&protorekor.TransparencyLogEntry{
		LogId:             &protocommon.LogId{KeyId: w.logID[:]},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof:    &protorekor.InclusionProof{TreeSize: 1, RootHash: leaf, Checkpoint: &protorekor.Checkpoint{Envelope: string(checkpoint)}},
		CanonicalizedBody: entry,
	})
}

// checkpoint is the log's signed head where leaf is all that it holds.
func (w *Witnesses) checkpoint(leaf []byte) ([]byte, error) {
	key, err := signing.LoadECDSASignerVerifier(w.logKey, crypto.SHA256)
	if err != nil {
		return nil, err
	}
	by, err := rekornote.NewNoteSigner(context.Background(), origin, key)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: string(tlog.Checkpoint{Origin: origin, Size: 1, Hash: leaf}.Marshal())}, by)
}
