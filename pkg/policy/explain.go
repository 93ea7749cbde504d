package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hallmark-project/hallmark/pkg/policy/rule"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Explain says in words what d asks: who is who, and for each step what must hold. It is for people; nothing is decided by
// it.
func (d *Document) Explain() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("policy %s, version %d, %s", d.Name, d.Version, d.Digest)
	if d.Expires.IsZero() {
		line("It decides for ever.")
	} else {
		line("It decides until %s.", minute(d.Expires))
	}
	for _, kind := range slices.Sorted(maps.Keys(d.Targets)) {
		what := "What is used"
		if kind != "" {
			what = "What is used as " + kind
		}
		line("%s has to pass step %s.", what, d.Targets[kind])
	}
	line("\nwho is who")
	for _, name := range slices.Sorted(maps.Keys(d.Identities)) {
		for i, id := range d.Identities[name] {
			also := ""
			if i > 0 {
				also = "or "
			}
			line("  %s is %s%s", name, also, who(id))
		}
	}
	for _, builder := range d.Builders {
		line("  %s speaks for the builder %s%s", list(builder.Signers, "or"), clean(builder.ID), level(", of SLSA build level ", builder.Level))
	}
	line("\nwhat is revoked")
	if d.Lists == nil {
		line("  Nothing is asked.")
	} else {
		line("  The newest list at %s, signed by %s%s, says so.", clean(d.Lists.From), list(d.Lists.Signers, "or"), age(d.Lists.MaxAge))
	}
	if len(d.Sources) > 0 {
		line("\nwhere evidence of inputs is fetched")
		for _, s := range d.Sources {
			login := "without login"
			if s.Credentials {
				login = "with the caller's login"
			}
			line("  %s, %s", clean(s.Prefix), login)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Steps)) {
		line("\n%s", d.Steps[name].title())
		for _, asked := range d.Steps[name].explain() {
			line("  - %s", asked)
		}
	}
	if len(d.Waivers) > 0 {
		line("\nwhat is excused")
		for _, w := range d.Waivers {
			line("  %s of evidence %s in step %s, on %s, until %s: %s", w.Finding, w.Evidence, w.Step, w.Subject, minute(w.Until), clean(w.Reason))
		}
	}
	return b.String()
}

// who says whom an identity is.
func who(id trust.Identity) string {
	id.Name = ""
	words := id.String() + id.Window.String()
	if len(id.Claims) > 0 {
		var claims []string
		for _, name := range slices.Sorted(maps.Keys(id.Claims)) {
			claims = append(claims, name+" "+clean(id.Claims[name]))
		}
		words += " with " + list(claims, "and")
	}
	return words
}

func (s *Step) title() string {
	if s.Kind == "" {
		return "step " + s.Name
	}
	return "step " + s.Name + ", for kind " + s.Kind
}

// explain says what s asks, one thing a line.
func (s *Step) explain() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if q := s.Signature; q != nil {
		left := ""
		if len(s.Uncovered) > 0 {
			left = ", leaving out at most " + list(s.Uncovered, "and")
		}
		add("%s signed its files%s", quorum(q.Signers, q.Distinct), left)
	}
	if p := s.Provenance; p != nil {
		add("%s says how it was made: %s, by a builder that the signer speaks for%s%s%s", list(p.Signers, "or"),
			list(p.Types, "or"), level(", of SLSA build level ", p.Level), age(p.MaxAge), ruled(p.Rule))
	}
	for _, role := range slices.Sorted(maps.Keys(s.Inputs)) {
		add("it was made from %s", s.Inputs[role].explain(role))
	}
	for _, q := range s.Evidence {
		what := q.Type
		if q.Subtype != "" {
			what += " of " + q.Subtype
		}
		latest, own := "", ""
		if q.Latest {
			latest = ", the newest of each alone counting"
		}
		if q.OwnWork {
			own = ", its maker too"
		}
		add("%s: %s signed a statement of type %s%s%s%s%s%s", q.Name, quorum(q.Signers, q.Distinct), what, own, age(q.MaxAge), latest, ruled(q.Rule), controls(q.Controls))
	}
	if r := s.Release; r != nil {
		add("it is the newest release that was seen in channel %s, by the word of %s", clean(r.Channel), list(r.Signers, "or"))
		if r.Rollback != nil {
			add("or %s approved that an older one is used", quorum(r.Rollback.Signers, r.Rollback.Distinct))
		}
	}
	if len(s.AnyOf) > 0 {
		var ways []string
		for _, a := range s.AnyOf {
			ways = append(ways, a.explain())
		}
		add("one of these holds: %s", strings.Join(ways, "; or "))
	}
	return out
}

