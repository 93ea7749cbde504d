package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestDistanceCountsLetters(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"step", "step", 0},
		{"step", "stop", 1}, {"step", "steps", 1}, {"steps", "step", 1}, {"kitten", "sitting", 3}, {"abc", "xyz", 3},
		{"setp", "step", 1}, {"ba", "ab", 1}, {"stpe", "step", 1}, {"ca", "abc", 3}, // two that are next to each other, exchanged
		{long, long[1:] + "b", 1}, {long[1:], long, 1}, {long, long[1:], 1},
		{long + "a", long, 64}, {long, long + "a", 64}, // too long to be compared
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestSuggestNamesTheNearestOrAll(t *testing.T) {
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("identity-%02d", i))
	}
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"Signatur", []string{"signers", "signature"}, "did you mean signature?"},
		{"stap", []string{"step", "stop"}, "did you mean step?"}, // of two as near, the first
		{"abc", []string{"xyc"}, "did you mean xyc?"},
		{"abc", []string{"xyz"}, "there is xyz"}, // nothing of it is the same
		{"abcdefghi", []string{"abcdzzzz"}, "there is abcdzzzz"},
		{"kind", nil, ""},
		{"x", many[:20], "there is " + strings.Join(many[:20], ", ")},
		{"x", many, ""},
	} {
		if got := suggest(c.word, c.known); got != c.want {
			t.Errorf("%s: %q, not %q", c.word, got, c.want)
		}
	}
}

func TestClipShortensWhatIsLong(t *testing.T) {
	whole := strings.Repeat("a", 120)
	for text, want := range map[string]string{whole: whole, whole + "b": whole + "…", whole[1:] + "é": whole[1:] + "…"} {
		if got := clip(text); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestSpanSaysDaysOrHours(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "a day", 48 * time.Hour: "2 days", 30 * 24 * time.Hour: "30 days", 25 * time.Hour: "25h", time.Hour: "1h",
		90 * time.Minute: "1h30m", 10 * time.Minute: "10m", 90 * time.Second: "1m30s", 0: "0s",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s", d, got)
		}
	}
}

func TestCleanQuotesWhatATerminalCouldObey(t *testing.T) {
	for text, want := range map[string]string{"suite, ticket 42": "suite, ticket 42", "\u202eevil": `"\u202eevil"`, "a\x1b[2J": `"a\x1b[2J"`, "": ""} {
		if got := clean(text); got != want {
			t.Errorf("%q is shown as %s", text, got)
		}
	}
}
