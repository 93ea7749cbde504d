package manifest

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// HashOptions says what of a listing is hashed.
type HashOptions struct {
	Only     func(name string) bool  // nil: everything
	Workers  int                     // 0: one per core
	Progress func(done, total int64) // bytes, from several goroutines; nil: nobody
}

// ChangedError says that something was not, when everything had been read, what it was when it was listed. It wraps
// hashing.ErrChanged.
type ChangedError struct {
	Name string // file or folder; "." is the artifact itself
	What string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%q %s: %v", e.Name, e.What, hashing.ErrChanged)
}

// Unwrap returns hashing.ErrChanged.
func (e *ChangedError) Unwrap() error { return hashing.ErrChanged }

// Hash reads the listed files once and returns their manifest. What was hashed is what was listed: inode, size and
// times of every file agree when it was listed, when it was opened, after its last byte, and when everything was read,
// and no folder gained or lost a name; else the error is a *ChangedError. Nothing to hash is ErrEmpty.
func (l *Listing) Hash(ctx context.Context, o HashOptions) (*Manifest, error) {
	var entries []Entry
	for _, e := range l.Entries {
		if o.Only == nil || o.Only(e.Name) {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 {
		return nil, ErrEmpty
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
	if err := l.hash(ctx, m, entries, o); err != nil {
		return nil, err
	}
	if err := l.recheck(ctx, entries, o.Workers); err != nil {
		return nil, err
	}
	return m, nil
}

func (l *Listing) hash(ctx context.Context, m *Manifest, entries []Entry, o HashOptions) error {
	plan := hashing.Plan{Algorithm: l.options.Algorithm, ShardSize: l.options.ShardSize, SHA256: !l.options.NoID}
	jobs := make([]hashing.Job, len(entries))
	blobs := make([]hash.Hash, len(entries))
	for i, e := range entries {
		jobs[i] = l.job(e)
		if len(e.blob) == 40 || e.blob != "" && l.options.NoID { // git's SHA-1, or a SHA-256 that is not computed anyway
			blobs[i] = blobHash(e)
			jobs[i].Tee = blobs[i]
		}
	}
	groups, where, packs := arrange(m, jobs, !l.options.NoID)
	hasher := hashing.Hasher{Plan: plan, Workers: o.Workers, Progress: progress(o.Progress, entries)}
	results, err := hasher.Files(ctx, groups)
	if err != nil {
		return err
	}
	sums := make([][][]byte, len(entries))
	for g := range results {
		for j, r := range results[g] {
			i := where[g][j]
			m.Files[i].SHA256, sums[i] = r.SHA256, r.Sums
		}
	}
	for _, p := range packs {
		layer, err := p.finish(m.Files)
		if err != nil {
			return err
		}
		m.packs = append(m.packs, layer)
	}
	for i, e := range entries {
		if err := checkBlob(e, m.Files[i].SHA256, blobs[i]); err != nil {
			return err
		}
		m.addResources(i, sums[i])
	}
	sortResources(m.Resources)
	return nil
}

// addResources appends the digests of file i as OMS names them (OMS §6.3).
func (m *Manifest) addResources(i int, sums [][]byte) {
	f, s := m.Files[i], m.Serialization
	for n, sum := range sums {
		name := f.Name
		if s.Method == Shards {
			start := int64(n) * s.ShardSize
			name += ":" + strconv.FormatInt(start, 10) + ":" + strconv.FormatInt(min(start+s.ShardSize, f.Size), 10)
		}
		m.Resources = append(m.Resources, Resource{Name: name, Algorithm: s.Algorithm, Digest: sum})
	}
}

// packing is a pack on its way: its members' bytes go through a tar writer into a digest while they are hashed.
type packing struct {
	name    string
	members []int
	tar     *tar.Writer
	hash    hash.Hash
	size    countWriter
}

type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}

// arrange puts jobs into groups: one each, or where the manifest needs packs, a group for every pack. where says which
// file each job of a group is.
func arrange(m *Manifest, jobs []hashing.Job, withID bool) (groups [][]hashing.Job, where [][]int, packs []*packing) {
	packed := make([]bool, len(jobs))
	if withID && needsPacks(m.Files) {
		for n, members := range packGroups(m.Files) {
			p := &packing{name: packLayerName(n), members: members, hash: sha256.New()}
			p.tar = tar.NewWriter(io.MultiWriter(p.hash, &p.size))
			var group []hashing.Job
			for _, i := range members {
				packed[i] = true
				group = append(group, p.job(jobs[i], m.Files[i]))
			}
			groups, where, packs = append(groups, group), append(where, members), append(packs, p)
		}
	}
	for i, j := range jobs {
		if !packed[i] {
			groups, where = append(groups, []hashing.Job{j}), append(where, []int{i})
		}
	}
	return groups, where, packs
}

// job makes j write its header into the tar when it is opened, and its bytes while they are hashed.
func (p *packing) job(j hashing.Job, f File) hashing.Job {
	open := j.Open
	j.Open = func() (*os.File, error) {
		if err := p.tar.WriteHeader(packHeader(f)); err != nil {
			return nil, err
		}
		return open()
	}
	if j.Tee != nil {
		j.Tee = io.MultiWriter(j.Tee, p.tar)
	} else {
		j.Tee = p.tar
	}
	return j
}

func (p *packing) finish(files []File) (Layer, error) {
	if err := p.tar.Close(); err != nil {
		return Layer{}, fmt.Errorf("pack %s: %w", p.name, err)
	}
	l := Layer{MediaType: PackMediaType, Digest: hashing.Sum(p.hash.Sum(nil)), Size: int64(p.size), Name: p.name, Pack: true}
	for _, i := range p.members {
		l.Files = append(l.Files, files[i])
	}
	return l, nil
}

// job opens the file and holds it to its listing, before the first byte and after the last.
func (l *Listing) job(e Entry) hashing.Job {
	check := func(f *os.File) error {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return &ChangedError{e.Name, "is " + special(info.Mode()) + " now"}
		}
		return l.compare(e.Name, e.stamp, stampOf(info))
	}
	return hashing.Job{Name: e.Name, Size: e.Size, Check: check, Open: func() (*os.File, error) {
		f, err := l.root.OpenFile(e.open, openFlags, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &ChangedError{e.Name, "is gone"}
		}
		if err != nil {
			return nil, err
		}
		if err := check(f); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}}
}

// compare holds what is there now against the listing, as far as the file system can tell.
func (l *Listing) compare(name string, was, is stamp) error {
	if l.weak {
		was.dev, was.ino, was.ctime = is.dev, is.ino, is.ctime
	}
	switch {
	case was == is:
		return nil
	case !was.same(is) && !l.weak:
		return &ChangedError{name, "is another file than the one that was listed"}
	case was.size != is.size:
		return &ChangedError{name, fmt.Sprintf("had %d bytes and has %d", was.size, is.size)}
	}
	return &ChangedError{name, "was written to"}
}

// recheck looks at everything once more when all was read: a file that was hashed early may have changed since, and a
// folder may have gained a file that nobody hashed.
func (l *Listing) recheck(ctx context.Context, entries []Entry, workers int) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		group.Go(func() {
			for {
				const batch = 256
				from := int(next.Add(batch)) - batch
				if from >= len(entries) || errs[w] != nil || ctx.Err() != nil {
					return
				}
				for _, e := range entries[from:min(from+batch, len(entries))] {
					if errs[w] = l.relook(e); errs[w] != nil {
						return
					}
				}
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	for _, f := range l.folders {
		if err := l.relist(f); err != nil {
			return err
		}
	}
	return nil
}

func (l *Listing) relook(e Entry) error {
	info, err := l.root.Stat(e.open)
	if errors.Is(err, fs.ErrNotExist) {
		return &ChangedError{e.Name, "is gone"}
	}
	if err != nil {
		return fmt.Errorf("look at %q again: %w", e.Name, err)
	}
	return l.compare(e.Name, e.stamp, stampOf(info))
}

// relist compares the names in a folder whose times changed. Evidence that was written meanwhile is none of them.
func (l *Listing) relist(f folder) error {
	open, shown := f.name, f.shown
	if open == "" {
		open = "."
	}
	if shown == "" {
		shown = "."
	}
	d, err := l.root.Open(open)
	if err != nil {
		return &ChangedError{shown, "is gone"}
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return fmt.Errorf("look at %q again: %w", shown, err)
	}
	if l.compare(shown, f.stamp, stampOf(info)) == nil {
		return nil
	}
	entries, err := d.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("look at %q again: %w", shown, err)
	}
	var names []string
	for _, e := range entries {
		if !slices.Contains(l.ignored, join(f.shown, e.Name())) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	if !slices.Equal(names, f.names) {
		return &ChangedError{shown, "gained or lost a file"}
	}
	return nil
}

func progress(report func(done, total int64), entries []Entry) func(int64) {
	if report == nil {
		return nil
	}
	var total int64
	for _, e := range entries {
		total += e.Size
	}
	var done atomic.Int64
	return func(n int64) { report(done.Add(n), total) }
}

// blobHash begins the digest by which a Hugging Face cache names a blob.
func blobHash(e Entry) hash.Hash {
	if len(e.blob) == 64 {
		return sha256.New()
	}
	h := sha1.New() // git's object name, and no proof of anything here
	fmt.Fprintf(h, "blob %d\x00", e.Size)
	return h
}

// checkBlob holds a file of a Hugging Face cache to the name of its blob.
func checkBlob(e Entry, sum hashing.Sum, h hash.Hash) error {
	if e.blob == "" {
		return nil
	}
	found := sum.Hex()
	if h != nil {
		found = hex.EncodeToString(h.Sum(nil))
	}
	if found != e.blob {
		return fmt.Errorf("hash %q: its blob in the cache is named %s, its bytes are %s", e.Name, e.blob, found)
	}
	return nil
}
