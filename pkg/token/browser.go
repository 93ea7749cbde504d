package token

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

const callbackPath = "/auth/callback"

// Browser is a person who logs in with a browser on this machine: the authorization code flow with PKCE (RFC 7636) and a
// redirect to a loopback port that is open as long as the login takes (RFC 8252 §7.3). It errs where l is incomplete.
func Browser(o Options, l Login) (*Source, error) { return l.source(o, browse) }

func browse(ctx context.Context, o Options, l Login) (string, error) {
	at, err := discover(ctx, o, l.Issuer)
	if err != nil {
		return "", err
	}
	page, err := secretURL(at.Authorization)
	if err != nil {
		return "", fmt.Errorf("read the authorization endpoint: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("wait for the browser: %w", err)
	}
	proof, state, nonce := newChallenge(), random(), random()
	back := &callback{host: listener.Addr().String(), issuer: l.Issuer, state: state, result: make(chan answer, 1)}
	server := &http.Server{Handler: back, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(listener) }() // ends by Close
	defer func() { _ = server.Close(); <-served }()

	redirect := "http://" + back.host + callbackPath
	query := page.Query()
	for key, value := range map[string]string{
		"response_type": "code", "client_id": l.ClientID, "redirect_uri": redirect, "scope": "openid email",
		"state": state, "nonce": nonce, "code_challenge": proof.hash(), "code_challenge_method": "S256",
	} {
		query.Set(key, value)
	}
	page.RawQuery = query.Encode()
	l.Show(page.String(), "")
	if l.Open != nil {
		l.Open(page.String())
	}
	code, err := back.wait(ctx)
	if err != nil {
		return "", fmt.Errorf("wait for the browser: %w", err)
	}
	raw, err := redeem(ctx, o, at.Token, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect},
		"client_id": {l.ClientID}, "code_verifier": {proof.verifier},
	})
	if err != nil {
		return "", err
	}
	t, err := Parse(raw)
	if err != nil {
		return "", err
	}
	if !sameSecret(t.Nonce, nonce) { // a token of another login (OpenID Connect Core §3.1.3.7)
		return "", errors.New("redeem the login: the token has not the nonce of this login")
	}
	return raw, nil
}

// callback takes the browser back once the person has logged in.
type callback struct {
	host   string // what the browser has to have asked: another name for this address would be a foreign page's
	issuer string
	state  string
	result chan answer
}

type answer struct {
	code string
	err  error
}

func (c *callback) wait(ctx context.Context) (string, error) {
	select {
	case a := <-c.result:
		return a.code, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// ServeHTTP implements http.Handler. A request that does not know the state is not of this login: it is turned away, and
// the login goes on.
func (c *callback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet || r.URL.Path != callbackPath || r.Host != c.host || !sameSecret(query.Get("state"), c.state) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "This is not the login that hallmark waits for.\n")
		return
	}
	a := answer{code: query.Get("code")}
	switch from := query.Get("iss"); {
	case query.Has("error"):
		a = answer{err: fmt.Errorf("the issuer refused: %q", oneLine(clip(query.Get("error"))))}
	case from != "" && from != c.issuer: // RFC 9207 §2.4
		a = answer{err: fmt.Errorf("the answer is from %q", clip(from))}
	case a.code == "":
		a = answer{err: errors.New("the issuer sent no code")}
	}
	if a.err != nil {
		_, _ = io.WriteString(w, "hallmark did not get a login. You may close this page.\n")
	} else {
		_, _ = io.WriteString(w, "hallmark has your login. You may close this page.\n")
	}
	select {
	case c.result <- a:
	default: // the first answer counts
	}
}
