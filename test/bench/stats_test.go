package main

import (
	"testing"
	"time"
)

func TestMedianIsTheMiddle(t *testing.T) {
	for _, c := range []struct {
		values []time.Duration
		want   time.Duration
	}{
		{nil, 0},
		{[]time.Duration{7}, 7},
		{[]time.Duration{9, 1, 5}, 5},
		{[]time.Duration{1, 100, 3, 5}, 4},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
	values := []time.Duration{3, 1, 2}
	median(values)
	if values[0] != 3 {
		t.Error("the runs are no longer in order")
	}
}

func TestSpreadIsAShareOfTheMedian(t *testing.T) {
	if got := spread([]time.Duration{90, 100, 120}); got != 0.3 {
		t.Errorf("spread is %v, want 0.3", got)
	}
	if got := spread(nil); got != 0 {
		t.Errorf("spread of nothing is %v, want 0", got)
	}
}

func TestRatioOfWhatWasNotMeasuredIsNone(t *testing.T) {
	if got := ratio(3, 2); got != 1.5 {
		t.Errorf("ratio is %v, want 1.5", got)
	}
	if ratio(0, 2) != 0 || ratio(2, 0) != 0 {
		t.Error("a ratio to nothing")
	}
}
