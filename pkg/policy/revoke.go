package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// maxJump is how far the sequence of revocation lists may move at once, so that whoever gets hold of the key for a moment
// cannot use up all numbers.
const maxJump = 1000

// revoked is what the one list that counts says, ready to be asked. The list is nil where there is none.
type revoked struct {
	list       *Revocations
	problems   []Finding
	byDigest   map[string]*Revocation // by class and digest
	byBuilder  map[string]*Revocation
	bySource   map[string]*Revocation
	signers    []*Revocation // of identities
	files      bool          // single files are revoked
	filesBelow bool          // with all that was made from them
}

// keys are what the list revokes, each in one text that changes with everything but the reason.
func (r *Revocations) keys() []string {
	out := make([]string, len(r.Entries))
	for i, e := range r.Entries {
		out[i] = e.key()
	}
	slices.Sort(out)
	return out
}

func (e *Revocation) key() string {
	what := "digest " + e.Class + " " + e.Digest
	switch {
	case e.Identity != nil:
		what = fmt.Sprintf("identity %q %q %q %q", e.Identity.Key, e.Identity.CA, e.Identity.Issuer, e.Identity.Subject)
	case e.Builder != "":
		what = "builder " + e.Builder
	case e.Source != "":
		what = "source " + e.Source
	}
	return fmt.Sprintf("%s descendants=%v since=%s", what, e.Descendants, e.Since.UTC().Format(time.RFC3339Nano))
}

// reach is how far one thing is revoked.
type reach struct {
	descendants bool
	since       time.Time
}

// parseKey undoes key. What is no such text, as a state may hold, reaches nowhere.
func parseKey(key string) (what string, r reach, ok bool) {
	at := strings.LastIndex(key, " descendants=")
	if at < 0 {
		return "", reach{}, false
	}
	flag, since, _ := strings.Cut(key[at+len(" descendants="):], " since=")
	t, err := time.Parse(time.RFC3339Nano, since)
	return key[:at], reach{flag == "true", t}, err == nil
}

// dropped returns those of keys before that r revokes no longer, or not as far: a list only ever grows.
func (r *Revocations) dropped(before []string) []string {
	have := make(map[string]reach, len(r.Entries))
	for _, key := range r.keys() {
		what, how, _ := parseKey(key)
		have[what] = how
	}
	var out []string
	for _, key := range before {
		what, was, ok := parseKey(key)
		is, kept := have[what]
		if !ok || !kept || was.descendants && !is.descendants || is.since.After(was.since) {
			out = append(out, key)
		}
	}
	return out
}

// chooseList finds the list that counts: the newest by anybody whom the policy trusts for it.
func (w *Walk) chooseList() *revoked {
	out := &revoked{}
	if w.doc.Lists == nil {
		return out
	}
	var missed []Finding
	var held []*Revocations
	for i := range w.o.Lists {
		l := &w.o.Lists[i]
		by, findings := w.doc.speaker(w.doc.Lists.Signers, &l.Evidence)
		switch {
		case by == "":
			missed = append(missed, Finding{Code: RevocationsMissing, Where: l.Evidence.Where, Detail: "a list by nobody whom the policy trusts for it"})
			continue
		case len(findings)+len(l.Evidence.Findings) > 0:
			why := append(findings, l.Evidence.Findings...)[0] // of the list, not of what is decided on
			missed = append(missed, Finding{Code: RevocationsMissing, Where: l.Evidence.Where, Got: why.Got, Detail: fmt.Sprintf("a list that does not count, %s: %s", why.Code, why.Detail)})
			continue
		}
		if l.Evidence.Time != nil && l.Evidence.Time.After(w.latest) {
			w.latest = *l.Evidence.Time
		}
		held = append(held, l)
		if out.list == nil || l.newer(out.list) {
			out.list = l
		}
	}
	if out.list == nil {
		out.problems = append(missed, Finding{Code: RevocationsMissing, Detail: "no list by " + names(w.doc.Lists.Signers) + " was found"})
		return out
	}
	out.problems = append(out.problems, w.refuseList(out.list)...)
	for _, l := range held {
		out.problems = append(out.problems, out.list.contradicts(l)...)
	}
	out.index()
	return out
}

