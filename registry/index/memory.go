package index

import (
	"context"
	"sync"
)

// memory is a store in memory.
type memory struct {
	mu        sync.Mutex
	events    []event
	keys      map[sum]bool
	documents map[sum][]byte
}

func (m *memory) close() error                { return nil }
func (m *memory) check(context.Context) error { return nil }

func (m *memory) read(ctx context.Context, known event, see func(event) error) error {
	m.mu.Lock()
	events := m.events
	m.mu.Unlock()
	if known.seq > 0 && (known.seq > uint64(len(events)) || !events[known.seq-1].is(known)) {
		return errRewritten
	}
	for _, e := range events[known.seq:] {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := see(e); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) document(_ context.Context, digest sum) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.documents[digest], nil
}

func (m *memory) write(_ context.Context, do func(writer) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &memoryWriter{memory: memory{events: m.events, keys: map[sum]bool{}, documents: map[sum][]byte{}}, before: m}
	if err := do(w); err != nil {
		return err
	}
	m.events = w.events
	if m.keys == nil || w.before != m {
		m.keys, m.documents = map[sum]bool{}, map[sum][]byte{}
	}
	for k := range w.keys {
		m.keys[k] = true
	}
	for k, d := range w.documents {
		m.documents[k] = d
	}
	return nil
}

// memoryWriter collects what becomes of the store.
type memoryWriter struct {
	memory
	before *memory
}

func (w *memoryWriter) last(context.Context) (event, error) {
	if len(w.events) == 0 {
		return event{}, nil
	}
	return w.events[len(w.events)-1], nil
}

func (w *memoryWriter) has(_ context.Context, key sum) (bool, error) {
	return w.keys[key] || w.before.keys[key], nil
}

func (w *memoryWriter) append(_ context.Context, e event, key sum) error {
	w.events = append(w.events[:len(w.events):len(w.events)], e)
	w.keys[key] = true
	return nil
}

func (w *memoryWriter) putDocument(_ context.Context, digest sum, body []byte) error {
	w.documents[digest] = body
	return nil
}

func (w *memoryWriter) clear(context.Context) error {
	w.events, w.keys, w.documents, w.before = nil, map[sum]bool{}, map[sum][]byte{}, &memory{}
	return nil
}
