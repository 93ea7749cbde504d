package index

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kinds of failure that callers tell apart, with errors.Is. See also ErrDamaged.
var (
	// ErrMissing: there is no index, and Options.Create is not set.
	ErrMissing = errors.New("there is no index")
	// ErrBusy: another writer did not finish within Options.Wait.
	ErrBusy = errors.New("index is in use by another writer")
	// ErrNewer: the index was written by a newer version, which may mean something else by what it says.
	ErrNewer = errors.New("index is of a newer version")
	// ErrForeign: what lies there is no index.
	ErrForeign = errors.New("not an index")
)

// store is where the log is kept. It moves events and knows nothing of what they say; what it returns is checked by its
// caller. It is safe for concurrent use, by several processes too.
type store interface {
	reader
	// write calls do in a transaction that no other writer is in at the same time, and keeps what it wrote if it returns
	// nil. When write returns nil, all of it is on the disk, else none. Where the error is of committing, it may be either.
	write(ctx context.Context, do func(writer) error) error
	// document returns the document with the digest; nil where there is none.
	document(ctx context.Context, digest sum) ([]byte, error)
	// check has the store look for damage by its own means.
	check(ctx context.Context) error
	close() error
}

type reader interface {
	// read calls see for every event after the known one, in order; the zero event is before the first. What see gets is
	// its own. It is errRewritten where the known event is not there, or the log was written anew while it was read: what
	// was seen is then not of one log.
	read(ctx context.Context, known event, see func(event) error) error
}

// errRewritten is of a log that no longer leads where it led: another program rebuilt the index.
var errRewritten = errors.New("it was written anew while it was read")

// writer is a transaction.
type writer interface {
	reader
	// last returns the last event without its body; the zero event where there is none.
	last(ctx context.Context) (event, error)
	has(ctx context.Context, key sum) (bool, error)
	append(ctx context.Context, e event, key sum) error
	putDocument(ctx context.Context, digest sum, body []byte) error
	// clear takes everything away.
	clear(ctx context.Context) error
}

// InMemory is the store that ends with the program: for questions about a registry that has no index.
const InMemory = "memory:"

func openStore(ctx context.Context, at string, o Options) (store, error) {
	switch {
	case at == "":
		return nil, errors.New("open index: nowhere")
	case at == InMemory:
		return &memory{}, nil
	case strings.HasPrefix(at, "postgres://") || strings.HasPrefix(at, "postgresql://"):
		return openPostgres(ctx, at, o)
	case strings.Contains(at, "://"):
		return nil, fmt.Errorf("open index %q: it is a file, or a URL that begins with postgres://", Redacted(at))
	}
	return openSQLite(ctx, at, o)
}
