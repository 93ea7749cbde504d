package sigstore

import (
	"crypto"
	"crypto/rand"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/digitorus/timestamp"
)

const maxStampRequest = 1 << 16 // bytes of a request for a timestamp

// policy under which the timestamp server issues too.
var policy = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}

// startStandIn serves timestamps from this process, by the key that the timestamp server would have, and returns the
// port.
func (w *World) startStandIn() (int, error) {
	l, err := w.space.listen(0)
	if err != nil {
		return 0, fmt.Errorf("stand in for the timestamp server: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+tsaPath, func(rw http.ResponseWriter, r *http.Request) {
		answer, err := w.pki.stamp(http.MaxBytesReader(rw, r.Body, maxStampRequest))
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadRequest)
			return
		}
		rw.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = rw.Write(answer)
	})
	w.serve(l, mux)
	w.StandIn = true
	return l.Addr().(*net.TCPAddr).Port, nil
}

// stamp answers a timestamp request (RFC 3161 §2.4).
func (p *pki) stamp(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	request, err := timestamp.ParseRequest(text)
	if err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("number timestamp: %w", err)
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm, HashedMessage: request.HashedMessage, Nonce: request.Nonce,
		Time: time.Now(), SerialNumber: serial, Policy: policy, AddTSACertificate: request.Certificates,
	}
	return stamp.CreateResponseWithOpts(p.tsa.cert, p.tsa.key, crypto.SHA256)
}
