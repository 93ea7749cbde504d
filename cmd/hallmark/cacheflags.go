package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

// cacheFlags is whether digests from before are used. Deciding has a flag of another name, which the environment cannot set.
type cacheFlags struct {
	Cache bool

	opened *cache.Cache
}

func (f *cacheFlags) bind(flags *pflag.FlagSet) {
	flags.BoolVar(&f.Cache, "cache", false, "do not read files whose digests are remembered, by inode, size and times, and remember those that are made")
}

// open returns the cache; nil where none is asked for. One that cannot be used costs time, no more, and is said.
func (f *cacheFlags) open(s streams) *cache.Cache {
	if !f.Cache {
		return nil
	}
	dir, err := os.UserCacheDir()
	if err == nil {
		f.opened, err = cache.Open(filepath.Join(dir, "hallmark", "digests"), cache.Options{})
	}
	if err != nil {
		fmt.Fprintf(s.err, "hallmark: no digest is remembered: %v\n", err)
	}
	return f.opened
}

// save writes the cache.
func (f *cacheFlags) save(s streams) {
	if err := f.opened.Save(); err != nil {
		fmt.Fprintf(s.err, "hallmark: %v\n", err)
	}
}

// sayCached says how many files were not read.
func sayCached(s streams, cached, files int) {
	if cached > 0 {
		fmt.Fprintf(s.err, "hallmark: %d of %d files were not read: their digests are remembered\n", cached, files)
	}
}

// reuseFlags is the old signature with which digests that are remembered must agree.
type reuseFlags struct {
	Reuse string

	signed map[string]hashing.Sum
}

func (f *reuseFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.Reuse, "reuse", "", "with --private-key: `FILE` of a signature that this key made on an older state of the artifact; as --cache, but a digest counts only if it was signed too")
}

// check refuses what cannot be meant, and says whether the cache is needed.
func (f *reuseFlags) check(artifacts int, hash hashFlags) (wanted bool, err error) {
	switch {
	case f.Reuse == "":
		return false, nil
	case artifacts != 1:
		return false, usagef("--reuse is the signature of one artifact, and there are %d", artifacts)
	case hash != hashFlags{Hash: string(hashing.SHA256)}:
		return false, usagef("--hash, --shards and --shard-size do not go with --reuse: only the SHA-256 of whole files is remembered")
	}
	return true, nil
}

// load opens the old signature, as one that by made: its own key or certificate, no other.
func (f *reuseFlags) load(by signer.Signer) error {
	if f.Reuse == "" {
		return nil
	}
	roots := ownRoots(by)
	if len(roots.Keys)+len(roots.Authorities) == 0 {
		return usagef("--reuse needs --private-key: who signs without one is not known before the files are hashed")
	}
	raw, err := readAtMost(f.Reuse, attestations.MaxSignatureBundle)
	if err != nil {
		return err
	}
	opened, err := attestations.Open(attestations.Bundle(raw), roots)
	if err != nil {
		return refusal{fmt.Errorf("reuse %s: %w", f.Reuse, err)}
	}
	old, err := attestations.ReadSignature(opened)
	if err != nil {
		return refusal{fmt.Errorf("reuse %s: %w", f.Reuse, err)}
	}
	if !old.WholeSHA256() {
		return refusal{fmt.Errorf("reuse %s: %w", f.Reuse, errors.New("it does not list files by the SHA-256 of their whole content"))}
	}
	files, err := old.Files()
	if err != nil {
		return refusal{fmt.Errorf("reuse %s: %w", f.Reuse, err)}
	}
	f.signed = make(map[string]hashing.Sum, len(files))
	for _, file := range files {
		f.signed[file.Name] = hashing.Sum(file.Digests[0])
	}
	return nil
}

// apply has digests held against the old signature, once it is loaded.
func (f *reuseFlags) apply(o *manifest.Options) {
	if f.Reuse == "" {
		return
	}
	o.Vouched = func(name string, sum hashing.Sum) bool {
		signed, ok := f.signed[name]
		return ok && signed == sum
	}
}
