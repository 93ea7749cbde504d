package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestCopyOverlappedCopiesAllAndCounts(t *testing.T) {
	for _, size := range []int{0, 1, copyBuffer - 1, copyBuffer, copyBuffer + 1, 7*copyBuffer + 3} {
		data := bytes.Repeat([]byte("0123456789abcdefghi"), size/19+1)[:size]
		for name, from := range map[string]io.Reader{
			"whole": bytes.NewReader(data), "in halves": iotest.HalfReader(bytes.NewReader(data)), "with its end": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			var to bytes.Buffer
			var told int64
			n, err := copyOverlapped(t.Context(), &to, from, func(n int64) { told += n })
			if err != nil || n != int64(size) || told != n || !bytes.Equal(to.Bytes(), data) {
				t.Errorf("%d bytes, %s: %d copied, %d told: %v", size, name, n, told, err)
			}
		}
	}
}

func TestCopyOverlappedSaysWhatWasWrittenWhereItBreaksOff(t *testing.T) {
	broken, full := errors.New("broken"), errors.New("full")
	data := bytes.Repeat([]byte{7}, 4*copyBuffer)
	var to bytes.Buffer
	n, err := copyOverlapped(t.Context(), &to, io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)), nil)
	if !errors.Is(err, broken) || n != int64(len(data)) || to.Len() != len(data) {
		t.Errorf("a reader that breaks off: %d counted, %d written: %v", n, to.Len(), err)
	}
	small := &smallDisk{room: copyBuffer + 5, full: full}
	n, err = copyOverlapped(t.Context(), small, endless{}, nil)
	if !errors.Is(err, full) || n != copyBuffer {
		t.Errorf("a full disk: %d counted: %v", n, err)
	}
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	steps := 0
	n, err = copyOverlapped(ctx, io.Discard, endless{}, func(int64) {
		if steps++; steps == 3 {
			cancel(ended)
		}
	})
	if !errors.Is(err, ended) || n < 3*copyBuffer {
		t.Errorf("a context that ends: %d counted: %v", n, err)
	}
}

// endless reads without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// smallDisk takes whole writes until it is full.
type smallDisk struct {
	room int
	full error
}

func (d *smallDisk) Write(p []byte) (int, error) {
	if d.room -= len(p); d.room < 0 {
		return 0, d.full
	}
	return len(p), nil
}
