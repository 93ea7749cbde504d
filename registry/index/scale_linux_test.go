package index

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/lineage"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// fillLarge records n opened provenances, of which each names up to five that came before it, most of them among few: the
// first is the root of nearly all.
func fillLarge(b *testing.B, x *Index, n int) (root, leaf lineage.Node) {
	b.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	id := func(i int) string { return digest(fmt.Sprint("artifact ", i)) }
	var waiting []Entry
	for i := range n {
		body := openedBody{About: id(i), Where: "registry.example/llm registry " + digest(fmt.Sprint("place ", i)), Bundle: digest(fmt.Sprint("bundle ", i)),
			Type: "https://slsa.dev/provenance/v1", Signer: trust.Signer{Method: trust.MethodKey, Key: id(-1 - i%7)[7:]}, Kind: "model",
			Name: "chat-" + strconv.Itoa(i%1000), Time: then.Add(time.Duration(i) * time.Second)}
		for k := range min(i, 5) {
			body.Links = append(body.Links, linkBody{Role: []string{"base-model", "dataset.train", "tokenizer"}[k%3], From: id(random.IntN(min(i, 1000<<(3*k)))), Name: "input"})
		}
		if waiting = append(waiting, Opened{body}); len(waiting) == 1000 || i == n-1 {
			if _, err := x.Record(b.Context(), waiting...); err != nil {
				b.Fatal(err)
			}
			waiting = waiting[:0]
		}
	}
	return artifactNode(id(0)), artifactNode(id(n - 1))
}

// BenchmarkLarge is an index of HALLMARK_INDEX_NODES artifacts with five times as many edges: how fast events are written
// (bundles not opened), how long it takes to read them all, to walk from a root and from a leaf, and the memory of all that.
func BenchmarkLarge(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("HALLMARK_INDEX_NODES"))
	if err != nil {
		b.Skip("set HALLMARK_INDEX_NODES, as 1000000: it writes 1.4 KB of disk for each")
	}
	at := os.Getenv("HALLMARK_INDEX_STORE") // a PostgreSQL database that is empty
	if at == "" {
		at = filepath.Join(b.TempDir(), "index.db")
	}
	for b.Loop() {
		began := time.Now()
		x := create(b, at)
		root, leaf := fillLarge(b, x, n)
		b.ReportMetric(float64(n)/time.Since(began).Seconds(), "events/s")
		if err := x.Close(); err != nil {
			b.Fatal(err)
		}
		debug.FreeOSMemory()
		x = mustOpen(b, at, Options{})
		measure := func(unit string, do func() (*lineage.Reach, error)) {
			began, used := time.Now(), processorTime(b)
			r, err := do()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(began).Seconds(), unit)
			b.ReportMetric((processorTime(b) - used).Seconds(), "cpu-"+unit) // which others on the machine do not lengthen
			if r != nil {
				b.ReportMetric(float64(r.Len()), strings.TrimSuffix(unit, "-s")+"-nodes")
			}
		}
		measure("start-s", func() (*lineage.Reach, error) { _, err := x.State(b.Context()); return nil, err })
		measure("descendants-s", func() (*lineage.Reach, error) { return x.Impact(b.Context(), root, lineage.Limits{}) })
		measure("ancestors-s", func() (*lineage.Reach, error) { return x.Lineage(b.Context(), leaf, lineage.Limits{}) })
		peak, err := peakMemory()
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
	}
}

// BenchmarkIngest opens bundles that a key signed and records what they say, as an update does once they were fetched.
func BenchmarkIngest(b *testing.B) {
	by := newSigner(b)
	const bundles = 2000
	type found struct {
		about string
		item  chain.Item
	}
	var all []found
	for i := range bundles {
		about := digest(fmt.Sprint("artifact ", i))
		p := made(attestations.BuildQuantize, input(attestations.RoleBaseModel, digest(fmt.Sprint("artifact ", i/2+bundles))))
		st, err := attestations.NewStatement(attestations.Artifact{ID: about, Kind: attestations.KindModel}, p)
		if err != nil {
			b.Fatal(err)
		}
		bundle, _, err := attestations.Sign(b.Context(), st, by)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, found{about, chain.Item{Where: "registry " + about, Bundle: bundle}})
	}
	roots, policy := by.Roots(), believe(by)
	for b.Loop() {
		x := create(b, filepath.Join(b.TempDir(), "index.db"))
		began := time.Now()
		for batch := range slices.Chunk(all, 500) {
			entries := make([]Entry, len(batch))
			var work errgroup.Group
			work.SetLimit(runtime.GOMAXPROCS(0))
			for i, f := range batch {
				work.Go(func() error {
					entries[i] = open(f.about, "registry.example/llm", f.item, roots, policy)
					return nil
				})
			}
			_ = work.Wait()
			mustRecord(b, x, entries...)
		}
		b.ReportMetric(bundles/time.Since(began).Seconds(), "bundles/s")
		if st, err := x.State(b.Context()); err != nil || st.Edges != bundles || st.Refused != 0 {
			b.Fatal(st, err)
		}
	}
}

// processorTime is how much time this process had on all cores.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakMemory is how many bytes of memory this process had at most.
func peakMemory() (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}
