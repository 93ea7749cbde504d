package registry

import (
	"io"
	"sync"
)

// EventKind says what happened to a layer.
type EventKind string

// The kinds of Event. A layer begins with EventStart and ends with EventDone, unless the operation fails.
const (
	EventStart    EventKind = "start"    // it is looked at
	EventSkip     EventKind = "skip"     // it was there already; nothing moves
	EventMounted  EventKind = "mounted"  // the registry took it from another of its repositories; nothing moves
	EventResumed  EventKind = "resumed"  // a part of it was there from an earlier pull: Done bytes
	EventProgress EventKind = "progress" // some of it moved; not more often than each hundredth part of it
	EventRetry    EventKind = "retry"    // a request was in vain and is made again
	EventDone     EventKind = "done"     // it is there and its digest was checked
)

// Event is something that happened to one layer of an artifact while it was pushed or pulled.
type Event struct {
	Kind   EventKind
	Name   string // of the layer: a file's, or a pack's
	Digest string // of the layer
	Done   int64  // bytes of it that are through
	Total  int64  // its bytes
	Err    error  // why, of EventRetry; else nil
}

// progressSteps is how many events of progress a layer has at most.
const progressSteps = 100

// meter adds up what moved, in all and layer by layer, and tells those who want to know. They are told one thing at a
// time.
type meter struct {
	mu          sync.Mutex
	done, total int64
	report      func(done, total int64)
	events      func(Event)
}

func newMeter(report func(done, total int64)) *meter { return &meter{report: report} }

// moved adds bytes that belong to no layer's gauge.
func (m *meter) moved(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(n)
}

func (m *meter) add(n int64) {
	m.done = min(m.done+n, m.total)
	if m.report != nil {
		m.report(m.done, m.total)
	}
}

func (m *meter) tell(e Event) {
	if m.events != nil {
		m.events(e)
	}
}

// gauge follows one layer. What has to be moved again counts once: the gauge stands still until it is where it was.
type gauge struct {
	meter *meter
	event Event // Done is the furthest point so far
	at    int64 // where the transfer is
	told  int64 // where it was when that was last told
}

func (m *meter) layer(name string, d Descriptor) *gauge {
	return &gauge{meter: m, event: Event{Name: name, Digest: d.Digest, Total: d.Size}}
}

// moved says that n more bytes went by.
func (g *gauge) moved(n int64) {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.advance(n)
	if g.event.Done-g.told > g.event.Total/progressSteps {
		g.say(EventProgress, nil)
	}
}

func (g *gauge) advance(n int64) {
	g.at += n
	if further := min(g.at, g.event.Total) - g.event.Done; further > 0 {
		g.event.Done += further
		g.meter.add(further)
	}
}

func (g *gauge) say(kind EventKind, err error) {
	e := g.event
	e.Kind, e.Err = kind, err
	g.told = e.Done
	g.meter.tell(e)
}

// begin says that the transfer is at an offset, where it begins or begins again.
func (g *gauge) begin(at int64) {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.at = at
}

// is tells what happened.
func (g *gauge) is(kind EventKind) {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.say(kind, nil)
}

// resumed says that n bytes are there from another time.
func (g *gauge) resumed(n int64) {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.advance(n)
	g.say(EventResumed, nil)
}

// retrying tells of a request that was in vain.
func (g *gauge) retrying(err error) {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.say(EventRetry, err)
}

// finish says that the layer is there, whatever moved.
func (g *gauge) finish() {
	g.meter.mu.Lock()
	defer g.meter.mu.Unlock()
	g.at = g.event.Done
	g.advance(g.event.Total - g.at)
	g.say(EventDone, nil)
}

// movable is what wants to know that bytes went by.
type movable interface{ moved(n int64) }

// metered tells of the bytes that are read through it.
type metered struct {
	io.ReadCloser
	m movable
}

func (r *metered) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.m.moved(int64(n))
	}
	return n, err
}
