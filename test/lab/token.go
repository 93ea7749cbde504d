package lab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// token is a bearer token that was given out.
type token struct {
	scopes []string // repository:NAME:ACTION, one action each
	uses   int      // requests so far
}

// authorized lets a request pass, or answers with the challenge of distribution's token authentication. A token ends
// after a number of requests rather than after a time: so tests say exactly where.
func (g *Registry) authorized(w http.ResponseWriter, r *http.Request, name string) bool {
	if !g.options.Tokens {
		return true
	}
	action := "pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		action = "push"
	}
	given, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	t := g.tokens[given]
	needs := "repository:" + name + ":" + action
	switch {
	case r.URL.Path == "/v2/_catalog":
		needs = "registry:catalog:*"
	case name == "":
		needs = ""
	}
	ok := t != nil && (g.options.TokenUses == 0 || t.uses < g.options.TokenUses) && (needs == "" || slices.Contains(t.scopes, needs))
	if ok {
		t.uses++
	}
	g.mu.Unlock()
	if ok {
		return true
	}
	scope := ""
	if name != "" {
		scope = fmt.Sprintf(`,scope="repository:%s:%s"`, name, map[string]string{"pull": "pull", "push": "pull,push"}[action])
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="lab"%s`, r.Host, scope))
	refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "a token is needed")
	return false
}

// serveToken gives tokens to whoever may have one.
func (g *Registry) serveToken(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if !g.options.Tokens || user != g.options.User || password != g.options.Password {
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "unknown user")
		return
	}
	t := &token{}
	for _, scope := range r.URL.Query()["scope"] {
		at := strings.LastIndexByte(scope, ':')
		if at < 0 {
			continue
		}
		for _, action := range strings.Split(scope[at+1:], ",") {
			t.scopes = append(t.scopes, scope[:at]+":"+action)
		}
	}
	g.mu.Lock()
	g.serial++
	value := fmt.Sprintf("token-%d", g.serial)
	g.tokens[value] = t
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": value, "expires_in": 60})
}
