package policy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Accepts reports whether a signature like e counts for p, if it holds for the files: it is by one of p's signers, and p
// refuses nothing of it.
func (p Policy) Accepts(e Evidence) bool { return trusted(p, &e) && len(p.Refuses(e)) == 0 }

// Refuses returns why a signature by one of p's signers does not count, whatever it signed: its key's window, judged by
// trusted time alone, and too few that saw it for what p asks. It is empty where nothing stands in the way, and for
// evidence that no signer of p signed, which does not count for that reason.
//
// Where a key is listed with several windows, it may have signed in any one of them.
func (p Policy) Refuses(e Evidence) []Finding {
	if !trusted(p, &e) {
		return nil
	}
	var findings []Finding
	if f := p.outside(e); f != nil {
		findings = append(findings, *f)
	}
	return append(findings, p.unseen(e)...)
}

// unseen is what e lacks of the log that p requires and of p's thresholds. A threshold that takes more logs than one says
// more than the requirement of any.
func (p Policy) unseen(e Evidence) []Finding {
	var out []Finding
	if p.RequireLog && p.LogThreshold <= 1 && distinct(e.LoggedBy) == 0 {
		out = append(out, Finding{Code: LogMissing, Detail: "no transparency log of the trusted root has this signature"})
	}
	for _, t := range []struct {
		code Reason
		need int
		by   []string
		verb string
	}{{LogThreshold, p.LogThreshold, e.LoggedBy, "logged"}, {TimeThreshold, p.TimeThreshold, e.TimedBy, "timed"}} {
		if have := distinct(t.by); t.need > 1 && have < t.need {
			out = append(out, Finding{Code: t.code, Detail: fmt.Sprintf("%s by %d of %d distinct parties", t.verb, have, t.need)})
		}
	}
	return out
}

// distinct counts the names in a list, each once.
func distinct(names []string) int { return len(slices.Compact(slices.Sorted(slices.Values(names)))) }

// outside says why e lies in no window of its signer; nil: it lies in one.
func (p Policy) outside(e Evidence) *Finding {
	var span trust.Span
	if e.Time != nil {
		span.NotAfter = *e.Time
	}
	if e.NotBefore != nil {
		span.NotBefore = *e.NotBefore
	}
	var first *Finding
	for _, s := range p.Signers {
		if !s.Matches(*e.Signer) {
			continue
		}
		err := s.Window.Check(span)
		if err == nil {
			return nil
		}
		if first == nil {
			first = &Finding{Code: windowReason(err), Detail: e.Signer.String() + ": " + err.Error()}
		}
	}
	return first
}

func windowReason(err error) Reason {
	switch {
	case errors.Is(err, trust.ErrKeyRevoked):
		return Revoked
	case errors.Is(err, trust.ErrKeyExpired):
		return KeyExpired
	case errors.Is(err, trust.ErrKeyEarly):
		return KeyTooEarly
	}
	return KeyTimeMissing
}

// judge adds to the evidence what p refuses of it.
func judge(p Policy, evidence []Evidence) {
	for i := range evidence {
		if e := &evidence[i]; e.Signature {
			e.Findings = slices.Concat(e.Findings, p.Refuses(*e))
		}
	}
}
