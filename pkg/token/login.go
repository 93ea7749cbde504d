package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// LoginTimeout is what a person has to log in.
const LoginTimeout = 5 * time.Minute

// DefaultClientID is the OAuth client that Sigstore's issuers know.
const DefaultClientID = "sigstore"

// Login says where a person logs in. Issuer and Show are required.
type Login struct {
	Issuer   string // URL of the OIDC issuer: https, or loopback
	ClientID string // of this program at the issuer, public; "": DefaultClientID

	// Show tells the person where to go, and for Device which code to type there; code is empty for Browser.
	Show func(url, code string)
	// Open opens a browser at url, if it can; nil: the person does.
	Open func(url string)
}

func (l Login) complete() (Login, error) {
	if l.Issuer == "" {
		return l, errors.New("log in: no OIDC issuer is named")
	}
	if l.Show == nil {
		return l, errors.New("log in: nobody would be shown where")
	}
	if l.ClientID == "" {
		l.ClientID = DefaultClientID
	}
	return l, nil
}

// source is a Source that a person answers. The token is for the client that asked.
func (l Login) source(o Options, fetch func(context.Context, Options, Login) (string, error)) (*Source, error) {
	l, err := l.complete()
	if err != nil {
		return nil, err
	}
	if o.Audience == "" {
		o.Audience = l.ClientID
	}
	s := newSource("the login at "+fmt.Sprintf("%q", l.Issuer), o, nil)
	s.timeout, s.login = LoginTimeout, true
	s.fetch = func(ctx context.Context) (string, error) { return fetch(ctx, s.options, l) }
	s.check = func(t Token) error {
		if t.Issuer != l.Issuer {
			return fmt.Errorf("its issuer is %q", clip(t.Issuer))
		}
		return nil
	}
	return s, nil
}

// endpoints are an issuer's (OpenID Connect Discovery §3).
type endpoints struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Device        string `json:"device_authorization_endpoint"` // RFC 8628 §4
}

// discover reads the issuer's metadata, which have to name the issuer itself (OpenID Connect Discovery §4.3).
func discover(ctx context.Context, o Options, issuer string) (endpoints, error) {
	u, err := secretURL(issuer)
	if err != nil {
		return endpoints{}, fmt.Errorf("read the issuer's URL: %w", err)
	}
	answer, _, err := o.get(ctx, u.JoinPath(".well-known/openid-configuration"), http.Header{"Accept": {"application/json"}})
	if err != nil {
		return endpoints{}, fmt.Errorf("discover the issuer: %w", err)
	}
	var e endpoints
	if err := json.Unmarshal(answer, &e); err != nil {
		return endpoints{}, fmt.Errorf("discover the issuer: %w", err)
	}
	if e.Issuer != issuer {
		return endpoints{}, fmt.Errorf("discover the issuer: it says that it is %q", clip(e.Issuer))
	}
	return e, nil
}

// redeem exchanges what a login left for the identity token.
func redeem(ctx context.Context, o Options, endpoint string, form url.Values) (string, error) {
	u, err := secretURL(endpoint)
	if err != nil {
		return "", fmt.Errorf("read the token endpoint: %w", err)
	}
	answer, err := o.post(ctx, u, form)
	if err != nil {
		return "", fmt.Errorf("redeem the login: %w", err)
	}
	var a struct {
		Token string `json:"id_token"`
	}
	if json.Unmarshal(answer, &a) != nil || a.Token == "" {
		return "", errors.New("redeem the login: the answer holds no identity token")
	}
	return a.Token, nil
}

// challenge is the proof that who redeems a login is who began it (RFC 7636).
type challenge struct{ verifier string }

func newChallenge() challenge { return challenge{random()} }

func (c challenge) hash() string {
	sum := sha256.Sum256([]byte(c.verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// random is 256 bits that nobody guesses. crypto/rand never fails.
func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// sameSecret compares without telling by its time how far two strings agree.
func sameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
