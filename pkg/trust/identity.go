package trust

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Method is how a bundle was signed (OMS §4.1).
type Method string

// The three signing methods.
const (
	MethodKey         Method = "key"
	MethodCertificate Method = "certificate"
	MethodKeyless     Method = "keyless" // OMS calls it "sigstore"
)

// Signer is who signed a bundle, as established against Roots. It is a fact, not a permission.
type Signer struct {
	Method  Method            `json:"method"`
	Key     string            `json:"key,omitempty"`      // MethodKey: the key's fingerprint
	Subject string            `json:"subject,omitempty"`  // certificate: the leaf's subject; keyless: its subject alternative name
	CA      string            `json:"ca,omitempty"`       // MethodCertificate: fingerprint of the authority that anchors the chain
	Others  []string          `json:"otherCAs,omitempty"` // MethodCertificate: further trusted authorities that the leaf has a chain to
	Issuer  string            `json:"issuer,omitempty"`   // MethodKeyless: the OIDC issuer
	Claims  map[string]string `json:"claims,omitempty"`   // MethodKeyless: the issuer's further claims, by Fulcio's names
}

// String names the signer for people, in one line. Text that came from a certificate is quoted where it would not print.
func (s Signer) String() string {
	switch s.Method {
	case MethodKey:
		return "key " + s.Key
	case MethodCertificate:
		return printable(s.Subject) + " (ca " + short(s.CA) + ")"
	case MethodKeyless:
		return printable(s.Subject) + " (" + printable(s.Issuer) + ")"
	}
	return "nobody"
}

// Identity is a signer that somebody trusts. Every field that is set must be equal; only Pattern is a wildcard, and says
// so. Exactly one of three forms is valid: Key; CA with one of Subject, Pattern and AnySubject; Issuer with one of
// Subject and Pattern.
type Identity struct {
	Name       string            // how decisions call it; may be empty
	Key        string            // fingerprint of a public key
	CA         string            // fingerprint of a certificate authority
	Issuer     string            // OIDC issuer
	Subject    string            // certificate subject or OIDC identity
	Pattern    *Pattern          // that the subject must match, in place of Subject
	Claims     map[string]string // with Issuer: further claims, by Fulcio's names, that must be equal
	AnySubject bool              // with CA: every leaf under it, as OMS's tools trust it
	Window     Window            // with Key: when it may have signed. Matches says who; whether in time is for the window's Check
}

// Validate returns an error unless i has one of the three valid forms.
func (i Identity) Validate() error {
	forms := 0
	for _, f := range []string{i.Key, i.CA, i.Issuer} {
		if f != "" {
			forms++
		}
	}
	named := i.Subject != "" || i.Pattern != nil
	switch {
	case i.Subject != "" && i.Pattern != nil:
		return errors.New("identity with both a subject and a pattern of it")
	case forms == 0 && !named:
		return ErrNobody
	case forms == 0:
		return errors.New("identity without an identity provider")
	case forms > 1:
		return errors.New("identity is more than one of key, ca and issuer")
	case i.Key != "" && (named || i.AnySubject):
		return errors.New("a key has no subject")
	case i.CA != "" && named == i.AnySubject:
		return errors.New("a ca needs a subject, or every subject allowed in words")
	case i.Issuer == "" && len(i.Claims) > 0:
		return errors.New("only an identity provider makes claims")
	case i.Issuer != "" && !named:
		return errors.New("identity provider without an identity")
	case i.Issuer != "" && i.AnySubject:
		return errors.New("an identity provider never vouches for every subject")
	case i.Key == "" && !i.Window.IsZero():
		return errors.New("only a key has a validity window: certificates bring their own")
	}
	return i.Window.Validate()
}

// Matches reports whether s is exactly i. An invalid Identity matches nobody.
func (i Identity) Matches(s Signer) bool {
	if i.Validate() != nil {
		return false
	}
	switch s.Method {
	case MethodKey:
		return i.Key != "" && i.Key == s.Key
	case MethodCertificate:
		return i.CA != "" && (i.CA == s.CA || slices.Contains(s.Others, i.CA)) && (i.AnySubject || i.names(s.Subject))
	case MethodKeyless:
		return i.Issuer != "" && i.Issuer == s.Issuer && i.names(s.Subject) && i.claimed(s.Claims)
	}
	return false
}

func (i Identity) names(subject string) bool {
	if i.Pattern != nil {
		return i.Pattern.Match(subject)
	}
	return i.Subject == subject
}

func (i Identity) claimed(claims map[string]string) bool {
	for name, want := range i.Claims {
		if got, there := claims[name]; !there || got != want {
			return false
		}
	}
	return true
}

// String names the identity for people.
func (i Identity) String() string {
	switch {
	case i.Name != "":
		return i.Name
	case i.Key != "":
		return "key " + i.Key
	case i.CA != "" && i.AnySubject:
		return "every leaf under ca " + short(i.CA)
	}
	subject := printable(i.Subject)
	if i.Pattern != nil {
		subject = "whoever matches " + printable(i.Pattern.String())
	}
	if i.CA != "" {
		return subject + " (ca " + short(i.CA) + ")"
	}
	return subject + " (" + printable(i.Issuer) + ")"
}

func short(fingerprint string) string {
	if len(fingerprint) > 12 {
		return fingerprint[:12]
	}
	return fingerprint
}

// printable quotes text from outside where a terminal could take it for something else than text.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); strings.Trim(quoted, `"`) != s {
		return quoted
	}
	return s
}
