package manifest

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// HashOptions says what of a listing is hashed.
type HashOptions struct {
	Only     func(name string) bool                  // nil: everything
	Workers  int                                     // 0: one per core
	Progress func(done, total int64)                 // bytes, from several goroutines; nil: nobody
	Tee      func(name string, size int64) io.Writer // see Options
}

// Hash reads the listed files once and returns their manifest. What was hashed is what was listed: inode, size and
// times of every file agree when it was listed, when it was opened, after its last byte, and when everything was read,
// and no folder gained or lost a name; else the error is a *ChangedError. In a Hugging Face cache, a blob whose bytes
// are not what its name says is a *RefusedError. Nothing to hash is ErrEmpty. Shards of nothing but empty files are
// named and have no resources (OMS §6.3.2), so that nobody can sign them.
func (l *Listing) Hash(ctx context.Context, o HashOptions) (*Manifest, error) {
	if l.root == nil {
		return nil, fmt.Errorf("hash %q: the listing is closed", l.path)
	}
	entries := l.Entries
	if o.Only != nil {
		entries = nil
		for _, e := range l.Entries {
			if o.Only(e.Name) {
				entries = append(entries, e)
			}
		}
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("hash %q: %w", l.path, ErrEmpty)
	}
	m := &Manifest{
		Name: l.name, Single: l.single, NoID: l.options.NoID, Uncovered: l.Uncovered, WeakStat: l.weak,
		Serialization: Serialization{Method: l.options.Method, Algorithm: l.options.Algorithm, ShardSize: l.options.ShardSize,
			AllowSymlinks: l.options.AllowSymlinks || l.links, IgnorePaths: l.ignored},
		Files: make([]File, len(entries)),
	}
	for i, e := range entries {
		m.Files[i] = File{Name: e.Name, Size: e.Size}
	}
	k := l.known(entries, o.Tee != nil)
	if err := l.hash(ctx, m, k, entries, o); err != nil {
		return nil, err
	}
	if err := l.recheck(ctx, entries, o.Workers); err != nil {
		return nil, err
	}
	k.remember(m)
	return m, nil
}

// hash fills in the digests of m.
func (l *Listing) hash(ctx context.Context, m *Manifest, k *known, entries []Entry, o HashOptions) error {
	plan := hashing.Plan{Algorithm: l.options.Algorithm, ShardSize: l.options.ShardSize, SHA256: !l.options.NoID}
	folders := openFolders{root: l.root}
	defer folders.close()
	blobs := make(map[int]hash.Hash) // of a Hugging Face cache, where the name is another digest than is made anyway
	groups, where, packs := arrange(m, k, func(i int) hashing.Job {
		e := &entries[i]
		j := l.job(&folders, e)
		if l.wantsBytes(e) {
			blobs[i] = blobHash(e)
			j.Tee = blobs[i]
		}
		if o.Tee == nil {
			return j
		}
		if also := o.Tee(e.Name, e.Size); also != nil && j.Tee != nil {
			j.Tee = io.MultiWriter(j.Tee, also)
		} else if also != nil {
			j.Tee = also
		}
		return j
	})
	hasher := hashing.Hasher{Plan: plan, Workers: o.Workers, Progress: progress(o.Progress, entries, k)}
	results, err := hasher.Files(ctx, groups)
	if err != nil {
		return l.cause(ctx, err, entries, o.Workers)
	}
	sums := make([][][]byte, len(entries))
	for g := range results {
		for j, r := range results[g] {
			i := where[g][j]
			if !m.NoID {
				if !r.HasSHA256 {
					return fmt.Errorf("hash %q: no SHA-256 was computed", m.Files[i].Name)
				}
				m.Files[i].SHA256 = r.SHA256
			}
			sums[i] = r.Sums
		}
	}
	if k != nil {
		m.Cached = len(k.sums)
		for i, sum := range k.sums {
			m.Files[i].SHA256, sums[i] = sum, [][]byte{sum[:]}
		}
	}
	for _, p := range packs {
		m.packs = append(m.packs, p.finish(m.Files))
	}
	m.Resources = make([]Resource, 0, len(entries))
	for i := range entries {
		if err := l.checkBlob(&entries[i], m.Files[i].SHA256, blobs[i]); err != nil {
			return err
		}
		m.addResources(i, sums[i])
	}
	sortResources(m.Resources)
	return nil
}

// cause turns what hashing found to have changed into a *ChangedError, whose Name callers can use: its own, or for a file
// that turned out shorter or longer while it was read, what looking again tells.
func (l *Listing) cause(ctx context.Context, err error, entries []Entry, workers int) error {
	var changed *ChangedError
	if !errors.Is(err, hashing.ErrChanged) {
		return err
	}
	if errors.As(err, &changed) || errors.As(l.recheck(ctx, entries, workers), &changed) {
		return changed
	}
	return err
}

// addResources appends the digests of file i as OMS names them (OMS §6.3).
func (m *Manifest) addResources(i int, sums [][]byte) {
	f, s := m.Files[i], m.Serialization
	for n, sum := range sums {
		name := f.Name
		if s.Method == Shards {
			start := int64(n) * s.ShardSize
			end := f.Size
			if end-start > s.ShardSize {
				end = start + s.ShardSize
			}
			name += ":" + strconv.FormatInt(start, 10) + ":" + strconv.FormatInt(end, 10)
		}
		m.Resources = append(m.Resources, Resource{Name: name, Algorithm: s.Algorithm, Digest: sum})
	}
}

// progress counts bytes that are read; those of files that are known are there from the start.
func progress(report func(done, total int64), entries []Entry, k *known) func(int64) {
	if report == nil {
		return nil
	}
	var total int64
	var done atomic.Int64
	for i, e := range entries {
		total = addSize(total, e.Size)
		if _, ok := k.file(i); ok {
			done.Add(e.Size)
		}
	}
	return func(n int64) { report(done.Add(n), total) }
}
