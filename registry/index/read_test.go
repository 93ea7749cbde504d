package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// fillRefusals records entries that only their numbers, from first on, tell from others.
func fillRefusals(t *testing.T, x *Index, first, n int) {
	t.Helper()
	var all []Entry
	for i := range n {
		all = append(all, refusal(first+i))
	}
	mustRecord(t, x, all...)
}

// TestReadGoesOnFromBatchToBatch reads logs that end before, at and after the end of a batch, from several places.
func TestReadGoesOnFromBatchToBatch(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		written := uint64(0)
		const second = 5*firstBatch - 1 // where the second batch ends, which begins with the end of the first
		for _, n := range []uint64{firstBatch - 1, firstBatch, firstBatch + 1, second - 1, second, second + 1, second + 2} {
			fillRefusals(t, x, int(written), int(n-written))
			written = n
			var heads []event
			err := x.store.read(t.Context(), event{}, func(e event) error {
				heads = append(heads, event{seq: e.seq, hash: e.hash})
				return nil
			})
			if err != nil || uint64(len(heads)) != written {
				t.Fatalf("read %d of %d: %v", len(heads), written, err)
			}
			for _, known := range []uint64{1, written / 2, written - 1, written} {
				next := known
				err := x.store.read(t.Context(), heads[known-1], func(e event) error {
					next++
					if e.seq != next || len(e.body) == 0 {
						return fmt.Errorf("event %d of %d bytes after %d", e.seq, len(e.body), next-1)
					}
					return nil
				})
				if err != nil || next != written {
					t.Errorf("from %d of %d: to %d, %v", known, written, next, err)
				}
			}
			ahead := event{seq: written + 1, hash: sumOf(nil)}
			if err := x.store.read(t.Context(), ahead, func(event) error { return nil }); !errors.Is(err, errRewritten) {
				t.Errorf("after an event that is not there: %v", err)
			}
			other := event{seq: written, hash: sumOf(nil)}
			if err := x.store.read(t.Context(), other, func(event) error { return nil }); !errors.Is(err, errRewritten) {
				t.Errorf("after another event than is there: %v", err)
			}
		}
	})
}

// rebuilding has the index rebuilt in the middle of the first batch, as often as it says.
type rebuilding struct {
	reader
	times   int
	rebuild func()
}

func (r *rebuilding) read(ctx context.Context, known event, see func(event) error) error {
	seen := 0
	return r.reader.read(ctx, known, func(e event) error {
		if seen++; seen == firstBatch/2 && r.times > 0 {
			r.times--
			r.rebuild()
		}
		return see(e)
	})
}

// TestReadBeginsAnewWhereTheIndexIsRebuiltMeanwhile rebuilds an index while it is read for the first time: once, and every
// time.
func TestReadBeginsAnewWhereTheIndexIsRebuiltMeanwhile(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		fillRefusals(t, create(t, at), 0, 2*firstBatch)
		first := 0
		rebuild := func() {
			first++
			_, _, err := Rebuild(t.Context(), at, Options{}, func(x *Index) error {
				fillRefusals(t, x, first, 2*firstBatch+7)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		x := mustOpen(t, at, Options{})
		if err := x.catchUp(t.Context(), &rebuilding{x.store, 1, rebuild}); err != nil {
			t.Fatal(err)
		}
		if want := mustCheck(t, mustOpen(t, at, Options{})); headOf(x.state.head) != want || want.Seq != 2*firstBatch+7 {
			t.Errorf("head %+v, want %+v", headOf(x.state.head), want)
		}
		x = mustOpen(t, at, Options{})
		if err := x.catchUp(t.Context(), &rebuilding{x.store, maxAgain + 1, rebuild}); !errors.Is(err, errRewritten) || isDamaged(err) || x.state != nil {
			t.Errorf("rebuilt while it was read, every time: %v", err)
		}
		if _, err := x.State(t.Context()); err != nil {
			t.Errorf("and then left alone: %v", err)
		}
	})
}

// TestPostgresAnswersWhatIsNewByTheKey asks PostgreSQL how it would answer the question before every answer, where it has
// statistics and where it has none, for the plan that it makes of one number and for the one that it keeps for all.
func TestPostgresAnswersWhatIsNewByTheKey(t *testing.T) {
	at := postgresDatabase(t)
	d := create(t, at).store.(*database)
	const events = 100_000
	execute(t, at, "ALTER TABLE hallmark_event SET (autovacuum_enabled = off)")
	execute(t, at, fmt.Sprintf(`INSERT INTO hallmark_event SELECT n, n, 'refused', sha256(n::text::bytea), sha256(n::text::bytea), sha256(n::text::bytea) FROM generate_series(1, %d) AS n`, events))
	conn, err := d.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	asked := 0
	plan := func(statement, mode string) string {
		asked++
		for _, s := range []string{"SET plan_cache_mode = " + mode, fmt.Sprintf("PREPARE asked%d(bigint) AS %s", asked, statement)} {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		return lines(t, conn, fmt.Sprintf("EXPLAIN EXECUTE asked%d(%d)", asked, events))
	}
	byKey := func(plan string) bool {
		return strings.Contains(plan, "Index Scan using hallmark_event_pkey") && !strings.Contains(plan, "Sort") && !strings.Contains(plan, "JIT")
	}
	unlimited, _, _ := strings.Cut(eventsFrom(0), "LIMIT")
	for _, statistics := range []bool{false, true} {
		if statistics {
			execute(t, at, "ANALYZE hallmark_event")
		}
		for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
			if p := plan(eventsFrom(firstBatch), mode); !byKey(p) {
				t.Errorf("statistics %v, %s:\n%s", statistics, mode, p)
			}
			if p := plan(unlimited, mode); !statistics && byKey(p) {
				t.Errorf("%s: without a limit it is answered by the key too, so this test shows nothing:\n%s", mode, p)
			}
		}
	}
}

func lines(t *testing.T, q queries, query string) string {
	t.Helper()
	rows, err := q.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
