package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
)

// bareLoopCommand makes this program the bare loop instead: it runs itself so, in a process of its own like any tool.
const bareLoopCommand = "bare-loop"

// maxList is how many bytes of file names the bare loop takes.
const maxList = 64 << 20

// bareLoop reads and hashes files and does nothing else: the limit of what any Go program can reach. args is how many
// loops run at once, in is the files' names, each ended by a zero byte. Nothing is overlapped within a loop: a MiB is
// read, then hashed.
func bareLoop(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("bare loop: the number of loops is missing")
	}
	loops, err := strconv.Atoi(args[0])
	if err != nil || loops < 1 {
		return fmt.Errorf("bare loop: %q is no number of loops", args[0])
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxList))
	if err != nil {
		return fmt.Errorf("bare loop: read names: %w", err)
	}
	names := bytes.Split(bytes.TrimSuffix(raw, []byte{0}), []byte{0})
	sums := make([][sha256.Size]byte, len(names))
	next := make(chan int, len(names))
	for i := range names {
		next <- i
	}
	close(next)
	failed := make([]error, loops)
	var running sync.WaitGroup
	for n := range loops {
		running.Go(func() {
			buffer := make([]byte, 1<<20)
			for i := range next {
				if failed[n] = hashFile(ctx, string(names[i]), buffer, &sums[i]); failed[n] != nil {
					return
				}
			}
		})
	}
	running.Wait()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("bare loop: %w", err)
	}
	w := bufio.NewWriter(out)
	for i := range names {
		fmt.Fprintf(w, "%x  %s\n", sums[i], names[i])
	}
	return w.Flush()
}

func hashFile(ctx context.Context, name string, buffer []byte, sum *[sha256.Size]byte) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := f.Read(buffer)
		h.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			h.Sum(sum[:0])
			return nil
		}
		if err != nil {
			return err
		}
	}
}
