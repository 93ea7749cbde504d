package signer

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"

	"github.com/digitorus/timestamp"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// nonceBits is the size of the number that ties an answer to its request (RFC 3161 §2.4.1).
const nonceBits = 64

// timestamp gets an RFC 3161 timestamp on message from the authority at server. It is checked before it is returned: the
// answer is to this very request, on this message, and by an authority of the trusted root that was valid at its time.
func (n *network) timestamp(ctx context.Context, server string, message []byte, by *trust.Sigstore) (stamp []byte, err error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), nonceBits))
	if err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	imprint := sha256.Sum256(message)
	// The authority's certificate is asked for: a trusted root may name its CA alone.
	request := timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: imprint[:], Nonce: nonce, Certificates: true}
	query, err := request.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode timestamp request: %w", err)
	}
	accept := []int{http.StatusOK, http.StatusCreated}
	err = n.step(ctx, "get a timestamp from", server, accept, func(ctx context.Context, transport http.RoundTripper) error {
		stamp, err = ask(ctx, transport, server, query)
		if err != nil {
			return err
		}
		return checkStamp(stamp, message, nonce, by)
	})
	if err != nil {
		return nil, err
	}
	return stamp, nil
}

// ask sends a timestamp request over HTTP (RFC 3161 §3.4).
func ask(ctx context.Context, transport http.RoundTripper, server string, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server, bytes.NewReader(query))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body) // capped by the exchange
	return answer, errors.Join(err, resp.Body.Close())
}

// checkStamp refuses an answer that is not to our request or would not be believed later.
func checkStamp(answer, message []byte, nonce *big.Int, by *trust.Sigstore) error {
	if _, err := by.VerifyTimestamp(answer, message); err != nil {
		return err
	}
	parsed, err := timestamp.ParseResponse(answer)
	if err != nil {
		return fmt.Errorf("decode timestamp: %w", err)
	}
	if parsed.Nonce == nil || parsed.Nonce.Cmp(nonce) != 0 {
		return errors.New("timestamp answers another request: its nonce is not the one that was sent")
	}
	return nil
}
