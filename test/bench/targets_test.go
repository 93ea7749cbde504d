package main

import (
	"strings"
	"testing"
	"time"
)

// measured is a tool that took so many seconds in the median of three runs.
func measured(tool string, peer bool, seconds int) *entry {
	e := &entry{Tool: tool, Peer: peer, PeakRSS: 1 << 20, PeakAnon: 1 << 20}
	for _, d := range []int{seconds + 1, seconds, seconds - 1} {
		e.wall = append(e.wall, time.Duration(d)*time.Second)
		e.Seconds = append(e.Seconds, float64(d))
	}
	e.cpu = e.wall
	return e
}

func rowOf(data string, op operation, files int, entries ...*entry) *row {
	r := &row{Data: data, Operation: op, Files: files, Bytes: 1 << 30, Entries: entries}
	r.finish()
	return r
}

// find returns the one target that begins so.
func find(t *testing.T, all []target, wanted string) target {
	t.Helper()
	var found []target
	for _, target := range all {
		if strings.HasPrefix(target.Wanted, wanted) {
			found = append(found, target)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d targets begin with %q in %+v, want 1", len(found), wanted, all)
	}
	return found[0]
}

func TestOneFileIsHeldAgainstTheBareLoop(t *testing.T) {
	for own, met := range map[int]bool{100: true, 103: true, 104: false} {
		r := rowOf("one", hash, 1, measured(hallmarkName, false, own), measured(bareName, true, 100))
		if got := find(t, judge([]*row{r}, 2), "one/hash: within 3 % of the bare"); got.Met != met || got.Unknown {
			t.Errorf("%d s against 100 s: %+v, want met %v", own, got, met)
		}
	}
}

func TestManyFilesAreHeldAgainstOneCore(t *testing.T) {
	for own, met := range map[int]bool{50: true, 52: true, 53: false} {
		r := rowOf("eight", hash, 8, measured(hallmarkName, false, own), measured(oneCoreName, false, 100))
		if got := find(t, judge([]*row{r}, 2), "eight/hash: 2 cores"); got.Met != met {
			t.Errorf("%d s on two cores, 100 s on one: %+v, want met %v", own, got, met)
		}
	}
}

func TestNoPeerMayBeFaster(t *testing.T) {
	r := rowOf("small", hash, 20,
		measured(hallmarkName, false, 1000), measured(opensslName, true, 1001), measured(bareName, true, 996),
		measured(sha256Name, true, 990), measured(b3sumName, false, 10))
	all := judge([]*row{r}, 2)
	if !find(t, all, "small/hash: not slower than openssl").Met || !find(t, all, "small/hash: not slower than bare").Met {
		t.Errorf("a slower peer and an equal one count as faster: %+v", all)
	}
	if find(t, all, "small/hash: not slower than sha256sum").Met {
		t.Errorf("a faster peer counts as slower: %+v", all)
	}
	for _, target := range all {
		if strings.Contains(target.Wanted, b3sumName) {
			t.Errorf("%q: another algorithm is no peer", target.Wanted)
		}
	}
}

func TestMemoryAndStartUpHaveLimits(t *testing.T) {
	for data, limit := range map[string]int64{"one": 64 << 20, "many": 250 << 20} {
		e := measured(hallmarkName, false, 1)
		for size, met := range map[int64]bool{limit: true, limit + 1: false} {
			e.PeakAnon = size
			if got := find(t, judge([]*row{rowOf(data, sign, 1, e)}, 2), data+"/sign: at most"); got.Met != met {
				t.Errorf("%s, %d bytes: %+v, want met %v", data, size, got, met)
			}
		}
		e.PeakAnon = -1
		if got := find(t, judge([]*row{rowOf(data, sign, 1, e)}, 2), data+"/sign: at most"); got.Met || !got.Unknown {
			t.Errorf("not measured: %+v, want neither met nor missed", got)
		}
	}
	for d, met := range map[time.Duration]bool{maxStartUp: true, maxStartUp + 1: false} {
		r := rowOf(startUp, start, 0, &entry{Tool: hallmarkName, wall: []time.Duration{d}})
		if got := find(t, judge([]*row{r}, 2), "start-up"); got.Met != met {
			t.Errorf("%v: %+v, want met %v", d, got, met)
		}
	}
}

func TestAFailureOfOursIsNoTargetMet(t *testing.T) {
	failed := &entry{Tool: hallmarkName, Reason: "exit status 3"}
	all := judge([]*row{rowOf("one", hash, 1, failed, measured(bareName, true, 100))}, 2)
	if len(all) != 1 || all[0].Met {
		t.Errorf("got %+v, want one target, missed", all)
	}
}
