package hashing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// worker hashes one thing after another and keeps its buffers.
type worker struct {
	plan     Plan
	progress func(int64)
	idle     chan struct{} // see schedule
	fed      bool          // the schedule's: it has something to do

	slots  [ahead + (lanes.Most+few)/piecesPerSlot]*slot // of stream, and those that are cut into pieces
	pieces [][]byte                                      // that no side has

	kept []kept          // see small
	runs []*run          // of fill
	now  []*run          // of beside: those whose turn it is
	turn int             // the place among runs of the first that was not in the last turn
	into []*lanes.Digest // of each,
	from [][]byte        // and what goes into them
}

// group hashes jobs in order.
func (w *worker) group(ctx context.Context, jobs []Job, results []Result) error {
	for i, j := range jobs {
		r, err := w.file(ctx, j)
		if err != nil {
			return fmt.Errorf("hash %q: %w", j.Name, err)
		}
		results[i] = r
	}
	return nil
}

// file hashes one file from its first byte to its last.
func (w *worker) file(ctx context.Context, j Job) (Result, error) {
	sums, err := w.digests(j)
	if err != nil {
		return Result{}, err
	}
	file, err := w.open(ctx, j.Open)
	if err != nil {
		return Result{}, err
	}
	defer file.Close()
	if err := w.stream(ctx, file, 0, j.Size, sums.sinks(j)); err != nil {
		return Result{}, err
	}
	if err := atEnd(file, j); err != nil {
		return Result{}, err
	}
	return sums.result(), nil
}

// errNoFile says that Job.Open broke its contract.
var errNoFile = errors.New("open gave neither a file nor an error")

// open opens a file, unless the work was stopped.
func (w *worker) open(ctx context.Context, open func() (*os.File, error)) (*os.File, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	file, err := open()
	if err == nil && file == nil {
		err = errNoFile
	}
	return file, err
}

// atEnd holds a file that was read to its size, and to the job's own check. It looks at the last byte too: a mapping shows
// zeros behind the end of a file that became shorter within its last page.
func atEnd(file *os.File, j Job) error {
	var last [2]byte
	have := min(1, j.Size)
	switch n, err := file.ReadAt(last[:1+have], j.Size-have); {
	case int64(n) > have:
		return fmt.Errorf("%w: more than %d bytes", ErrChanged, j.Size)
	case !errors.Is(err, io.EOF):
		return err
	case int64(n) < have:
		return fmt.Errorf("%w: it ends before byte %d", ErrChanged, j.Size)
	}
	if j.Check == nil {
		return nil
	}
	return j.Check(file)
}
