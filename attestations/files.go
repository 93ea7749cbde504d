package attestations

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// SignedFile is one file as a signature lists it.
type SignedFile struct {
	Name    string
	Size    int64    // bytes, where shards tell; else -1
	Digests [][]byte // one of the whole file, or one per shard in order of offset
}

// Single reports whether the signature is on one file that it names "." instead of by its name, as bundles before v1.1.0
// do.
func (s *Signature) Single() bool { return len(s.Resources) == 1 && s.Resources[0].Name == "." }

// WholeSHA256 reports whether every file is listed by the SHA-256 of its whole content, as a canonical manifest names it.
func (s *Signature) WholeSHA256() bool {
	return s.Serialization.Method == manifest.Files && s.Serialization.Algorithm == hashing.SHA256
}

// Files lists what was signed, by file, in the signed order of each file's first resource.
func (s *Signature) Files() ([]SignedFile, error) {
	if s.Serialization.Method == manifest.Shards {
		return s.sharded()
	}
	files := make([]SignedFile, len(s.Resources))
	seen := make(map[string]bool, len(s.Resources))
	for i, r := range s.Resources {
		if !s.Single() {
			if err := manifest.CleanName(r.Name); err != nil {
				return nil, err
			}
		}
		if seen[r.Name] {
			return nil, fmt.Errorf("%q is listed twice", clip(r.Name))
		}
		seen[r.Name] = true
		files[i] = SignedFile{Name: r.Name, Size: -1, Digests: [][]byte{r.Digest}}
	}
	return files, nil
}

// shard is one resource of a sharded file.
type shard struct {
	start, end int64
	digest     []byte
}

// sharded puts the shards of each file together and checks that they cover it without a gap (OMS §6.3.2). Sorted by
// name, the shard at 1000 comes before the one at 500, so they are put in order by their offsets.
func (s *Signature) sharded() ([]SignedFile, error) {
	var files []SignedFile
	shards := map[string][]shard{}
	for _, r := range s.Resources {
		name, start, end, err := splitShard(r.Name)
		if err != nil {
			return nil, fmt.Errorf("shard %q: %w", clip(r.Name), err)
		}
		if shards[name] == nil {
			files = append(files, SignedFile{Name: name})
		}
		shards[name] = append(shards[name], shard{start, end, r.Digest})
	}
	for i := range files {
		f := &files[i]
		parts := shards[f.Name]
		slices.SortFunc(parts, func(a, b shard) int { return cmp.Compare(a.start, b.start) })
		for n, p := range parts {
			last := n == len(parts)-1
			length := p.end - p.start
			if p.start != f.Size || length <= 0 || length > s.Serialization.ShardSize || !last && length != s.Serialization.ShardSize {
				return nil, fmt.Errorf("%q: bytes %d to %d do not continue shards of %d", f.Name, p.start, p.end, s.Serialization.ShardSize)
			}
			f.Size = p.end
			f.Digests = append(f.Digests, p.digest)
		}
	}
	return files, nil
}

// splitShard reads "path:start:end" by its last two colons: a path may hold colons of its own (OMS §6.3.2).
func splitShard(name string) (path string, start, end int64, err error) {
	rest, last, ok := cutLast(name)
	path, first, ok2 := cutLast(rest)
	if !ok || !ok2 {
		return "", 0, 0, errors.New("not of the form path:start:end")
	}
	if start, err = offset(first); err != nil {
		return "", 0, 0, err
	}
	if end, err = offset(last); err != nil {
		return "", 0, 0, err
	}
	return path, start, end, manifest.CleanName(path)
}

// offset reads a decimal in its one canonical form, so that a shard has one name only.
func offset(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%q is no offset in bytes", clip(s))
	}
	return n, nil
}

func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
