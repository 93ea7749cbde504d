package token

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// loginServer is an OIDC issuer that people log in at.
type loginServer struct {
	t         *testing.T
	server    *httptest.Server
	challenge string         // of the login under way
	nonce     string         // of the login under way
	claims    map[string]any // of the tokens that it issues, over the defaults
	metadata  map[string]any // of discovery, over the defaults
	pending   []string       // error codes that it answers polls with before the token
	redeemed  int
}

func newLoginServer(t *testing.T) *loginServer {
	t.Helper()
	l := &loginServer{t: t, claims: map[string]any{}, metadata: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		all := map[string]any{
			"issuer": l.server.URL, "authorization_endpoint": l.server.URL + "/auth", "token_endpoint": l.server.URL + "/token",
			"device_authorization_endpoint": l.server.URL + "/device",
		}
		for key, value := range l.metadata {
			all[key] = value
		}
		_ = json.NewEncoder(w).Encode(all)
	})
	mux.HandleFunc("POST /device", func(w http.ResponseWriter, r *http.Request) {
		l.challenge = r.FormValue("code_challenge")
		fmt.Fprintf(w, `{"device_code":"device-secret","user_code":"WDJB-MJHT","verification_uri":"%s/type","expires_in":600,"interval":7}`, l.server.URL)
	})
	mux.HandleFunc("POST /token", l.serveToken)
	l.server = httptest.NewServer(mux)
	t.Cleanup(l.server.Close)
	return l
}

