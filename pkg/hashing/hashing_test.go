package hashing

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

// writeFile makes a file and a job for it.
func writeFile(t testing.TB, data []byte) Job {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return jobOf(f.Name(), int64(len(data)))
}

func jobOf(path string, size int64) Job {
	return Job{Name: filepath.Base(path), Size: size, Open: func() (*os.File, error) { return os.Open(path) }}
}

func pathOf(t testing.TB, j Job) string {
	t.Helper()
	f, err := j.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name()
}

// sparse makes a job of a file of zeros that takes no room on the disk.
func sparse(t testing.TB, size int64) Job {
	t.Helper()
	j := writeFile(t, nil)
	if err := os.Truncate(pathOf(t, j), size); err != nil {
		t.Skipf("no sparse file of %d bytes here: %v", size, err)
	}
	j.Size = size
	return j
}

// random returns n bytes that are the same in every run.
func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// naive is the plan, done the simple way.
func naive(p Plan, data []byte) Result {
	digest := func(b []byte) []byte {
		h, err := p.Algorithm.New()
		if err != nil {
			panic(err)
		}
		h.Write(b)
		return h.Sum(nil)
	}
	var r Result
	if p.SHA256 || p.ShardSize == 0 && (p.Algorithm == "" || p.Algorithm == SHA256) {
		r.SHA256, r.HasSHA256 = sha256.Sum256(data), true
	}
	if p.ShardSize == 0 {
		r.Sums = append(r.Sums, digest(data))
		return r
	}
	for len(data) > 0 {
		n := min(int64(len(data)), p.ShardSize)
		r.Sums = append(r.Sums, digest(data[:n]))
		data = data[n:]
	}
	return r
}

// sameResult takes no shards for no shards, nil or empty.
func sameResult(a, b Result) bool {
	return a.SHA256 == b.SHA256 && a.HasSHA256 == b.HasSHA256 && len(a.Sums) == len(b.Sums) &&
		(len(a.Sums) == 0 || reflect.DeepEqual(a.Sums, b.Sums))
}

func sameResults(t *rapid.T, got, want [][]Result) {
	if len(got) != len(want) {
		t.Fatalf("results of %d groups, want %d", len(got), len(want))
	}
	for g := range want {
		if len(got[g]) != len(want[g]) {
			t.Fatalf("group %d: %d results, want %d", g, len(got[g]), len(want[g]))
		}
		for i := range want[g] {
			if !sameResult(got[g][i], want[g][i]) {
				t.Errorf("group %d, job %d:\n got %v\nwant %v", g, i, got[g][i], want[g][i])
			}
		}
	}
}

// TestFilesEqualsNaiveHashing draws sizes around the boundaries of buffers and shards, plans, group shapes and numbers of
// workers, and compares digests, what Stream and Tee got, the order in a group, and progress with what they should be.
func TestFilesEqualsNaiveHashing(t *testing.T) {
	t.Run("mapped", equalsNaiveHashing)
	t.Run("read", func(t *testing.T) {
		withoutMapping(t)
		equalsNaiveHashing(t)
	})
}

