package trust

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// Notice is how long before its end Warnings speaks of an entry.
const Notice = 30 * 24 * time.Hour

// Kind is what an entry of a trusted root is.
type Kind string

// The four kinds.
const (
	KindAuthority Kind = "certificate-authority"
	KindLog       Kind = "transparency-log"
	KindCTLog     Kind = "ct-log"
	KindStamp     Kind = "timestamp-authority"
)

var kinds = []Kind{KindAuthority, KindLog, KindCTLog, KindStamp}

// Entry is one thing that a trusted root trusts.
type Entry struct {
	Kind    Kind       `json:"kind"`
	Name    string     `json:"name"`                 // its URL
	Subject string     `json:"subject,omitempty"`    // of an authority: the certificate that issues
	KeyID   string     `json:"keyId"`                // hex: a log's ID; an authority's: SHA-256 of that certificate
	Party   string     `json:"party,omitempty"`      // of a log or timestamp authority: the Witness that thresholds count
	From    *time.Time `json:"validFrom,omitempty"`  // nil: open
	Until   *time.Time `json:"validUntil,omitempty"` // nil: open. Of an authority: the earliest end of the root's window and its certificates'
}

// Entries lists what s trusts: authorities, logs, CT logs, timestamp authorities, in the root's order where it has one.
func (s *Sigstore) Entries() []Entry {
	var all []Entry
	for _, a := range s.material.FulcioCertificateAuthorities() {
		if f, ok := a.(*root.FulcioCertificateAuthority); ok {
			certificates := append(slices.Clone(f.Intermediates), f.Root)
			all = append(all, authorityEntry(KindAuthority, f.URI, certificates, f.ValidityPeriodStart, f.ValidityPeriodEnd))
		}
	}
	parties := s.parties()
	for _, list := range []struct {
		kind Kind
		logs map[string]*root.TransparencyLog
	}{{KindLog, s.material.RekorLogs()}, {KindCTLog, s.material.CTLogs()}} {
		for _, id := range slices.Sorted(maps.Keys(list.logs)) {
			l := list.logs[id]
			e := Entry{Kind: list.kind, Name: l.BaseURL, KeyID: id, From: open(l.ValidityPeriodStart), Until: open(l.ValidityPeriodEnd)}
			if list.kind == KindLog {
				e.Party = parties[id]
			}
			all = append(all, e)
		}
	}
	for _, a := range s.material.TimestampingAuthorities() {
		if t, ok := a.(*root.SigstoreTimestampingAuthority); ok {
			certificates := slices.DeleteFunc(append(append([]*x509.Certificate{t.Leaf}, t.Intermediates...), t.Root),
				func(c *x509.Certificate) bool { return c == nil })
			e := authorityEntry(KindStamp, t.URI, certificates, t.ValidityPeriodStart, t.ValidityPeriodEnd)
			e.Party = parties[e.KeyID]
			all = append(all, e)
		}
	}
	return all
}

// parties maps what entries are called to whose they are.
func (s *Sigstore) parties() map[string]string {
	of := map[string]string{}
	for _, w := range s.witnesses {
		for id := range w.material.RekorLogs() {
			of[id] = w.name
		}
		for _, a := range w.material.TimestampingAuthorities() {
			if t, ok := a.(*root.SigstoreTimestampingAuthority); ok {
				for _, c := range append(append([]*x509.Certificate{t.Leaf}, t.Intermediates...), t.Root) {
					if c != nil {
						of[fingerprint(c)] = w.name
					}
				}
			}
		}
	}
	return of
}

// authorityEntry describes a chain whose first certificate issues, or for a timestamp authority signs.
func authorityEntry(kind Kind, name string, chain []*x509.Certificate, from, until time.Time) Entry {
	e := Entry{Kind: kind, Name: name, Subject: chain[0].Subject.String(), KeyID: fingerprint(chain[0])}
	for _, c := range chain {
		if from.Before(c.NotBefore) {
			from = c.NotBefore
		}
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	e.From, e.Until = open(from), open(until)
	return e
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func open(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Valid reports whether now lies in e's window, both ends included.
func (e Entry) Valid(now time.Time) bool {
	return (e.From == nil || !now.Before(*e.From)) && (e.Until == nil || !now.After(*e.Until))
}

// Warnings says what of entries ends within Notice after now, and of which kind nothing is valid at all. What ended
// before is history that old signatures need, and no reason for a warning.
func Warnings(entries []Entry, now time.Time) []string {
	var out []string
	for _, k := range kinds {
		valid := 0
		for _, e := range entries {
			if e.Kind != k || !e.Valid(now) {
				continue
			}
			valid++
			if e.Until != nil && e.Until.Sub(now) <= Notice {
				out = append(out, fmt.Sprintf("%s %s ends %s", k, printable(e.Name), e.Until.Format("2006-01-02 15:04 UTC")))
			}
		}
		if valid == 0 {
			out = append(out, fmt.Sprintf("no %s is valid now: nothing new can be verified with it", k))
		}
	}
	return out
}
