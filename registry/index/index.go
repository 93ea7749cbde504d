package index

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Options says how to open an index. The zero Options opens one that is there.
type Options struct {
	Create bool             // make the index if there is none
	Wait   time.Duration    // for another writer; 0: 30 seconds
	Now    func() time.Time // the clock that events are dated by; nil: time.Now. Nothing is decided by it
}

// Index is an index. It is safe for concurrent use, and several programs may have the same one open.
type Index struct {
	store store
	name  string
	now   func() time.Time

	mu    sync.Mutex
	state *state // what was read so far; after an error that left it in the middle, nil
}

// Open opens the index at a path (a SQLite file), a URL (postgres://…), or InMemory. One that is not there is an
// ErrMissing, one of a newer version an ErrNewer, anything else than an index an ErrForeign; an older version is brought to
// the present one. Nothing is read of the log yet: whether it is sound shows with the first question.
func Open(ctx context.Context, at string, o Options) (*Index, error) {
	s, err := openStore(ctx, at, o)
	if err != nil {
		return nil, fmt.Errorf("open index %s: %w", Redacted(at), err)
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return &Index{store: s, name: Redacted(at), now: now}, nil
}

// Close closes the index. What Record acknowledged is on the disk before.
func (x *Index) Close() error { return x.store.close() }

// doing names in err what was being done. A nil err stays nil.
func (x *Index) doing(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s index %s: %w", what, x.name, err)
}

// known calls ask with everything that the log says up to now.
func (x *Index) known(ctx context.Context, ask func(*state) error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.catchUp(ctx, x.store); err != nil {
		return x.doing("read", err)
	}
	return ask(x.state)
}

// catchUp reads what was written since the last time; x.mu is held. Where another program rebuilt the index meanwhile,
// everything is read.
func (x *Index) catchUp(ctx context.Context, from reader) error {
	for again := 0; ; again++ {
		if x.state == nil {
			x.state = newState()
		}
		err := catchUp(ctx, from, x.state, func(event) {})
		if err == nil {
			return nil
		}
		x.state = nil // it is of another log, or may hold half of an event
		if !errors.Is(err, errRewritten) || again == maxAgain {
			return err
		}
	}
}

// maxAgain is how often an index is read anew that others rebuild while it is read.
const maxAgain = 3

// Record writes entries that are new, in order, in one transaction: when it returns nil all of them are on the disk. After
// an error none is, save where the connection broke while they were committed; recording them again is right then, and
// after nil: no entry is written twice. It returns how many were new.
//
// Several programs may record at the same time; one waits for the other, and ErrBusy says that it waited long enough.
func (x *Index) Record(ctx context.Context, entries ...Entry) (int, error) {
	if len(entries) == 0 {
		return 0, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	written := 0
	err := x.store.write(ctx, func(w writer) error {
		written = 0
		before, err := x.writeAfter(ctx, w, entries)
		if err != nil {
			return err
		}
		at := x.now().UnixNano()
		for i, n := range entries {
			e, err := x.add(ctx, w, n, before, at)
			if err != nil {
				return fmt.Errorf("entry %d: %w", i+1, err)
			}
			if e != nil {
				before = *e
				written++
			}
		}
		return nil
	})
	if err != nil {
		if x.state != nil && written > 0 {
			x.state = nil // it may know what was not kept
		}
		return 0, x.doing("write to", err)
	}
	return written, nil
}

// writeAfter returns the event to go on after. Where an entry depends on what is known, everything is read.
func (x *Index) writeAfter(ctx context.Context, w writer, entries []Entry) (event, error) {
	for _, n := range entries {
		switch n.(type) {
		case Named, Listed:
			if err := x.catchUp(ctx, w); err != nil {
				return event{}, err
			}
			return x.state.head, nil
		}
	}
	return w.last(ctx)
}

// add writes an entry after the event before, and returns its event; nil where it says nothing new.
func (x *Index) add(ctx context.Context, w writer, n Entry, before event, at int64) (*event, error) {
	e, document, err := x.encode(n, before, at)
	if errors.Is(err, errNothingNew) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	isNew, err := x.put(ctx, w, &e, before, document)
	if err != nil || isNew {
		return &e, err
	}
	back, ok := n.(returning)
	if !ok {
		return nil, nil
	}
	if err := x.catchUp(ctx, w); err != nil { // up to what this transaction wrote
		return nil, err
	}
	next := back.again(x.state)
	if next == nil {
		return nil, nil
	}
	if e, document, err = x.encode(next, before, at); err != nil {
		return nil, err
	}
	if isNew, err = x.put(ctx, w, &e, before, document); err != nil || !isNew {
		return nil, err
	}
	return &e, nil
}

func (x *Index) encode(n Entry, before event, at int64) (event, []byte, error) {
	kind, body, document, err := n.entry(x.state)
	if err != nil {
		return event{}, nil, err
	}
	raw, err := marshal(body)
	if err != nil {
		return event{}, nil, err
	}
	if len(raw) > maxBody {
		return event{}, nil, fmt.Errorf("an event of %d bytes, at most %d are written", len(raw), maxBody)
	}
	return event{seq: before.seq + 1, at: at, kind: kind, body: raw}, document, nil
}

// put writes e after the one before it, unless the log says it already, and adds it to what is known where all before it is.
func (x *Index) put(ctx context.Context, w writer, e *event, before event, document []byte) (bool, error) {
	key := e.key()
	if there, err := w.has(ctx, key); err != nil || there {
		return false, err
	}
	e.hash = chained(before.hash, e.seq, e.at, key)
	if document != nil {
		if err := w.putDocument(ctx, sumOf(document), document); err != nil {
			return false, err
		}
	}
	if err := w.append(ctx, *e, key); err != nil {
		return false, err
	}
	if x.state == nil || x.state.head.seq != before.seq {
		return true, nil
	}
	body, err := decode(*e)
	if err != nil {
		return false, err
	}
	return true, x.state.apply(*e, body)
}

// maxBody is the cap on what one event says, in bytes: a provenance may list very many inputs.
const maxBody = 32 << 20
