package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/term"
)

// maxLine is how much of an answer is read, in bytes.
const maxLine = 1024

// attended reports whether somebody can be asked: what is typed comes from a terminal, the question goes to one, and no
// CI runs this. Some CI systems give their jobs a terminal that nobody sits at; they say so in CI.
func (s streams) attended() bool {
	if s.person != nil {
		return s.person()
	}
	return os.Getenv("CI") == "" && isTerminal(s.in) && isTerminal(s.err)
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readLine reads an answer. ctx ends the wait; the read itself goes on until the program ends.
func (s streams) readLine(ctx context.Context) (string, error) {
	type answer struct {
		line string
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(s.in, maxLine)).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = errors.New("no answer")
		}
		read <- answer{line, err}
	}()
	select {
	case a := <-read:
		return a.line, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}
