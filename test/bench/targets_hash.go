package main

import "fmt"

// bound is what is wanted of a row of hashing against one tool: at most so many times its time, or with faster at least so
// many times as fast.
type bound struct {
	data   string
	op     operation
	tool   string
	most   float64
	faster float64
}

// bounds are those beside what holds for every row.
var bounds = []bound{
	{data: "one", op: hash, tool: oneLaneName, most: 1.03},
	{data: "one", op: both, tool: oneLaneName, most: 1.05},
	{data: "one", op: shards, tool: twoLanesName, most: 1.08},
	{data: "one", op: shards, tool: pythonName, faster: 2.5},
	{data: "one", op: fast, tool: b3sumName, most: 1.15},
	{data: "eight", op: hash, tool: twoLanesName, most: 1.15},
	{data: "eight", op: hash, tool: pythonName, faster: 1.9},
	{data: "eight", op: hash, tool: opensslName, faster: 4},
	// The ID of so many files needs two digests of each byte: tools that make one are held against the files' own.
	{data: "small", op: files, tool: twoLanesName, most: 1.10},
	{data: "small", op: files, tool: pythonName, faster: 5},
}

// withinBounds are the targets that the bounds make of a row.
func withinBounds(r *row, own *entry) (all []target) {
	for _, b := range bounds {
		if b.data != r.Data || b.op != r.Operation {
			continue
		}
		t := target{Wanted: fmt.Sprintf("%s: within %.0f %% of %s", r.name(), 100*(b.most-1), b.tool)}
		if b.faster > 0 {
			t.Wanted = fmt.Sprintf("%s: at least %.1f times as fast as %s", r.name(), b.faster, b.tool)
		}
		other := r.entry(b.tool)
		switch {
		case other == nil:
			t = t.unmeasured()
		case b.faster > 0:
			share := ratio(other.median(), own.median())
			t.Measured, t.Met = fmt.Sprintf("%.2f times", share), share >= b.faster
		default:
			share := ratio(own.median(), other.median())
			t.Measured, t.Met = fmt.Sprintf("%.2f times its time", share), share <= b.most
		}
		all = append(all, t)
	}
	return all
}
