package signer

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// MaxToken caps an identity token, in bytes. Web servers take no longer header lines by default.
const MaxToken = 16 << 10

// Why a token is refused before it is sent.
var (
	ErrToken        = errors.New("it is not an identity token: three parts in base64url with dots between were expected")
	ErrTokenExpired = errors.New("identity token expired")
)

// checkToken looks at a token for what would make its use pointless, and returns it without surrounding white space,
// which files and pipes add. It proves nothing: the certificate authority verifies the token. Errors never hold any
// part of it, not even through a decoder's message.
func checkToken(token string, now time.Time) (string, error) {
	if len(token) > MaxToken {
		return "", fmt.Errorf("read identity token: %d bytes, at most %d are sent", len(token), MaxToken)
	}
	token = strings.TrimSpace(token)
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("read identity token: %w", ErrToken)
	}
	var claims []byte
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(decoded) == 0 || strings.ContainsAny(part, "\r\n") { // DecodeString skips line ends
			return "", fmt.Errorf("read identity token: %w", ErrToken)
		}
		if i == 1 {
			claims = decoded
		}
	}
	var c struct {
		Expires *float64 `json:"exp"` // seconds since 1970, fractions allowed (RFC 7519 §2, NumericDate)
	}
	if json.Unmarshal(claims, &c) != nil {
		return "", fmt.Errorf("read identity token: %w", ErrToken)
	}
	if c.Expires == nil || *c.Expires < 0 || *c.Expires > 1e11 {
		return "", errors.New("read identity token: it does not say when it expires")
	}
	if expires := time.Unix(int64(*c.Expires), 0); !now.Before(expires) {
		return "", fmt.Errorf("%w at %s: the clock here says %s", ErrTokenExpired, expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return token, nil
}

// minSecret is the length from which a piece of a secret is a secret too, in bytes.
const minSecret = 16

// redact replaces every piece of secret in text, minSecret bytes or longer. A server's message is worth showing, and a
// careless one repeats what it was sent, whole or cut.
func redact(text, secret string) string {
	if len(secret) < minSecret {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		end := i + minSecret
		if end > len(text) || !strings.Contains(secret, text[i:end]) {
			b.WriteByte(text[i])
			i++
			continue
		}
		for end < len(text) && strings.Contains(secret, text[i:end+1]) {
			end++
		}
		b.WriteString("[redacted]")
		i = end
	}
	return b.String()
}
