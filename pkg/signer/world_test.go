package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
	"github.com/google/certificate-transparency-go/x509util"
	"github.com/sigstore/sigstore-go/pkg/root"
	signing "github.com/sigstore/sigstore/pkg/signature"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// worldTime is the present in the tests' Sigstore.
var worldTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a Sigstore instance on loopback: a Fulcio, a Rekor of either version and a timestamp authority, with just
// enough behind their APIs that what they issue verifies.
type world struct {
	t      *testing.T
	server *httptest.Server
	root   *trust.Sigstore

	fulcio, tsa     *issued
	rekor, ctlog    *ecdsa.PrivateKey
	rekorID, ctlogI [32]byte

	mu       sync.Mutex
	now      time.Time
	requests map[string]int                 // by the first part of the path
	instead  map[string][]http.HandlerFunc  // answers to the next requests, by the first part of the path
	skipSCT  bool                           // leave transparency out
	entries  map[string]map[string]any      // Rekor v1's log, by UUID
	authors  map[string]map[string][]string // headers seen, by the first part of the path
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, now: worldTime, requests: map[string]int{}, instead: map[string][]http.HandlerFunc{},
		entries: map[string]map[string]any{}, authors: map[string]map[string][]string{},
	}
	ca := authority("sigstore")
	ca.Subject.Organization = []string{"sigstore.dev"}
	w.fulcio = issue(t, nil, ecKey(t), ca)
	stamper := x509.Certificate{Subject: pkix.Name{CommonName: "tsa"}, KeyUsage: x509.KeyUsageDigitalSignature}
	eku, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		t.Fatal(err)
	}
	stamper.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}
	w.tsa = issue(t, w.fulcio, ecKey(t), stamper)
	w.rekor, w.ctlog = ecKey(t), ecKey(t)
	w.rekorID, w.ctlogI = logID(t, w.rekor), logID(t, w.ctlog)
	w.root = w.trustedRoot(t, w.fulcio.cert)

	mux := http.NewServeMux()
	mux.HandleFunc("POST /fulcio/api/v2/signingCert", w.serveFulcio)
	mux.HandleFunc("POST /tsa", w.serveTSA)
	mux.HandleFunc("POST /rekor1/api/v1/log/entries", w.serveRekorV1)
	mux.HandleFunc("GET /rekor1/api/v1/log/entries/{uuid}", w.serveRekorV1Entry)
	mux.HandleFunc("POST /rekor2/api/v2/log/entries", w.serveRekorV2)
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		part := firstPart(r.URL.Path)
		w.mu.Lock()
		w.requests[part]++
		w.authors[part] = r.Header.Clone()
		var instead http.HandlerFunc
		if q := w.instead[part]; len(q) > 0 {
			instead, w.instead[part] = q[0], q[1:]
		}
		w.mu.Unlock()
		if instead != nil {
			instead(rw, r)
			return
		}
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	return w
}

func firstPart(path string) string {
	for i, c := range path[1:] {
		if c == '/' {
			return path[1 : i+1]
		}
	}
	return path[1:]
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func logID(t *testing.T, key *ecdsa.PrivateKey) [32]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(der)
}

func (w *world) trustedRoot(t *testing.T, ca *x509.Certificate) *trust.Sigstore {
	t.Helper()
	entry := func(key *ecdsa.PrivateKey, id [32]byte) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
			BaseURL: "https://rekor.test", ID: id[:], HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			PublicKey: key.Public(), ValidityPeriodStart: worldTime.Add(-24 * time.Hour),
		}}
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca, URI: "https://fulcio.test"}},
		entry(w.ctlog, w.ctlogI),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{Root: w.fulcio.cert, Leaf: w.tsa.cert, URI: "https://tsa.test"}},
		entry(w.rekor, w.rekorID))
	if err != nil {
		t.Fatal(err)
	}
	s, err := trust.NewSigstore(material)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// config is the signing config for a Rekor of the given version.
func (w *world) config(rekor int) []byte {
	return fmt.Appendf(nil, `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json",
"caUrls":[{"url":"%[1]s/fulcio","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogUrls":[{"url":"%[1]s/rekor%[2]d","majorApiVersion":%[2]d,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],
"tsaUrls":[{"url":"%[1]s/tsa","majorApiVersion":1,"validFor":{"start":"2026-01-01T00:00:00Z"},"operator":"test"}],
"rekorTlogConfig":{"selector":"ANY"},"tsaConfig":{"selector":"ANY"}}`, w.server.URL, rekor)
}