func equalsNaiveHashing(t *testing.T) {
	const most = takeAtOnce + 3*chunk
	data := random(most)
	write := func(size int) string { return pathOf(t, writeFile(t, data[:size])) }
	files := map[int]string{}
	rapid.Check(t, func(t *rapid.T) {
		plan := Plan{
			Algorithm: rapid.SampledFrom([]Algorithm{"", SHA256, BLAKE2b, BLAKE3}).Draw(t, "algorithm"),
			ShardSize: rapid.SampledFrom([]int64{0, 0, 1000, chunk - 1, chunk, chunk + 1, 3 * chunk / 2, takeAtOnce, takeAtOnce + 1, 1 << 62}).Draw(t, "shard"),
			SHA256:    rapid.Bool().Draw(t, "whole"),
		}
		near := rapid.SampledFrom([]int{0, 1000, chunk, 2 * chunk, worthwhile, takeAtOnce, most - 2})
		var bytesRead atomic.Int64
		h := Hasher{Plan: plan, Workers: rapid.IntRange(1, 5).Draw(t, "workers"), Progress: func(n int64) { bytesRead.Add(n) }}

		var total int64
		groups := make([][]Job, rapid.IntRange(0, 4).Draw(t, "groups"))
		want, tees, order := make([][]Result, len(groups)), make([]*bytes.Buffer, len(groups)), make([][]int, len(groups))
		wantTee, streams, wantStream := make([][]byte, len(groups)), make([]*Stream, len(groups)), make([][]byte, len(groups))
		for g := range groups {
			tees[g], streams[g] = &bytes.Buffer{}, NewStream()
			for i := range rapid.IntRange(0, 2).Draw(t, "jobs") {
				size := max(0, near.Draw(t, "near")+rapid.IntRange(-2, 2).Draw(t, "off"))
				if files[size] == "" {
					files[size] = write(size)
				}
				j := jobOf(files[size], int64(size))
				open := j.Open
				j.Open = func() (*os.File, error) { order[g] = append(order[g], 2*i); return open() }
				j.Check = func(*os.File) error { order[g] = append(order[g], 2*i+1); return nil }
				if rapid.Bool().Draw(t, "stream") {
					j.Stream = streams[g]
					wantStream[g] = append(wantStream[g], data[:size]...)
				}
				if rapid.Bool().Draw(t, "tee") {
					j.Tee = tees[g]
					wantTee[g] = append(wantTee[g], data[:size]...)
				}
				groups[g], want[g] = append(groups[g], j), append(want[g], naive(plan, data[:size]))
				total += int64(size)
			}
		}

		got, err := h.Files(t.Context(), groups)
		if err != nil {
			t.Fatal(err)
		}
		sameResults(t, got, want)
		for g := range want {
			if !bytes.Equal(tees[g].Bytes(), wantTee[g]) {
				t.Errorf("group %d: tee got other bytes than the files have", g)
			}
			if streams[g].Sum() != sha256.Sum256(wantStream[g]) || streams[g].Size() != int64(len(wantStream[g])) {
				t.Errorf("group %d: stream got other bytes than the files have", g)
			}
			for i, step := range order[g] {
				if step != i {
					t.Fatalf("group %d: opened and checked in order %v", g, order[g])
				}
			}
			if len(order[g]) != 2*len(want[g]) {
				t.Errorf("group %d: opened and checked %v, for %d jobs", g, order[g], len(want[g]))
			}
		}
		if bytesRead.Load() != total {
			t.Errorf("progress said %d bytes of %d", bytesRead.Load(), total)
		}
	})
}

