package token

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxSize caps an identity token, in bytes. Web servers take no longer header lines by default.
const MaxSize = 16 << 10

// ErrMalformed is why something that is no identity token at all is refused.
var ErrMalformed = errors.New("it is not an identity token: three parts in base64url with dots between were expected")

// Token is an identity token and what it says of itself, which nobody has verified. Printing it, with any verb, shows no
// part of the token itself.
type Token struct {
	Issuer   string
	Subject  string
	Email    string
	Audience []string
	Nonce    string
	Expires  time.Time // to the second

	secret string
}

// Secret is the token itself, to be sent to the authority that it is for.
func (t Token) Secret() string { return t.secret }

// Name is whom the token names, the way that people know them: the e-mail address where there is one, else the subject.
// A certificate for it may spell that otherwise.
func (t Token) Name() string {
	if t.Email != "" {
		return t.Email
	}
	return t.Subject
}

// Format implements fmt.Formatter, so that no verb finds the secret.
func (t Token) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "identity token of "+fmt.Sprintf("%q", t.Name()))
}

// Parse reads a token for what it says, without surrounding white space, which files and pipes add. It errs where raw
// is longer than MaxSize, is not a JWT in compact form or does not say when it expires; one that has expired is no
// error here. Errors never hold any part of the token, not even through a decoder's message.
func Parse(raw string) (Token, error) {
	if len(raw) > MaxSize {
		return Token{}, fmt.Errorf("read identity token: %d bytes, at most %d are sent", len(raw), MaxSize)
	}
	raw = strings.TrimSpace(raw)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("read identity token: %w", ErrMalformed)
	}
	var payload []byte
	for i, part := range parts {
		decoded, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || len(decoded) == 0 || strings.ContainsAny(part, "\r\n") { // DecodeString skips line ends
			return Token{}, fmt.Errorf("read identity token: %w", ErrMalformed)
		}
		if i == 1 {
			payload = decoded
		}
	}
	var c claims
	if json.Unmarshal(payload, &c) != nil {
		return Token{}, fmt.Errorf("read identity token: %w", ErrMalformed)
	}
	if c.Expires == nil || *c.Expires < 0 || *c.Expires > 1e11 {
		return Token{}, errors.New("read identity token: it does not say when it expires")
	}
	return Token{
		Issuer: c.Issuer, Subject: c.Subject, Email: c.Email, Audience: c.Audience, Nonce: c.Nonce,
		Expires: time.Unix(int64(*c.Expires), 0), secret: raw,
	}, nil
}

// claims are the members of a token that are looked at (RFC 7519 §4.1, OpenID Connect Core §2). Others are ignored.
type claims struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Email    string   `json:"email"`
	Audience audience `json:"aud"`
	Nonce    string   `json:"nonce"`
	Expires  *float64 `json:"exp"` // seconds since 1970, fractions allowed (RFC 7519 §2, NumericDate)
}

// audience is one string or a list of them (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(raw []byte) error {
	if jsontext.Value(raw).Kind() == '"' {
		*a = make(audience, 1)
		return json.Unmarshal(raw, &(*a)[0])
	}
	return json.Unmarshal(raw, (*[]string)(a))
}

// isFor refuses a token for somebody else. Shown to a certificate authority, a token for a cluster's own API would give
// that authority the power of the workload.
func (t Token) isFor(audience string) error {
	if slices.Contains(t.Audience, audience) {
		return nil
	}
	return fmt.Errorf("it is for the audience %q, not %q, and is not sent", clip(strings.Join(t.Audience, " ")), audience)
}

// clip shortens text from outside for an error.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
