package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// Audience is whom a token has to be for: the client ID under which Fulcio takes tokens.
const Audience = "sigstore"

// lifetime of a token, unless TokenOptions says otherwise.
const lifetime = 10 * time.Minute

// keyName is how the identity provider's tokens and key list call its key.
const keyName = "lab"

// TokenOptions are ways for a token to be no good. The zero value is a good one.
type TokenOptions struct {
	Audience string        // whom the token is for; empty: Audience
	Lifetime time.Duration // until it expires; below 0: since it did; 0: ten minutes
	Unsigned bool          // algorithm "none" and no signature, which RFC 8725 §3.2 warns of
	Forged   bool          // signed by a key that is not the provider's
	Padding  int           // bytes of a claim that says nothing
}

// issuer is an identity provider: discovery and keys (OpenID Connect Discovery 1.0), and a token endpoint that believes
// what it is told (RFC 6749 §4.3, grant type password).
type issuer struct {
	url         string
	key, forger *ecdsa.PrivateKey
}

func newIssuer() (*issuer, error) {
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make the identity provider's key: %w", err)
		}
	}
	return &issuer{key: keys[0], forger: keys[1]}, nil
}

// token mints an identity token.
func (i *issuer) token(email string, o TokenOptions) (string, error) {
	now := time.Now()
	audience, until, algorithm := o.Audience, o.Lifetime, "ES256"
	if audience == "" {
		audience = Audience
	}
	if until == 0 {
		until = lifetime
	}
	if o.Unsigned {
		algorithm = "none"
	}
	claims := map[string]any{
		"iss": i.url, "sub": email, "email": email, "email_verified": true, "aud": audience,
		"iat": now.Add(-lifetime).Unix(), "nbf": now.Add(-lifetime).Unix(), "exp": now.Add(until).Unix(),
	}
	if o.Padding > 0 {
		claims["padding"] = strings.Repeat("x", o.Padding)
	}
	text := encodePart(map[string]string{"alg": algorithm, "kid": keyName, "typ": "JWT"}) + "." + encodePart(claims)
	if o.Unsigned {
		return text + ".", nil
	}
	key := i.key
	if o.Forged {
		key = i.forger
	}
	signature, err := signES256(key, text)
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// encodePart is a part of a token. What it is given always encodes.
func encodePart(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// signES256 signs as RFC 7518 §3.4 has it: both numbers at full length, without ASN.1.
func signES256(key *ecdsa.PrivateKey, text string) ([]byte, error) {
	sum := sha256.Sum256([]byte(text))
	der, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	signature := make([]byte, 64)
	rs.R.FillBytes(signature[:32])
	rs.S.FillBytes(signature[32:])
	return signature, nil
}

// handler serves the provider's endpoints.
func (i *issuer) handler() (http.Handler, error) {
	public, err := i.key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, fmt.Errorf("list the identity provider's key: %w", err)
	}
	number := func(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
	keys := map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": keyName, "x": number(public[1:33]), "y": number(public[33:]),
	}}}
	discovery := map[string]any{
		"issuer": i.url, "authorization_endpoint": i.url + "/authorize", "token_endpoint": i.url + "/token", "jwks_uri": i.url + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
		"grant_types_supported": []string{"password"}, "id_token_signing_alg_values_supported": []string{"ES256"},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, discovery) })
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, keys) })
	mux.HandleFunc("POST /token", i.serveToken)
	return mux, nil
}

const maxTokenRequest = 1 << 16 // bytes of a request to the token endpoint

func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxTokenRequest)
	email := r.PostFormValue("username")
	token, err := i.token(email, TokenOptions{})
	if email == "" || r.PostFormValue("grant_type") != "password" || err != nil {
		say(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	say(w, http.StatusOK, map[string]any{"access_token": token, "id_token": token, "token_type": "Bearer", "expires_in": int(lifetime.Seconds())})
}

func say(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
