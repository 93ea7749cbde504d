package index

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/pkg/lineage"
)

// sample is an index with a name, links, refusals and a verdict, closed: everything is in the one file.
func sample(t testing.TB) (at string, raw []byte) {
	t.Helper()
	at = filepath.Join(t.TempDir(), "index.db")
	x := create(t, at)
	mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest("a")}, Verdict{Decision: decided(digest("a"), then)})
	for i := range 20 {
		mustRecord(t, x, opened(i, i/2), refusal(i))
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	return at, raw
}

// opened is what an opened provenance says: that made was made from from.
func opened(made, from int) Entry {
	b := openedBody{About: digest(fmt.Sprint("n", made)), Where: "here", Bundle: digest(fmt.Sprint("b", made)), Type: "https://slsa.dev/provenance/v1", Kind: "model"}
	b.Signer.Method, b.Signer.Key = "key", "k"
	if made != from {
		b.Links = []linkBody{{Role: "base-model", From: digest(fmt.Sprint("n", from))}}
	}
	return Opened{b}
}

// everything is all that an index answers, or the first error.
func everything(ctx context.Context, at string) (string, error) {
	x, err := Open(ctx, at, Options{Wait: time.Millisecond})
	if err != nil {
		return "", err
	}
	defer x.Close()
	var out bytes.Buffer
	state, err := x.State(ctx)
	if err != nil {
		return "", err
	}
	fmt.Fprintln(&out, state)
	for i := range 20 {
		r, err := x.Impact(ctx, artifactNode(digest(fmt.Sprint("n", i))), lineage.Limits{})
		if err != nil {
			return "", err
		}
		for k := range r.Len() {
			fmt.Fprintln(&out, r.Path(k))
		}
	}
	verdicts, err := x.Verdicts(ctx, digest("a"))
	if err != nil {
		return "", err
	}
	for _, v := range verdicts {
		raw, err := x.Decision(ctx, v.Decision)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&out, v, string(raw))
	}
	names, err := x.Names(ctx, "registry.example/llm:v1")
	fmt.Fprintln(&out, names)
	return out.String(), err
}

