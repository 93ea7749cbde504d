package registry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/net/publicsuffix"
)

// maxToken is the cap on a token service's answer in bytes.
const maxToken = 1 << 20

// authorizer finds the Authorization header for one repository: it answers a registry's challenge with credentials from
// the keychain, or with a token that it fetches for them (distribution's token authentication). Nothing is sent before
// it is asked for, and nothing to another host than it is for.
type authorizer struct {
	keychain authn.Keychain
	resource authn.Resource
	scope    string // repository:NAME, or catalogScope

	mu      sync.Mutex
	headers map[access]string
}

// access is what a request needs the right to. The zero access is reading.
type access struct {
	push bool
	from string // a repository of the same registry, to be read too
}

// header returns what is known so far; it may be empty.
func (a *authorizer) header(to access) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.headers[to]
}

// scopes are what a token for the access must be good for.
func (a *authorizer) scopes(to access) []string {
	if a.scope == catalogScope {
		return []string{a.scope}
	}
	scopes := []string{a.scope + ":pull"}
	if to.push {
		scopes[0] += ",push"
	}
	if to.from != "" {
		scopes = append(scopes, scopeOf(to.from)+":pull")
	}
	return scopes
}

func scopeOf(repository string) string { return "repository:" + repository }

// renew meets a 401 that the header used got, and reports whether trying again may help.
func (a *authorizer) renew(ctx context.Context, c *client, base *url.URL, to access, used string, challenges []string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := a.headers[to]; now != used {
		return true, nil // another request has done it meanwhile
	}
	asked, ok := pickChallenge(challenges)
	if !ok {
		return false, nil
	}
	credentials, err := a.credentials(ctx)
	if err != nil {
		return false, err
	}
	next := ""
	switch {
	case credentials.RegistryToken != "":
		next = "Bearer " + credentials.RegistryToken
	case asked.scheme == "basic":
		next = basic(credentials)
	default:
		token, err := a.token(ctx, c, base, to, asked, credentials)
		if err != nil {
			return false, err
		}
		next = "Bearer " + token
	}
	// A header that was refused already is refused again, but a token is new each time.
	if next == "" || (next == used && asked.scheme == "basic") {
		return false, nil
	}
	if a.headers == nil {
		a.headers = map[access]string{}
	}
	a.headers[to] = next
	return true, nil
}

func (a *authorizer) credentials(ctx context.Context) (*authn.AuthConfig, error) {
	found, err := authn.Resolve(ctx, a.keychain, a.resource)
	if err != nil {
		return nil, fmt.Errorf("find credentials for %s: %w", a.resource.RegistryStr(), err)
	}
	config, err := authn.Authorization(ctx, found)
	if err != nil {
		return nil, fmt.Errorf("read credentials for %s: %w", a.resource.RegistryStr(), err)
	}
	return config, nil
}

func basic(c *authn.AuthConfig) string {
	switch {
	case c.Username != "" && c.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	case c.Auth != "":
		return "Basic " + c.Auth
	}
	return ""
}

// token fetches a token for the repository from the service that the challenge names.
func (a *authorizer) token(ctx context.Context, c *client, base *url.URL, to access, asked challenge, credentials *authn.AuthConfig) (string, error) {
	realm, err := url.Parse(asked.parameters["realm"])
	if err != nil || realm.Host == "" || realm.User != nil {
		return "", fmt.Errorf("token service %q is no address", asked.parameters["realm"])
	}
	if err := c.checkRealm(base, realm); err != nil {
		return "", err
	}
	scopes := a.scopes(to)
	values := url.Values{"scope": scopes}
	if s := asked.parameters["service"]; s != "" {
		values.Set("service", s)
	}
	r, authorization := call{method: http.MethodGet}, basic(credentials)
	if credentials.IdentityToken != "" {
		values.Set("scope", strings.Join(scopes, " ")) // OAuth 2 has one, with blanks in it
		values.Set("grant_type", "refresh_token")
		values.Set("refresh_token", credentials.IdentityToken)
		values.Set("client_id", "hallmark")
		form := values.Encode()
		r.method, r.size, authorization = http.MethodPost, int64(len(form)), ""
		r.header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
		r.body = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(form)), nil }
	} else {
		query := realm.Query()
		for k, v := range values {
			query[k] = v
		}
		realm.RawQuery = query.Encode()
	}
	token, err := fetchToken(ctx, c, r, realm, authorization)
	if err != nil {
		return "", fmt.Errorf("get token from %q: %w", realm.Host, err)
	}
	return token, nil
}

func fetchToken(ctx context.Context, c *client, r call, realm *url.URL, authorization string) (string, error) {
	resp, err := c.send(ctx, r, realm, authorization)
	if err != nil {
		// The address carries what was asked for; the cause is enough.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			return "", &url.Error{Op: inner.Op, URL: realm.Scheme + "://" + realm.Host, Err: inner.Err}
		}
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", refusal(resp)
	}
	defer resp.Body.Close()
	raw, err := readCapped(resp.Body, "token", maxToken)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return "", errors.New("answer is not a token") // the bytes may hold one: they are not shown
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", errors.New("answer has no token")
	}
	return answer.Token, nil
}

// checkRealm refuses a token service that is not the registry's own: whoever can write a challenge must not be able to
// collect credentials. Its own is the same host, or one under the same registrable domain, as auth.docker.io is for
// index.docker.io.
func (c *client) checkRealm(base, realm *url.URL) error {
	if realm.Scheme != "https" && (realm.Scheme != "http" || base.Scheme != "http") {
		return fmt.Errorf("token service %q is not reached by TLS: nothing sent", realm.Host)
	}
	if strings.EqualFold(base.Hostname(), realm.Hostname()) {
		return nil
	}
	ours, err1 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(base.Hostname()))
	theirs, err2 := publicsuffix.EffectiveTLDPlusOne(strings.ToLower(realm.Hostname()))
	if err1 != nil || err2 != nil || ours != theirs {
		return fmt.Errorf("token service %q is not of the domain of registry %q: nothing sent", realm.Host, base.Host)
	}
	return nil
}
