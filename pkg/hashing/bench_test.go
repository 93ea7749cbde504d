package hashing

import (
	"crypto/sha256"
	"io"
	"os"
	"testing"
)

// The bare loop is the limit that the others are measured against: run them in turn on a quiet machine, several times,
// and compare medians (-bench . -count 7, benchstat). The files are in the page cache after the first pass.

const (
	benchSize  = 256 << 20 // bytes of a large file
	benchSmall = 100_000   // bytes of a small one
	benchFiles = 2000      // small ones
)

// benchFile makes a file of n bytes without holding them in memory.
func benchFile(b *testing.B, dir string, n int64) Job {
	b.Helper()
	f, err := os.CreateTemp(dir, "")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	block := random(1 << 20)
	for left := n; left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			b.Fatal(err)
		}
	}
	return jobOf(f.Name(), n)
}

func BenchmarkBareLoop(b *testing.B) {
	j := benchFile(b, b.TempDir(), benchSize)
	buffer := make([]byte, 1<<20)
	b.SetBytes(benchSize)
	for b.Loop() {
		f, err := j.Open()
		if err != nil {
			b.Fatal(err)
		}
		h := sha256.New()
		for {
			n, err := f.Read(buffer)
			h.Write(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		h.Sum(nil)
		f.Close()
	}
}

func benchmark(b *testing.B, h Hasher, groups [][]Job) {
	b.Helper()
	var total int64
	for _, g := range groups {
		total += g[0].Size
	}
	b.SetBytes(total)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Files(b.Context(), groups); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFile is one large file: what one core does alone, what a second adds, and what each further digest costs.
func BenchmarkFile(b *testing.B) {
	groups := [][]Job{{benchFile(b, b.TempDir(), benchSize)}}
	for name, h := range map[string]Hasher{
		"SHA256":         {},
		"SHA256/1worker": {Workers: 1},
		"BLAKE2b":        {Plan: Plan{Algorithm: BLAKE2b}},
		"BLAKE3":         {Plan: Plan{Algorithm: BLAKE3}},
		"BLAKE3+SHA256":  {Plan: Plan{Algorithm: BLAKE3, SHA256: true}},
		"shards":         {Plan: Plan{ShardSize: benchSize / 8}},
		"shards64":       {Plan: Plan{ShardSize: benchSize / 64}},
		"smallshards":    {Plan: Plan{ShardSize: 64 << 10}},
		"shards+SHA256":  {Plan: Plan{ShardSize: benchSize / 8, SHA256: true}},
	} {
		b.Run(name, func(b *testing.B) { benchmark(b, h, groups) })
	}
}

// BenchmarkFiles8 is eight large files; compare it with its own 1worker.
func BenchmarkFiles8(b *testing.B) {
	var groups [][]Job
	dir := b.TempDir()
	for range 8 {
		groups = append(groups, []Job{benchFile(b, dir, benchSize/4)})
	}
	b.Run("all", func(b *testing.B) { benchmark(b, Hasher{}, groups) })
	b.Run("1worker", func(b *testing.B) { benchmark(b, Hasher{Workers: 1}, groups) })
}

// BenchmarkFilesSmall is many small files, where opening them counts.
func BenchmarkFilesSmall(b *testing.B) {
	var groups [][]Job
	dir := b.TempDir()
	for range benchFiles {
		groups = append(groups, []Job{benchFile(b, dir, benchSmall)})
	}
	b.Run("all", func(b *testing.B) { benchmark(b, Hasher{}, groups) })
	b.Run("1worker", func(b *testing.B) { benchmark(b, Hasher{Workers: 1}, groups) })
}
