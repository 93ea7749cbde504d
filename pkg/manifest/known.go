package manifest

import (
	"time"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/hashing/cache"
)

// known is what is known of an artifact's files before they are read: see Options.Cache. The nil *known knows nothing, and
// remembers nothing.
type known struct {
	cache   *cache.Cache
	vouched func(name string, sum hashing.Sum) bool
	read    time.Time // before the first byte
	entries []Entry
	sums    map[int]hashing.Sum // by index
	packs   []*packing          // that are made anew
}

// key is what the cache knows a file by.
func (s stamp) key() cache.Key {
	return cache.Key{Device: s.dev, Inode: s.ino, Size: s.size, Modified: s.mtime, Changed: s.ctime}
}

// known looks entries up. It is nil where none may come from the cache: where another digest is wanted than the SHA-256 of
// whole files, where somebody wants the bytes, and where the file system's times are not this machine's.
func (l *Listing) known(entries []Entry, tee bool) *known {
	o := l.options
	if o.Cache == nil || o.NoID || o.Method != Files || o.Algorithm != hashing.SHA256 || tee || l.weak || l.far {
		return nil
	}
	k := &known{cache: o.Cache, vouched: o.Vouched, read: o.Cache.Now(), entries: entries, sums: map[int]hashing.Sum{}}
	for i := range entries {
		e := &entries[i]
		if l.wantsBytes(e) || e.stamp.dev != l.top.dev {
			continue
		}
		if sum, ok := o.Cache.File(e.stamp.key()); ok && (o.Vouched == nil || o.Vouched(e.Name, sum)) {
			k.sums[i] = sum
		}
	}
	return k
}

// wantsBytes reports whether a file must be read whatever its SHA-256 is: its name in a Hugging Face cache is another digest.
func (l *Listing) wantsBytes(e *Entry) bool {
	return len(e.blob()) == 40 || e.blob() != "" && l.options.NoID
}

// file returns the digest of file i, if it is known.
func (k *known) file(i int) (sum hashing.Sum, ok bool) {
	if k == nil {
		return sum, false
	}
	sum, ok = k.sums[i]
	return sum, ok
}

// pack reports whether a pack is known, with all of its members. If it is not they have to be read for it.
func (k *known) pack(p *packing, files []File) bool {
	if k == nil {
		return false
	}
	all := k.vouched == nil // nobody vouches for a pack
	for _, i := range p.members {
		sum, ok := k.sums[i]
		files[i].SHA256, all = sum, all && ok
	}
	if all {
		made, ok := k.cache.Pack(membersSum(p.members, files))
		if p.made = made; ok {
			return true
		}
	}
	for _, i := range p.members {
		delete(k.sums, i)
	}
	k.packs = append(k.packs, p)
	return false
}

func membersSum(members []int, files []File) hashing.Sum {
	return cache.Members(len(members), func(n int) (string, int64, hashing.Sum) {
		f := files[members[n]]
		return f.Name, f.Size, f.SHA256
	})
}

// remember is called when everything was read, and was what it was when it was listed.
func (k *known) remember(m *Manifest) {
	if k == nil {
		return
	}
	for i := range k.entries {
		if _, ok := k.sums[i]; !ok {
			k.cache.AddFile(k.entries[i].stamp.key(), m.Files[i].SHA256, k.read)
		}
	}
	for _, p := range k.packs {
		k.cache.AddPack(membersSum(p.members, m.Files), p.made)
	}
}
