package hashing

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// withoutMapping has files read that would be mapped.
func withoutMapping(t *testing.T) {
	t.Helper()
	before := mapPages
	mapPages = func(*os.File, int64, int) ([]byte, error) { return nil, errors.ErrUnsupported }
	t.Cleanup(func() { mapPages = before })
}

// TestFileThatShrinksUnderItsMapping truncates a file when its bytes were handed out and before they are used: to nothing,
// which makes the mapping fault, and within the last page, where a mapping goes on with zeros.
func TestFileThatShrinksUnderItsMapping(t *testing.T) {
	const size = windowSize + mapFrom + 100 // the last page is mapped, and not full
	data := random(size)
	for name, to := range map[string]int64{"to nothing": 0, "to half": size / 2, "within the last page": size - 50, "not at all": size} {
		for _, files := range []int{1, 2} { // alone, and beside another
			for _, read := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
					if read {
						withoutMapping(t)
					}
					bad := writeFile(t, data)
					bad.Name = "the bad one"
					groups := [][]Job{{bad}}
					for range files - 1 {
						groups = append(groups, []Job{writeFile(t, data)})
					}
					var done int64
					path := pathOf(t, bad)
					r, err := Hasher{Workers: 1, Progress: func(n int64) {
						at := int64(chunk) // early, or when all bytes were handed out
						if to > size/2 {
							at = size
						}
						before := done
						if done += n; before < at*int64(files) && done >= at*int64(files) {
							if err := os.Truncate(path, to); err != nil {
								t.Error(err)
							}
						}
					}}.Files(t.Context(), groups)
					if to == size {
						if err != nil || !sameResult(r[0][0], naive(Plan{}, data)) {
							t.Errorf("without the fault: %v", err)
						}
						return
					}
					if !errors.Is(err, ErrChanged) || r != nil || !strings.HasPrefix(err.Error(), `hash "the bad one": `) {
						t.Errorf("got %v, %v", r, err)
					}
				})
			}
		}
	}
}

// TestFileThatWasShorterForAMoment: the bytes are there again when one looks for why they were not.
func TestFileThatWasShorterForAMoment(t *testing.T) {
	j := writeFile(t, random(2*chunk))
	f, err := j.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := stretch{file: f, stop: j.Size}
	if err := s.why(); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "shorter for a moment") {
		t.Errorf("got %v", err)
	}
	s.stop++
	if err := s.why(); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), "ends before byte") {
		t.Errorf("got %v", err)
	}
	f.Close()
	if err := s.why(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestGuardedLetsOtherPanicsThrough: only a fault in a window is an error.
func TestGuardedLetsOtherPanicsThrough(t *testing.T) {
	for name, do := range map[string]func(){
		"a panic":       func() { panic("mine") },
		"a nil pointer": func() { var r *run; r.data = nil },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s was taken for a fault", name)
				}
			}()
			err := guarded(do, &run{})
			t.Errorf("%s: %v", name, err)
		}()
	}
}

// TestStretchHandsOutTheSameBytesMappedAndRead from offsets and to ends that are no page's.
func TestStretchHandsOutTheSameBytesMappedAndRead(t *testing.T) {
	data := random(2*windowSize + 12345)
	j := writeFile(t, data)
	for _, plain := range []bool{false, true} {
		for _, span := range [][2]int64{{0, j.Size}, {1, j.Size}, {4097, mapFrom + 4097}, {windowSize - 1, 2*windowSize + 3}, {5, 5}, {j.Size - 1, j.Size}} {
			f, err := j.Open()
			if err != nil {
				t.Fatal(err)
			}
			s := stretch{file: f, at: span[0], stop: span[1], plain: plain, buffer: make([]byte, chunk)}
			at, mapped := span[0], false
			for s.at < s.stop {
				p, err := s.next(context.Background())
				if err != nil || len(p) == 0 || len(p) > chunk {
					t.Fatalf("%v at %d: %d bytes, %v", span, at, len(p), err)
				}
				if string(p) != string(data[at:at+int64(len(p))]) {
					t.Fatalf("%v at %d: other bytes than the file has", span, at)
				}
				at += int64(len(p))
				mapped = mapped || s.window != nil
			}
			if at != span[1] || mapped != (!s.plain && span[1]-span[0] >= mapFrom) {
				t.Errorf("%v: ended at %d, mapped %v, plain %v", span, at, mapped, s.plain)
			}
			s.close()
			f.Close()
		}
	}
}

// TestTouchSurvivesAFileThatShrank: the one who touches reads ahead of everybody, and ends nothing by what it finds.
func TestTouchSurvivesAFileThatShrank(t *testing.T) {
	for name, to := range map[string]int64{"to nothing": 0, "to half": windowSize / 2, "not at all": windowSize} {
		j := writeFile(t, random(windowSize))
		f, err := j.Open()
		if err != nil {
			t.Fatal(err)
		}
		pages, err := mapPages(f, 0, windowSize)
		if err != nil {
			t.Skip("files are not mapped here: ", err)
		}
		if err := os.Truncate(pathOf(t, j), to); err != nil {
			t.Fatal(err)
		}
		w := &window{pages: pages}
		w.touch()
		w.unmap()
		w.touch()
		w.unmap()
		if w.pages != nil {
			t.Errorf("%s: still mapped", name)
		}
		f.Close()
	}
}
