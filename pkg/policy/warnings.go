package policy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Warning is something in a policy that holds together and may still be a mistake.
type Warning struct {
	Code    WarningCode `json:"code"`
	Where   string      `json:"where"` // the part of the file, as steps.release.evidence.robustness; empty: the file as a whole
	Message string      `json:"message"`
}

// WarningCode is the stable code of a kind of warning.
type WarningCode string

// The codes.
const (
	WarnExpired       WarningCode = "expired"        // the policy decides no more
	WarnExpires       WarningCode = "expires"        // it will not for long, or for ever
	WarnPattern       WarningCode = "pattern"        // more is let in than one can name
	WarnCountsTwice   WarningCode = "counts-twice"   // one signer may match two principals
	WarnKeyForEver    WarningCode = "key-for-ever"   // a key without end
	WarnKeyEnds       WarningCode = "key-ends"       // a key whose end has come, or will soon
	WarnUnused        WarningCode = "unused"         // an identity that may say nothing
	WarnNoBuilder     WarningCode = "no-builder"     // a signer of provenance whose word never counts
	WarnNoRevocations WarningCode = "no-revocations" // nothing can be taken back
	WarnNoMaxAge      WarningCode = "no-max-age"     // what was once true counts for ever
	WarnNoRelease     WarningCode = "no-release"     // an older artifact passes as well as the newest
	WarnWaiverEnded   WarningCode = "waiver-ended"   // it excuses nothing
	WarnWaiverEnds    WarningCode = "waiver-ends"    // it will not for long
	WarnAllowed       WarningCode = "allowed"        // something is allowed that has to be asked for in words
)

// Warnings returns what in d may be a mistake at the time now, in the same order always. What ends within trust.Notice
// ends soon.
func (d *Document) Warnings(now time.Time) []Warning {
	w := &warner{doc: d, now: now}
	switch {
	case d.Expires.IsZero():
		w.add(WarnExpires, "expires", "decides for ever: whoever keeps it away from its next version is not noticed")
	case now.After(d.Expires):
		w.add(WarnExpired, "expires", "has decided nothing since %s", minute(d.Expires))
	case w.soon(d.Expires):
		w.add(WarnExpires, "expires", "decides nothing after %s", minute(d.Expires))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Identities)) {
		w.identity(name)
	}
	w.twice()
	if d.Lists == nil {
		w.add(WarnNoRevocations, "revocations", "asks for no revocations: a key that was stolen, or a model that was recalled, counts on")
	} else if d.Lists.MaxAge == 0 {
		w.add(WarnNoMaxAge, "revocations", "takes a list until it expires by itself")
	}
	for _, kind := range slices.Sorted(maps.Keys(d.Targets)) {
		if name := d.Targets[kind]; d.Steps[name].Release == nil {
			w.add(WarnNoRelease, "steps."+name, "target without release: any release that was ever good passes")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Steps)) {
		w.step(d.Steps[name])
	}
	for i, v := range d.Waivers {
		where := fmt.Sprintf("waivers.%d", i)
		switch {
		case now.After(v.Until):
			w.add(WarnWaiverEnded, where, "excuses nothing since %s", minute(v.Until))
		case w.soon(v.Until):
			w.add(WarnWaiverEnds, where, "excuses nothing after %s", minute(v.Until))
		}
	}
	return w.out
}

type warner struct {
	doc *Document
	now time.Time
	out []Warning
}

func (w *warner) add(code WarningCode, where, format string, args ...any) {
	w.out = append(w.out, Warning{code, where, fmt.Sprintf(format, args...)})
}

func (w *warner) soon(t time.Time) bool { return t.Sub(w.now) <= trust.Notice }

