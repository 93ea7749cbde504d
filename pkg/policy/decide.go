package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Policy is what must hold before an artifact may be used. The zero Policy trusts nobody and is unusable.
type Policy struct {
	Signers        []trust.Identity // whose signature on the artifact counts: any one of them
	AllowUnsigned  bool             // files beside the signed ones do not matter (OMS §8.5)
	AllowUncovered bool             // files that the signature leaves out on purpose do not matter

	// RequireLog has a signature count only if a trusted transparency log has it, however it was made.
	RequireLog bool

	// LogThreshold is how many distinct parties must have logged a signature, TimeThreshold how many must vouch for a time
	// of it. 0 and 1: one, for keyless signatures, which opening them asks already, and none for others. Above 1 every
	// signature is held to it, so one by a key or certificate must have been logged and timestamped too.
	LogThreshold  int
	TimeThreshold int
}

// Validate returns an error that wraps trust.ErrNobody where p trusts nobody, and another where p contradicts itself.
func (p Policy) Validate() error {
	if len(p.Signers) == 0 {
		return trust.ErrNobody
	}
	if p.LogThreshold < 0 || p.TimeThreshold < 0 {
		return errors.New("a threshold below one")
	}
	for _, s := range p.Signers {
		if err := s.Validate(); err != nil {
			return fmt.Errorf("signer %s: %w", s, err)
		}
	}
	return nil
}

// String says in words what p asks.
func (p Policy) String() string {
	names := make([]string, len(p.Signers))
	for i, s := range p.Signers {
		names[i] = s.String() + s.Window.String()
	}
	words := "signed by " + strings.Join(names, " or ")
	if p.LogThreshold > 1 {
		words += fmt.Sprintf("; logged by %d parties", p.LogThreshold)
	}
	if p.TimeThreshold > 1 {
		words += fmt.Sprintf("; timed by %d parties", p.TimeThreshold)
	}
	if p.AllowUnsigned {
		words += "; unsigned files ignored"
	}
	if p.RequireLog {
		words += "; in a transparency log"
	}
	return words
}

// Decide answers whether f satisfies p at the time now. It never returns an error: what cannot be decided is a
// Decision that says so.
func Decide(p Policy, f Facts, now time.Time) Decision {
	d := Decision{Artifact: f.Artifact, Policy: p.String(), Notes: f.Notes, At: now, TrustedRoot: f.TrustedRoot, Evidence: slices.Clone(f.Evidence)}
	if err := p.Validate(); err != nil {
		d.verdict = Unknown
		d.Checks = []Check{failed("policy", err.Error(), Finding{Code: PolicyUnusable, Detail: err.Error()})}
		return d
	}
	judge(p, d.Evidence)
	count(p, d.Evidence)
	d.Artifact.Kind = kind(d.Evidence)
	d.Checks = []Check{checkFiles(p, f, d.Evidence), checkSignature(p, d.Evidence, f.Problems)}
	if len(f.Problems) > 0 {
		d.Checks = append(d.Checks, failed("collected", f.Problems[0].Detail, f.Problems...))
	}
	d.verdict = conclude(d.Checks)
	if d.verdict != Yes && len(d.Reasons()) == 0 { // a trusted signature, and nobody held the files against it
		const why = "the files were not compared"
		d.Checks = append(d.Checks, failed("collected", why, Finding{Code: Unreadable, Detail: why}))
	}
	return d
}

// count marks the evidence that counts: signatures by a trusted signer that hold for the files.
func count(p Policy, evidence []Evidence) {
	for i := range evidence {
		e := &evidence[i]
		e.Counted = e.Signature && e.Compared && p.Accepts(*e) && len(blocking(p, e.Findings)) == 0
	}
}

// Trusts reports whether s is one of p's signers.
func (p Policy) Trusts(s trust.Signer) bool {
	return slices.ContainsFunc(p.Signers, func(i trust.Identity) bool { return i.Matches(s) })
}

func trusted(p Policy, e *Evidence) bool { return e.Signer != nil && p.Trusts(*e.Signer) }

// blocking drops from findings what p does not mind.
func blocking(p Policy, findings []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f Finding) bool { return p.AllowUnsigned && f.Code == FileUnsigned })
}

// checkFiles says whether the files are the signed ones, by the trusted signature that comes closest.
func checkFiles(p Policy, f Facts, evidence []Evidence) Check {
	if !p.AllowUncovered && len(f.Artifact.Uncovered) > 0 {
		var findings []Finding
		for _, name := range f.Artifact.Uncovered {
			findings = append(findings, Finding{Code: Uncovered, File: name, Detail: "left out by the signature"})
		}
		return failed("files", "files are left out by the signature", findings...)
	}
	if slices.ContainsFunc(evidence, func(e Evidence) bool { return e.Counted }) {
		how := "read and equal"
		if f.Artifact.Bytes != BytesRead {
			how = "equal by digest, bytes unread"
		}
		return Check{Name: "files", Verdict: Yes, Detail: amount(f.Artifact) + ", " + how}
	}
	var nearest []Finding
	for i := range evidence {
		e := &evidence[i]
		if !e.Compared || !e.Signature || !p.Accepts(*e) {
			continue
		}
		if b := blocking(p, e.Findings); nearest == nil || len(b) < len(nearest) {
			nearest = b
		}
	}
	if nearest == nil {
		return Check{Name: "files", Verdict: Unknown, Detail: "not compared: no trusted signature says what they should be"}
	}
	return failed("files", summary(f.Artifact, nearest), nearest...)
}

