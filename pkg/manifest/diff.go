package manifest

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// ChangeKind is how two manifests differ in one file.
type ChangeKind string

// The kinds of change.
const (
	Missing   ChangeKind = "missing"   // wanted, not there
	Unsigned  ChangeKind = "unsigned"  // there, not wanted
	Different ChangeKind = "different" // other bytes, or not known to be the same
)

// Change is one file in which two manifests differ.
type Change struct {
	Name              string
	Kind              ChangeKind
	Want, Got         string // digests, "algorithm:hex"; "" where there is no such file, or no digest that can be compared
	WantSize, GotSize int64  // in bytes; 0 where there is no such file
}

// Diff lists the files in which got differs from want, by name in byte order. Where both have whole-file SHA-256
// digests, these are compared. Otherwise the resources are, if both were made by the same method, algorithm and shard
// size; Want and Got are then of the first shard that differs. Where neither is possible, every file of both is
// Different: what was not compared is not equal.
func Diff(want, got *Manifest) []Change {
	w, g := want.contents(got), got.contents(want)
	names := slices.Collect(maps.Keys(w))
	for name := range g {
		if _, both := w[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []Change
	for _, name := range names {
		a, wanted := w[name]
		b, there := g[name]
		c := Change{Name: name, Kind: Different, WantSize: a.size, GotSize: b.size}
		switch {
		case !there:
			c.Kind = Missing
		case !wanted:
			c.Kind = Unsigned
		case a.equal(b):
			continue
		}
		c.Want, c.Got = a.unlike(b), b.unlike(a)
		out = append(out, c)
	}
	return out
}

// content is what is known of a file's bytes.
type content struct {
	size    int64
	known   bool     // digests can be compared with the other manifest's
	digests []string // of the whole file, or of its shards; none for an empty file in shards
}

// equal is only true where there was something to compare: no digests are none of the same digests.
func (c content) equal(o content) bool {
	return c.known && o.known && c.size == o.size && (len(c.digests) > 0 || c.size == 0) && slices.Equal(c.digests, o.digests)
}

// unlike is the first of c's digests that is not o's too.
func (c content) unlike(o content) string {
	for i, d := range c.digests {
		if i >= len(o.digests) || o.digests[i] != d {
			return d
		}
	}
	return ""
}

// contents are m's files by name, with digests of the kind that o has too.
func (m *Manifest) contents(o *Manifest) map[string]content {
	a, b := m.Serialization, o.Serialization
	resources := a.Method == b.Method && a.Algorithm == b.Algorithm && a.ShardSize == b.ShardSize
	whole := !m.NoID && !o.NoID
	out := make(map[string]content, len(m.Files))
	for _, f := range m.Files {
		c := content{size: f.Size, known: whole || resources}
		if whole {
			c.digests = []string{f.SHA256.String()}
		}
		out[f.Name] = c
	}
	if whole || !resources {
		return out
	}
	for _, r := range m.Resources {
		name := r.Name
		if a.Method == Shards {
			name = shardFile(name)
		}
		if c, listed := out[name]; listed {
			c.digests = append(c.digests, string(r.Algorithm)+":"+hex.EncodeToString(r.Digest))
			out[name] = c
		}
	}
	return out
}

// shardFile is the file of the shard "path:start:end". A path may hold colons of its own (OMS §6.3.2).
func shardFile(name string) string {
	for range 2 {
		if i := strings.LastIndexByte(name, ':'); i >= 0 {
			name = name[:i]
		}
	}
	return name
}
