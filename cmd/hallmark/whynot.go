package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// maxPaths is how many failing paths the text shows; JSON has every link.
const maxPaths = 5

// failing is a way through a chain to a link that does not hold by itself.
type failing struct {
	path []policy.Edge // from the target on; none: the target itself
	link policy.Link
	near int // findings of its checks: how far it is from holding
}

// failings are the links that do not hold while everything below them does, the nearest miss first.
func failings(d policy.Decision) []failing {
	if len(d.Chain) == 0 {
		return nil
	}
	g := newGrower(d.Chain)
	var out []failing
	seen := map[int]bool{}
	var walk func(i int, path []policy.Edge)
	walk = func(i int, path []policy.Edge) {
		if seen[i] {
			return
		}
		seen[i] = true
		l, deeper := g.links[i], false
		for _, e := range l.Edges {
			next := g.find(e)
			if e.Verdict == policy.Yes || next < 0 || g.links[next].Verdict == policy.Yes {
				continue
			}
			deeper = true
			walk(next, append(slices.Clip(path), e))
		}
		if f := (failing{path, l, 0}); l.Verdict != policy.Yes {
			for _, c := range l.Checks {
				if own := ownFindings(l, c); len(own) > 0 {
					f.near += len(own)
				}
			}
			if f.near > 0 || !deeper {
				out = append(out, f)
			}
		}
	}
	walk(0, nil)
	slices.SortStableFunc(out, func(a, b failing) int { return cmp.Compare(a.near, b.near) })
	return out
}

// ownFindings are those of a check that are not only passed on from an input, which says them itself.
func ownFindings(l policy.Link, c policy.Check) []policy.Finding {
	if c.Verdict == policy.Yes || passedOn(l, c) {
		return nil
	}
	return c.Findings
}

// passedOn reports whether a check only says what became of an input that has a place of its own in the chain.
func passedOn(l policy.Link, c policy.Check) bool {
	return slices.ContainsFunc(l.Edges, func(e policy.Edge) bool { return e.Role == c.Name && e.Step != "" && e.Verdict == c.Verdict })
}

// ofInput reports whether a check is on inputs, which the tree shows.
func ofInput(l policy.Link, c policy.Check) bool {
	return slices.ContainsFunc(l.Edges, func(e policy.Edge) bool { return e.Role == c.Name })
}

// writeChain prints what was decided on a chain: where it does not hold first, then the artifact itself, then what it was
// made from.
func writeChain(w io.Writer, d policy.Decision) {
	top := d.Chain[0]
	if d.Verdict() != policy.Yes {
		writeFailing(w, d)
	}
	for _, c := range d.Checks {
		if c.Verdict == policy.Yes && !ofInput(top, c) { // what does not hold is said already
			writeCheck(w, "  ", c, true)
		}
	}
	t := chainTree(d)
	t.top.below = slices.DeleteFunc(t.top.below, func(n *drawnNode) bool { return n.check }) // they stand above
	if len(t.top.below) > 0 {
		fmt.Fprintln(w, "  made from")
		writeTree(w, t)
	}
}

// writeCheck prints one check; briefly: without its findings.
func writeCheck(w io.Writer, indent string, c policy.Check, briefly bool) {
	text := printable(c.Detail)
	if !briefly && len(c.Findings) == 1 && c.Findings[0].Detail == c.Detail && c.Findings[0].Want == "" {
		text, briefly = text+"  "+string(c.Findings[0].Code), true
		if at := c.Findings[0].Where; at != "" {
			text = printable(at) + ": " + text
		}
	}
	fmt.Fprintf(w, "%s%-7s  %-10s  %s\n", indent, mark(c), c.Name, text)
	if !briefly {
		writeFindings(w, c.Findings)
	}
}

// writeFailing says where a chain does not hold, what was there and did not count.
func writeFailing(w io.Writer, d policy.Decision) {
	all := failings(d)
	for i, f := range all {
		if i == maxPaths {
			fmt.Fprintf(w, "  and %s\n", count(len(all)-i, "more place that does not hold", "more places that do not hold"))
			return
		}
		where := "the artifact itself"
		if len(f.path) > 0 {
			names := make([]string, len(f.path))
			for k, e := range f.path {
				names[k] = strings.TrimSpace(e.Role + " " + printable(e.Name))
			}
			where = strings.Join(names, " → ") + "  " + printable(nameOf(f.link.Artifact))
		}
		fmt.Fprintf(w, "  why      %s  (step %s)\n", where, printable(f.link.Step))
		for _, c := range f.link.Checks {
			if c.Verdict != policy.Yes && !passedOn(f.link, c) {
				writeCheck(w, "    ", c, false)
			}
		}
		writeRejected(w, f.link.Evidence)
	}
}