// checkSignature says who signed, or why nobody counts.
func checkSignature(p Policy, evidence []Evidence, problems []Finding) Check {
	var signers []string
	var findings []Finding
	for i := range evidence {
		e := &evidence[i]
		switch {
		case e.Signer != nil && !e.Signature: // another statement: it neither helps nor harms
		case e.Signer == nil, trusted(p, e) && len(e.Findings) > 0 && !e.Compared:
			findings = append(findings, located(e.Findings, e.Where)...)
		case !trusted(p, e):
			findings = append(findings, Finding{Code: UntrustedSigner, Where: e.Where, Got: e.Signer.String(), Detail: "signed by " + e.Signer.String()})
		case len(p.Refuses(*e)) > 0:
			findings = append(findings, located(p.Refuses(*e), e.Where)...)
		default:
			if who := e.describe(); !slices.Contains(signers, who) {
				signers = append(signers, who)
			}
		}
	}
	if len(signers) > 0 {
		return Check{Name: "signature", Verdict: Yes, Detail: strings.Join(signers, "; ")}
	}
	switch {
	case len(findings) > 0:
	case len(problems) > 0: // "nothing was found" is not what a source that failed says
		return Check{Name: "signature", Verdict: Unknown, Detail: "not found, and not everything could be looked through"}
	default:
		findings = []Finding{{Code: NoEvidence, Detail: "no signature on the artifact was found"}}
	}
	return failed("signature", findings[0].Detail, findings...)
}

// located is findings with where their evidence lies; evidence that says nothing at all is malformed.
func located(findings []Finding, where string) []Finding {
	if len(findings) == 0 {
		return []Finding{{Code: BundleMalformed, Where: where, Detail: "did not open"}}
	}
	out := slices.Clone(findings)
	for i := range out {
		out[i].Where = where
	}
	return out
}

func conclude(checks []Check) Verdict {
	verdict := Yes
	for _, c := range checks {
		switch {
		case c.Verdict == Yes:
		case len(c.Findings) == 0: // not compared: another check says why
			verdict = lower(verdict, Unknown)
		default:
			verdict = lower(verdict, c.Verdict)
		}
	}
	// A definite no stands, whatever else could not be established, unless a source failed that could have held
	// better evidence than what was refused for its signer.
	if verdict == No && slices.ContainsFunc(checks, func(c Check) bool { return c.Name == "collected" && c.Verdict == Unknown }) &&
		!slices.ContainsFunc(checks, func(c Check) bool { return c.Name == "files" && c.Verdict == No }) {
		return Unknown
	}
	return verdict
}

// lower returns the more careful of two verdicts: no before unknown before yes.
func lower(a, b Verdict) Verdict { return min(a, b) }

func failed(name, detail string, findings ...Finding) Check {
	c := Check{Name: name, Verdict: Yes, Detail: detail, Findings: findings}
	if len(findings) == 0 { // nothing is never a yes
		c.Verdict = No
	}
	for _, f := range findings {
		c.Verdict = lower(c.Verdict, f.Code.Verdict())
		c.denies = c.denies || f.Code == Refuted
	}
	return c
}

func (e *Evidence) describe() string {
	s := e.Signer.String()
	if e.Time != nil {
		s += ", " + e.TimeSource + " " + e.Time.UTC().Format("2006-01-02 15:04 UTC")
	}
	return s
}

func kind(evidence []Evidence) string {
	for _, e := range evidence {
		if e.Counted && e.Kind != "" {
			return e.Kind
		}
	}
	return ""
}

func amount(a Artifact) string {
	files := "files"
	if a.Files == 1 {
		files = "file"
	}
	return fmt.Sprintf("%d %s, %s", a.Files, files, size(a.Size))
}

// summary counts what differs: "1 of 412 files differs, 2 missing".
func summary(a Artifact, findings []Finding) string {
	counts := map[Reason]int{}
	for _, f := range findings {
		counts[f.Code]++
	}
	var parts []string
	if n := counts[DigestMismatch]; n > 0 {
		verb := "differ"
		if n == 1 {
			verb = "differs"
		}
		parts = append(parts, fmt.Sprintf("%d of %d %s", n, a.Files, verb))
	}
	for _, c := range []struct {
		code Reason
		word string
	}{{FileMissing, "missing"}, {FileUnsigned, "not signed"}, {FileRefused, "refused"}} {
		if n := counts[c.code]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	if len(parts) == 0 && len(findings) > 0 {
		return findings[0].Detail
	}
	return strings.Join(parts, ", ")
}

// size prints bytes in decimal units, as disks and registries do.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), -1
	for value >= 999.95 { // which ends: an int64 is at most 9.2 EB
		value /= 1000
		unit++
	}
	return fmt.Sprintf("%.1f %cB", value, "kMGTPE"[unit])
}
