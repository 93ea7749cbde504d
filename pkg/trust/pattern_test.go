package trust

import (
	"strings"
	"testing"
)

func TestPatternMatchesTheWholeName(t *testing.T) {
	p, err := CompilePattern(`https://github\.com/acme/(train|eval)`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"https://github.com/acme/train":     true,
		"https://github.com/acme/eval":      true,
		"https://github.com/acme/train/x":   false,
		"x https://github.com/acme/train":   false,
		"https://githubXcom/acme/train":     false,
		"https://github.com/acme/train\n":   false,
		"a\nhttps://github.com/acme/train":  false,
		"https://github.com/acme/train|eva": false,
		"":                                  false,
	} {
		if got := p.Match(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	either, err := CompilePattern("a|b")
	if err != nil {
		t.Fatal(err)
	}
	if either.Match("ax") || either.Match("xb") || !either.Match("b") {
		t.Error("an alternative is not anchored")
	}
	if (*Pattern)(nil).Match("") {
		t.Error("the nil pattern matches")
	}
}

func TestCompilePatternRefuses(t *testing.T) {
	for name, expr := range map[string]string{
		"nothing": "", "a bracket": "a(", "a way out of the anchors": "a)|(?:b", "too much": strings.Repeat("a", maxPattern+1),
	} {
		if p, err := CompilePattern(expr); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}

func TestIdentityMatchesByPatternAndClaims(t *testing.T) {
	p, err := CompilePattern("s[0-9]")
	if err != nil {
		t.Fatal(err)
	}
	hosted := map[string]string{"runnerEnvironment": "github-hosted"}
	signer := Signer{Method: MethodKeyless, Subject: "s1", Issuer: "i", Claims: hosted}
	other := signer
	other.Claims = map[string]string{"runnerEnvironment": "self-hosted"}
	none := signer
	none.Claims = nil
	for name, c := range map[string]struct {
		id   Identity
		s    Signer
		want bool
	}{
		"pattern":                 {Identity{Issuer: "i", Pattern: p}, signer, true},
		"pattern, other provider": {Identity{Issuer: "j", Pattern: p}, signer, false},
		"pattern, other name":     {Identity{Issuer: "i", Pattern: p}, Signer{Method: MethodKeyless, Subject: "s1x", Issuer: "i"}, false},
		"pattern under a CA":      {Identity{CA: "c", Pattern: p}, Signer{Method: MethodCertificate, Subject: "s1", CA: "c"}, true},
		"claims":                  {Identity{Issuer: "i", Subject: "s1", Claims: hosted}, signer, true},
		"another claim":           {Identity{Issuer: "i", Subject: "s1", Claims: hosted}, other, false},
		"no claim":                {Identity{Issuer: "i", Subject: "s1", Claims: hosted}, none, false},
		"pattern and subject":     {Identity{Issuer: "i", Subject: "s1", Pattern: p}, signer, false},
		"claims of a key":         {Identity{Key: "k", Claims: hosted}, Signer{Method: MethodKey, Key: "k", Claims: hosted}, false},
		"a pattern of a key":      {Identity{Key: "k", Pattern: p}, Signer{Method: MethodKey, Key: "k", Subject: "s1"}, false},
	} {
		if got := c.id.Matches(c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