// writeRejected lists every bundle that did not count, with its reasons.
func writeRejected(w io.Writer, evidence []policy.Evidence) {
	n := 0
	for _, e := range evidence {
		if e.Counted || len(e.Findings) == 0 {
			continue
		}
		if n++; n > maxListed {
			fmt.Fprintln(w, "    and more bundles that did not count")
			return
		}
		fmt.Fprintf(w, "    rejected  %s\n", printable(describeEvidence(e)))
		writeFindings(w, e.Findings)
	}
}

func describeEvidence(e policy.Evidence) string {
	what := e.Where
	switch {
	case e.Claim != nil:
		what += "  " + e.Claim.Type + ", " + e.Claim.Summary
	case e.Signature:
		what += "  signature on the files"
	case e.PredicateType != "":
		what += "  " + e.PredicateType
	}
	if e.Signer != nil {
		what += ", by " + e.Signer.String()
	}
	return what
}

// chainHints says what would mend a chain, for the nearest miss first.
func chainHints(d policy.Decision) []string {
	var out []string
	add := func(r policy.Reason) {
		if text := mends[r]; text != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, f := range failings(d) {
		for _, c := range f.link.Checks {
			for _, finding := range ownFindings(f.link, c) {
				add(finding.Code)
			}
		}
	}
	for _, r := range d.Reasons() {
		add(r)
	}
	return out
}

// mends says what would mend a place in a chain, by its reasons. It never suggests to check less.
var mends = map[policy.Reason]string{
	policy.DigestMismatch:  "the files are not the signed ones: fetch the artifact again from where it was published",
	policy.FileMissing:     "the files are not the signed ones: fetch the artifact again from where it was published",
	policy.NoEvidence:      "have whom the policy names sign it, or bring what they signed: --evidence",
	policy.UntrustedSigner: "have whom the policy names sign it, or bring what they signed: --evidence",
	policy.NotCanonical:    "its publisher can push the files with hallmark push, and sign the result",
	policy.Unreachable:     "try again",
	policy.TimedOut:        "try again",
	policy.Changed:         "try again",
	policy.BytesNeeded:     "bring the artifact's manifest or files: --evidence",
	policy.EvidenceMissing: "have whom the policy names state it, or bring what they stated: --evidence",
	policy.LinkUnattested:  "have its maker, or whoever let it in, state it, or bring what they stated: --evidence",
	policy.Stale:           "have it stated anew",
	policy.Refuted:         "mend what was found, and have it tested or reviewed anew",
	policy.QuorumMissed:    "have more of those whom the policy names sign",
	policy.OwnWork:         "have somebody who did not make it approve",
	policy.LinkSwapped:     "make it anew from an input that the policy lets in",
	policy.LinkMissing:     "make it anew with provenance that names every input",
	policy.LinkUnpinned:    "commit the changes and make it anew",
	policy.WrongBuilder:    "sign with the builder's own identity",
	policy.Ambiguous:       "find out which account is right, and revoke the other",
	policy.Revoked:         "use another, or make it anew without what is revoked",
	policy.ReleaseRollback: "use the newest release, or have the rollback approved",
	policy.BaseMismatch:    "serve the adapter on the base that it was made for",

	policy.PolicyExpired:       "get the current policy",
	policy.PolicyRollback:      "get the current policy",
	policy.RevocationsMissing:  "see where the policy finds its list of what is revoked",
	policy.RevocationsStale:    "have the next list published: hallmark revoke --renew",
	policy.RevocationsRollback: "find out who publishes the list",
	policy.StateMissing:        "say where is remembered what was seen: --state DIR; the first time, --release-floor CHANNEL=NUMBER",
	policy.ClockBehind:         "set the clock",
	policy.FilesUnknown:        "bring the artifact's manifest or files: --evidence",
	policy.CapReached:          "take away evidence that is not needed",
}
