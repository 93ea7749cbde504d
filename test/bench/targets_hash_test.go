package main

import "testing"

func TestHashingIsHeldAgainstItsLimits(t *testing.T) {
	for _, c := range []struct {
		data   string
		op     operation
		tool   string
		wanted string
		ok, no int // seconds of ours, against 1000
	}{
		{"one", hash, oneLaneName, "one/hash: within 3 % of one-stream", 1030, 1031},
		{"one", both, oneLaneName, "one/both: within 5 %", 1050, 1051},
		{"one", shards, twoLanesName, "one/shards: within 8 %", 1080, 1081},
		{"one", shards, pythonName, "one/shards: at least 2.5 times", 400, 401},
		{"one", fast, b3sumName, "one/blake3: within 15 %", 1150, 1151},
		{"eight", hash, twoLanesName, "eight/hash: within 15 %", 1150, 1151},
		{"eight", hash, pythonName, "eight/hash: at least 1.9 times", 526, 527},
		{"eight", hash, opensslName, "eight/hash: at least 4.0 times", 250, 251},
		{"small", files, twoLanesName, "small/files: within 10 %", 1100, 1101},
		{"small", files, pythonName, "small/files: at least 5.0 times", 200, 201},
	} {
		for own, met := range map[int]bool{c.ok: true, c.no: false} {
			r := rowOf(c.data, c.op, 1, measured(hallmarkName, false, own), measured(c.tool, false, 1000))
			if got := find(t, judge([]*row{r}, 2), c.wanted); got.Met != met || got.Unknown {
				t.Errorf("%s: %d s against 1000 s: %+v, want met %v", c.wanted, own, got, met)
			}
		}
		r := rowOf(c.data, c.op, 1, measured(hallmarkName, false, 1))
		if got := find(t, judge([]*row{r}, 2), c.wanted); got.Met || !got.Unknown {
			t.Errorf("%s, without the tool: %+v, want neither met nor missed", c.wanted, got)
		}
	}
}