// TestFlippedBitIsSaidAndNeverServed flips bits all over the file, one at a time. Either every answer is what it was, or
// there is none; and where Check finds the file sound, it is what it was.
func TestFlippedBitIsSaidAndNeverServed(t *testing.T) {
	at, raw := sample(t)
	want, err := everything(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	step := 131
	if os.Getenv("HALLMARK_E2E") == "1" {
		step = 13
	}
	said, unchanged := 0, 0
	for bit := 0; bit < 8*len(raw); bit += 8*step + 1 {
		flipped := bytes.Clone(raw)
		flipped[bit/8] ^= 1 << (bit % 8)
		_ = os.Remove(at + "-wal")
		_ = os.Remove(at + "-shm")
		if err := os.WriteFile(at, flipped, 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := everything(t.Context(), at)
		if err == nil && got != want {
			t.Fatalf("bit %d was flipped, and it answers\n%s\nwant\n%s", bit, got, want)
		}
		if err != nil {
			said++
			continue
		}
		unchanged++
	}
	if said == 0 || unchanged == 0 {
		t.Errorf("%d flips were noticed, %d changed nothing: the test flips in one place only", said, unchanged)
	}
	t.Logf("%d bytes: %d flips noticed by a question, %d without effect on an answer", len(raw), said, unchanged)
}

// tamper changes an index as somebody does who has the file and SQLite.
func tamper(t *testing.T, at string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: at}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestTamperedLogIsFoundWhereItBreaks changes one thing in the log and expects the first broken link.
func TestTamperedLogIsFoundWhereItBreaks(t *testing.T) {
	for name, c := range map[string]struct {
		statement string
		seq       uint64
	}{
		"another body":  {`UPDATE hallmark_event SET body = replace(body, 'base-model', 'tool') WHERE seq = 7`, 7},
		"another kind":  {`UPDATE hallmark_event SET kind = 'listed' WHERE seq = 9`, 9},
		"another time":  {`UPDATE hallmark_event SET at = at + 1 WHERE seq = 4`, 4},
		"another hash":  {`UPDATE hallmark_event SET hash = zeroblob(32) WHERE seq = 5`, 5},
		"a short hash":  {`UPDATE hallmark_event SET hash = zeroblob(31) WHERE seq = 5`, 5},
		"another key":   {`UPDATE hallmark_event SET key = zeroblob(32) WHERE seq = 6`, 6},
		"one is gone":   {`DELETE FROM hallmark_event WHERE seq = 10`, 10},
		"first is gone": {`DELETE FROM hallmark_event WHERE seq = 1`, 1},
		"another order": {`UPDATE hallmark_event SET seq = CASE seq WHEN 11 THEN -12 WHEN 12 THEN 11 ELSE seq END WHERE seq IN (11, 12)`, 11},
		"one more":      {`INSERT INTO hallmark_event SELECT 43, at, kind, zeroblob(32), body, hash FROM hallmark_event WHERE seq = 42`, 43},
		"unknown kind":  {`UPDATE hallmark_event SET kind = 'trusted' WHERE seq = 3`, 3},
		"decision gone": {`DELETE FROM hallmark_document`, 2},
	} {
		t.Run(name, func(t *testing.T) {
			at, _ := sample(t)
			x := mustOpen(t, at, Options{})
			if h := mustCheck(t, x); h.Seq != 42 {
				t.Fatalf("%d events", h.Seq)
			}
			_ = x.Close()
			tamper(t, at, c.statement)
			x = mustOpen(t, at, Options{})
			_, err := x.Check(t.Context(), Head{})
			var e *DamagedError
			if !errors.As(err, &e) || e.Seq != c.seq || !isDamaged(err) {
				t.Errorf("check: %v", err)
			}
			answer, err := everything(t.Context(), at)
			if name == "another key" { // which nobody is answered from
				return
			}
			if !isDamaged(err) {
				t.Errorf("it answers %q, %v", answer, err)
			}
		})
	}
	at, _ := sample(t)
	tamper(t, at, `UPDATE hallmark_document SET body = replace(body, '"no"', '"yes"')`)
	if answer, err := everything(t.Context(), at); !isDamaged(err) {
		t.Errorf("a decision was turned, and it answers %q, %v", answer, err)
	}
}

// TestCutLogIsKnownByItsHead cuts the log at its end, which leaves a sound one; the head that was noted tells.
func TestCutLogIsKnownByItsHead(t *testing.T) {
	at, _ := sample(t)
	x := mustOpen(t, at, Options{})
	head := mustCheck(t, x)
	mustRecord(t, x, refusal(100))
	if _, err := x.Check(t.Context(), head); err != nil {
		t.Errorf("it went on from the head: %v", err)
	}
	_ = x.Close()
	tamper(t, at, `DELETE FROM hallmark_event WHERE seq >= 40`)
	x = mustOpen(t, at, Options{})
	if _, err := x.Check(t.Context(), Head{}); err != nil {
		t.Errorf("a cut log does not check without a head: %v", err)
	}
	if _, err := x.Check(t.Context(), head); !isDamaged(err) {
		t.Errorf("cut before the head: %v", err)
	}
	mustRecord(t, x, refusal(101), refusal(102), refusal(103))
	if _, err := x.Check(t.Context(), head); !isDamaged(err) {
		t.Errorf("written anew from before the head: %v", err)
	}
}

func TestTruncatedFileIsSaid(t *testing.T) {
	at, raw := sample(t)
	for _, size := range []int{1, 15, 50, 100, 4095, 4096, 8192, len(raw) / 2, len(raw) - 4096, len(raw) - 1} {
		_ = os.Remove(at + "-wal")
		_ = os.Remove(at + "-shm")
		if err := os.WriteFile(at, raw[:size], 0o644); err != nil {
			t.Fatal(err)
		}
		if answer, err := everything(t.Context(), at); err == nil || !(isDamaged(err) || errors.Is(err, ErrForeign)) {
			t.Errorf("%d of %d bytes: %q, %v", size, len(raw), answer, err)
		}
	}
}

func TestOpenSaysWhatIsNoIndex(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		at := filepath.Join(dir, name)
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return at
	}
	other := filepath.Join(dir, "other.db")
	tamper(t, other, `CREATE TABLE people (name TEXT)`)
	before, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	newer, _ := sample(t)
	tamper(t, newer, `UPDATE hallmark_index SET version = 99`)
	none, _ := sample(t)
	tamper(t, none, `UPDATE hallmark_index SET version = 0`)
	for name, c := range map[string]struct {
		at     string
		create bool
		want   error
	}{
		"missing":        {filepath.Join(dir, "gone.db"), false, ErrMissing},
		"empty":          {write("empty.db", ""), false, ErrMissing},
		"text":           {write("text.db", "this is no database"), true, ErrForeign},
		"a directory":    {dir, true, ErrForeign},
		"another's":      {other, true, ErrForeign},
		"newer":          {newer, true, ErrNewer},
		"no version":     {none, true, ErrDamaged},
		"nowhere to put": {filepath.Join(dir, "no", "such", "index.db"), true, nil},
		"nothing":        {"", true, nil},
		"another scheme": {"mysql://user:secret@db.example/index", true, nil},
	} {
		x, err := Open(t.Context(), c.at, Options{Create: c.create})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("%s: %v, %v", name, x, err)
		}
	}
	if after, err := os.ReadFile(other); err != nil || !bytes.Equal(before, after) {
		t.Errorf("somebody else's database was written to (%v)", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "gone.db")); err == nil {
		t.Error("asking made an index")
	}
	if _, err := Open(t.Context(), "postgres://user:secret@127.0.0.1:1/index?connect_timeout=1", Options{}); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("no server: %v", err)
	}
	mustRecord(t, create(t, filepath.Join(dir, "gone.db")), refusal(1))
	mustRecord(t, create(t, filepath.Join(dir, "empty.db")), refusal(1))
}

