package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressIsSilentAtFirstAndThenALineEveryTenSeconds(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(streams{err: &out}, "hashed", output{})
	p.update(1, 100)
	if out.Len() > 0 {
		t.Errorf("printed %q at once", out.String())
	}
	p.began, p.last = p.began.Add(-20*time.Second), p.last.Add(-20*time.Second)
	p.update(40_000_000_000, 80_000_000_000)
	p.update(41_000_000_000, 80_000_000_000)
	if want := "hallmark: hashed 40.0 GB of 80.0 GB, 2.0 GB/s\n"; out.String() != want {
		t.Errorf("printed %q, want %q once", out.String(), want)
	}
	p.stop()
	p.last = p.last.Add(-time.Minute)
	p.update(80_000_000_000, 80_000_000_000)
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("printed after it was stopped: %q", out.String())
	}
}

func TestProgressIsSilentWithQuietAndJSON(t *testing.T) {
	for _, o := range []output{{Quiet: true}, {JSON: true}} {
		p := newProgress(streams{err: nil}, "hashed", o)
		p.update(1, 2) // a nil progress takes everything
		p.stop()
	}
}

func TestProgressCountsThings(t *testing.T) {
	var out bytes.Buffer
	p := newProgress(streams{err: &out}, "listed", output{})
	p.began, p.last = p.began.Add(-20*time.Second), p.last.Add(-20*time.Second)
	p.counts("listed", 40, 80)
	p.last = p.last.Add(-20 * time.Second)
	p.counts("decided", 7, 80)
	if want := "hallmark: listed 40 of 80\nhallmark: decided 7 of 80\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}
