package trust

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/root"
	"golang.org/x/net/publicsuffix"
)

// Witness is one party of a Sigstore instance that vouches for signatures, with all its transparency logs and timestamp
// authorities. Thresholds count witnesses: a party that runs two logs, or has changed the key of one, is still one party
// that could lie.
//
// A party is what the trusted root names as operator; where it names none, the registrable domain of the service's URL.
// Logs with one key, and timestamp authorities under one root certificate, are one party whatever they are called.
type Witness struct {
	name     string
	material root.TrustedMaterial
}

// Name is the operator or domain of the party, else the beginning of a key's digest.
func (w Witness) Name() string { return w.name }

// Material is the Sigstore's with no other logs and timestamp authorities than this party's.
func (w Witness) Material() root.TrustedMaterial { return w.material }

// Alone is the trusted root without the logs and timestamp authorities of other parties, to ask w by itself.
func (w Witness) Alone() *Sigstore { return &Sigstore{material: w.material, witnesses: []Witness{w}} }

// Witnesses are the parties that run s's logs and timestamp authorities, sorted by name.
func (s *Sigstore) Witnesses() []Witness { return s.witnesses }

// operators is who runs what, as far as a trusted_root.json says.
type operators struct {
	logs   map[string]string // by hex log ID
	stamps []string          // in the order of the timestamp authorities
}

// service is a log or a timestamp authority with all that tells whose it is.
type service struct {
	marks []string // two services that share a mark are one party's; the first names the party
	logID string   // of a log
	stamp root.TimestampingAuthority
}

// findWitnesses puts together the services that are one party's.
func findWitnesses(m root.TrustedMaterial, by operators) []Witness {
	var parties [][]service
	for _, s := range services(m, by) {
		own := []service{s}
		rest := parties[:0:0]
		for _, p := range parties {
			if slices.ContainsFunc(p, func(o service) bool { return overlap(o.marks, s.marks) }) {
				own = append(p, own...)
			} else {
				rest = append(rest, p)
			}
		}
		parties = append(rest, own)
	}
	var found []Witness
	for _, p := range parties {
		only := part{TrustedMaterial: m, logs: map[string]*root.TransparencyLog{}}
		names := make([]string, len(p))
		for i, s := range p {
			names[i] = s.marks[0]
			if s.stamp != nil {
				only.stamps = append(only.stamps, s.stamp)
			} else {
				only.logs[s.logID] = m.RekorLogs()[s.logID]
			}
		}
		found = append(found, Witness{name: slices.Min(names), material: only})
	}
	slices.SortFunc(found, func(a, b Witness) int { return strings.Compare(a.name, b.name) })
	return found
}

func services(m root.TrustedMaterial, by operators) []service {
	var all []service
	logs := m.RekorLogs()
	for _, id := range slices.Sorted(maps.Keys(logs)) {
		all = append(all, service{logID: id, marks: marks(by.logs[id], logs[id].BaseURL, keyMark(logs[id].PublicKey))})
	}
	for i, tsa := range m.TimestampingAuthorities() {
		s := service{stamp: tsa, marks: []string{"timestamp authority"}} // of a kind that tells nothing: all are one
		if t, ok := tsa.(*root.SigstoreTimestampingAuthority); ok {
			operator := ""
			if i < len(by.stamps) {
				operator = by.stamps[i]
			}
			s.marks = marks(operator, t.URI, certificateMark(t.Root), certificateMark(t.Leaf))
		}
		all = append(all, s)
	}
	return all
}

// marks puts the name of a party before the keys that it uses.
func marks(operator, address string, keys ...string) []string {
	name := operator
	if name == "" {
		name = party(address)
	}
	return slices.DeleteFunc(append([]string{name}, keys...), func(s string) bool { return s == "" })
}

// party is the registrable domain of a URL; an address that has none stands for itself.
func party(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return address
	}
	if net.ParseIP(u.Hostname()) != nil {
		return u.Host
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname()); err == nil {
		return domain
	}
	return u.Host
}

func keyMark(key crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func certificateMark(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

// part is trusted material with fewer logs and timestamp authorities.
type part struct {
	root.TrustedMaterial
	logs   map[string]*root.TransparencyLog
	stamps []root.TimestampingAuthority
}

func (p part) RekorLogs() map[string]*root.TransparencyLog           { return p.logs }
func (p part) TimestampingAuthorities() []root.TimestampingAuthority { return p.stamps }