// TestManyMakeOneIndex has programs, as it were, that all find no index and make it.
func TestManyMakeOneIndex(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		const programs = 16
		var work errgroup.Group
		for i := range programs {
			work.Go(func() error {
				x, err := Open(t.Context(), at, Options{Create: true})
				if err != nil {
					return err
				}
				defer x.Close()
				_, err = x.Record(t.Context(), refusal(i))
				return err
			})
		}
		if err := work.Wait(); err != nil {
			t.Fatal(err)
		}
		if h := mustCheck(t, mustOpen(t, at, Options{})); h.Seq != programs {
			t.Errorf("%d events", h.Seq)
		}
	})
}

// TestLockedIndexIsBusyAndNothingElse has another writer in the middle of its transaction.
func TestLockedIndexIsBusyAndNothingElse(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest("a")})
		y := mustOpen(t, at, Options{Wait: 50 * time.Millisecond})
		err := x.store.write(t.Context(), func(w writer) error {
			if n, err := y.Record(t.Context(), refusal(1)); n != 0 || !errors.Is(err, ErrBusy) {
				t.Errorf("recorded %d, %v", n, err)
			}
			if names, err := y.Names(t.Context(), "registry.example/llm:v1"); err != nil || len(names) != 1 {
				t.Errorf("a reader sees %v (%v)", names, err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		mustRecord(t, y, refusal(1))
	})
}

// TestFailedWriteIsForgotten has the second of two batches fail, and asks what is known.
func TestFailedWriteIsForgotten(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest("a")})
		broken := errors.New("broken")
		bad := entryFunc(func() (string, any, []byte, error) { return "", nil, nil, broken })
		if _, err := x.Record(t.Context(), Named{Ref: "registry.example/llm:v1", Artifact: digest("b")}, bad); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if names, err := x.Names(t.Context(), "registry.example/llm:v1"); err != nil || len(names) != 1 {
			t.Errorf("names %v (%v)", names, err)
		}
		mustRecord(t, x, Named{Ref: "registry.example/llm:v1", Artifact: digest("b")})
		if h := mustCheck(t, x); h.Seq != 2 {
			t.Errorf("%d events", h.Seq)
		}
	})
}

type entryFunc func() (string, any, []byte, error)

func (f entryFunc) entry(*state) (string, any, []byte, error) { return f() }
