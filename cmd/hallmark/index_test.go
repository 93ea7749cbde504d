package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/registry/index"
)

// TestIndexUpdateShowsHowFarItIs fills an index from two layouts by one worker, so slowly, as it were, that every artifact is
// shown.
func TestIndexUpdateShowsHowFarItIs(t *testing.T) {
	layoutOf(t, "unsigned")
	mustRun(t, "copy", "oci:layout:v1", "oci:other:v1")
	var f indexFlags
	flags := pflag.NewFlagSet("update", pflag.ContinueOnError)
	f.bind(flags)
	if err := flags.Parse([]string{"--public-key", "trainer.pub", "--workers", "1"}); err != nil {
		t.Fatal(err)
	}
	scopes, err := parseScopes([]string{"oci:layout", "oci:other"})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := newProgress(streams{err: &slow{&out, nil}}, "looked at", output{})
	p.s.err.(*slow).p = p
	p.began, p.last = p.began.Add(-time.Hour), p.last.Add(-time.Hour)
	x, err := index.Open(t.Context(), index.InMemory, index.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.fill(t.Context(), x, scopes, p); err != nil {
		t.Fatal(err)
	}
	if want := "hallmark: looked at 1 of 2\nhallmark: looked at 2 of 2\nhallmark: looked at 3 of 3\n"; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
	if !p.stopped {
		t.Error("the display goes on")
	}
}

// slow lets so much time pass with every line that the next one is printed too.
type slow struct {
	out *bytes.Buffer
	p   *progress
}

func (s *slow) Write(line []byte) (int, error) {
	s.p.last = s.p.last.Add(-time.Hour)
	return s.out.Write(line)
}

func TestIndexUpdateIsQuiet(t *testing.T) {
	layoutOf(t)
	for _, command := range []string{"update", "rebuild"} {
		code, out, errs := hallmark(t, "index", command, "oci:layout", "--store", "index.db", "--public-key", "trainer.pub", "--quiet")
		if code != exitDone || errs != "" || !regexp.MustCompile(`^[1-9][0-9]* sha256:[0-9a-f]{64}\n$`).MatchString(out) {
			t.Errorf("%s: exit code %d, printed %q, %q", command, code, out, errs)
		}
		code, out, _ = hallmark(t, "index", command, "oci:layout", "oci:nowhere", "--store", "index.db", "--public-key", "trainer.pub", "--quiet")
		if code != exitUnknown {
			t.Errorf("%s of what is not there: exit code %d, printed %q", command, code, out)
		}
	}
}