// newer reports whether r comes after another list. Of one that was signed again, as it was, the later one counts.
func (r *Revocations) newer(other *Revocations) bool {
	return cmp.Or(cmp.Compare(r.Sequence, other.Sequence), r.Issued.Compare(other.Issued)) > 0
}

// contradicts says how another list, which is no newer, speaks against r.
func (r *Revocations) contradicts(other *Revocations) []Finding {
	if other.Sequence == r.Sequence {
		if slices.Equal(r.keys(), other.keys()) {
			return nil
		}
		return []Finding{{Code: RevocationsRollback, Where: other.Evidence.Where, Detail: fmt.Sprintf("two lists of number %d differ", r.Sequence)}}
	}
	var out []Finding
	for _, key := range r.dropped(other.keys()) {
		out = append(out, Finding{Code: RevocationsRollback, Where: other.Evidence.Where, Detail: fmt.Sprintf("no longer revoked, and was by list %d: %s", other.Sequence, key)})
	}
	return out
}

func (r *revoked) index() {
	r.byDigest, r.byBuilder, r.bySource = map[string]*Revocation{}, map[string]*Revocation{}, map[string]*Revocation{}
	for i := range r.list.Entries {
		switch e := &r.list.Entries[i]; {
		case e.Digest != "":
			r.byDigest[e.Class+" "+e.Digest] = e
			r.files = r.files || e.Class == classFile
			r.filesBelow = r.filesBelow || e.Class == classFile && e.Descendants
		case e.Identity != nil:
			r.signers = append(r.signers, e)
		case e.Builder != "":
			r.byBuilder[e.Builder] = e
		case e.Source != "":
			r.bySource[e.Source] = e
		}
	}
}

// refuseList says why a list cannot be relied on now.
func (w *Walk) refuseList(l *Revocations) []Finding {
	var out []Finding
	issued := l.Issued
	if t := l.Evidence.Time; t != nil && t.Before(issued) {
		issued = *t
	}
	switch most := w.doc.Lists.MaxAge; {
	case w.o.Now.After(l.Expires):
		out = append(out, Finding{Code: RevocationsStale, Where: l.Evidence.Where, Detail: "the list expired " + l.Expires.UTC().Format(time.RFC3339)})
	case most > 0 && w.o.Now.Sub(issued) > most:
		out = append(out, Finding{Code: RevocationsStale, Where: l.Evidence.Where, Detail: fmt.Sprintf("the list was issued %s, older than %s", issued.UTC().Format(time.RFC3339), span(most))})
	case issued.After(w.o.Now.Add(skew)):
		out = append(out, Finding{Code: ClockBehind, Where: l.Evidence.Where, Detail: "the list was issued " + issued.UTC().Format(time.RFC3339)})
	}
	before := w.o.State
	if before == nil || before.Sequence == 0 {
		return out
	}
	switch {
	case l.Sequence < before.Sequence:
		out = append(out, Finding{Code: RevocationsRollback, Where: l.Evidence.Where, Detail: fmt.Sprintf("number %d of the list of what is revoked, and number %d was seen before", l.Sequence, before.Sequence)})
	case l.Sequence-before.Sequence > maxJump:
		out = append(out, Finding{Code: RevocationsRollback, Where: l.Evidence.Where, Detail: fmt.Sprintf("number %d of the list of what is revoked, more than %d beyond number %d, which was seen before", l.Sequence, maxJump, before.Sequence)})
	case l.Sequence == before.Sequence && !slices.Equal(l.keys(), before.Revoked):
		out = append(out, Finding{Code: RevocationsRollback, Where: l.Evidence.Where, Detail: fmt.Sprintf("another list of number %d was seen before", l.Sequence)})
	}
	for _, key := range l.dropped(before.Revoked) {
		out = append(out, Finding{Code: RevocationsRollback, Where: l.Evidence.Where, Detail: "no longer on it, and was: " + key})
	}
	return out
}