func TestFileHashesFromTheStartWhateverTheOffset(t *testing.T) {
	j := writeFile(t, []byte("0123456789"))
	open := j.Open
	j.Open = func() (*os.File, error) {
		f, err := open()
		if err == nil {
			_, err = f.Seek(5, io.SeekStart)
		}
		return f, err
	}
	r, err := Hasher{}.File(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if want := naive(Plan{}, []byte("0123456789")); !sameResult(r, want) {
		t.Errorf("got %v, want %v", r, want)
	}
}

func TestFilesWithMoreWorkersThanAnybodyHas(t *testing.T) {
	data := random(2 * worthwhile)
	r, err := Hasher{Workers: math.MaxInt}.File(t.Context(), writeFile(t, data))
	if err != nil || !sameResult(r, naive(Plan{}, data)) {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestFilesWithNothingToHash(t *testing.T) {
	r, err := Hasher{}.Files(t.Context(), nil)
	if err != nil || len(r) != 0 {
		t.Errorf("no groups: %v, %v", r, err)
	}
	empty, err := Hasher{Plan: Plan{ShardSize: 10, SHA256: true}}.File(t.Context(), writeFile(t, nil))
	if err != nil || len(empty.Sums) != 0 || !empty.HasSHA256 || empty.SHA256 != sha256.Sum256(nil) {
		t.Errorf("empty file in shards: %v, %v", empty, err)
	}
}

func TestFilesRefusesPlansAndJobsThatCannotBeDone(t *testing.T) {
	good := writeFile(t, random(100))
	sized := func(n int64) Job { j := good; j.Size = n; return j }
	cases := map[string]struct {
		plan Plan
		jobs []Job
	}{
		"shard size below 0":  {Plan{ShardSize: -1}, []Job{good}},
		"unknown algorithm":   {Plan{Algorithm: "md5"}, []Job{good}},
		"size below 0":        {Plan{}, []Job{sized(-1)}},
		"no open":             {Plan{}, []Job{{Name: "x", Size: 100}}},
		"too many shards":     {Plan{ShardSize: 1}, []Job{sized(MaxShards + 2)}},
		"too many in all":     {Plan{ShardSize: 2}, []Job{sized(MaxShards), sized(MaxShards), sized(100)}},
		"sizes that overflow": {Plan{ShardSize: 1 << 43}, []Job{sized(1<<63 - 1), sized(1<<63 - 1), sized(1<<63 - 1)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			opened := false
			for i, j := range c.jobs {
				if j.Open != nil {
					c.jobs[i].Open = func() (*os.File, error) { opened = true; return j.Open() }
				}
			}
			if r, err := (Hasher{Plan: c.plan}).Files(t.Context(), [][]Job{c.jobs}); err == nil || r != nil {
				t.Errorf("got %v, %v", r, err)
			}
			if opened {
				t.Error("a file was opened first")
			}
		})
	}
	if _, err := (Hasher{Plan: Plan{ShardSize: 1}}).Files(t.Context(), [][]Job{{good, good}}); err != nil {
		t.Errorf("without the fault: %v", err)
	}
	// One shard a file is no excess, however many files there are.
	if err := (Plan{ShardSize: 100}).check([][]Job{slices.Repeat([]Job{good}, MaxShards+1)}); err != nil {
		t.Errorf("many files of one shard: %v", err)
	}
}

var errMine = errors.New("my own error")

// faults are what can go wrong with a file, and the error that says so.
var faults = map[string]struct {
	want error
	make func(Job) Job
}{
	"none":               {nil, func(j Job) Job { return j }},
	"truncated":          {ErrChanged, func(j Job) Job { j.Size++; return j }},
	"far shorter":        {ErrChanged, func(j Job) Job { j.Size *= 3; return j }},
	"grown":              {ErrChanged, func(j Job) Job { j.Size--; return j }},
	"open":               {errMine, func(j Job) Job { j.Open = func() (*os.File, error) { return nil, errMine }; return j }},
	"check":              {errMine, func(j Job) Job { j.Check = func(*os.File) error { return errMine }; return j }},
	"open gives nothing": {errNoFile, func(j Job) Job { j.Open = func() (*os.File, error) { return nil, nil }; return j }},
	"closed": {os.ErrClosed, func(j Job) Job {
		open := j.Open
		j.Open = func() (*os.File, error) {
			f, err := open()
			return f, errors.Join(err, f.Close())
		}
		return j
	}},
	"grown while read": {ErrChanged, func(j Job) Job {
		open, path := j.Open, ""
		j.Open = func() (*os.File, error) {
			f, err := open()
			if err == nil {
				path = f.Name()
			}
			return f, err
		}
		j.Tee = writerFunc(func(p []byte) (int, error) { return len(p), os.Truncate(path, j.Size+1) })
		return j
	}},
	"tee":       {errMine, func(j Job) Job { j.Tee = writerFunc(func([]byte) (int, error) { return 0, errMine }); return j }},
	"short tee": {io.ErrShortWrite, func(j Job) Job { j.Tee = writerFunc(func(p []byte) (int, error) { return len(p) - 1, nil }); return j }},
}

// ways are those in which a file is read.
var ways = map[string]struct {
	size    int
	workers int
	plan    Plan
}{
	"small":               {1000, 2, Plan{}},
	"one core":            {2 * worthwhile, 1, Plan{}},
	"read ahead":          {2 * worthwhile, 2, Plan{}},
	"two digests":         {2 * worthwhile, 4, Plan{ShardSize: chunk, SHA256: true}},
	"shards by many":      {2*takeAtOnce + 1, 3, Plan{ShardSize: chunk}},
	"large shards":        {2*worthwhile + 1, 2, Plan{ShardSize: worthwhile}},
	"shards by one":       {2*takeAtOnce + 1, 1, Plan{ShardSize: chunk}},
	"blake3 and whole":    {2 * worthwhile, 3, Plan{Algorithm: BLAKE3, SHA256: true}},
	"blake2b, many cores": {2 * worthwhile, 8, Plan{Algorithm: BLAKE2b, SHA256: true}},
}

// TestFilesNamesTheFault gives every kind of fault to every way in which a file is read: alone in one chunk, with lanes,
// by shards, and beside others in a group; mapped and read.
func TestFilesNamesTheFault(t *testing.T) {
	t.Run("mapped", namesTheFault)
	t.Run("read", func(t *testing.T) {
		withoutMapping(t)
		namesTheFault(t)
	})
}

func namesTheFault(t *testing.T) {
	for way, w := range ways {
		data := random(w.size)
		for fault, f := range faults {
			t.Run(way+"/"+fault, func(t *testing.T) {
				defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
				j := writeFile(t, data)
				j.Name = "the bad one"
				jobs := []Job{f.make(j)}
				other := func(n int) []Job { return []Job{writeFile(t, random(n))} }
				r, err := Hasher{Plan: w.plan, Workers: w.workers}.Files(t.Context(), [][]Job{other(10), jobs, other(100)})
				if f.want == nil {
					if err != nil {
						t.Fatalf("without a fault: %v", err)
					}
					return
				}
				if !errors.Is(err, f.want) || r != nil {
					t.Fatalf("got %v, %v; want %v", r, err, f.want)
				}
				if prefix := `hash "the bad one": `; !strings.HasPrefix(err.Error(), prefix) {
					t.Errorf("%q does not begin with %q", err, prefix)
				}
			})
		}
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestFilesClosesWhatItOpens looks at every file that was handed out, after success and after a fault.
func TestFilesClosesWhatItOpens(t *testing.T) {
	for _, plan := range []Plan{{}, {ShardSize: chunk}, {ShardSize: chunk, SHA256: true}} {
		for _, fault := range []bool{false, true} {
			t.Run(fmt.Sprintf("%+v, fault %v", plan, fault), func(t *testing.T) {
				var groups [][]Job
				opened := make(chan *os.File, 6)
				for i := range cap(opened) {
					j := writeFile(t, random(takeAtOnce+100*i))
					open := j.Open
					j.Open = func() (*os.File, error) {
						f, err := open()
						opened <- f
						return f, err
					}
					if fault && i == 3 {
						j.Size++
					}
					groups = append(groups, []Job{j})
				}
				_, err := Hasher{Plan: plan, Workers: 3}.Files(t.Context(), groups)
				if fault != (err != nil) {
					t.Fatal(err)
				}
				close(opened)
				n := 0
				for f := range opened {
					n++
					if err := f.Close(); !errors.Is(err, os.ErrClosed) {
						t.Errorf("%s was left open (%v)", f.Name(), err)
					}
				}
				if n == 0 || !fault && n != cap(opened) {
					t.Errorf("%d files were opened, of %d", n, cap(opened))
				}
			})
		}
	}
}

// TestResultsThatLackADigestAreNone: whichever is missing.
func TestResultsThatLackADigestAreNone(t *testing.T) {
	sum := []byte("a digest")
	groups := [][]Job{{{Name: "a", Size: 10}}, {{Name: "b", Size: 25}}}
	for name, c := range map[string]struct {
		plan    Plan
		results [2]Result
		lacks   string // the file; empty: nothing is missing
	}{
		"whole":           {Plan{}, [2]Result{{HasSHA256: true, Sums: [][]byte{sum}}, {HasSHA256: true, Sums: [][]byte{sum}}}, ""},
		"no sum":          {Plan{}, [2]Result{{HasSHA256: true}, {HasSHA256: true, Sums: [][]byte{sum}}}, "a"},
		"no SHA-256":      {Plan{}, [2]Result{{HasSHA256: true, Sums: [][]byte{sum}}, {Sums: [][]byte{sum}}}, "b"},
		"shards":          {Plan{ShardSize: 10}, [2]Result{{Sums: [][]byte{sum}}, {Sums: [][]byte{sum, sum, sum}}}, ""},
		"a shard too few": {Plan{ShardSize: 10}, [2]Result{{Sums: [][]byte{sum}}, {Sums: [][]byte{sum, sum}}}, "b"},
		"an empty shard":  {Plan{ShardSize: 10}, [2]Result{{Sums: [][]byte{sum}}, {Sums: [][]byte{sum, nil, sum}}}, "b"},
		"without whole":   {Plan{ShardSize: 10, SHA256: true}, [2]Result{{Sums: [][]byte{sum}}, {HasSHA256: true, Sums: [][]byte{sum, sum, sum}}}, "a"},
		"another digest":  {Plan{Algorithm: BLAKE3}, [2]Result{{Sums: [][]byte{sum}}, {Sums: [][]byte{sum}}}, ""},
	} {
		err := c.plan.complete(groups, [][]Result{{c.results[0]}, {c.results[1]}})
		if c.lacks == "" && err != nil || c.lacks != "" && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", c.lacks))) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
