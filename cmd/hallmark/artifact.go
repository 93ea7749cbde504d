package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/registry"
)

// listFlags is which files of an artifact on disk are content.
type listFlags struct {
	IgnorePaths   []string
	AllowSymlinks bool
	Signature     string
}

func (l *listFlags) bind(f *pflag.FlagSet) {
	f.StringArrayVar(&l.IgnorePaths, "ignore-paths", nil, "`PATH` to leave out, relative to the artifact or absolute inside it (repeats)")
	f.BoolVar(&l.AllowSymlinks, "allow-symlinks", false, "follow symbolic links that stay inside the artifact")
}

func (l *listFlags) bindSignature(f *pflag.FlagSet, usage string) {
	f.StringVar(&l.Signature, "signature", "", usage)
}

// hashFlags is how an artifact is hashed for signing.
type hashFlags struct {
	Hash      string
	ShardSize int64
	Shards    bool
}

func (h *hashFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&h.Hash, "hash", string(hashing.SHA256), "hash `ALGORITHM`: sha256, blake2b or blake3")
	f.Int64Var(&h.ShardSize, "shard-size", 0, "sign shards of this many `BYTES` instead of whole files")
	f.BoolVar(&h.Shards, "shards", false, fmt.Sprintf("sign shards of %d bytes, OMS's default", int64(manifest.DefaultShardSize)))
}

func (h *hashFlags) apply(o *manifest.Options) error {
	algorithm, err := hashing.ParseAlgorithm(h.Hash)
	if err != nil {
		return usagef("--hash: %w", err)
	}
	if h.ShardSize < 0 {
		return usagef("--shard-size %d: it is a number of bytes above 0", h.ShardSize)
	}
	o.Algorithm = algorithm
	if h.Shards || h.ShardSize > 0 {
		o.Method, o.ShardSize = manifest.Shards, h.ShardSize
		if h.ShardSize == 0 {
			o.ShardSize = manifest.DefaultShardSize
		}
	}
	return nil
}

// place is where an artifact lies: a path on disk, or a reference to a registry or layout.
type place struct {
	path string
	ref  registry.Ref
}

func (p place) onDisk() bool { return p.path != "" }

// findPlace reads ARTIFACT|REF. What is both a path that exists and a reference is ambiguous and wrong usage.
func findPlace(arg string) (place, error) {
	ref, refErr := registry.ParseRef(arg)
	if strings.HasPrefix(arg, "oci:") {
		if refErr != nil {
			return place{}, usageError{refErr}
		}
		return place{ref: ref}, nil
	}
	_, err := os.Stat(arg)
	exists := err == nil
	explicit := filepath.IsAbs(arg) || strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") || arg == "." || arg == ".."
	switch {
	case explicit && exists:
		return place{path: arg}, nil
	case explicit:
		return place{}, err
	case exists && refErr == nil:
		return place{}, usageError{hintError{fmt.Errorf("%q is both a path on disk and a reference", arg), "write ./" + arg + " for the path"}}
	case exists:
		return place{path: arg}, nil
	case refErr == nil:
		return place{ref: ref}, nil
	case errors.Is(err, fs.ErrNotExist):
		return place{}, hintError{fmt.Errorf("%s: no such file or directory, and no reference: %w", printable(arg), refErr),
			"a reference is HOST/NAME:TAG, HOST/NAME@sha256:… or oci:DIR[:TAG]"}
	}
	return place{}, err
}

// onDiskOnly is findPlace for commands that need the files.
func onDiskOnly(arg string) (string, error) {
	p, err := findPlace(arg)
	if err != nil {
		return "", err
	}
	if !p.onDisk() {
		return "", usagef("%s is a reference: this command needs the files on disk", arg)
	}
	return p.path, nil
}

// recorded adds to o the exclusions that the artifact's signature records, and says so. A flag that names others is
// wrong usage: the files would not be the ones that were signed.
func recorded(s streams, path string, l listFlags, o *manifest.Options) error {
	o.IgnorePaths, o.AllowSymlinks, o.Signature = l.IgnorePaths, l.AllowSymlinks, l.Signature
	raw, err := registry.ReadSignature(path, l.Signature)
	if err != nil || raw == nil {
		return err
	}
	u, err := raw.Peek()
	if err != nil {
		return fmt.Errorf("read the signature of %s: %w", path, err)
	}
	own := ownExclusions(u.IgnorePaths)
	if len(l.IgnorePaths) > 0 {
		given, err := manifest.CleanExclusions(path, l.IgnorePaths)
		if err != nil {
			return usageError{err}
		}
		for _, p := range given {
			if !slices.Contains(own, p) {
				return usagef("--ignore-paths %s: the signature of %s leaves out %s", p, path, listed(own))
			}
		}
	}
	if len(own) > 0 {
		fmt.Fprintf(s.err, "hallmark: left out, as the signature records: %s\n", listed(own))
	}
	o.IgnorePaths = own
	o.AllowSymlinks = o.AllowSymlinks || u.AllowSymlinks
	return nil
}

// ownExclusions are the paths that a person chose to leave out, of those that are recorded.
func ownExclusions(recorded []string) []string {
	return slices.DeleteFunc(slices.Clone(recorded), func(p string) bool {
		return slices.Contains(manifest.DefaultExclusions, p) || p == manifest.SignatureName || p == manifest.ClaimsName
	})
}

func listed(paths []string) string {
	if len(paths) == 0 {
		return "nothing"
	}
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = printable(p)
	}
	return strings.Join(quoted, ", ")
}
