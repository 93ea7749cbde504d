package token

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
)

// How often a device flow asks whether the person is done (RFC 8628 §3.5).
const (
	pollInterval = 5 * time.Second // where the issuer says nothing, and what "slow_down" adds
	maxInterval  = time.Minute
)

// Device is a person who logs in with a browser on another machine and types a code there: the device authorization
// grant (RFC 8628), with PKCE. It errs where l is incomplete.
func Device(o Options, l Login) (*Source, error) { return l.source(o, device) }

// deviceCode is an issuer's answer to who wants to log in (RFC 8628 §3.2).
type deviceCode struct {
	Device   string `json:"device_code"`
	User     string `json:"user_code"`
	Page     string `json:"verification_uri"`
	Interval int64  `json:"interval"` // seconds
}

func device(ctx context.Context, o Options, l Login) (string, error) {
	at, err := discover(ctx, o, l.Issuer)
	if err != nil {
		return "", err
	}
	u, err := secretURL(at.Device)
	if err != nil {
		return "", fmt.Errorf("read the device authorization endpoint: %w", err)
	}
	proof := newChallenge()
	raw, err := o.post(ctx, u, url.Values{
		"client_id": {l.ClientID}, "scope": {"openid email"},
		"code_challenge": {proof.hash()}, "code_challenge_method": {"S256"},
	})
	if err != nil {
		return "", fmt.Errorf("begin the login: %w", err)
	}
	var code deviceCode
	if json.Unmarshal(raw, &code) != nil || code.Device == "" || code.User == "" {
		return "", errors.New("begin the login: the answer holds no code")
	}
	if _, err := secretURL(code.Page); err != nil {
		return "", fmt.Errorf("begin the login: the page to log in at: %w", err)
	}
	l.Show(code.Page, oneLine(clip(code.User)))
	return poll(ctx, o, at.Token, code, url.Values{
		"grant_type":  {"urn:ietf:params:oauth:grant-type:device_code"},
		"device_code": {code.Device}, "client_id": {l.ClientID}, "code_verifier": {proof.verifier},
	})
}

// poll asks for the token until the person has logged in, or refused, or ctx ends.
func poll(ctx context.Context, o Options, endpoint string, code deviceCode, form url.Values) (string, error) {
	wait := pollInterval
	if code.Interval > 0 && code.Interval <= int64(maxInterval/time.Second) {
		wait = time.Duration(code.Interval) * time.Second
	}
	for {
		if err := o.pause(ctx, wait); err != nil {
			return "", fmt.Errorf("wait for the login: %w", err)
		}
		token, err := redeem(ctx, o, endpoint, form)
		var status *statusError
		if err == nil || !errors.As(err, &status) {
			return token, err
		}
		switch {
		case status.code == "authorization_pending", status.passing():
		case status.code == "slow_down":
			wait = min(wait+pollInterval, maxInterval)
		default:
			return "", err
		}
	}
}
