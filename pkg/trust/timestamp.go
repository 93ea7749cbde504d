package trust

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // the hashes that timestamps use
	_ "crypto/sha512"
	"errors"
	"fmt"
	"time"

	"github.com/digitorus/timestamp"
)

// Caps on what a bundle may bring to vouch for its time.
const (
	MaxTimestamps = 16       // timestamps in a bundle
	MaxTimestamp  = 64 << 10 // bytes of one, its certificates included
)

// ErrTimestamp is in every error about a timestamp that does not hold.
var ErrTimestamp = errors.New("timestamp does not hold")

// Stamp is what a timestamp proves: Authority saw the message at Time, so that the message is not younger. It says nothing
// about how old the message was then.
type Stamp struct {
	Time      time.Time
	Authority string // as the trusted root names it
}

// VerifyTimestamp checks an RFC 3161 response on message against the timestamp authorities of s: its imprint is message's,
// SHA-256 or longer, and it is signed by an authority whose chain and time of service held at the time that the response
// names. Errors wrap ErrTimestamp and say what each authority lacks.
func (s *Sigstore) VerifyTimestamp(response, message []byte) (Stamp, error) {
	if len(response) > MaxTimestamp {
		return Stamp{}, fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrTimestamp, len(response), MaxTimestamp)
	}
	parsed, err := timestamp.ParseResponse(response)
	if err != nil {
		return Stamp{}, fmt.Errorf("%w: decode: %w", ErrTimestamp, err)
	}
	switch parsed.HashAlgorithm {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
	default:
		return Stamp{}, fmt.Errorf("%w: its imprint is by hash %s: SHA-256, SHA-384 and SHA-512 are read", ErrTimestamp, parsed.HashAlgorithm)
	}
	imprint := parsed.HashAlgorithm.New()
	imprint.Write(message)
	if !bytes.Equal(imprint.Sum(nil), parsed.HashedMessage) {
		return Stamp{}, fmt.Errorf("%w: it is on another message", ErrTimestamp)
	}
	authorities := s.material.TimestampingAuthorities()
	if len(authorities) == 0 {
		return Stamp{}, fmt.Errorf("%w: the trusted root names no timestamp authority", ErrTimestamp)
	}
	var refused []error
	for _, authority := range authorities {
		verified, err := authority.Verify(response, message)
		if err == nil {
			return Stamp{Time: verified.Time, Authority: verified.URI}, nil
		}
		refused = append(refused, err)
	}
	return Stamp{}, fmt.Errorf("%w: it is by no authority of the trusted root, or outside its validity (%s): %w",
		ErrTimestamp, parsed.Time.UTC().Format(time.RFC3339), errors.Join(refused...))
}

// Earliest checks timestamps on message, at most MaxTimestamps, and returns the earliest that holds. Each one that does
// not is in the error; the error is not nil exactly where none holds, so that "no timestamps" is an error too.
func (s *Sigstore) Earliest(timestamps [][]byte, message []byte) (Stamp, error) {
	if len(timestamps) > MaxTimestamps {
		return Stamp{}, fmt.Errorf("%w: there are %d, at most %d are read", ErrTimestamp, len(timestamps), MaxTimestamps)
	}
	var earliest Stamp
	var refused []error
	for _, t := range timestamps {
		stamp, err := s.VerifyTimestamp(t, message)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		if earliest.Time.IsZero() || stamp.Time.Before(earliest.Time) {
			earliest = stamp
		}
	}
	if !earliest.Time.IsZero() {
		return earliest, nil
	}
	if len(refused) == 0 {
		return Stamp{}, fmt.Errorf("%w: there is none", ErrTimestamp)
	}
	return Stamp{}, errors.Join(refused...)
}