func (in *Inputs) explain(role string) string {
	count := fmt.Sprintf("%d to %d", in.Min, in.Max)
	switch in.Max {
	case 0:
		count = fmt.Sprintf("%d or more", in.Min)
		if in.Min == 0 {
			count = "any number"
		}
	case in.Min:
		count = fmt.Sprintf("exactly %d", in.Min)
	}
	var asked []string
	if in.Step != "" {
		asked = append(asked, "each passing step "+in.Step)
	}
	var from []string
	for _, uri := range in.URIs {
		from = append(from, clean(uri))
	}
	for _, p := range in.Patterns {
		from = append(from, "whatever matches "+clean(p.String()))
	}
	if len(from) > 0 {
		asked = append(asked, "from "+list(from, "or"))
	}
	if len(in.Pinned) > 0 {
		asked = append(asked, "being "+list(in.Pinned, "or"))
	}
	if in.AllowDirty {
		asked = append(asked, "with uncommitted changes or without")
	}
	return fmt.Sprintf("%s of role %s, %s", count, role, strings.Join(asked, ", "))
}

func (a *Alternative) explain() string {
	switch {
	case a.Ingested != nil:
		from := ""
		if len(a.Ingested.Upstreams) > 0 {
			from = " from " + list(a.Ingested.Upstreams, "or")
		}
		return fmt.Sprintf("%s let it in%s%s", list(a.Ingested.Signers, "or"), from, age(a.Ingested.MaxAge))
	case a.VSA != nil:
		return fmt.Sprintf("%s verified it and all below it, by the word of %s, on evidence%s", list(a.VSA.Verifiers, "or"), list(a.VSA.Signers, "or"),
			strings.TrimPrefix(age(a.VSA.MaxAge), ","))
	case len(a.Pinned) > 0:
		return "it is " + list(a.Pinned, "or")
	}
	return "it passes step " + a.Step
}

func quorum(signers []string, distinct int) string {
	switch {
	case distinct == 1:
		return list(signers, "or")
	case distinct == len(signers):
		return list(signers, "and")
	}
	return fmt.Sprintf("%d of %s", distinct, list(signers, "and"))
}

// list joins names for people.
func list(names []string, last string) string {
	shown := make([]string, len(names))
	for i, n := range names {
		shown[i] = clean(n)
	}
	if len(shown) < 2 {
		return strings.Join(shown, "")
	}
	return strings.Join(shown[:len(shown)-1], ", ") + " " + last + " " + shown[len(shown)-1]
}

func level(words string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s%d", words, n)
}

func age(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ", at most " + span(d) + " old"
}

// span is a time in words: whole days, else Go's hours and minutes.
func span(d time.Duration) string {
	switch {
	case d == 24*time.Hour:
		return "a day"
	case d > 0 && d%(24*time.Hour) == 0:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
	return strings.NewReplacer("m0s", "m", "h0m0s", "h").Replace(d.String())
}

func ruled(r *rule.Rule) string {
	if r == nil {
		return ""
	}
	return ", of which is true: " + clean(r.String())
}

func controls(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return " (" + list(ids, "and") + ")"
}

// clean quotes text from a file where a terminal could take it for something else than text.
func clean(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return strconv.Quote(s)
	}
	return s
}
