package index

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Rebuild makes the index at a path or URL anew. fill gets an empty one and fills it, as a rule with Update; only when it
// has returned nil does what it filled take the place of what was there, at once and as a whole. Verdicts cannot be had
// from any registry, so those that the old index has are carried over, if it is sound; carried is how many.
//
// Writers that have the index open go on with the new one. A SQLite file that is damaged is not written to: it is kept
// beside the new one, under the name that old returns.
func Rebuild(ctx context.Context, at string, o Options, fill func(*Index) error) (carried int, old string, err error) {
	if at == InMemory {
		return 0, "", errors.New("rebuild index: one in memory has nothing to keep")
	}
	o.Create = true
	dir, err := os.MkdirTemp(stagingDir(at), ".hallmark-index-")
	if err != nil {
		return 0, "", fmt.Errorf("rebuild index %s: %w", Redacted(at), err)
	}
	defer os.RemoveAll(dir)
	staged := filepath.Join(dir, "index.db")
	fresh, err := Open(ctx, staged, o)
	if err != nil {
		return 0, "", err
	}
	defer fresh.Close()
	if err := fill(fresh); err != nil {
		return 0, "", err
	}
	former, err := Open(ctx, at, o)
	if err == nil {
		defer former.Close()
		carried, err = former.replace(ctx, fresh)
	}
	if errors.Is(err, ErrDamaged) && isFile(at) {
		return 0, at + ".damaged", errors.Join(fresh.Close(), moveIn(at, staged))
	}
	if err != nil {
		return 0, "", fmt.Errorf("rebuild: %w", err)
	}
	return carried, "", nil
}

func isFile(at string) bool { return at != InMemory && !strings.Contains(at, "://") }

// stagingDir is where the new index is filled: beside a file, so that it can take its place.
func stagingDir(at string) string {
	if isFile(at) {
		return filepath.Dir(at)
	}
	return ""
}

// moveIn puts the new file in the place of a damaged one, which is kept. What SQLite keeps beside a file belongs to it.
func moveIn(at, staged string) error {
	for _, ending := range []string{"-wal", "-shm", ""} {
		if err := os.Rename(at+ending, at+".damaged"+ending); err != nil && (ending == "" || !errors.Is(err, os.ErrNotExist)) {
			return fmt.Errorf("rebuild index: %w", err)
		}
	}
	if err := os.Rename(staged, at); err != nil {
		return fmt.Errorf("rebuild index: %w", err)
	}
	return nil
}

// replace puts what fresh holds in the place of everything, but for the verdicts, in one transaction.
func (x *Index) replace(ctx context.Context, fresh *Index) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	carried := 0
	err := x.store.write(ctx, func(w writer) error {
		documents := map[sum][]byte{}
		verdicts, _, err := verdictsOf(ctx, w, x.store, documents)
		if err != nil {
			return err
		}
		_, last, err := verdictsOf(ctx, fresh.store, fresh.store, documents)
		if err != nil {
			return err
		}
		if err := w.clear(ctx); err != nil {
			return err
		}
		if err := fresh.store.read(ctx, event{}, func(e event) error { return w.append(ctx, e, e.key()) }); err != nil {
			return err
		}
		for digest, raw := range documents {
			if err := w.putDocument(ctx, digest, raw); err != nil {
				return err
			}
		}
		carried, err = carry(ctx, w, verdicts, last)
		return err
	})
	x.state = nil
	return carried, x.doing("write to", err)
}

// verdictsOf verifies a log and returns its verdicts and its last event. Their decisions are added to documents.
func verdictsOf(ctx context.Context, from reader, at store, documents map[sum][]byte) (verdicts []event, last event, err error) {
	s := newState()
	err = catchUp(ctx, from, s, func(e event) {
		if e.kind == kindVerdict {
			verdicts = append(verdicts, e)
		}
	})
	if err == nil {
		err = s.eachDecision(ctx, at, func(digest sum, raw []byte) error {
			documents[digest] = raw
			return nil
		})
	}
	return verdicts, s.head, err
}

// carry writes verdicts after last, save those that are there.
func carry(ctx context.Context, w writer, verdicts []event, last event) (carried int, err error) {
	for _, e := range verdicts {
		key := e.key()
		there, err := w.has(ctx, key)
		if err != nil {
			return 0, err
		}
		if there {
			continue
		}
		next := event{seq: last.seq + 1, at: e.at, kind: e.kind, body: e.body, hash: chained(last.hash, last.seq+1, e.at, key)}
		if err := w.append(ctx, next, key); err != nil {
			return 0, err
		}
		last = next
		carried++
	}
	return carried, nil
}
