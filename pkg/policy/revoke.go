package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// maxJump is how far the sequence of revocation lists may move at once, so that whoever gets hold of the key for a moment
// cannot use up all numbers.
const maxJump = 1000

// revoked is what the one list that counts says, ready to be asked. The list is nil where there is none.
type revoked struct {
	list     *Revocations
	problems []Finding
	byDigest map[string]*Revocation // by class and digest
	files    bool                   // single files are revoked
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

// chooseList finds the list that counts: the newest by anybody whom the policy trusts for it.
func (w *Walk) chooseList() *revoked {
	out := &revoked{}
	if w.doc.Lists == nil {
		return out
	}
	var missed []Finding
	for i := range w.o.Lists {
		l := &w.o.Lists[i]
		by, findings := w.doc.speaker(w.doc.Lists.Signers, &l.Evidence)
		switch {
		case by == "":
			missed = append(missed, Finding{Code: RevocationsMissing, Where: l.Evidence.Where, Detail: "a list by nobody whom the policy trusts for it"})
			continue
		case len(findings)+len(l.Evidence.Findings) > 0:
			missed = append(missed, located(append(findings, l.Evidence.Findings...), l.Evidence.Where)...)
			continue
		}
		if l.Evidence.Time != nil && l.Evidence.Time.After(w.latest) {
			w.latest = *l.Evidence.Time
		}
		if out.list == nil || l.Sequence > out.list.Sequence {
			out.list = l
		} else if l.Sequence == out.list.Sequence && !slices.Equal(l.keys(), out.list.keys()) {
			out.problems = append(out.problems, Finding{Code: RevocationsRollback, Where: l.Evidence.Where,
				Detail: fmt.Sprintf("two lists of number %d differ", l.Sequence)})
		}
	}
	if out.list == nil {
		out.problems = append(missed, Finding{Code: RevocationsMissing, Detail: "no list by " + names(w.doc.Lists.Signers) + " was found"})
		return out
	}
	out.problems = append(out.problems, w.refuseList(out.list)...)
	out.index()
	return out
}

func (r *revoked) index() {
	r.byDigest = map[string]*Revocation{}
	for i := range r.list.Entries {
		if e := &r.list.Entries[i]; e.Digest != "" {
			r.byDigest[e.Class+" "+e.Digest] = e
			r.files = r.files || e.Class == "file"
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
	have := l.keys()
	for _, key := range before.Revoked {
		if _, kept := slices.BinarySearch(have, key); !kept {
			out = append(out, Finding{Code: RevocationsRollback, Where: l.Evidence.Where, Detail: "no longer on it, and was: " + key})
		}
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
		if f := r.digest("file", file, p.target); f != nil {
			findings = append(findings, *f)
		}
	}
	if r.files && p.facts.Files == nil {
		findings = append(findings, Finding{Code: FilesUnknown, Got: p.id(), Detail: "single files are revoked, and this artifact's are not known"})
	}
	if len(findings) > 0 {
		return []Check{failed("revocations", findings[0].Detail, findings...)}
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
	if f := r.digest("attestation", e.Digest, true); f != nil {
		return f
	}
	for i := range r.list.Entries {
		entry := &r.list.Entries[i]
		if entry.Identity != nil && entry.Identity.is(*e.Signer) && !e.before(entry.Since) {
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

// making says that an account names a builder, source or commit that is revoked; nil: none is.
func (r *revoked) making(e *Evidence) *Finding {
	if r.list == nil {
		return nil
	}
	m := e.Claim.Making
	for i := range r.list.Entries {
		entry := &r.list.Entries[i]
		if entry.Builder != "" && entry.Builder == m.Builder && !e.before(entry.Since) {
			return &Finding{Code: Revoked, Got: m.Builder, Detail: fmt.Sprintf("builder %s is revoked: %s", m.Builder, entry.Reason)}
		}
	}
	for _, in := range m.Inputs {
		if f := r.source(e, in.URI); f != nil {
			return f
		}
		if in.Class == classArtifact && in.Content { // followed, or refused by the step, and looked up there
			continue
		}
		if f := r.digest(in.Class, in.Digest, false); f != nil {
			return f
		}
	}
	return nil
}

// origin says that an artifact was let in from a source that is revoked; nil: it was not.
func (r *revoked) origin(e *Evidence) *Finding {
	if r.list == nil {
		return nil
	}
	return r.source(e, e.Claim.Upstream)
}

func (r *revoked) source(e *Evidence, uri string) *Finding {
	for i := range r.list.Entries {
		entry := &r.list.Entries[i]
		if entry.Source != "" && entry.Source == uri && !e.before(entry.Since) {
			return &Finding{Code: Revoked, Got: uri, Detail: fmt.Sprintf("source %s is revoked: %s", uri, entry.Reason)}
		}
	}
	return nil
}
