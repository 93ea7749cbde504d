package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync"

	"github.com/hallmark-project/hallmark/pkg/hashing/lanes"
)

// bareLanesCommand makes this program package lanes and nothing around it, in a process of its own like any tool.
const bareLanesCommand = "bare-lanes"

// limits is what the SHA-256 of package lanes gives: over bytes that are at hand in a core's cache, or over files that are
// small enough for opening them to count.
func limits(self, name string, lanesEach int) *tool {
	t := &tool{Name: name, Note: "package lanes alone, bytes at hand; small files are read", Version: runtime.Version()}
	switch {
	case !lanes.Paired():
		t.Missing = "this CPU has no SHA instructions of amd64"
	case lanesEach > 2 && lanes.WideFrom() > lanesEach:
		t.Missing = "many lanes gain nothing on this CPU"
	}
	t.tasks = func(op operation, d *dataset) *task {
		cores := min(runtime.NumCPU(), d.Files)
		switch {
		case lanesEach == 2 && (op == hash || op == files) && !d.few():
			return &task{args: []string{self, bareLanesCommand, "files", fmt.Sprint(runtime.NumCPU())}, input: d.list, dir: d.dir}
		case lanesEach > 1 && op == shards:
			cores = runtime.NumCPU()
		case lanesEach == 2 && op == hash && d.Files > 1:
		case lanesEach == 1 && d.Files == 1 && (op == hash || op == both):
			cores = 1
		default:
			return nil
		}
		return &task{args: []string{self, bareLanesCommand, fmt.Sprint(lanesEach), fmt.Sprint(cores), fmt.Sprint(d.bytes())}}
	}
	return t
}

// bareLanes hashes: "LANES CORES BYTES" with so many lanes on each core, "files CORES" the files whose names come in, two at a
// time on each core.
func bareLanes(ctx context.Context, args []string, in io.Reader) error {
	if len(args) < 2 {
		return errors.New("bare lanes: arguments are missing")
	}
	cores, err := strconv.Atoi(args[1])
	if err != nil || cores < 1 {
		return fmt.Errorf("bare lanes: %q is no number of cores", args[1])
	}
	if args[0] == "files" {
		return pairFiles(ctx, cores, in)
	}
	each, err := strconv.Atoi(args[0])
	if len(args) != 3 || err != nil || each < 1 || each > lanes.Most {
		return fmt.Errorf("bare lanes: %q is nothing that it does", args)
	}
	total, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return fmt.Errorf("bare lanes: %q is no number of bytes", args[2])
	}
	var running sync.WaitGroup
	for range cores {
		running.Go(func() { hashMemory(ctx, each, total/int64(cores)) })
	}
	running.Wait()
	return ctx.Err()
}

// hashMemory hashes so many bytes in all, in so many lanes, the same over and over.
func hashMemory(ctx context.Context, each int, total int64) {
	const piece = 64 << 10 // with all others in the core's cache
	d, p := make([]*lanes.Digest, each), make([][]byte, each)
	for i := range d {
		d[i], p[i] = lanes.New(), make([]byte, piece/each*2)
	}
	for ; total > 0 && ctx.Err() == nil; total -= int64(each * len(p[0])) {
		lanes.WriteEach(d, p)
	}
	for i := range d {
		d[i].Sum(nil)
	}
}

// pairFiles opens, reads and closes files, and hashes each beside the next.
func pairFiles(ctx context.Context, cores int, in io.Reader) error {
	raw, err := io.ReadAll(io.LimitReader(in, maxList))
	if err != nil {
		return fmt.Errorf("bare lanes: read names: %w", err)
	}
	next := make(chan string, cores)
	failed := make([]error, cores)
	var running sync.WaitGroup
	for n := range cores {
		running.Go(func() {
			var buffers [2][]byte
			a, b := lanes.New(), lanes.New()
			for first := range next {
				var read [2][]byte
				names := []string{first}
				if second, ok := <-next; ok {
					names = append(names, second)
				}
				for i, name := range names {
					p, err := readInto(name, &buffers[i])
					read[i], failed[n] = p, errors.Join(failed[n], err)
				}
				a.Reset()
				b.Reset()
				lanes.WritePair(a, read[0], b, read[1])
				var sum [sha256.Size]byte
				a.Sum(sum[:0])
				b.Sum(sum[:0])
			}
		})
	}
	for name := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
		if ctx.Err() != nil {
			break
		}
		next <- string(name)
	}
	close(next)
	running.Wait()
	return errors.Join(append(failed, ctx.Err())...)
}

// readInto reads a file into a buffer that grows as it has to.
func readInto(name string, buffer *[]byte) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if n := int(info.Size()); cap(*buffer) < n {
		*buffer = make([]byte, n)
	}
	p := (*buffer)[:info.Size()]
	_, err = io.ReadFull(f, p)
	return p, err
}
