package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPlanIsTheSameEveryTimeAndLeadsBack(t *testing.T) {
	const n = 5000
	one, two, edges := plan(n), plan(n), 0
	for i := range n {
		from := one()
		if again := two(); len(from) != min(i, parents) || len(again) != len(from) || i > 0 && again[0] != from[0] {
			t.Fatalf("%d is made from %v, and the next time from %v", i, from, again)
		}
		seen := map[int]bool{}
		for _, p := range from {
			if p < 0 || p >= i || seen[p] {
				t.Fatalf("%d is made from %v", i, from)
			}
			seen[p] = true
		}
		edges += len(from)
	}
	if edges != 5*n-15 {
		t.Errorf("%d edges", edges)
	}
}

// TestIndexIsFilledAndAsked fills a small index, asks it as the command's process does, and fills it further.
func TestIndexIsFilledAndAsked(t *testing.T) {
	dir := t.TempDir()
	at, file, n := filepath.Join(dir, "index.db"), filepath.Join(dir, "answers.json"), 2*atOnce+7
	x, err := emptyIndex(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	g, err := fillIndex(t.Context(), x, n, func(int) {})
	if err != nil || g.nodes != n || g.edges != 5*n-15 || g.recorded.count != n || g.recorded.Wall <= 0 {
		t.Fatalf("%+v, %v", g, err)
	}
	if err := indexAsk(t.Context(), []string{at, g.root, g.leaf, file}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a answers
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	if a.Nodes != n || a.Edges != 5*n-15 || a.Reached != n-1 || a.Above < parents || a.Start.Wall <= 0 || a.Root.Wall <= 0 || a.Leaf.Wall <= 0 {
		t.Errorf("answers %+v", a)
	}
	keyed, keyless, err := indexFlags{bundles: 20}.ingest(t.Context(), x)
	if err != nil || keyed.count != 20 || keyless.count != 20 || keyed.value() <= 0 || keyless.value() <= 0 {
		t.Errorf("ingest %+v, %+v, %v", keyed, keyless, err)
	}
	state, err := x.State(t.Context())
	if err != nil || state.Nodes != n+40 || state.Bundles != n+40 || state.Refused != 0 {
		t.Errorf("in the end %+v (%v)", state, err)
	}
	if _, err := emptyIndex(t.Context(), at); err == nil || !strings.Contains(err.Error(), "events already") {
		t.Errorf("an index that is full is begun with: %v", err)
	}
	if err := indexAsk(t.Context(), []string{filepath.Join(dir, "none.db"), g.root, g.leaf, file}); err == nil {
		t.Error("an index that is not there is asked")
	}
}

func TestIndexFlagsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"--nodes", "5"}, {"--runs", "0"}, {"--bundles", "0"}, {"extra"}, {"--artifacts", "10"}} {
		if _, err := parseIndex(args, io.Discard); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
	if s, err := parseIndex(nil, io.Discard); err != nil || s.nodes != indexTarget {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestIndexIsHeldAgainstItsTargets has every target met, each missed by a little, and an index that is too small to tell.
func TestIndexIsHeldAgainstItsTargets(t *testing.T) {
	written := func(change func(*indexFlags, *measuredIndex, *rate, *rate)) string {
		s := indexFlags{nodes: indexTarget, runs: 3}
		m := measuredIndex{start: spent{Wall: maxIndexStart}, root: spent{Wall: maxRadius}, leaf: spent{Wall: maxAncestors}, peak: maxIndexMemory}
		keyed, keyless := rate{minKeyed, spent{Wall: time.Second}}, rate{minKeyless, spent{Wall: time.Second}}
		change(&s, &m, &keyed, &keyless)
		var out strings.Builder
		if err := s.write(&out, graph{}, m, keyed, keyless); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	for name, c := range map[string]struct {
		change func(*indexFlags, *measuredIndex, *rate, *rate)
		missed string
		met    int
	}{
		"all met":   {func(*indexFlags, *measuredIndex, *rate, *rate) {}, "", 6},
		"start":     {func(_ *indexFlags, m *measuredIndex, _, _ *rate) { m.start.Wall++ }, "start", 5},
		"root":      {func(_ *indexFlags, m *measuredIndex, _, _ *rate) { m.root.Wall++ }, "blast radius", 5},
		"leaf":      {func(_ *indexFlags, m *measuredIndex, _, _ *rate) { m.leaf.Wall++ }, "ancestors", 5},
		"memory":    {func(_ *indexFlags, m *measuredIndex, _, _ *rate) { m.peak++ }, "peak memory", 5},
		"no memory": {func(_ *indexFlags, m *measuredIndex, _, _ *rate) { m.peak = -1 }, "peak memory", 5},
		"keys":      {func(_ *indexFlags, _ *measuredIndex, k, _ *rate) { k.count-- }, "ingest by keys", 5},
		"keyless":   {func(_ *indexFlags, _ *measuredIndex, _, k *rate) { k.count-- }, "ingest keyless", 5},
		"small":     {func(s *indexFlags, m *measuredIndex, _, _ *rate) { s.nodes--; m.start.Wall++ }, "", 2},
	} {
		out, missed := written(c.change), ""
		for line := range strings.Lines(out) {
			if strings.HasSuffix(line, "  missed\n") {
				missed += line
			}
		}
		if strings.Count(out, "  met\n") != c.met || strings.Count(missed, "\n") != min(len(c.missed), 1) || !strings.Contains(missed, c.missed) {
			t.Errorf("%s:\n%s", name, out)
		}
	}
}
