package attack

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// shardSize splits weights.bin of small (10 bytes) into 0:4, 4:8 and 8:10; the others are one or two shards.
const shardSize = 4

func sharded() manifest.Options {
	return manifest.Options{Method: manifest.Shards, ShardSize: shardSize}
}

// shardOf finds the resource of one shard.
func shardOf(name string) func(object) object {
	return func(doc object) object {
		for i := range resources(doc) {
			if r := resource(doc, i); r["name"] == name {
				return r
			}
		}
		return nil
	}
}

func rename(from, to string) edit { return edit{tree: set(shardOf(from), "name", to)} }

func drop(name string) edit {
	return edit{tree: func(d object) {
		var kept []any
		for _, r := range resources(d) {
			if r.(object)["name"] != name {
				kept = append(kept, r)
			}
		}
		predicate(d)["resources"] = kept
	}}
}

func addShard(name, content string) edit {
	return edit{tree: func(d object) {
		predicate(d)["resources"] = append(resources(d), object{"name": name, "algorithm": "sha256", "digest": sum(content)})
	}}
}

func TestSignedShardsThatDoNotFitAreRefused(t *testing.T) {
	size := func(n any) edit { return edit{tree: set(serialization, "shard_size", n)} }
	number := func(text string) edit { return edit{text: [2]string{`"shard_size":4`, `"shard_size":` + text}} }
	runStatements(t, sharded(), map[string]faulty{
		"size 0":                 {size(0), malformed},
		"size negative":          {size(-4), malformed},
		"size the least":         {size(int64(math.MinInt64)), malformed},
		"size missing":           {edit{tree: func(d object) { delete(serialization(d), "shard_size") }}, malformed},
		"size null":              {size(nil), malformed},
		"size a string":          {size("4"), malformed},
		"size with fraction":     {number("4.5"), malformed},
		"size with no fraction":  {number("4.0"), nil},
		"size with exponent":     {number("4e0"), malformed},
		"size beyond 64 bits":    {number("18446744073709551620"), malformed},
		"size of many digits":    {number(strings.Repeat("9", 1000)), malformed},
		"size smaller":           {size(3), malformed},
		"size larger":            {size(5), malformed},
		"size huge":              {size(int64(math.MaxInt64)), malformed},
		"gap":                    {drop("weights.bin:4:8"), malformed},
		"first missing":          {drop("weights.bin:0:4"), malformed},
		"last missing":           {drop("weights.bin:8:10"), because(policy.DigestMismatch)},
		"overlap":                {addShard("weights.bin:2:6", "2345"), malformed},
		"one more at the end":    {addShard("weights.bin:10:11", "x"), malformed},
		"twice":                  {addShard("weights.bin:8:10", "89"), malformed},
		"twice with zeros":       {addShard("weights.bin:08:10", "89"), malformed},
		"too long":               {rename("weights.bin:8:10", "weights.bin:8:20"), malformed},
		"empty":                  {rename("weights.bin:8:10", "weights.bin:8:8"), malformed},
		"backwards":              {rename("weights.bin:8:10", "weights.bin:8:6"), malformed},
		"shorter than the file":  {rename("weights.bin:8:10", "weights.bin:8:9"), because(policy.DigestMismatch)},
		"beyond the file":        {rename("weights.bin:8:10", "weights.bin:8:12"), because(policy.DigestMismatch)},
		"offset with zero":       {rename("weights.bin:4:8", "weights.bin:04:8"), malformed},
		"offset with plus":       {rename("weights.bin:4:8", "weights.bin:+4:8"), malformed},
		"offset minus zero":      {rename("weights.bin:0:4", "weights.bin:-0:4"), malformed},
		"offset negative":        {rename("weights.bin:0:4", "weights.bin:-4:4"), malformed},
		"offset with space":      {rename("weights.bin:4:8", "weights.bin: 4:8"), malformed},
		"offset in hex":          {rename("weights.bin:4:8", "weights.bin:0x4:8"), malformed},
		"offset beyond 64 bits":  {rename("weights.bin:4:8", "weights.bin:4:18446744073709551624"), malformed},
		"offset in other digits": {rename("weights.bin:4:8", "weights.bin:٤:8"), malformed},
		"without offsets":        {rename("weights.bin:4:8", "weights.bin"), malformed},
		"with one offset":        {rename("weights.bin:4:8", "weights.bin:4"), malformed},
		"without a name":         {rename("weights.bin:0:4", ":0:4"), malformed},
		"name that climbs":       {rename("sub/adapter.bin:0:4", "../adapter.bin:0:4"), malformed},
		"name not clean":         {rename("sub/adapter.bin:0:4", "./sub/adapter.bin:0:4"), malformed},
		"of another file":        {rename("weights.bin:0:4", "other.bin:0:4"), malformed},
		"swapped digests": {edit{tree: func(d object) {
			a, b := shardOf("weights.bin:0:4")(d), shardOf("weights.bin:4:8")(d)
			a["digest"], b["digest"] = b["digest"], a["digest"]
		}}, because(policy.DigestMismatch)},
		"an empty file listed": {addShard("empty.bin:0:0", ""), malformed},
		"algorithm with size":  {edit{tree: set(shardOf("weights.bin:0:4"), "algorithm", "sha256-sharded-4")}, nil},
		"algorithm other size": {edit{tree: set(shardOf("weights.bin:0:4"), "algorithm", "sha256-sharded-8")}, malformed},
		"method files":         {edit{tree: func(d object) { serialization(d)["method"] = "files"; delete(serialization(d), "shard_size") }}, because(policy.FileUnsigned, policy.FileMissing)},
	})
}

