package sigstore

import (
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	ct "github.com/google/certificate-transparency-go"
	cttls "github.com/google/certificate-transparency-go/tls"
)

const maxChainRequest = 1 << 20 // bytes of an add-chain request

// ctLog answers add-chain and add-pre-chain (RFC 6962 §4.1, §4.2) with a promise to log the certificate, and keeps
// nothing: no verifier of Sigstore asks a log whether it did.
type ctLog struct {
	key     atomic.Pointer[ecdsa.PrivateKey] // that signs the promises
	refuses atomic.Bool                      // whether it promises nothing
}

// ServeHTTP implements http.Handler.
func (l *ctLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := ct.X509LogEntryType
	if r.URL.Path == "/ct/v1/add-pre-chain" {
		kind = ct.PrecertLogEntryType
	}
	if l.refuses.Load() {
		http.Error(w, "the log is closed", http.StatusServiceUnavailable)
		return
	}
	answer, err := l.promise(http.MaxBytesReader(w, r.Body, maxChainRequest), kind)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// promise returns a signed certificate timestamp for the chain in a request.
func (l *ctLog) promise(body io.Reader, kind ct.LogEntryType) (*ct.AddChainResponse, error) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(body).Decode(&request); err != nil {
		return nil, fmt.Errorf("decode chain: %w", err)
	}
	if len(request.Chain) == 0 {
		return nil, errors.New("decode chain: it is empty")
	}
	chain := make([]ct.ASN1Cert, len(request.Chain))
	for i, der := range request.Chain {
		chain[i].Data = der
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromRawChain(chain, kind, now)
	if err != nil {
		return nil, fmt.Errorf("make log entry: %w", err)
	}
	key := l.key.Load()
	id, err := keyID(key.Public())
	if err != nil {
		return nil, fmt.Errorf("sign promise: %w", err)
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: [32]byte(id)}, Timestamp: now}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, fmt.Errorf("sign promise: %w", err)
	}
	signed, err := cttls.CreateSignature(*key, cttls.SHA256, input)
	if err != nil {
		return nil, fmt.Errorf("sign promise: %w", err)
	}
	signature, err := cttls.Marshal(signed)
	if err != nil {
		return nil, fmt.Errorf("sign promise: %w", err)
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: id, Timestamp: now, Signature: signature}, nil
}
