package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// openSQLite opens the file at path. The log of changes beside it (WAL) is synced before a write is acknowledged, and one
// writer waits for the other.
func openSQLite(ctx context.Context, path string, o Options) (store, error) {
	if err := lookAt(path, o.Create); err != nil {
		return nil, err
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	query := url.Values{
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", o.wait().Milliseconds()), "synchronous(FULL)", "trusted_schema(OFF)", "cell_size_check(ON)"},
		"_txlock": {"immediate"},
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: filepath.ToSlash(full), RawQuery: query.Encode()}).String())
	if err != nil {
		return nil, err
	}
	d := &database{db, dialect{
		bytes:     "BLOB",
		tables:    `SELECT name FROM sqlite_master WHERE type = 'table'`,
		integrity: integrityOf,
		explain:   explainSQLite,
	}}
	if err := d.begun(ctx, o); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// begun prepares the file. SQLite does not wait for others where the kind of log is set, as it does elsewhere: several
// programs that make an index at the same time are told at once that it is in use.
func (d *database) begun(ctx context.Context, o Options) error {
	for began := time.Now(); ; {
		_, err := d.version(ctx, d.db) // before anything is written to what may be somebody else's
		if err == nil {
			err = d.inWAL(ctx)
		}
		if err == nil {
			err = d.prepare(ctx, o.Create)
		}
		if !errors.Is(err, ErrBusy) || time.Since(began) > o.wait() {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (d *database) inWAL(ctx context.Context) error {
	var mode string
	if err := d.db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return explainSQLite(err)
	}
	if mode != "wal" {
		return fmt.Errorf("its log of changes is of kind %q, not wal: this file system cannot hold an index", mode)
	}
	return nil
}

// lookAt says what is wrong with the file before SQLite, which takes an empty file for a database, makes something of it.
func lookAt(path string, create bool) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: not a regular file", ErrForeign)
	case info.Size() == 0 && create:
		return nil
	case info.Size() == 0:
		return fmt.Errorf("%w: the file is empty", ErrMissing)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	if n, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	} else if string(head[:n]) != magic {
		return fmt.Errorf("%w: it does not begin as a SQLite file does", ErrForeign)
	}
	return nil
}

// integrityOf asks SQLite whether the pages hang together and the keys lead where they should.
func integrityOf(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `PRAGMA integrity_check(10)`)
	if err != nil {
		return explainSQLite(err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return explainSQLite(err)
		}
		if line != "ok" {
			return &DamagedError{Err: errors.New(line)}
		}
	}
	if err := rows.Err(); err != nil {
		return explainSQLite(err)
	}
	return nil
}

func explainSQLite(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff { // the rest says more of the same
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return &DamagedError{Err: err}
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("no space left: %w", err)
	}
	return err
}

func (o Options) wait() time.Duration {
	if o.Wait <= 0 {
		return 30 * time.Second
	}
	return o.Wait
}
