package registry

import "strings"

// challenge is one demand of a WWW-Authenticate header (RFC 9110 §11.6.1), its scheme and parameter names in lower case.
type challenge struct {
	scheme     string
	parameters map[string]string
}

// pickChallenge returns the first challenge that can be met: Bearer with a realm, or Basic.
func pickChallenge(values []string) (challenge, bool) {
	for _, v := range values {
		for _, c := range parseChallenges(v) {
			if c.scheme == "basic" || (c.scheme == "bearer" && c.parameters["realm"] != "") {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// parseChallenges reads one header value. It reads as far as it understands.
func parseChallenges(s string) []challenge {
	var found []challenge
	for s = trim(s); s != ""; s = trim(s) {
		word := token(s)
		if word == "" {
			return found
		}
		s = s[len(word):]
		rest := strings.TrimLeft(s, " \t")
		if !strings.HasPrefix(rest, "=") { // a scheme
			found = append(found, challenge{strings.ToLower(word), map[string]string{}})
			continue
		}
		if len(found) == 0 {
			return nil
		}
		var value string
		if value, s = parameter(strings.TrimLeft(rest[1:], " \t")); s == bad {
			return found
		}
		name := strings.ToLower(word)
		if _, twice := found[len(found)-1].parameters[name]; !twice {
			found[len(found)-1].parameters[name] = value
		}
	}
	return found
}

// bad is no rest that a well-formed header can have.
const bad = "\x00"

// parameter reads a token or a quoted string and returns it with what follows it.
func parameter(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value = token(s)
		return value, s[len(value):]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				return "", bad
			}
		}
		b.WriteByte(s[i])
	}
	return "", bad
}

func trim(s string) string { return strings.TrimLeft(s, " \t,") }

// token returns the RFC 9110 token that s begins with.
func token(s string) string {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return s[:i]
		}
	}
	return s
}
