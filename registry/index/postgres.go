package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// openPostgres opens the tables in the database that the URL names, in the schema that comes first on its search path. The
// database should be the index's own. Commits are waited for; a server with fsync off
// acknowledges what it can lose, and is refused.
func openPostgres(ctx context.Context, at string, o Options) (store, error) {
	config, err := pgx.ParseConfig(at)
	if err != nil { // which has the URL in it, and the password in that
		return nil, fmt.Errorf("open index %s: it is no address of a PostgreSQL database", Redacted(at))
	}
	wait := fmt.Sprintf("%dms", o.wait().Milliseconds())
	config.RuntimeParams["lock_timeout"] = wait
	config.RuntimeParams["synchronous_commit"] = "on"
	config.RuntimeParams["application_name"] = "hallmark"
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(4)
	d := &database{db, dialect{
		bytes:     "BYTEA",
		tables:    `SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename LIKE 'hallmark\_%'`,
		exclusive: `LOCK TABLE hallmark_event IN EXCLUSIVE MODE`,
		integrity: func(context.Context, *sql.DB) error { return nil },
		explain:   explainPostgres,
	}}
	if err := d.lasting(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	err = d.prepare(ctx, o.Create)
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code == duplicateTable || e.Code == uniqueViolation) { // another program made them in between
		err = d.prepare(ctx, o.Create)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

// lasting refuses a server that acknowledges what it has not written.
func (d *database) lasting(ctx context.Context) error {
	for _, name := range []string{"fsync", "synchronous_commit"} {
		var value string
		if err := d.db.QueryRowContext(ctx, `SELECT current_setting($1)`, name).Scan(&value); err != nil {
			return d.explained(err)
		}
		if value == "off" {
			return fmt.Errorf("the server has %s off, and would lose what it acknowledged", name)
		}
	}
	return nil
}

// Codes of PostgreSQL's errors (its manual, appendix A).
const (
	duplicateTable   = "42P07"
	uniqueViolation  = "23505"
	lockNotAvailable = "55P03"
	dataCorrupted    = "XX001"
	indexCorrupted   = "XX002"
)

func explainPostgres(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code {
	case lockNotAvailable:
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case dataCorrupted, indexCorrupted:
		return &DamagedError{Err: err}
	}
	return err
}

// Redacted is a store's name as it may be printed and logged: without a password.
func Redacted(at string) string {
	if !strings.Contains(at, "://") {
		return at
	}
	u, err := url.Parse(at)
	if err != nil {
		scheme, _, _ := strings.Cut(at, "://")
		return scheme + "://…"
	}
	q := u.Query()
	for _, secret := range []string{"password", "sslpassword"} {
		if q.Has(secret) {
			q.Set(secret, "xxxxx")
			u.RawQuery = q.Encode()
		}
	}
	return u.Redacted()
}
