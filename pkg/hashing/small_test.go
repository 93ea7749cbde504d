package hashing

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestSmallFilesOfArchives has more small files than are put off at the same time, of sizes up to one that is not small any more,
// in archives that take turns.
func TestSmallFilesOfArchives(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	data := random(2 * pieceSize)
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	for _, workers := range []int{1, 2, 3, 7} {
		for _, alike := range []bool{true, false} {
			var groups [][]Job
			var streams []*Stream
			var want [][]Result
			var archives [][]byte
			for g := range 6 {
				s := NewStream()
				var jobs []Job
				var results []Result
				var archive []byte
				for i := range 30 {
					size := 1000
					switch {
					case alike:
					case i%10 == 0:
						size = pieceSize - 1 + i/10
					default:
						size = random.IntN(pieceSize) >> random.IntN(16)
					}
					path := fmt.Sprintf("%s/%d-%v-%d-%d", dir, workers, alike, g, i)
					if err := os.WriteFile(path, data[i:i+size], 0o600); err != nil {
						t.Fatal(err)
					}
					j := jobOf(path, int64(size))
					j.Stream = s
					header := []byte(path)
					open := j.Open
					j.Open = func() (*os.File, error) { s.Write(header); return open() }
					jobs, results = append(jobs, j), append(results, naive(Plan{}, data[i:i+size]))
					archive = append(append(archive, header...), data[i:i+size]...)
				}
				groups, want = append(groups, jobs), append(want, results)
				streams, archives = append(streams, s), append(archives, archive)
			}
			got, err := Hasher{Workers: workers}.Files(t.Context(), groups)
			if err != nil {
				t.Fatal(err)
			}
			for g := range groups {
				for i := range groups[g] {
					if !sameResult(got[g][i], want[g][i]) {
						t.Errorf("%d workers, alike %v: file %d of archive %d: %v, want %v", workers, alike, i, g, got[g][i], want[g][i])
					}
				}
				if streams[g].Sum() != sha256.Sum256(archives[g]) || streams[g].Size() != int64(len(archives[g])) {
					t.Errorf("%d workers, alike %v: archive %d has other bytes", workers, alike, g)
				}
			}
		}
	}
}

// TestSmallFileThatIsNotAsListed is among many that are.
func TestSmallFileThatIsNotAsListed(t *testing.T) {
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		change func(*Job)
		want   error
		says   string
	}{
		"one byte more":         {func(j *Job) { j.Size-- }, ErrChanged, "more than 99 bytes"},
		"one byte less":         {func(j *Job) { j.Size++ }, ErrChanged, "ends at byte 100"},
		"none":                  {func(j *Job) { j.Size = 0 }, ErrChanged, "more than 0 bytes"},
		"refused by its check":  {func(j *Job) { j.Check = func(*os.File) error { return enough } }, enough, "enough"},
		"does not open":         {func(j *Job) { j.Open = func() (*os.File, error) { return nil, enough } }, enough, "enough"},
		"opens to nothing":      {func(j *Job) { j.Open = func() (*os.File, error) { return nil, nil } }, errNoFile, ""},
		"cannot be read at all": {func(j *Job) { j.Open = func() (*os.File, error) { return os.Open(os.TempDir()) } }, nil, "is a directory"},
	} {
		for _, streamed := range []bool{true, false} {
			var groups [][]Job
			for range 5 {
				s := NewStream()
				var jobs []Job
				for range 20 {
					j := writeFile(t, random(100))
					if streamed {
						j.Stream = s
					}
					jobs = append(jobs, j)
				}
				groups = append(groups, jobs)
			}
			if _, err := (Hasher{Workers: 2}).Files(t.Context(), groups); err != nil {
				t.Fatal(err)
			}
			bad := &groups[3][17]
			bad.Name = "the bad one"
			c.change(bad)
			r, err := Hasher{Workers: 2}.Files(t.Context(), groups)
			if r != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.HasPrefix(err.Error(), `hash "the bad one": `) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, streamed %v: %v, %v", name, streamed, r, err)
			}
		}
	}
}

// TestSmallFileIsClosedBeforeTheNextIsOpened, so that however many there are, few are open.
func TestSmallFileIsClosedBeforeTheNextIsOpened(t *testing.T) {
	var last *os.File
	var jobs []Job
	for range 40 {
		j := writeFile(t, random(100))
		open := j.Open
		j.Open = func() (f *os.File, err error) {
			if last != nil {
				if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
					t.Error("two were open")
				}
			}
			last, err = open()
			return last, err
		}
		jobs = append(jobs, j)
	}
	if _, err := (Hasher{Workers: 1}).Files(t.Context(), [][]Job{jobs}); err != nil {
		t.Fatal(err)
	}
}
