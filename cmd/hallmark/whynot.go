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
			fmt.Fprintf(w, "  %-7s  %-10s  %s\n", mark(c), c.Name, printable(c.Detail))
		}
	}
	t := chainTree(d)
	t.top.below = slices.DeleteFunc(t.top.below, func(n *drawnNode) bool { return n.check }) // they stand above
	if len(t.top.below) > 0 {
		fmt.Fprintln(w, "  made from")
		writeTree(w, t)
	}
}

// refusals writes what stands in the way in the places of a chain, each thing once for one artifact.
type refusals struct {
	w    io.Writer
	told map[string]map[policy.Finding]bool // by artifact ID
}

// writeFailing says where a chain does not hold, what was there and did not count.
func writeFailing(w io.Writer, d policy.Decision) {
	r := refusals{w, map[string]map[policy.Finding]bool{}}
	all := failings(d)
	for i, f := range all {
		if i == maxPaths {
			fmt.Fprintf(w, "  and %s\n", count(len(all)-i, "more place that does not hold", "more places that do not hold"))
			return
		}
		r.place(f)
	}
}

func (r refusals) place(f failing) {
	where, step := "the artifact itself", "step "+printable(f.link.Step)
	if n := len(f.path); n > 0 {
		names := make([]string, n)
		for i, e := range f.path {
			names[i] = strings.TrimSpace(e.Role + " " + printable(e.Name))
		}
		where = strings.Join(names, " → ") + "  " + printable(nameOf(f.link.Artifact))
		if by := f.path[n-1].Principal; by != "" {
			step += ", named by " + printable(by)
		}
	}
	fmt.Fprintf(r.w, "  why      %s  (%s)\n", where, step)
	id := f.link.Artifact.ID
	if r.told[id] == nil {
		r.told[id] = map[policy.Finding]bool{}
	}
	rejected := rejectedIn(f.link)
	for _, c := range f.link.Checks {
		if c.Verdict != policy.Yes && len(c.Findings) > 0 && !passedOn(f.link, c) {
			r.check(c, r.told[id], rejected)
		}
	}
	r.rejected(rejected)
}

// check prints one check that does not hold, and what of it the line does not say. What speaks against single bundles stands
// with them, and was told of the same artifact in another place already; here are the codes.
func (r refusals) check(c policy.Check, told map[policy.Finding]bool, rejected []policy.Evidence) {
	text := printable(c.Detail)
	var codes []string
	var rest []policy.Finding
	for _, f := range c.Findings {
		at := f.Where
		f.Where = ""
		bundle := slices.ContainsFunc(rejected, func(e policy.Evidence) bool { return e.Where == at })
		said := f.Detail == c.Detail && findingText(f) == printable(c.Detail)
		f.Where = at
		if said && at != "" && !bundle && len(codes) == 0 {
			text = printable(at) + ": " + text
		}
		if bundle || said {
			if !slices.Contains(codes, string(f.Code)) {
				codes = append(codes, string(f.Code))
			}
		} else if !told[f] {
			rest = append(rest, f)
		}
		told[f] = true
	}
	fmt.Fprintf(r.w, "    %-7s  %-10s  %s\n", mark(c), c.Name, strings.Join(append([]string{text}, codes...), "  "))
	writeFindings(r.w, rest)
}

// rejectedIn are the bundles of a place that did not count, with their reasons, in the order in which they lie there.
func rejectedIn(l policy.Link) []policy.Evidence {
	out := slices.DeleteFunc(slices.Clone(l.Evidence), func(e policy.Evidence) bool { return e.Counted || len(e.Findings) == 0 })
	slices.SortStableFunc(out, func(a, b policy.Evidence) int { // line 9 before line 10
		return cmp.Or(cmp.Compare(len(a.Where), len(b.Where)), cmp.Compare(a.Where, b.Where))
	})
	return out
}

// rejected lists bundles that did not count.
func (r refusals) rejected(evidence []policy.Evidence) {
	for i, e := range evidence {
		if i == maxListed {
			fmt.Fprintf(r.w, "    and %d more bundles that did not count\n", len(evidence)-i)
			return
		}
		fmt.Fprintf(r.w, "    rejected %s\n", printable(describeEvidence(e)))
		findings := slices.Clone(e.Findings)
		for k := range findings {
			if findings[k].Where == e.Where {
				findings[k].Where = ""
			}
		}
		writeFindings(r.w, findings)
	}
}

// describeEvidence is where a bundle lies, what it says and who says so.
func describeEvidence(e policy.Evidence) string {
	what := e.Where
	switch {
	case e.Claim != nil:
		what += "  " + e.Claim.Type + ", " + e.Claim.Summary
		for _, m := range e.Claim.Metrics {
			what += fmt.Sprintf(", %s %g", m.Name, m.Value)
		}
	case e.Signature:
		what += "  signature on the files"
	case e.PredicateType != "":
		what += "  " + e.PredicateType
	}
	switch {
	case e.Principal != "":
		what += ", by " + e.Principal
	case e.Signer != nil:
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
	policy.WrongSubject:    "what lies with it is about another artifact: have this one itself tested, approved and released",
	policy.RuleFailed:      "mend what was found, and have it tested or reviewed anew",
	policy.RuleError:       "have it stated anew, with what the rule reads",
	policy.WrongBuilder:    "make it on a builder for which the policy lists its signer",
	policy.WrongBuildType:  "make it in one of the ways that the policy lets in",
	policy.LinkUnexpected:  "make it without that input",
	policy.OutOfOrder:      "find out whose time is wrong",
	policy.VSARefused:      "have the chain verified anew",
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