// digest says that something is revoked; nil: it is not. self: by an entry that reaches no further than the thing itself
// too.
func (r *revoked) digest(class, digest string, self bool) *Finding {
	e := r.byDigest[class+" "+digest]
	if e == nil || !self && !e.Descendants {
		return nil
	}
	return &Finding{Code: Revoked, Where: r.list.Evidence.Where, Got: digest, Detail: fmt.Sprintf("%s %s is revoked: %s", class, digest, e.Reason)}
}

// screen looks up an artifact and its files. What is revoked for itself alone stands in the way where it is used, not
// where something else was made from it.
func (r *revoked) screen(p *place) []Check {
	if r.list == nil {
		return nil
	}
	var findings []Finding
	if f := r.digest(classArtifact, p.id(), p.target); f != nil {
		findings = append(findings, *f)
	}
	for _, file := range p.facts.Files {
		if f := r.digest(classFile, file, p.target); f != nil {
			findings = append(findings, *f)
		}
	}
	denies := len(findings) > 0
	if (r.filesBelow || r.files && p.target) && p.facts.Files == nil {
		findings = append(findings, Finding{Code: FilesUnknown, Got: p.id(), Detail: "single files are revoked, and this artifact's are not known"})
	}
	if len(findings) > 0 {
		c := failed("revocations", findings[0].Detail, findings...)
		c.denies = denies
		return []Check{c}
	}
	if !p.target {
		return nil
	}
	return []Check{{Name: "revocations", Verdict: Yes, Detail: fmt.Sprintf("not on list %d of %s, which has %s", r.list.Sequence, r.list.Issued.UTC().Format("2006-01-02 15:04 UTC"), entries(len(r.list.Entries)))}}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

// evidence says that a bundle, or its signer at the time, is revoked; nil: neither is. Only trusted time shows that
// something was signed before.
func (r *revoked) evidence(e *Evidence) *Finding {
	if r.list == nil || e.Signer == nil {
		return nil
	}
	for _, name := range []string{e.Digest, e.Twin} {
		if f := r.digest(classAttestation, name, true); f != nil {
			return f
		}
	}
	for _, entry := range r.signers {
		if entry.Identity.is(*e.Signer) && !e.before(entry.Since) {
			return &Finding{Code: Revoked, Got: e.Signer.String(), Detail: fmt.Sprintf("%s is revoked since %s: %s", e.Signer, entry.Since.UTC().Format(time.RFC3339), entry.Reason)}
		}
	}
	return nil
}

// before reports whether trusted time shows that e was signed before t.
func (e *Evidence) before(t time.Time) bool { return e.Time != nil && e.Time.Before(t) }

func (i *RevokedSigner) is(s trust.Signer) bool {
	switch {
	case i.Key != "":
		return s.Method == trust.MethodKey && s.Key == i.Key
	case i.CA != "":
		return s.Method == trust.MethodCertificate && (s.CA == i.CA || slices.Contains(s.Others, i.CA)) && (i.Subject == "" || i.Subject == s.Subject)
	}
	return s.Method == trust.MethodKeyless && s.Issuer == i.Issuer && s.Subject == i.Subject
}

// builder says that an account names a builder that is revoked; nil: it does not.
func (r *revoked) builder(e *Evidence) *Finding {
	entry := r.byBuilder[e.Claim.Making.Builder]
	if entry == nil || e.before(entry.Since) {
		return nil
	}
	return &Finding{Code: Revoked, Got: entry.Builder, Detail: fmt.Sprintf("builder %s is revoked: %s", entry.Builder, entry.Reason)}
}

// source says that where something is from, as e says, is revoked; nil: it is not.
func (r *revoked) source(e *Evidence, uri string) *Finding {
	entry := r.bySource[uri]
	if entry == nil || e.before(entry.Since) {
		return nil
	}
	return &Finding{Code: Revoked, Got: uri, Detail: fmt.Sprintf("source %s is revoked: %s", uri, entry.Reason)}
}