func (w *warner) identity(name string) {
	where := "identities." + name
	for _, id := range w.doc.Identities[name] {
		if id.Pattern != nil {
			w.add(WarnPattern, where, "whoever matches %s", clean(id.Pattern.String()))
		}
		if id.Key == "" {
			continue
		}
		end := id.Window.ValidUntil
		if r := id.Window.RevokedAt; !r.IsZero() && (end.IsZero() || r.Before(end)) {
			end = r
		}
		switch {
		case end.IsZero():
			w.add(WarnKeyForEver, where, "a key without validUntil counts for ever")
		case w.now.After(end):
			w.add(WarnKeyEnds, where, "what its key signed after %s does not count", minute(end))
		case w.soon(end):
			w.add(WarnKeyEnds, where, "what its key signs after %s will not count", minute(end))
		}
	}
	if !slices.Contains(w.doc.named(), name) {
		w.add(WarnUnused, where, "may say nothing")
	}
}

// twice finds patterns under one authority: whether two of them match the same signer, nobody can tell from them.
func (w *warner) twice() {
	type pattern struct {
		name string
		id   trust.Identity
	}
	var all []pattern
	for _, name := range slices.Sorted(maps.Keys(w.doc.Identities)) {
		for _, id := range w.doc.Identities[name] {
			if id.Pattern == nil {
				continue
			}
			for _, other := range all {
				if other.name != name && other.id.CA == id.CA && other.id.Issuer == id.Issuer {
					w.add(WarnCountsTwice, "identities."+name, "a signer whom its pattern and that of %s match counts as both", other.name)
				}
			}
			all = append(all, pattern{name, id})
		}
	}
}

func (w *warner) step(s *Step) {
	where := "steps." + s.Name
	if p := s.Provenance; p != nil {
		for _, name := range p.Signers {
			if !slices.ContainsFunc(w.doc.Builders, func(b Builder) bool { return b.Level >= p.Level && slices.Contains(b.Signers, name) }) {
				w.add(WarnNoBuilder, where+".provenance", "%s speaks for no builder of that level, so its word does not count", name)
			}
		}
	}
	for _, role := range slices.Sorted(maps.Keys(s.Inputs)) {
		in := s.Inputs[role]
		for _, p := range in.Patterns {
			w.add(WarnPattern, where+".inputs."+role, "whatever matches %s", clean(p.String()))
		}
		if in.AllowDirty {
			w.add(WarnAllowed, where+".inputs."+role, "allowDirty: what was used is not what its digest names")
		}
	}
	for _, q := range s.Evidence {
		if q.MaxAge == 0 {
			w.add(WarnNoMaxAge, where+".evidence."+q.Name, "counts however old it is, and whoever withholds a newer one is not noticed")
		}
		if q.OwnWork {
			w.add(WarnAllowed, where+".evidence."+q.Name, "ownWork: who made it may approve it")
		}
	}
	for i, a := range s.AnyOf {
		if a.Ingested != nil && a.Ingested.MaxAge == 0 {
			w.add(WarnNoMaxAge, fmt.Sprintf("%s.anyOf.%d.ingested", where, i), "counts however long ago it was let in")
		}
	}
}

// named returns the names of identities that may say something, some of them more than once.
func (d *Document) named() []string {
	var out []string
	if d.Lists != nil {
		out = append(out, d.Lists.Signers...)
	}
	for _, s := range d.Steps {
		if s.Signature != nil {
			out = append(out, s.Signature.Signers...)
		}
		if s.Provenance != nil {
			out = append(out, s.Provenance.Signers...)
		}
		for _, q := range s.Evidence {
			out = append(out, q.Signers...)
		}
		if s.Release != nil {
			out = append(out, s.Release.Signers...)
			if s.Release.Rollback != nil {
				out = append(out, s.Release.Rollback.Signers...)
			}
		}
		for _, a := range s.AnyOf {
			if a.Ingested != nil {
				out = append(out, a.Ingested.Signers...)
			}
			if a.VSA != nil {
				out = append(out, a.VSA.Signers...)
			}
		}
	}
	return out
}

// minute is a time for people.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
