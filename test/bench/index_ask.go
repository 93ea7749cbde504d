package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/registry/index"
)

// indexAskCommand makes this program one that opens an index and asks it: a process of its own, whose memory is nobody
// else's.
const indexAskCommand = "index-ask"

// answers is what it writes: what the index has, and how long it took to begin and to answer.
type answers struct {
	Nodes, Edges, Reached, Above int
	Start, Root, Leaf            spent
}

// indexAsk asks the index at args[0] for what was made from the artifact args[1], and from what args[2] was made, and writes
// answers into the file args[3].
func indexAsk(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("index-ask: STORE ROOT LEAF FILE")
	}
	var a answers
	var x *index.Index
	err := a.Start.spend(func() (err error) {
		if x, err = index.Open(ctx, args[0], index.Options{}); err != nil {
			return err
		}
		state, err := x.State(ctx)
		a.Nodes, a.Edges = state.Nodes, state.Edges
		return err
	})
	if x != nil {
		defer x.Close()
	}
	if err == nil {
		err = a.Root.spend(func() error {
			r, err := x.Impact(ctx, nodeOf(args[1]), lineage.Limits{})
			if err == nil {
				a.Reached = r.Len()
			}
			return err
		})
	}
	if err == nil {
		err = a.Leaf.spend(func() error {
			r, err := x.Lineage(ctx, nodeOf(args[2]), lineage.Limits{})
			if err == nil {
				a.Above = r.Len()
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return os.WriteFile(args[3], raw, 0o644)
}

// measuredIndex is what asking took: medians, and the highest memory.
type measuredIndex struct {
	nodes, edges, reached, above int
	start, root, leaf            spent
	peak                         int64 // bytes; -1: not known
}

// ask runs the command as often as is wanted.
func (s indexFlags) ask(ctx context.Context, dir string, g graph) (measuredIndex, error) {
	var m measuredIndex
	self, err := os.Executable()
	if err != nil {
		return m, err
	}
	m.peak = -1
	var runs [6][]time.Duration
	for range s.runs {
		file := filepath.Join(dir, "answers.json")
		t := &task{dir: dir, args: []string{self, indexAskCommand, s.store, g.root, g.leaf, file}}
		measured, err := t.measure(ctx)
		if err != nil {
			return m, err
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			return m, err
		}
		var a answers
		if err := json.Unmarshal(raw, &a); err != nil {
			return m, fmt.Errorf("read answers: %w", err)
		}
		for i, d := range []time.Duration{a.Start.Wall, a.Start.CPU, a.Root.Wall, a.Root.CPU, a.Leaf.Wall, a.Leaf.CPU} {
			runs[i] = append(runs[i], d)
		}
		m.nodes, m.edges, m.reached, m.above, m.peak = a.Nodes, a.Edges, a.Reached, a.Above, max(m.peak, measured.peakRSS)
	}
	m.start, m.root, m.leaf = spent{median(runs[0]), median(runs[1])}, spent{median(runs[2]), median(runs[3])}, spent{median(runs[4]), median(runs[5])}
	return m, nil
}
