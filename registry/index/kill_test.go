package index

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
)

// writerEnv has the test binary be a writer of the index that it names.
const writerEnv = "HALLMARK_INDEX_WRITER"

// batchOf is how many entries a writer records at once.
const batchOf = 5

// writeForEver records batches and says of each, once it was acknowledged, that it was.
func writeForEver(at string) {
	who, _, _ := strings.Cut(at, " ")
	at = strings.TrimPrefix(at, who+" ")
	x, err := Open(context.Background(), at, Options{Create: true, Wait: 5 * time.Minute})
	for n := 0; err == nil; n++ {
		var entries []Entry
		for i := range batchOf {
			entries = append(entries, Refused{About: digest(who), Where: fmt.Sprintf("%s %d %d", who, n, i), Reason: policy.BadSignature})
		}
		if _, err = x.Record(context.Background(), entries...); err == nil {
			_, err = fmt.Println(who, n)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// process is a writer that can be killed.
type process struct {
	command *exec.Cmd
	lines   *bufio.Scanner
	out     io.Closer
}

func startWriter(t *testing.T, who, at string) *process {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^$")
	c.Env = append(os.Environ(), writerEnv+"="+who+" "+at)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{c, bufio.NewScanner(out), out}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return p
}

// await returns the next n batches that the writer says were acknowledged.
func (p *process) await(t *testing.T, n int) (acknowledged []string) {
	t.Helper()
	for range n {
		if !p.lines.Scan() {
			t.Fatalf("a writer stopped: %v", p.lines.Err())
		}
		acknowledged = append(acknowledged, p.lines.Text())
	}
	return acknowledged
}

// kill kills the writer and returns what it had still said.
func (p *process) kill(t *testing.T) (acknowledged []string) {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for p.lines.Scan() {
		acknowledged = append(acknowledged, p.lines.Text())
	}
	_ = p.command.Wait()
	return acknowledged
}

// TestKilledWritersLoseNothingThatWasAcknowledged kills one of several writers, again and again, wherever it is just then.
// In the end every batch that was acknowledged is there, none is there in part, and the log is sound.
func TestKilledWritersLoseNothingThatWasAcknowledged(t *testing.T) {
	writers, kills := 3, 6
	if os.Getenv("HALLMARK_E2E") == "1" {
		writers, kills = 8, 50
	}
	eachStore(t, func(t *testing.T, at string) {
		if !strings.Contains(at, "://") {
			at = filepath.Join(filepath.Dir(at), "index.db")
		}
		var acknowledged []string
		running := make([]*process, writers)
		for i := range running {
			running[i] = startWriter(t, strconv.Itoa(i), at)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for n := range kills {
			i := random.IntN(writers)
			acknowledged = append(acknowledged, running[i].await(t, 1+random.IntN(4))...)
			acknowledged = append(acknowledged, running[i].kill(t)...)
			running[i] = startWriter(t, strconv.Itoa(writers+n), at)
		}
		for _, p := range running {
			acknowledged = append(acknowledged, p.await(t, 1)...)
			acknowledged = append(acknowledged, p.kill(t)...)
		}
		x := mustOpen(t, at, Options{})
		mustCheck(t, x)
		there := map[string]int{}
		for who := range writers + kills {
			bundles, err := x.Bundles(t.Context(), digest(strconv.Itoa(who)))
			if err != nil { // killed before its first batch
				continue
			}
			for _, b := range bundles {
				there[b.Where[:strings.LastIndexByte(b.Where, ' ')]]++
			}
		}
		for batch, n := range there {
			if n != batchOf {
				t.Errorf("batch %s: %d of %d entries", batch, n, batchOf)
			}
		}
		slices.Sort(acknowledged)
		for _, batch := range acknowledged {
			if there[batch] == 0 {
				t.Errorf("batch %s was acknowledged and is lost", batch)
			}
		}
		if len(acknowledged) < kills {
			t.Errorf("only %d batches were acknowledged", len(acknowledged))
		}
		t.Logf("%d batches acknowledged, %d there", len(acknowledged), len(there))
	})
}