// TestHugeShardIsOneShard has the largest number as the size of a shard: sums must not run over.
func TestHugeShardIsOneShard(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, manifest.Options{Method: manifest.Shards, ShardSize: math.MaxInt64})
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	w.fill(t, map[string]string{"weights.bin": "012345678x"})
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.DigestMismatch)
}

// TestFileNamedLikeAShard has a file whose name could be taken for another's shard.
func TestFileNamedLikeAShard(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "0123", "a:0:4": "4567", "a:0:4:0:4": "89ab"})
	b := w.sign(t, sharded())
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	w.fill(t, map[string]string{"a": "4567", "a:0:4": "0123"})
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.DigestMismatch)
}

// TestShardsOfALargerFileCostNothing puts a sparse file in the place of a small one that was signed in tiny shards: its
// size alone refuses it, and a digest for each of a million shards must not be held.
func TestShardsOfALargerFileCostNothing(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, sharded())
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	if err := os.Truncate(filepath.Join(w.dir, "weights.bin"), 4<<20); err != nil {
		t.Fatal(err)
	}
	used := allocated(func() {
		mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.DigestMismatch)
	})
	if limit := uint64(16 << 20); used > limit {
		t.Errorf("refusing a file by its size took %d bytes of memory, at most %d", used, limit)
	}
}

// TestEmptyFileBesideShardsIsNamed adds an empty file, which OMS does not cover: it
// must at least be named.
func TestEmptyFileBesideShardsIsNamed(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, sharded())
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	w.fill(t, map[string]string{"__init__.py": ""})
	d := w.verify(t, chain.FilesOptions{}, b)
	mustHold(t, d)
	if len(d.Artifact.Uncovered) != 1 || d.Artifact.Uncovered[0] != "__init__.py" {
		t.Errorf("uncovered %q, the empty file must be named", d.Artifact.Uncovered)
	}
	w.policy.AllowUncovered = false
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.Uncovered)
	w.fill(t, map[string]string{"__init__.py": "import os"})
	w.policy.AllowUncovered = true
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.FileUnsigned)
}

// TestSigningNothingInShardsIsRefused: such a statement would list nothing, and nothing is never a yes.
func TestSigningNothingInShardsIsRefused(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "", "b": ""})
	m, err := manifest.Build(t.Context(), w.dir, sharded())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attestations.NewSignature(m, attestations.KindModel); err == nil {
		t.Error("a statement on no bytes at all was made")
	}
	w.fill(t, map[string]string{"a": "x"})
	mustHold(t, w.verify(t, chain.FilesOptions{}, w.sign(t, sharded())))
}
