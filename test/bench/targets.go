package main

import (
	"fmt"
	"time"
)

// What is wanted of hallmark.
const (
	overBareLoop  = 1.03                  // one large file: at most so many times the bare loop's time
	perCore       = 0.95                  // many files: at least this share of a core's speed, for every core
	tie           = 1.005                 // equal in the two decimals that the table prints
	maxAnon       = 64 << 20              // bytes of anonymous memory, at any size of the artifact
	maxAnonOfMany = 250 << 20             // with a hundred thousand files
	maxStartUp    = 20 * time.Millisecond // `hallmark version`
)

// target is one thing that is wanted, and what was measured.
type target struct {
	Wanted   string `json:"wanted"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
	Unknown  bool   `json:"unknown,omitempty"` // it could not be measured: neither met nor missed
}

// judge holds the rows against what is wanted of them. A row that was not asked for has no target.
func judge(rows []*row, cores int) []target {
	var all []target
	for _, r := range rows {
		own := r.entry(hallmarkName)
		if own == nil {
			all = append(all, target{Wanted: r.name() + ": hallmark does it", Measured: "it failed"})
			continue
		}
		switch {
		case r.Operation == start:
			all = append(all, target{Wanted: fmt.Sprintf("start-up at most %v", maxStartUp),
				Measured: formatTime(own.median()), Met: own.median() <= maxStartUp})
			continue
		case r.Operation.remote():
			all = append(all, transferTargets(r, own)...)
			all = append(all, inMemory(r, own))
			continue
		case r.Operation == hash && r.Files == 1:
			all = append(all, againstBareLoop(r, own))
		case r.Operation == hash && r.Data == "eight":
			all = append(all, acrossCores(r, own, min(cores, r.Files)))
		}
		all = append(all, withinBounds(r, own)...)
		all = append(all, againstPeers(r, own)...)
		all = append(all, inMemory(r, own))
	}
	return append(all, whateverTheSize(rows)...)
}

func againstBareLoop(r *row, own *entry) target {
	t := target{Wanted: fmt.Sprintf("%s: within %.0f %% of the bare Go loop", r.name(), 100*(overBareLoop-1))}
	bare := r.entry(bareName)
	if bare == nil {
		return t.unmeasured()
	}
	share := ratio(own.median(), bare.median())
	t.Measured, t.Met = fmt.Sprintf("%.2f times its time", share), share <= overBareLoop
	return t
}

func acrossCores(r *row, own *entry, cores int) target {
	wanted := perCore * float64(cores)
	t := target{Wanted: fmt.Sprintf("%s: %d cores at least %.2f times as fast as one", r.name(), cores, wanted)}
	one := r.entry(oneCoreName)
	if one == nil {
		return t.unmeasured()
	}
	share := ratio(one.median(), own.median())
	t.Measured, t.Met = fmt.Sprintf("%.2f times", share), share >= wanted
	if alone, all := r.entry(bareName), r.entry(bareManyName); alone != nil && all != nil {
		t.Measured += fmt.Sprintf(" (bare Go loops: %.2f)", ratio(alone.median(), all.median()))
	}
	return t
}

// againstPeers has a target for every tool that computes the same. One large file is held against the bare loop by a
// target of its own.
func againstPeers(r *row, own *entry) []target {
	var all []target
	for _, e := range r.Entries {
		if !e.Peer || e.Tool == bareName && r.Files == 1 {
			continue
		}
		t := target{Wanted: fmt.Sprintf("%s: not slower than %s", r.name(), e.Tool)}
		if e.Reason != "" {
			all = append(all, t.unmeasured())
			continue
		}
		share := ratio(own.median(), e.median())
		t.Measured, t.Met = fmt.Sprintf("%.2f times its time", share), share < tie
		all = append(all, t)
	}
	return all
}

func inMemory(r *row, own *entry) target {
	limit := int64(maxAnon)
	if r.Data == "many" {
		limit = maxAnonOfMany
	}
	t := target{Wanted: fmt.Sprintf("%s: at most %s of anonymous memory", r.name(), formatBytes(limit))}
	if own.PeakAnon < 0 {
		return t.unmeasured()
	}
	t.Measured, t.Met = formatBytes(own.PeakAnon), own.PeakAnon <= limit
	return t
}

func (t target) unmeasured() target {
	t.Measured, t.Unknown = "not measured", true
	return t
}

// name is the row as --rows takes it.
func (r *row) name() string {
	if r.Data == startUp {
		return startUp
	}
	return r.Data + "/" + string(r.Operation)
}
