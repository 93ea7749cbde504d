package registry

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

func TestSpansAreASetOfBytes(t *testing.T) {
	const size, piece = 200, 16
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var s spans
		var set [size]bool
		for range random.IntN(12) {
			from := random.Int64N(size)
			e := span{from, from + random.Int64N(size-from+1)}
			s = s.add(e)
			for i := e.from; i < e.to; i++ {
				set[i] = true
			}
			checkSpans(t, s, set[:])
		}
		// What is missing, and only that, makes the whole.
		for _, gap := range s.missing(size, piece) {
			if gap.from >= gap.to || gap.from/piece != (gap.to-1)/piece {
				t.Fatalf("gap %v", gap)
			}
			for i := gap.from; i < gap.to; i++ {
				if set[i] {
					t.Fatalf("%v: gap %v is not one", s, gap)
				}
				set[i] = true
			}
		}
		if slices.Contains(set[:], false) {
			t.Fatalf("%v: gaps %v leave something out", s, s.missing(size, piece))
		}
	}
}

func checkSpans(t *testing.T, s spans, set []bool) {
	t.Helper()
	got := make([]bool, len(set))
	last := int64(-1)
	for _, e := range s {
		if e.from <= last || e.from >= e.to {
			t.Fatalf("%v is out of order", s)
		}
		last = e.to
		for i := e.from; i < e.to; i++ {
			got[i] = true
		}
	}
	prefix := slices.Index(set, false)
	if prefix < 0 {
		prefix = len(set)
	}
	if !slices.Equal(got, set) || s.prefix() != int64(prefix) {
		t.Fatalf("%v with prefix %d stands for something else", s, s.prefix())
	}
}

func TestJournalsAreReadAsFarAsTheyMakeSense(t *testing.T) {
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if _, ok, err := readJournal(root, "none", 100); ok || err != nil {
		t.Errorf("a journal that is not there: %v %v", ok, err)
	}
	for content, want := range map[string]spans{
		"":                      nil,
		"0 10\n20 30\n10 20\n":  {{0, 30}},
		"0 10\n20 3":            {{0, 10}}, // cut off while it was written
		"0 10\n20 101\n30 40\n": {{0, 10}},
		"0 10\n-5 7\n":          {{0, 10}},
		"0 10\n9 9\n":           {{0, 10}},
		"0 10\nx\n30 40\n":      {{0, 10}},
		"5 10 15\n":             nil,
		"\x00\x00\x00\n":        nil,
	} {
		if err := root.WriteFile("j", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, ok, err := readJournal(root, "j", 100)
		if err != nil || !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v %v", content, got, ok, err)
		}
	}
	j, err := newJournal(root, "j", spans{{0, 5}})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.note(span{7, 9}); err != nil {
		t.Fatal(err)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := readJournal(root, "j", 100); !slices.Equal(got, spans{{0, 5}, {7, 9}}) {
		t.Errorf("read back: %v", got)
	}
}
