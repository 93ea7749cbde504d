package main

import (
	"slices"
	"time"
)

// median returns the middle of the values, of an even number the mean of the two in the middle; 0 of none.
func median(values []time.Duration) time.Duration {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// spread is how far the values lie apart, as a share of their median; 0 of none.
func spread(values []time.Duration) float64 {
	m := median(values)
	if m == 0 {
		return 0
	}
	return float64(slices.Max(values)-slices.Min(values)) / float64(m)
}

// ratio is a/b, or 0 where one of them was not measured.
func ratio(a, b time.Duration) float64 {
	if a <= 0 || b <= 0 {
		return 0
	}
	return float64(a) / float64(b)
}
