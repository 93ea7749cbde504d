package policy

import (
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// form is one form of a principal, and where the file says so.
type form struct {
	principal string
	at        *yaml.Node
	identity  trust.Identity
}

func (r *reader) identities(n *yaml.Node) {
	r.entries(n, "identities", func(key, value *yaml.Node) {
		name := r.name(key, "an identity")
		before := len(r.forms)
		if value.Kind == yaml.SequenceNode {
			r.items(value, "identity "+name, func(n *yaml.Node) { r.identity(n, name) })
		} else {
			r.identity(value, name)
		}
		var p Principal
		for _, f := range r.forms[before:] {
			p = append(p, f.identity)
		}
		r.doc.Identities[name] = p
	})
	if len(n.Content) == 0 {
		r.fail(n, "", "there are no identities")
	}
}

// identity reads one form of a principal. A file of several authorities makes several.
func (r *reader) identity(n *yaml.Node, name string) {
	id := trust.Identity{Name: name}
	var key, ca *yaml.Node
	what := "identity " + name
	r.fields(n, what,
		field{"key", false, func(n *yaml.Node) { key = n }},
		field{"validFrom", false, func(n *yaml.Node) { id.Window.ValidFrom = r.began(n, "validFrom") }},
		field{"validUntil", false, func(n *yaml.Node) { id.Window.ValidUntil = r.ended(n, "validUntil") }},
		field{"revokedAt", false, func(n *yaml.Node) { id.Window.RevokedAt = r.began(n, "revokedAt") }},
		field{"ca", false, func(n *yaml.Node) { ca = n }},
		field{"issuer", false, func(n *yaml.Node) { id.Issuer = r.text(n, "issuer") }},
		field{"subject", false, func(n *yaml.Node) { id.Subject = r.text(n, "subject") }},
		field{"subjectPattern", false, func(n *yaml.Node) { id.Pattern = r.pattern(n, "subjectPattern") }},
		field{"claims", false, func(n *yaml.Node) { id.Claims = r.claims(n) }},
	)
	if r.err != nil {
		return
	}
	forms := 0
	for _, given := range []bool{key != nil, ca != nil, id.Issuer != ""} {
		if given {
			forms++
		}
	}
	named := id.Subject != "" || id.Pattern != nil
	switch {
	case forms != 1:
		r.fail(n, "several forms of one principal are a list: [{key: …}, {issuer: …}]", "%s has to be exactly one of key, ca and issuer", what)
	case ca != nil && !named:
		r.fail(n, "add subject", "%s is a CA alone, and a CA alone is never enough: it vouches for everybody that it ever will", what)
	case id.Issuer != "" && !named:
		r.fail(n, "add subject", "%s is an issuer alone, which vouches for everybody", what)
	case ca != nil:
		r.authorities(ca, id)
	case key != nil:
		r.key(key, id)
	default:
		r.add(n, id)
	}
}

// key adds a public key.
func (r *reader) key(n *yaml.Node, id trust.Identity) {
	data, what := r.pem(n, "key")
	if r.err != nil {
		return
	}
	k, err := trust.LoadKey(data)
	if err != nil {
		r.fail(n, "", "%s", what)
		r.err.Err = err
		return
	}
	id.Key = k.Fingerprint()
	if !slices.ContainsFunc(r.doc.Roots.Keys, func(other trust.Key) bool { return other.Fingerprint() == id.Key }) {
		r.doc.Roots.Keys = append(r.doc.Roots.Keys, k)
	}
	r.add(n, id)
}

// authorities adds every certificate authority of several.
func (r *reader) authorities(n *yaml.Node, id trust.Identity) {
	data, what := r.pem(n, "ca")
	if r.err != nil {
		return
	}
	all, err := trust.LoadAuthorities(data)
	if err != nil {
		r.fail(n, "", "%s", what)
		r.err.Err = err
		return
	}
	for _, a := range all {
		id.CA = a.Fingerprint()
		if !slices.ContainsFunc(r.doc.Roots.Authorities, func(other trust.Authority) bool { return other.Fingerprint() == id.CA }) {
			r.doc.Roots.Authorities = append(r.doc.Roots.Authorities, a)
		}
		r.add(n, id)
	}
}

// pem reads PEM that stands in the policy itself or in a file beside it, and returns what to call it.
func (r *reader) pem(n *yaml.Node, what string) (data []byte, called string) {
	if n.Kind == yaml.ScalarNode && strings.HasPrefix(n.Value, "-----BEGIN ") {
		if len(n.Value) > maxPEM {
			r.fail(n, "", "%s has %d bytes, at most %d are read", what, len(n.Value), maxPEM)
		}
		return []byte(n.Value), what
	}
	name := r.text(n, what)
	if r.err != nil {
		return nil, ""
	}
	return r.file(n, name), what + " " + quote(name)
}

// file reads a file that lies at or below the policy's own folder.
func (r *reader) file(n *yaml.Node, name string) []byte {
	switch {
	case !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`):
		r.fail(n, "keys/NAME.pub, below the policy file's folder", "%s is no file beside the policy", quote(name))
		return nil
	case r.o.Read == nil:
		r.fail(n, "write the PEM itself in its place: key: |", "%s: no file is read beside this policy", quote(name))
		return nil
	}
	data, err := r.o.Read(name)
	if err != nil {
		r.fail(n, "", "%s", quote(name))
		r.err.Err = err
	}
	return data
}

// pattern reads an anchored pattern.
func (r *reader) pattern(n *yaml.Node, what string) *trust.Pattern {
	s := r.text(n, what)
	if r.err != nil {
		return nil
	}
	p, err := trust.CompilePattern(s)
	if err != nil {
		r.fail(n, "", "%s", what)
		r.err.Err = err
	}
	return p
}

// claims reads what an identity provider says of a signer besides its name.
func (r *reader) claims(n *yaml.Node) map[string]string {
	out := map[string]string{}
	r.entries(n, "claims", func(key, value *yaml.Node) {
		name := r.word(key, "claim", r.o.Claims)
		out[name] = r.text(value, "claim "+name)
	})
	if len(out) == 0 {
		r.fail(n, "", "claims is empty")
	}
	return out
}

// add adds a form, unless it is one that somebody has: who signs as two principals would be two in every quorum.
func (r *reader) add(n *yaml.Node, id trust.Identity) {
	if err := id.Validate(); err != nil {
		r.fail(n, "", "identity %s", id.Name)
		r.err.Err = err
		return
	}
	for _, f := range r.forms {
		if !overlap(f.identity, id) {
			continue
		}
		if f.principal == id.Name {
			r.fail(n, "say it once", "identity %s has this form twice", id.Name)
			return
		}
		r.fail(n, "several forms of one principal are a list under one name", "identity %s is identity %s too, and would count twice", id.Name, f.principal)
		return
	}
	r.forms = append(r.forms, form{id.Name, n, id})
}

// overlap reports whether one signer could be both. Of two patterns only equal ones are known to match the same.
func overlap(a, b trust.Identity) bool {
	if a.Key != b.Key || a.CA != b.CA || a.Issuer != b.Issuer {
		return false
	}
	if a.Key != "" {
		return true
	}
	switch {
	case a.Pattern != nil && b.Pattern != nil:
		if a.Pattern.String() != b.Pattern.String() {
			return false
		}
	case a.Pattern != nil:
		if !a.Pattern.Match(b.Subject) {
			return false
		}
	case b.Pattern != nil:
		if !b.Pattern.Match(a.Subject) {
			return false
		}
	case a.Subject != b.Subject:
		return false
	}
	for name, want := range a.Claims {
		if other, both := b.Claims[name]; both && other != want {
			return false
		}
	}
	return true
}
