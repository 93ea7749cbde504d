package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// database is a store in a SQL database. The two that there are differ in a few words.
type database struct {
	db *sql.DB
	dialect
}

// dialect is what differs. All statements are written with $1, $2, ….
type dialect struct {
	bytes     string                               // type of bytes
	tables    string                               // names the tables that there are, one a row
	exclusive string                               // makes a transaction the only writer; empty: it is from its beginning
	integrity func(context.Context, *sql.DB) error // looks for damage
	explain   func(error) error                    // names the kinds of failure
}

// migrations lead from each version to the next: the first makes version 1 of nothing. They are never changed, only added
// to. BYTES stands for the type of bytes.
var migrations = [][]string{
	{
		`CREATE TABLE hallmark_index (version BIGINT NOT NULL)`,
		`INSERT INTO hallmark_index (version) VALUES (0)`,
		`CREATE TABLE hallmark_event (seq BIGINT PRIMARY KEY, at BIGINT NOT NULL, kind TEXT NOT NULL, key BYTES NOT NULL UNIQUE, body BYTES NOT NULL, hash BYTES NOT NULL)`,
		`CREATE TABLE hallmark_document (digest BYTES PRIMARY KEY, body BYTES NOT NULL)`,
	},
}

// prepare brings the database to the present version, or says why it cannot. Several programs may do so at once.
func (d *database) prepare(ctx context.Context, create bool) error {
	version, err := d.version(ctx, d.db)
	if err != nil || version == len(migrations) {
		return err
	}
	if version == 0 && !create {
		return ErrMissing
	}
	tx, err := d.begin(ctx, version > 0)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if version, err = d.version(ctx, tx); err != nil { // another program may have done it meanwhile
		return err
	}
	if err := d.migrate(ctx, tx, version, migrations); err != nil {
		return err
	}
	return d.explained(tx.Commit())
}