func (l *loginServer) serveToken(w http.ResponseWriter, r *http.Request) {
	if len(l.pending) > 0 {
		code := l.pending[0]
		l.pending = l.pending[1:]
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":%q}`, code)
		return
	}
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	code, device := r.FormValue("code"), r.FormValue("device_code")
	if base64.RawURLEncoding.EncodeToString(sum[:]) != l.challenge || code != "code-secret" && device != "device-secret" {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	l.redeemed++
	claims := map[string]any{"iss": l.server.URL, "email": "ann@example.com", "nonce": l.nonce}
	for key, value := range l.claims {
		claims[key] = value
	}
	fmt.Fprintf(w, `{"access_token":"a","token_type":"bearer","id_token":%q}`, made(l.t, claims))
}

// visit is a browser that goes where the issuer sends it, with these members changed.
func visit(t *testing.T, page string, changed url.Values) (int, string) {
	t.Helper()
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	back, err := url.Parse(u.Query().Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	query := url.Values{"state": {u.Query().Get("state")}, "code": {"code-secret"}}
	for key, values := range changed {
		query[key] = values
	}
	back.RawQuery = query.Encode()
	resp, err := http.Get(back.String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// browser logs in at l as open does.
func (l *loginServer) browser(t *testing.T, open func(page string)) (Token, error) {
	t.Helper()
	shown := ""
	s, err := Browser(options(t, nil), Login{Issuer: l.server.URL, Show: func(url, _ string) { shown = url }, Open: func(page string) {
		if page != shown {
			t.Errorf("opened %s, showed %s", page, shown)
		}
		u, err := url.Parse(page)
		if err != nil {
			t.Fatal(err)
		}
		query := u.Query()
		l.challenge, l.nonce = query.Get("code_challenge"), query.Get("nonce")
		if query.Get("client_id") != "sigstore" || query.Get("code_challenge_method") != "S256" || len(query.Get("state")) < 40 || len(l.nonce) < 40 {
			t.Errorf("the page is %s", page)
		}
		open(page)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s.Token(t.Context())
}

func TestBrowserLogsIn(t *testing.T) {
	l := newLoginServer(t)
	got, err := l.browser(t, func(page string) {
		for name, changed := range map[string]url.Values{"foreign state": {"state": {"guessed"}}, "no state": {"state": nil}} {
			if status, _ := visit(t, page, changed); status != http.StatusBadRequest {
				t.Errorf("%s: answered with %d", name, status)
			}
		}
		if status, body := visit(t, page, nil); status != http.StatusOK || !strings.Contains(body, "has your login") {
			t.Errorf("answered with %d: %s", status, body)
		}
	})
	if err != nil || got.Name() != "ann@example.com" || got.Issuer != l.server.URL {
		t.Errorf("logged in as %v: %v", got, err)
	}
}

func TestBrowserTurnsAwayOtherHosts(t *testing.T) {
	c := &callback{host: "127.0.0.1:9", state: "s", result: make(chan answer, 1)}
	for host, want := range map[string]int{"127.0.0.1:9": http.StatusOK, "rebound.example:9": http.StatusBadRequest} {
		r := httptest.NewRequest(http.MethodGet, "http://"+host+callbackPath+"?state=s&code=c", nil)
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("asked as %s: %d, want %d", host, w.Code, want)
		}
	}
}

func TestBrowserRefuses(t *testing.T) {
	for _, c := range []struct {
		says    string
		set     func(*loginServer)
		changed url.Values
	}{
		{says: `the issuer refused: "access_denied"`, changed: url.Values{"error": {"access_denied"}}},
		{says: `the answer is from "https://mixed.up"`, changed: url.Values{"iss": {"https://mixed.up"}}},
		{says: "sent no code", changed: url.Values{"code": nil}},
		{says: `400 Bad Request: "invalid_grant"`, changed: url.Values{"code": {"stolen"}}},
		{says: "not the nonce of this login", set: func(l *loginServer) { l.claims["nonce"] = "replayed" }},
		{says: `its issuer is "https://other.example"`, set: func(l *loginServer) { l.claims["iss"] = "https://other.example" }},
		{says: "for the audience", set: func(l *loginServer) { l.claims["aud"] = "another client" }},
		{says: "it says that it is", set: func(l *loginServer) { l.metadata["issuer"] = "https://other.example" }},
		{says: "token endpoint: \"issuer.example\" would be spoken to in the clear", set: func(l *loginServer) { l.metadata["token_endpoint"] = "http://issuer.example/token" }},
		{says: "authorization endpoint: it is no https URL", set: func(l *loginServer) { l.metadata["authorization_endpoint"] = "javascript:alert(1)" }},
	} {
		l := newLoginServer(t)
		if c.set != nil {
			c.set(l)
		}
		_, err := l.browser(t, func(page string) { visit(t, page, c.changed) })
		refused(t, err, "get an identity token from the login at")
		refused(t, err, c.says)
	}
}

func TestDeviceLogsIn(t *testing.T) {
	l := newLoginServer(t)
	if (&Source{}).IsLogin() {
		t.Error("a machine was taken for a person")
	}
	l.pending = []string{"authorization_pending", "slow_down", "authorization_pending"}
	o := options(t, nil)
	var waited []time.Duration
	o.pause = func(ctx context.Context, d time.Duration) error {
		waited = append(waited, d)
		return ctx.Err()
	}
	page, typed := "", ""
	s, err := Device(o, Login{Issuer: l.server.URL, Show: func(url, code string) { page, typed = url, code }})
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Token(t.Context())
	if err != nil || !s.IsLogin() || got.Name() != "ann@example.com" || page != l.server.URL+"/type" || typed != "WDJB-MJHT" {
		t.Errorf("%v after %s at %s: %v", got, typed, page, err)
	}
	if want := []time.Duration{7 * time.Second, 7 * time.Second, 12 * time.Second, 12 * time.Second}; fmt.Sprint(waited) != fmt.Sprint(want) {
		t.Errorf("waited %v, want %v", waited, want)
	}
	for code, says := range map[string]string{"access_denied": "access_denied", "expired_token": "expired_token", "what is this": "400 Bad Request"} {
		l.pending = []string{code}
		_, err := s.Token(t.Context())
		refused(t, err, says)
	}
}

func TestLoginRefuses(t *testing.T) {
	show := func(string, string) {}
	if _, err := Browser(Options{}, Login{Issuer: "https://issuer.example", Show: show}); err != nil {
		t.Errorf("a login without a fault: %v", err)
	}
	_, err := Browser(Options{}, Login{Show: show})
	refused(t, err, "no OIDC issuer is named")
	_, err = Device(Options{}, Login{Issuer: "https://issuer.example"})
	refused(t, err, "nobody would be shown where")
	s, err := Browser(options(t, nil), Login{Issuer: "http://issuer.example", Show: show})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Token(t.Context())
	refused(t, err, "https is needed")

	// A person who does nothing: the login ends with its context.
	l := newLoginServer(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by interrupt")
	s, err = Browser(options(t, nil), Login{Issuer: l.server.URL, Show: func(string, string) { cancel(stop) }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(ctx); !errors.Is(err, stop) {
		t.Errorf("interrupted: %v", err)
	}
}
