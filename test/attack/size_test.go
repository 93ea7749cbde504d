package attack

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// allocated is how many bytes of heap f asked for, over all of its run: a bound on this bounds its peak too, and does not
// depend on when the garbage collector runs.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// mustNotOpen wants b refused for one reason, for no more memory than limit.
func mustNotOpen(t *testing.T, w *world, b attestations.Bundle, reason policy.Reason, limit uint64) {
	t.Helper()
	used := allocated(func() { mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), reason) })
	if used > limit {
		t.Errorf("refusing it took %d bytes of memory, at most %d", used, limit)
	}
}

func TestBundleLargerThanTheCapIsNotParsed(t *testing.T) {
	w := newWorld(t, small())
	sound := w.sign(t, manifest.Options{})
	pad := func(size int) attestations.Bundle {
		return append(sound[:len(sound):len(sound)], strings.Repeat(" ", size-len(sound))...)
	}
	mustHold(t, w.verify(t, chain.FilesOptions{}, pad(attestations.MaxSignatureBundle)))
	large := pad(attestations.MaxSignatureBundle + 1)
	mustNotOpen(t, w, large, policy.BundleMalformed, 1<<20)
	mustNotOpen(t, w, pad(400<<20), policy.BundleMalformed, 1<<20)
}

// TestManyResources signs one statement on very many files: it is read, at a cost in proportion to its size.
func TestManyResources(t *testing.T) {
	const files = 100_001
	w := newWorld(t, small())
	doc := decode(t, w.statement(t, manifest.Options{}).Payload())
	list := make([]any, files)
	for i := range list {
		list[i] = object{"name": fmt.Sprintf("shard-%06d/model.safetensors", i), "algorithm": "sha256", "digest": sum(fmt.Sprint(i))}
	}
	predicate(doc)["resources"] = list
	reroot(doc)
	b := w.seal(t, attestations.PayloadType, encode(t, doc))
	read := func(b attestations.Bundle) (s *attestations.Signature, err error) {
		a, err := attestations.Open(b, w.roots)
		if err != nil {
			t.Fatal(err)
		}
		return attestations.ReadSignature(a)
	}
	var s *attestations.Signature
	var err error
	used := allocated(func() { s, err = read(b) })
	if err != nil || len(s.Resources) != files {
		t.Fatalf("%d resources are not read: %v", files, err)
	}
	if limit := uint64(16 * len(b)); used > limit {
		t.Errorf("a bundle of %d bytes took %d bytes of memory, at most %d", len(b), used, limit)
	}
	list[files-1] = list[0] // the last repeats the first
	reroot(doc)
	if _, err = read(w.seal(t, attestations.PayloadType, encode(t, doc))); err == nil {
		t.Error("a name that is listed twice among many was read")
	}
}

// TestDeepNestingIsRefused nests JSON as deep as bytes allow, wherever a parser takes any value.
func TestDeepNestingIsRefused(t *testing.T) {
	const depth = 2 << 20
	deep := strings.Repeat("[", depth) + strings.Repeat("]", depth)
	shallow := "[[[]]]"
	w := newWorld(t, small())
	payload := w.statement(t, manifest.Options{}).Payload()
	sound := w.sign(t, manifest.Options{})

	with := func(value string) attestations.Bundle {
		return replaceOnce(t, sound, `"tlogEntries":[]`, `"tlogEntries":[`+value+`]`)
	}
	mustHold(t, w.verify(t, chain.FilesOptions{}, with(shallow)))
	mustNotOpen(t, w, with(deep), policy.BundleMalformed, 64<<20)

	signed := func(value string) attestations.Bundle {
		in := replaceOnce(t, payload, `"annotations":{`, `"annotations":{"org.example":`+value+`,`)
		return w.seal(t, attestations.PayloadType, in)
	}
	mustHold(t, w.verify(t, chain.FilesOptions{}, signed(shallow)))
	mustNotOpen(t, w, signed(deep), policy.UnexpectedStatement, 128<<20)
}

// TestLongStringsInASignedStatementAreRefused has members that are large by themselves.
func TestLongStringsInASignedStatementAreRefused(t *testing.T) {
	w := newWorld(t, small())
	sound := w.statement(t, manifest.Options{}).Payload()
	long := strings.Repeat("a", 8<<20)
	for name, row := range map[string]faulty{
		"name":      {edit{tree: set(second, "name", long)}, malformed},
		"digest":    {edit{tree: set(second, "digest", strings.Repeat("00", 4<<20))}, malformed},
		"algorithm": {edit{tree: set(second, "algorithm", long)}, malformed},
		"method":    {edit{tree: set(serialization, "method", long)}, malformed},
	} {
		t.Run(name, func(t *testing.T) {
			mustHold(t, w.verify(t, chain.FilesOptions{}, w.seal(t, attestations.PayloadType, sound)))
			b := w.seal(t, attestations.PayloadType, row.apply(t, sound))
			var d policy.Decision
			used := allocated(func() { d = w.verify(t, chain.FilesOptions{}, b) })
			mustRefuse(t, d, row.reasons...)
			if limit := uint64(16 * len(b)); used > limit {
				t.Errorf("a bundle of %d bytes took %d bytes of memory, at most %d", len(b), used, limit)
			}
			for _, f := range d.Checks[1].Findings {
				if len(f.Detail) > 64<<10 {
					t.Errorf("the decision repeats %d bytes of what was sent", len(f.Detail))
				}
			}
		})
	}
}