func (d *database) migrate(ctx context.Context, tx *sql.Tx, from int, steps [][]string) error {
	for v := from; v < len(steps); v++ {
		for _, statement := range steps[v] {
			if _, err := tx.ExecContext(ctx, d.typed(statement)); err != nil {
				return fmt.Errorf("migrate to version %d: %w", v+1, d.explained(err))
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE hallmark_index SET version = $1`, v+1); err != nil {
			return fmt.Errorf("migrate to version %d: %w", v+1, d.explained(err))
		}
	}
	return nil
}

// typed is a statement with the database's own types.
func (d *database) typed(statement string) string {
	return strings.ReplaceAll(statement, "BYTES", d.bytes)
}

// queries is a database or a transaction.
type queries interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the version of what is there; 0 where nothing is.
func (d *database) version(ctx context.Context, q queries) (int, error) {
	rows, err := q.QueryContext(ctx, d.tables)
	if err != nil {
		return 0, d.explained(err)
	}
	defer rows.Close()
	others, ours := 0, false
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return 0, d.explained(err)
		}
		ours = ours || name == "hallmark_index"
		others++
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return 0, d.explained(err)
	}
	if !ours {
		if others > 0 {
			return 0, fmt.Errorf("%w: it has other tables", ErrForeign)
		}
		return 0, nil
	}
	var version int
	if err := q.QueryRowContext(ctx, `SELECT version FROM hallmark_index`).Scan(&version); err != nil {
		return 0, d.explained(err)
	}
	switch {
	case version > len(migrations):
		return 0, fmt.Errorf("%w: %d, and this program knows %d", ErrNewer, version, len(migrations))
	case version < 1:
		return 0, &DamagedError{Err: fmt.Errorf("it says that it is of version %d", version)}
	}
	return version, nil
}

func (d *database) explained(err error) error {
	if err == nil {
		return nil
	}
	return d.explain(err)
}

// begin begins the transaction of a writer.
func (d *database) begin(ctx context.Context, lock bool) (*sql.Tx, error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, d.explained(err)
	}
	if lock && d.exclusive != "" {
		if _, err := tx.ExecContext(ctx, d.exclusive); err != nil {
			return nil, errors.Join(d.explained(err), tx.Rollback())
		}
	}
	return tx, nil
}

func (d *database) close() error { return d.db.Close() }

func (d *database) check(ctx context.Context) error {
	if err := d.integrity(ctx, d.db); err != nil {
		return err
	}
	return d.checkKeys(ctx)
}

// checkKeys compares the key that every event is found by with what it says, and every document with its digest.
func (d *database) checkKeys(ctx context.Context) error {
	rows, err := d.db.QueryContext(ctx, `SELECT seq, kind, key, body FROM hallmark_event ORDER BY seq`)
	if err != nil {
		return d.explained(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e event
		var key []byte
		if err := rows.Scan(&e.seq, &e.kind, &key, &e.body); err != nil {
			return &DamagedError{Err: err}
		}
		if want := e.key(); string(want[:]) != string(key) {
			return &DamagedError{e.seq, errors.New("its key is not that of what it says")}
		}
	}
	if err := rows.Err(); err != nil {
		return d.explained(err)
	}
	documents, err := d.db.QueryContext(ctx, `SELECT digest, body FROM hallmark_document`)
	if err != nil {
		return d.explained(err)
	}
	defer documents.Close()
	for documents.Next() {
		var digest, body []byte
		if err := documents.Scan(&digest, &body); err != nil {
			return &DamagedError{Err: err}
		}
		if want := sumOf(body); string(want[:]) != string(digest) {
			return &DamagedError{Err: fmt.Errorf("document %x is %s", digest, want)}
		}
	}
	return d.explained(documents.Err())
}

func (d *database) document(ctx context.Context, digest sum) ([]byte, error) {
	var body []byte
	err := d.db.QueryRowContext(ctx, `SELECT body FROM hallmark_document WHERE digest = $1`, digest[:]).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return body, d.explained(err)
}

func (d *database) read(ctx context.Context, known event, see func(event) error) error {
	return d.readFrom(ctx, d.db, known, see)
}

// eventsFrom asks for the event with a number, without what it says, and for those that follow, as many in all as limit. The
// limit is in the text for the planner of a server that has no statistics of the table, as after a bulk load, and where
// writers' locks keep it from being looked at: without one it expects a third of the table in answer to "what is new?", and
// PostgreSQL then sorts and has the statement compiled, which for nothing at all took a fifth of a second at a million events.
func eventsFrom(limit int) string {
	return fmt.Sprintf(`SELECT seq, at, kind, CASE WHEN seq > $1 THEN body END, hash FROM hallmark_event WHERE seq >= $1 ORDER BY seq LIMIT %d`, limit)
}

// The first batch of events that are read has as many as an answer to "what is new?" may have; where that is not all, the
// next ones are four times as large, until the server's answer takes far longer than asking.
const (
	firstBatch = 1000
	maxBatch   = 64 * firstBatch
)

// readFrom reads in batches, each of which begins with the last event of the one before: what another program wrote anew
// meanwhile is noticed there, as it is at the first.
func (d *database) readFrom(ctx context.Context, q queries, known event, see func(event) error) error {
	for limit := firstBatch; ; limit = min(4*limit, maxBatch) {
		n, last, err := d.readBatch(ctx, q, known, limit, see)
		if err != nil || n < limit {
			return err
		}
		known = last
	}
}

// readBatch returns how many rows there were, and the last one.
func (d *database) readBatch(ctx context.Context, q queries, known event, limit int, see func(event) error) (n int, last event, err error) {
	rows, err := q.QueryContext(ctx, eventsFrom(limit), int64(known.seq))
	if err != nil {
		return 0, last, d.explained(err)
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var e event
		var hash sql.RawBytes
		if err := rows.Scan(&e.seq, &e.at, &e.kind, &e.body, &hash); err != nil {
			return n, last, &DamagedError{max(known.seq, last.seq) + 1, err}
		}
		if copy(e.hash[:], hash) != len(hash) || len(hash) != len(e.hash) {
			return n, last, &DamagedError{e.seq, fmt.Errorf("a hash of %d bytes", len(hash))}
		}
		last = event{seq: e.seq, hash: e.hash}
		if n == 0 && known.seq > 0 {
			if !e.is(known) {
				return n, last, errRewritten
			}
			continue
		}
		if err := see(e); err != nil {
			return n, last, err
		}
	}
	if err := rows.Err(); err != nil {
		return n, last, d.explained(err)
	}
	if n == 0 && known.seq > 0 {
		return n, last, errRewritten
	}
	return n, last, nil
}

func (d *database) write(ctx context.Context, do func(writer) error) error {
	tx, err := d.begin(ctx, true)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	w := &transaction{d: d, tx: tx}
	defer w.close()
	if err := do(w); err != nil {
		return err
	}
	return d.explained(tx.Commit())
}

// transaction is a writer in a database.
type transaction struct {
	d         *database
	tx        *sql.Tx
	find, put *sql.Stmt
}

func (w *transaction) close() {
	for _, s := range []*sql.Stmt{w.find, w.put} {
		if s != nil {
			_ = s.Close()
		}
	}
}

func (w *transaction) read(ctx context.Context, known event, see func(event) error) error {
	return w.d.readFrom(ctx, w.tx, known, see)
}

func (w *transaction) last(ctx context.Context) (event, error) {
	var e event
	var hash []byte
	err := w.tx.QueryRowContext(ctx, `SELECT seq, at, hash FROM hallmark_event ORDER BY seq DESC LIMIT 1`).Scan(&e.seq, &e.at, &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return event{}, nil
	}
	if err != nil {
		return event{}, w.d.explained(err)
	}
	if len(hash) != len(e.hash) {
		return event{}, &DamagedError{e.seq, fmt.Errorf("a hash of %d bytes", len(hash))}
	}
	copy(e.hash[:], hash)
	return e, nil
}

func (w *transaction) clear(ctx context.Context) error {
	for _, table := range []string{"hallmark_event", "hallmark_document"} {
		if _, err := w.tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return w.d.explained(err)
		}
	}
	return nil
}

func (w *transaction) has(ctx context.Context, key sum) (bool, error) {
	if w.find == nil {
		var err error
		if w.find, err = w.tx.PrepareContext(ctx, `SELECT seq FROM hallmark_event WHERE key = $1`); err != nil {
			return false, w.d.explained(err)
		}
	}
	var seq uint64
	err := w.find.QueryRowContext(ctx, key[:]).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, w.d.explained(err)
}

func (w *transaction) append(ctx context.Context, e event, key sum) error {
	if w.put == nil {
		var err error
		if w.put, err = w.tx.PrepareContext(ctx, `INSERT INTO hallmark_event (seq, at, kind, key, body, hash) VALUES ($1, $2, $3, $4, $5, $6)`); err != nil {
			return w.d.explained(err)
		}
	}
	_, err := w.put.ExecContext(ctx, int64(e.seq), e.at, e.kind, key[:], e.body, e.hash[:])
	return w.d.explained(err)
}

func (w *transaction) putDocument(ctx context.Context, digest sum, body []byte) error {
	_, err := w.tx.ExecContext(ctx, `INSERT INTO hallmark_document (digest, body) VALUES ($1, $2) ON CONFLICT DO NOTHING`, digest[:], body)
	return w.d.explained(err)
}
