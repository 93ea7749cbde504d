package index

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/lineage"
)

// hexBytes is how the fixtures write bytes, as SQLite does.
var hexBytes = regexp.MustCompile(`X'([0-9A-F]*)'`)

// fixture loads a dump of an index of an earlier version.
func fixture(t *testing.T, at, file string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for statement := range strings.SplitSeq(strings.TrimSpace(string(raw)), ";\n") {
		statement = strings.TrimSuffix(statement, ";")
		if strings.Contains(at, "://") {
			execute(t, at, strings.ReplaceAll(hexBytes.ReplaceAllString(statement, `'\x$1'`), " BLOB", " BYTEA"))
			continue
		}
		tamper(t, at, statement)
	}
}

// TestEveryEarlierVersionOpens brings each version's fixture to the present one and asks what was recorded in it.
func TestEveryEarlierVersionOpens(t *testing.T) {
	files, err := filepath.Glob("testdata/v*.sql")
	if err != nil || len(files) != len(migrations) {
		t.Fatalf("%d fixtures, %d versions (%v): dump an index of each", len(files), len(migrations), err)
	}
	for _, file := range files {
		eachStore(t, func(t *testing.T, at string) {
			if !strings.Contains(at, "://") {
				at = filepath.Join(filepath.Dir(at), "index.db")
			}
			fixture(t, at, file)
			x := mustOpen(t, at, Options{})
			if h := mustCheck(t, x); h.Seq != 5 || h.Hash != "sha256:08c30fd1622fe041c491198ff36261fc2977ca937df53e50fbf7531bd51215ed" {
				t.Errorf("%s: head %+v", file, h)
			}
			r, err := x.Impact(t.Context(), artifactNode(digest("n1")), lineage.Limits{})
			if err != nil || r.Len() != 1 || rolesTo(r, 0) != "base-model" {
				t.Errorf("%s: impact %v (%v)", file, r, err)
			}
			verdicts, err := x.Verdicts(t.Context(), digest("a"))
			if err != nil || len(verdicts) != 1 {
				t.Fatalf("%s: verdicts %v (%v)", file, verdicts, err)
			}
			if raw, err := x.Decision(t.Context(), verdicts[0].Decision); err != nil || len(raw) == 0 {
				t.Errorf("%s: %v", file, err)
			}
			mustRecord(t, x, refusal(1))
			mustCheck(t, x)
		})
	}
}

// TestMigrationIsAllOrNothing goes to a version that there is not yet, and fails halfway to the one after.
func TestMigrationIsAllOrNothing(t *testing.T) {
	eachStore(t, func(t *testing.T, at string) {
		x := create(t, at)
		mustRecord(t, x, refusal(1))
		d := x.store.(*database)
		version := func() (v int) {
			if err := d.db.QueryRowContext(t.Context(), `SELECT version FROM hallmark_index`).Scan(&v); err != nil {
				t.Fatal(err)
			}
			return v
		}
		migrate := func(steps ...[]string) error {
			tx, err := d.begin(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if err := d.migrate(t.Context(), tx, len(migrations), append(migrations[:len(migrations):len(migrations)], steps...)); err != nil {
				return err
			}
			return tx.Commit()
		}
		good := []string{`CREATE TABLE hallmark_more (body BYTES)`, `INSERT INTO hallmark_more (body) SELECT hash FROM hallmark_event`}
		if err := migrate(good, []string{`CREATE TABLE hallmark_most (body BYTES)`, `SELECT nothing FROM nowhere`}); err == nil || !strings.Contains(err.Error(), fmt.Sprint("version ", len(migrations)+2)) {
			t.Errorf("a step that cannot be: %v", err)
		}
		if v := version(); v != len(migrations) {
			t.Errorf("half of a migration is there: version %d", v)
		}
		if err := migrate(good); err != nil || version() != len(migrations)+1 {
			t.Errorf("version %d (%v)", version(), err)
		}
		if _, err := Open(t.Context(), at, Options{Create: true}); !errors.Is(err, ErrNewer) {
			t.Errorf("a newer version opens: %v", err)
		}
	})
}
