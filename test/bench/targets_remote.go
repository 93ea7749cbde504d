package main

import (
	"fmt"
	"time"
)

// What is wanted where a registry has a part.
const (
	overPeers    = 1.05                  // pull: at most so many times the better peer's time, while verifying everything
	overUncut    = 1.15                  // pull over a connection that is cut ten times: so many times the uncut one's
	maxAgain     = time.Second           // push of what is there
	maxVerifyRef = 50 * time.Millisecond // verify of an artifact in a registry
	maxGrowth    = 5 * time.Millisecond  // how much longer that may take with a large artifact than with a small one
)

// transferTargets are those of a row with a registry.
func transferTargets(r *row, own *entry) []target {
	switch r.Operation {
	case push:
		return againstPeers(r, own)
	case pull:
		return []target{againstBestPeer(r, own)}
	case pullCut:
		return []target{againstUncut(r, own)}
	case pushAgain:
		return []target{atMost(r, own, maxAgain)}
	}
	return []target{atMost(r, own, maxVerifyRef)}
}

func atMost(r *row, own *entry, limit time.Duration) target {
	return target{Wanted: fmt.Sprintf("%s: at most %v", r.name(), limit), Measured: formatTime(own.median()), Met: own.median() <= limit}
}

// againstBestPeer needs every peer's number: the best of those that could be measured need not be the best.
func againstBestPeer(r *row, own *entry) target {
	t := target{Wanted: fmt.Sprintf("%s: within %.0f %% of the better peer", r.name(), 100*(overPeers-1))}
	var best *entry
	for _, e := range r.Entries {
		if e.Peer && e.Reason != "" {
			return t.unmeasured()
		}
		if e.Peer && (best == nil || e.median() < best.median()) {
			best = e
		}
	}
	if best == nil {
		return t.unmeasured()
	}
	share := ratio(own.median(), best.median())
	t.Measured, t.Met = fmt.Sprintf("%.2f times the time of %s", share, best.Tool), share <= overPeers
	return t
}

func againstUncut(r *row, own *entry) target {
	t := target{Wanted: fmt.Sprintf("%s: %d cuts cost less than %.0f %%", r.name(), cuts, 100*(overUncut-1))}
	uncut := r.entry(uncutName)
	if uncut == nil {
		return t.unmeasured()
	}
	share := ratio(own.median(), uncut.median())
	t.Measured, t.Met = fmt.Sprintf("%.2f times the time without", share), share < overUncut
	return t
}

// whateverTheSize compares what it takes to verify a large and a small artifact in a registry, if both were measured.
func whateverTheSize(rows []*row) []target {
	var least, most *row
	for _, r := range rows {
		if r.Operation != verifyRef || r.entry(hallmarkName) == nil {
			continue
		}
		if least == nil || r.Bytes < least.Bytes {
			least = r
		}
		if most == nil || r.Bytes > most.Bytes {
			most = r
		}
	}
	if least == most {
		return nil
	}
	grown := most.entry(hallmarkName).median() - least.entry(hallmarkName).median()
	return []target{{Wanted: fmt.Sprintf("%s: at most %v more than %s", most.name(), maxGrowth, least.name()),
		Measured: fmt.Sprintf("%+.1f ms", 1000*grown.Seconds()), Met: grown <= maxGrowth}}
}
