package registry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
)

// span is a run of bytes of a file, from one offset to before another.
type span struct{ from, to int64 }

// spans are those parts of a file that are there: in order, apart from each other, none empty.
type spans []span

// add brings in one more.
func (s spans) add(n span) spans {
	if n.from >= n.to {
		return s
	}
	first, _ := slices.BinarySearchFunc(s, n.from, func(e span, from int64) int {
		if e.to < from {
			return -1
		}
		return 1
	})
	last := first
	for ; last < len(s) && s[last].from <= n.to; last++ {
		n.from, n.to = min(n.from, s[last].from), max(n.to, s[last].to)
	}
	return slices.Replace(s, first, last, n)
}

// prefix is how many bytes are there from the beginning on.
func (s spans) prefix() int64 {
	if len(s) == 0 || s[0].from > 0 {
		return 0
	}
	return s[0].to
}

// missing returns what is not there of a file, in pieces that end at multiples of size.
func (s spans) missing(total, size int64) []span {
	var gaps []span
	at := int64(0)
	for _, e := range append(slices.Clone(s), span{total, total}) {
		for at < e.from {
			next := min((at/size+1)*size, e.from)
			gaps = append(gaps, span{at, next})
			at = next
		}
		at = max(at, e.to)
	}
	return gaps
}

// sum is how many bytes are there.
func (s spans) sum() int64 {
	var n int64
	for _, e := range s {
		n += e.to - e.from
	}
	return n
}

// Caps on a journal: its bytes, and how far apart what is written to it lies.
const (
	maxJournal  = 16 << 20
	journalStep = 4 << 20
)

// journal notes which parts of a file were written, one a line: "FROM TO\n". Each line is one write, so that a process
// that dies leaves at most one that is cut off. It is no proof: a file counts only if the whole has its digest.
type journal struct{ file *os.File }

// readJournal returns what a journal notes of a file of total bytes, as far as it makes sense. ok is false where there
// is none.
func readJournal(root *os.Root, name string, total int64) (noted spans, ok bool, err error) {
	raw, err := readRegular(root, name, maxJournal)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, nil
	case errors.Is(err, ErrTooLarge):
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	lines := bufio.NewReader(bytes.NewReader(raw))
	for {
		line, err := lines.ReadString('\n')
		var e span
		if err != nil {
			return noted, true, nil // the end, or a line that is cut off
		}
		if _, err := fmt.Sscanf(line, "%d %d\n", &e.from, &e.to); err != nil || e.from < 0 || e.from >= e.to || e.to > total {
			return noted, true, nil
		}
		noted = noted.add(e)
	}
}

// newJournal begins a journal with what is there already.
func newJournal(root *os.Root, name string, noted spans) (*journal, error) {
	if err := root.RemoveAll(name); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	j := &journal{f}
	for _, e := range noted {
		if err := j.note(e); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
	return j, nil
}

func (j *journal) note(e span) error {
	_, err := io.WriteString(j.file, fmt.Sprintf("%d %d\n", e.from, e.to))
	return err
}

func (j *journal) close() error { return j.file.Close() }
