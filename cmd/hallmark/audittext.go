package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry/audit"
)

// writeRow prints a row for people.
func writeRow(w io.Writer, r *audit.Row) error {
	var b strings.Builder
	word := r.Verdict.String()
	switch r.Class {
	case audit.ClassOther:
		word = "other"
	case audit.ClassUnread:
		word = "unread"
	}
	fmt.Fprintf(&b, "%-7s  %s", word, printable(r.Pinned()))
	if len(r.Tags) > 0 {
		fmt.Fprintf(&b, "  (%s)", inList(r.Tags, ", "))
	}
	if r.Kind != "" {
		fmt.Fprintf(&b, "  %s", printable(r.Kind))
	}
	if r.Reused {
		fmt.Fprintf(&b, "  as on %s", r.Decided.UTC().Format("2006-01-02 15:04 UTC"))
	}
	b.WriteByte('\n')
	if r.Class == audit.ClassOther {
		_, err := io.WriteString(w, b.String())
		return err
	}
	if r.Verdict != policy.Yes {
		fmt.Fprintf(&b, "      %s  %s\n", printable(r.Detail), reasons(r.Reasons))
	}
	if len(r.Signers) > 0 {
		signed := ""
		if r.Signed != nil {
			signed = ", " + r.Signed.UTC().Format("2006-01-02 15:04 UTC")
		}
		fmt.Fprintf(&b, "      signed by %s%s; %d of %d bundles opened\n", inList(r.Signers, "; "), signed, r.Opened, r.Evidence)
	}
	if r.Soon != nil {
		fmt.Fprintf(&b, "      from %s %s  %s\n", when(&r.Soon.At), r.Soon.Verdict, reasons(r.Soon.Reasons))
	}
	if r.Simulated != nil && r.Simulated.Verdict != r.Verdict {
		fmt.Fprintf(&b, "      simulated %s  %s\n", r.Simulated.Verdict, reasons(r.Simulated.Reasons))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func reasons(all []policy.Reason) string {
	out := make([]string, len(all))
	for i, r := range all {
		out[i] = string(r)
	}
	return strings.Join(out, " ")
}

// inList lists texts from outside.
func inList(all []string, between string) string {
	out := make([]string, 0, len(all))
	for i, s := range all {
		if i == maxListed {
			out = append(out, fmt.Sprintf("and %d more", len(all)-i))
			break
		}
		out = append(out, printable(s))
	}
	return strings.Join(out, between)
}

// writeTotals prints what an audit amounts to.
func writeTotals(w io.Writer, r *audit.Report) error {
	t := &r.Totals
	list := lister{w: w}
	list.say("%d artifacts: %d yes, %d no, %d unknown; %d unsigned; %d other things; %d could not be read", t.Artifacts, t.Yes, t.No, t.Unknown, len(t.Unsigned), t.Other, t.Unread)
	if t.Reused > 0 {
		list.say("%d verdicts are an earlier audit's: nothing that they rest on changed", t.Reused)
	}
	for _, v := range t.Revoked {
		list.head("revoked  "+printable(v.What), len(v.Hit)+len(v.Below))
		for _, a := range v.Hit {
			list.item("refused  %s", printable(a))
		}
		for _, a := range v.Below {
			list.item("below    %s", printable(a))
		}
	}
	list.changes("stops working under the simulated policy", t.Worse)
	list.changes("going stale by "+when(&r.Horizon), t.GoingStale)
	list.head("ends by "+when(&r.Horizon), len(t.Ending))
	for _, e := range t.Ending {
		list.item("%s  %s", when(&e.Until), printable(e.What))
	}
	list.head("moved since the last audit", len(t.Moved))
	for _, m := range t.Moved {
		to := m.To
		if to == "" {
			to = "gone"
		}
		list.item("%s  %s → %s", printable(m.Repository+":"+m.Tag), printable(m.From), printable(to))
	}
	list.head("evidence is no longer there", len(t.Shrunk))
	for _, s := range t.Shrunk {
		list.item("%s  %d bundles", printable(s.Artifact), len(s.Gone))
	}
	list.head("signed by somebody unexpected", len(t.Unexpected))
	for _, u := range t.Unexpected {
		list.item("%s  %s: %s", printable(u.Artifact), printable(u.Signer), u.Why)
	}
	list.links("broken links", t.Broken)
	list.links("stale links", t.Stale)
	list.head("unsigned", len(t.Unsigned))
	for _, a := range t.Unsigned {
		list.item("%s", printable(a))
	}
	list.counts("statements", t.Predicates)
	list.counts("signers", t.Signers)
	list.head("coverage", len(t.Repositories))
	for _, c := range t.Repositories {
		list.item("%s  %d of %d yes, %d unsigned", printable(c.Repository), c.Yes, c.Artifacts, c.Unsigned)
	}
	return list.err
}

// lister prints lists of which each is cut: JSON and the other formats have all of it.
type lister struct {
	w   io.Writer
	n   int // items since the head
	of  int
	err error
}

func (l *lister) say(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}

// head begins a list, if it has anything.
func (l *lister) head(text string, of int) {
	l.n, l.of = 0, of
	if of > 0 {
		l.say("%s", text)
	}
}

func (l *lister) item(format string, args ...any) {
	switch l.n++; {
	case l.n <= maxListed:
		l.say("  "+format, args...)
	case l.n == maxListed+1:
		l.say("  and %d more", l.of-maxListed)
	}
}

func (l *lister) changes(head string, all []audit.Change) {
	l.head(head, len(all))
	for _, c := range all {
		from := ""
		if c.At != nil {
			from = "  from " + when(c.At)
		}
		l.item("%s  %s → %s  %s%s", printable(c.Artifact), c.Now.Verdict, c.Then.Verdict, reasons(c.Then.Reasons), from)
	}
}

func (l *lister) links(head string, all []audit.BrokenLink) {
	l.head(head, len(all))
	for _, b := range all {
		l.item("%s  %s %s %s  %s", printable(b.Artifact), printable(b.Role), printable(b.Name), printable(b.Input), reasons(b.Reasons))
	}
}

func (l *lister) counts(head string, all []audit.Count) {
	l.head(head, len(all))
	for _, c := range all {
		l.item("%-6d  %s", c.Artifacts, printable(c.Name))
	}
}