// token is an identity token that says it expires at a time.
func token(expires time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"ES256","typ":"JWT"}`) + "." +
		part(fmt.Sprintf(`{"iss":"https://issuer.test","sub":"ann","email":"ann@example.com","email_verified":true,"exp":%d}`, expires.Unix())) +
		"." + part("the signature is the secret part of it")
}

func (w *world) options(rekor int) KeylessOptions {
	return KeylessOptions{
		Token:         func(context.Context) (string, error) { return token(w.time().Add(time.Minute)) + "\n", nil },
		TrustedRoot:   w.root,
		SigningConfig: w.config(rekor),
		Now:           w.time,
	}
}

// signer returns a keyless signer on o that makes no pauses.
func (w *world) signer(o KeylessOptions) Signer {
	w.t.Helper()
	s, err := NewKeyless(o)
	if err != nil {
		w.t.Fatal(err)
	}
	s.(*keyless).pause = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return s
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

// asked is how many requests a server got.
func (w *world) asked(part string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[part]
}

// next has the next requests to a server answered otherwise, one each.
func (w *world) next(part string, handlers ...http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.instead[part] = handlers
}

// answer is a handler that always says the same.
func answer(status int, body string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, body)
	}
}

// must stops a handler on an error; the client sees a broken connection, the test its reason.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) serveFulcio(rw http.ResponseWriter, r *http.Request) {
	var request struct {
		Key struct {
			Public struct{ Content string } `json:"publicKey"`
			Proof  []byte                   `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(rw, "bad request", http.StatusBadRequest)
		return
	}
	block, _ := pem.Decode([]byte(request.Key.Public.Content))
	public := must(x509.ParsePKIXPublicKey(block.Bytes)).(*ecdsa.PublicKey)
	subject := sha256.Sum256([]byte("ann@example.com"))
	if !ecdsa.VerifyASN1(public, subject[:], request.Key.Proof) {
		http.Error(rw, "no proof of possession", http.StatusBadRequest)
		return
	}
	w.serveFulcioFor(rw, public)
}

// serveFulcioFor answers with a certificate for a key.
func (w *world) serveFulcioFor(rw http.ResponseWriter, public crypto.PublicKey) {
	der := w.certify(public)
	chain := []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
	_ = json.NewEncoder(rw).Encode(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
}

// certify issues a certificate of ten minutes with an embedded SCT: it makes the certificate without one, has the log
// sign its to-be-signed part (RFC 6962 §3.2), and makes it again with the log's answer as last extension.
func (w *world) certify(public crypto.PublicKey) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	template := x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: w.now, NotAfter: w.now.Add(10 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		EmailAddresses:  []string{"ann@example.com"},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://issuer.test")}},
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, w.fulcio.cert, public, w.fulcio.key))
	if w.skipSCT {
		return der
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: w.ctlogI}, Timestamp: uint64(w.now.UnixMilli())}
	input := must(ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{TimestampedEntry: &ct.TimestampedEntry{
		Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType, PrecertEntry: &ct.PreCert{
			IssuerKeyHash:  sha256.Sum256(w.fulcio.cert.RawSubjectPublicKeyInfo),
			TBSCertificate: must(x509.ParseCertificate(der)).RawTBSCertificate,
		},
	}}}))
	sum := sha256.Sum256(input)
	sct.Signature = ct.DigitallySigned{
		Algorithm: cttls.SignatureAndHashAlgorithm{Hash: cttls.SHA256, Signature: cttls.ECDSA},
		Signature: must(ecdsa.SignASN1(rand.Reader, w.ctlog, sum[:])),
	}
	list := must(cttls.Marshal(*must(x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct}))))
	template.ExtraExtensions = append(template.ExtraExtensions, pkix.Extension{
		Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}, Value: must(asn1.Marshal(list)),
	})
	return must(x509.CreateCertificate(rand.Reader, &template, w.fulcio.cert, public, w.fulcio.key))
}

// signLog signs with Rekor's key.
func (w *world) signLog(data []byte) []byte {
	s := must(signing.LoadECDSASignerVerifier(w.rekor, crypto.SHA256))
	return must(s.SignMessage(bytes.NewReader(data)))
}
