package signer

import (
	"errors"
	"fmt"
	"strings"
	"time"

	oidc "github.com/hallmark-project/hallmark/pkg/token"
)

// MaxToken caps an identity token, in bytes.
const MaxToken = oidc.MaxSize

// Why a token is refused before it is sent.
var (
	ErrToken        = oidc.ErrMalformed
	ErrTokenExpired = errors.New("identity token expired")
)

// checkToken looks at a token for what would make its use pointless, and returns it without surrounding white space. It
// proves nothing: the certificate authority verifies the token.
func checkToken(raw string, now time.Time) (string, error) {
	t, err := oidc.Parse(raw)
	if err != nil {
		return "", err
	}
	if !now.Before(t.Expires) {
		return "", fmt.Errorf("%w at %s: the clock here says %s", ErrTokenExpired, t.Expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return t.Secret(), nil
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
