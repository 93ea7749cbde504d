package index

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// event is one line of the log. Its place in the order is its number, never its time: clocks are set back.
type event struct {
	seq  uint64 // from 1, without a gap
	at   int64  // when it was written, by the writer's clock: nanoseconds since 1970
	kind string
	body []byte // JSON
	hash sum    // of everything above and of the event before
}

type sum = hashing.Sum

// key is what an event says, whenever it was written. No two events have the same.
func (e event) key() sum {
	h := sha256.New()
	h.Write([]byte(e.kind))
	h.Write([]byte{0})
	h.Write(e.body)
	return sum(h.Sum(nil))
}

// is reports whether both are the same event of the same log: the hash is of all that came before, too.
func (e event) is(o event) bool { return e.seq == o.seq && e.hash == o.hash }

// chained returns the hash of the event with that number, time and key after the one whose hash is before. The first has
// nothing before it: 32 zeros.
func chained(before sum, seq uint64, at int64, key sum) sum {
	const domain = "hallmark index event v1\n"
	raw := make([]byte, 0, len(domain)+len(before)+16+len(key))
	raw = append(raw, domain...)
	raw = append(raw, before[:]...)
	raw = binary.BigEndian.AppendUint64(raw, seq)
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	return sha256.Sum256(append(raw, key[:]...))
}

// Head is the last event of the log. Whoever noted it elsewhere can tell later that the log still leads there: a log that
// was cut at its end looks like one that never went on.
type Head struct {
	Seq  uint64 // number of events; 0: the log is empty
	Hash string // "sha256:" and hex; empty where Seq is 0
	At   time.Time
}

// ErrDamaged is in every *DamagedError.
var ErrDamaged = errors.New("index is damaged")

// DamagedError says that the index is not what was written. Nothing is answered from it: hallmark index rebuild makes a new
// one.
type DamagedError struct {
	Seq uint64 // the first event that is not as it was written; 0: the store itself cannot be read
	Err error
}

func (e *DamagedError) Error() string {
	if e.Seq == 0 {
		return fmt.Sprintf("%v: %v", ErrDamaged, e.Err)
	}
	return fmt.Sprintf("%v at event %d: %v", ErrDamaged, e.Seq, e.Err)
}

// Unwrap returns the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

// Is reports that every DamagedError is an ErrDamaged.
func (e *DamagedError) Is(target error) bool { return target == ErrDamaged }

// verify holds e, whose key is given, to the event before it.
func (e event) verify(before event, key sum) error {
	switch {
	case e.seq != before.seq+1:
		return &DamagedError{before.seq + 1, fmt.Errorf("the next one is %d", e.seq)}
	case e.hash != chained(before.hash, e.seq, e.at, key):
		return &DamagedError{e.seq, errors.New("its hash is another one than follows from it and the event before")}
	}
	return nil
}
