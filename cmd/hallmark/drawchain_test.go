package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

func idOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// link is an artifact in a step, made from others in the same step.
func link(n int, v policy.Verdict, from ...int) policy.Link {
	l := policy.Link{Step: "s", Artifact: policy.Artifact{Ref: idOf(n), ID: idOf(n), Bytes: policy.BytesUnread}, Verdict: v}
	for _, to := range from {
		l.Edges = append(l.Edges, policy.Edge{Role: "base-model", Name: fmt.Sprint("m", to), Class: "artifact", Digest: idOf(to), Step: "s", Verdict: v, Signer: "key a", Why: "step s"})
	}
	return l
}

func checked(name string, findings ...policy.Finding) policy.Check {
	c := policy.Check{Name: name, Verdict: policy.Yes, Detail: name + " detail", Findings: findings}
	for _, f := range findings {
		c.Verdict, c.Detail = min(c.Verdict, f.Code.Verdict()), f.Detail
	}
	return c
}

// TestChainIsDrawnOnce has 2^25 paths, and 51 artifacts.
func TestChainIsDrawnOnce(t *testing.T) {
	var d policy.Decision
	const layers = 25
	for n := 0; n < layers; n++ {
		below := []int{2*n + 1, 2*n + 2}
		if n == 0 {
			d.Chain = append(d.Chain, link(0, policy.Yes, below...))
			continue
		}
		d.Chain = append(d.Chain, link(2*n-1, policy.Yes, below...), link(2*n, policy.Yes, below...))
	}
	d.Chain = append(d.Chain, link(2*layers-1, policy.Yes), link(2*layers, policy.Yes))
	var out bytes.Buffer
	if err := drawText(&out, chainTree(d)); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != 1+2+4*(layers-1) {
		t.Errorf("%d lines", lines)
	}
	if n := strings.Count(out.String(), "(above)"); n != 2*(layers-1) {
		t.Errorf("%d links are only referred to", n)
	}
}

func TestEdgeSaysWhoWhenAndWhy(t *testing.T) {
	at := time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)
	d := policy.Decision{Chain: []policy.Link{link(0, policy.Yes, 1), link(1, policy.Yes)}}
	d.Chain[0].Edges[0].Time = &at
	d.Chain[0].Edges = append(d.Chain[0].Edges, policy.Edge{Role: "source", Name: "code", Class: "gitCommit", Digest: "gitCommit:1", Verdict: policy.No, Signer: "key a", Why: "from elsewhere"})
	d.Chain[1].Checks = []policy.Check{checked("signature")}
	var out bytes.Buffer
	if err := drawText(&out, chainTree(d)); err != nil {
		t.Fatal(err)
	}
	want := "no  " + idOf(0) + "\n" + // the zero Decision is a no
		"├─ ok       base-model  m1  " + idOf(1) + "  by key a, 2026-11-20 14:03 UTC: step s\n" +
		"│  └─ ok       signature  signature detail\n" +
		"└─ no       source  code  gitCommit:1  by key a: from elsewhere\n"
	if out.String() != want {
		t.Errorf("drew\n%s\nwant\n%s", &out, want)
	}
}

// TestFailingPathsStandFirst has two links that do not hold, and a third that only passes on what they say.
func TestFailingPathsStandFirst(t *testing.T) {
	far := []policy.Finding{{Code: policy.EvidenceMissing, Detail: "no scan"}, {Code: policy.Stale, Detail: "old test"}}
	d := policy.Decision{Chain: []policy.Link{link(0, policy.No, 1), link(1, policy.No, 2, 3), link(2, policy.No), link(3, policy.No)}}
	passed := checked("base-model", policy.Finding{Code: policy.Revoked, Detail: "base-model, no"})
	d.Chain[0].Checks, d.Chain[1].Checks = []policy.Check{checked("files"), passed}, []policy.Check{passed}
	d.Checks = d.Chain[0].Checks
	d.Chain[2].Checks = []policy.Check{checked("scan", far...)}
	d.Chain[3].Checks = []policy.Check{checked("revocations", policy.Finding{Code: policy.Revoked, Detail: "poisoned"})}
	d.Chain[3].Evidence = []policy.Evidence{
		{Where: "claims.sig line 1", Findings: []policy.Finding{{Code: policy.WrongSubject, Detail: "about another"}}, Claim: &policy.Claim{Type: "test-result", Summary: "tested"}},
		{Where: "claims.sig line 2", Counted: true},
	}
	all := failings(d)
	if len(all) != 2 || all[0].link.Artifact.ID != idOf(3) || all[1].link.Artifact.ID != idOf(2) || len(all[0].path) != 2 {
		t.Fatalf("failing: %+v", all)
	}
	var out bytes.Buffer
	writeDecision(&out, d, false)
	text := out.String()
	order := []string{"no       ", "why      base-model m1 → base-model m3", "poisoned  revoked", "rejected claims.sig line 1  test-result, tested", "about another  wrong-subject",
		"why      base-model m1 → base-model m2", "old test  stale", "no scan  evidence-missing", "ok       files", "made from"}
	at := 0
	for _, part := range order {
		i := strings.Index(text[at:], part)
		if i < 0 {
			t.Fatalf("%q is not where it should be in\n%s", part, text)
		}
		at += i
	}
	if strings.Contains(text, "line 2") {
		t.Errorf("what counted is listed as rejected:\n%s", text)
	}
	if got := hints(d); len(got) != 3 || got[0] != mends[policy.Revoked] {
		t.Errorf("hints %q", got)
	}
	out.Reset()
	writeDecision(&out, d, true)
	if !strings.HasPrefix(out.String(), "warn     ") {
		t.Errorf("as a warning:\n%s", &out)
	}
}

// TestHintsForChainsNeverLoosen holds the words to what a hint may say.
func TestHintsForChainsNeverLoosen(t *testing.T) {
	for code, text := range mends {
		for _, word := range []string{"insecure", "ignore", "--warn", "remove the", "loosen", "edit the policy", "change the policy", "waive"} {
			if strings.Contains(text, word) {
				t.Errorf("%s: %q", code, text)
			}
		}
	}
	if slices.Contains(hints(policy.Decision{Chain: []policy.Link{link(0, policy.No)}}), "") {
		t.Error("an empty hint")
	}
}
