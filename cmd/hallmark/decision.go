package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// output is how a command shows its result.
type output struct {
	JSON  bool
	Quiet bool
}

// maxListed is how many findings or files of one kind the text names; JSON names all.
const maxListed = 50

// showDecision prints d and returns an undecided error unless it is a yes.
func showDecision(s streams, d policy.Decision, o shownAs) error {
	switch {
	case o.JSON:
		if err := writeJSON(s.out, d); err != nil {
			return err
		}
	case o.Quiet:
		if d.Verdict() == policy.Yes {
			fmt.Fprintln(s.out, deployable(d.Artifact))
		} else {
			writeDecision(s.err, d, o.warn)
		}
	default:
		writeDecision(s.out, d, o.warn)
	}
	if d.Verdict() == policy.Yes {
		return nil
	}
	if !o.JSON {
		for _, text := range hints(d) {
			hint(s.err, text)
		}
	}
	return undecided{verdict: d.Verdict()}
}

func writeJSON(w io.Writer, v any) error {
	raw, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return fmt.Errorf("encode output: %w", err)
	}
	_, err = w.Write(append(raw, '\n'))
	return err
}

// deployable is the reference to deploy: pinned by digest, or the path of files on disk.
func deployable(a policy.Artifact) string {
	if a.Pinned != "" {
		return a.Pinned
	}
	return a.Ref
}

// writeDecision prints d for people, the same on and off a terminal.
func writeDecision(w io.Writer, d policy.Decision, warning bool) {
	a := d.Artifact
	head := printable(deployable(a))
	if a.Pinned == "" && a.ID != "" {
		head += "  " + a.ID
	}
	if a.Tag != "" {
		head += "  (tag " + printable(a.Tag) + ")"
	}
	if a.Kind != "" {
		head += "  " + a.Kind
	}
	verdict := d.Verdict().String()
	if warning && d.Verdict() != policy.Yes {
		verdict = "warn"
	}
	fmt.Fprintf(w, "%-7s  %s\n", verdict, head)
	if len(d.Chain) > 0 {
		writeChain(w, d)
	} else {
		writeChecks(w, d)
	}
	if d.TrustedRoot != nil {
		fmt.Fprintf(w, "  root     %s\n", d.TrustedRoot)
	}
	if n := len(a.Uncovered); n > 0 {
		fmt.Fprintf(w, "  note     %d of the files there are not covered by the signature:\n", n)
		for i, name := range a.Uncovered {
			if i == maxListed {
				fmt.Fprintf(w, "      and %d more\n", n-i)
				break
			}
			fmt.Fprintf(w, "      %s\n", printable(name))
		}
	}
	for _, n := range d.Notes {
		fmt.Fprintf(w, "  note     %s\n", printable(n))
	}
}

// writeChecks says what was looked at, and what evidence did not count although others did.
func writeChecks(w io.Writer, d policy.Decision) {
	for _, c := range d.Checks {
		fmt.Fprintf(w, "  %-7s  %-10s  %s\n", mark(c), c.Name, printable(c.Detail))
		writeFindings(w, c.Findings)
	}
	for _, e := range d.Evidence {
		if len(e.Findings) > 0 && !e.Compared && d.Verdict() == policy.Yes {
			fmt.Fprintf(w, "  not counted  %s: %s  %s\n", printable(e.Where), printable(e.Findings[0].Detail), e.Findings[0].Code)
		}
	}
}

func writeFindings(w io.Writer, findings []policy.Finding) {
	for i, f := range findings {
		if i == maxListed {
			fmt.Fprintf(w, "      and %d more\n", len(findings)-i)
			return
		}
		fmt.Fprintf(w, "      %s  %s\n", findingText(f), f.Code)
	}
}

// findingText is where something stood in the way, and what.
func findingText(f policy.Finding) string {
	var parts []string
	add := func(before, text string) {
		if text != "" {
			parts = append(parts, before+printable(text))
		}
	}
	add("", f.Where)
	add("", f.File)
	switch compared := f.File != "" || f.Detail == "" || f.Code == policy.IDMismatch; {
	case compared && f.Want != "":
		add("signed ", f.Want)
		add("found ", f.Got)
	case compared:
		add("", f.Detail)
	default:
		text := f.Detail
		if f.Got != "" && !strings.Contains(text, f.Got) {
			text += ": " + f.Got
		}
		if f.Want != "" && !strings.Contains(text, f.Want) && f.Code != policy.WrongSubject { // the head names that artifact
			text += "; wanted: " + f.Want
		}
		add("", text)
	}
	return strings.Join(parts, "  ")
}

func mark(c policy.Check) string {
	switch {
	case c.Verdict == policy.Yes:
		return "ok"
	case len(c.Findings) == 0: // not looked at: another check says why
		return "-"
	}
	return c.Verdict.String()
}

// hints says what would mend a decision, by its reasons. It never suggests to check less.
func hints(d policy.Decision) []string {
	if len(d.Chain) > 0 {
		return chainHints(d)
	}
	var out []string
	for _, r := range d.Reasons() {
		switch r {
		case policy.DigestMismatch, policy.FileMissing:
			out = append(out, "the files are not the signed ones: fetch the artifact again from where it was published")
		case policy.NoEvidence:
			out = append(out, "ask the publisher for the signature, or sign it: hallmark sign "+shellWord(d.Artifact.Ref))
		case policy.UntrustedSigner:
			out = append(out, "see who signed it: hallmark inspect "+shellWord(d.Artifact.Ref))
		case policy.NotCanonical:
			out = append(out, "its publisher can push the files with hallmark push, or republish single files with hallmark copy --canonical, and sign the result")
		case policy.Unreachable, policy.TimedOut, policy.Changed:
			out = append(out, "try again")
		case policy.BytesNeeded:
			out = append(out, "fetch the files by other means and verify the directory")
		}
	}
	return dedupe(out)
}

func dedupe(in []string) []string {
	var out []string
	for i, s := range in {
		if i == 0 || s != in[i-1] {
			out = append(out, s)
		}
	}
	return out
}

// printable returns s, quoted where a terminal could take it for something else than text.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted[1:len(quoted)-1] != s && strings.ContainsFunc(s, notText) {
		return quoted
	}
	return s
}

// count is how many there are of something, in words.
func count[N int | int64 | uint64](n N, one, many string) string {
	if n == 1 {
		many = one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// shellWord quotes s so that a shell reads it as one word.
func shellWord(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./:@_-+=,", r))
	}) {
		return s
	}
	if !strings.ContainsFunc(s, notText) {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder // $'…' spells out what a terminal would not show
	b.WriteString("$'")
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\'' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + "'"
}
