package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// file fetches a layer that is a file, or several with the same bytes.
func (p *puller) file(ctx context.Context, l wanted, d Descriptor, g *gauge) error {
	right, err := p.recheck(ctx, l, d)
	if err != nil {
		return err
	}
	switch {
	case len(right) > 0:
		g.resumed(d.Size)
	case d.Size < worthKeeping:
		err = p.small(ctx, l.names[0], d, g)
	default:
		err = p.big(ctx, l, d, g)
	}
	if err != nil {
		return err
	}
	if len(right) == 0 {
		right = l.names[:1]
	}
	for _, name := range l.names {
		if !slices.Contains(right, name) {
			if err := p.twin(ctx, right[0], name, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// recheck returns which of a layer's names are there from another time with the right bytes. The others are removed.
func (p *puller) recheck(ctx context.Context, l wanted, d Descriptor) (right []string, err error) {
	for _, name := range l.names {
		if !p.found[name] {
			continue
		}
		ok, err := p.holds(ctx, name, d)
		if err == nil && !ok {
			err = p.root.Remove(name)
		}
		if err != nil {
			return nil, err
		}
		if ok {
			right = append(right, name)
		}
	}
	return right, nil
}

// holds reads a file and reports whether it is what d says.
func (p *puller) holds(ctx context.Context, name string, d Descriptor) (bool, error) {
	f, info, err := openRegular(p.root, name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info.Size() != d.Size || hasOtherNames(info) { // what is written to it elsewhere would show here too
		return false, nil
	}
	_, err = copyBytes(ctx, io.Discard, newCheckedReader(f, d.Digest, d.Size), nil)
	if errors.Is(err, ErrDigest) {
		return false, nil
	}
	return err == nil, err
}

// small fetches a layer straight into its file.
func (p *puller) small(ctx context.Context, name string, d Descriptor, g *gauge) error {
	if d.Size == 0 { // nothing has to be fetched to have nothing, if that is what was named
		if err := checkSum(nil, d.Digest); err != nil {
			return err
		}
		return p.write(ctx, name, strings.NewReader(""), nil)
	}
	end, err := p.stream(ctx)
	if err != nil {
		return err
	}
	defer end()
	from, err := p.repo.store.openBlob(ctx, d)
	if err != nil {
		return err
	}
	defer from.Close()
	return p.write(ctx, name, newCheckedReader(from, d.Digest, d.Size), g.moved)
}

// write makes a file of what from gives, or none.
func (p *puller) write(ctx context.Context, name string, from io.Reader, moved func(int64)) error {
	f, err := p.create(name)
	if err != nil {
		return err
	}
	_, err = copyBytes(ctx, f, from, moved)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = p.root.Remove(name)
	}
	return err
}

// twin makes another file with the bytes of one that is finished.
func (p *puller) twin(ctx context.Context, of, name string, d Descriptor) error {
	f, _, err := openRegular(p.root, of)
	if err != nil {
		return err
	}
	defer f.Close()
	return p.write(ctx, name, newCheckedReader(f, d.Digest, d.Size), nil)
}

// pack fetches a pack and writes its members.
func (p *puller) pack(ctx context.Context, l manifest.Layer, d Descriptor, g *gauge) error {
	there, err := p.repack(ctx, l)
	if err != nil {
		return err
	}
	if there {
		g.resumed(d.Size)
		return nil
	}
	end, err := p.stream(ctx)
	if err != nil {
		return err
	}
	defer end()
	from, err := p.repo.store.openBlob(ctx, d)
	if err != nil {
		return err
	}
	defer from.Close()
	whole := newPackDigest()
	checked := &checkedReader{from: from, hash: whole, want: d.Digest, size: d.Size, left: d.Size}
	members, err := p.unpack(ctx, &metered{io.NopCloser(checked), g}, whole, l)
	if err != nil {
		p.removeAll(members)
		return err
	}
	return p.partial.notePack(l.Digest, members)
}

// repack reports whether the members of a pack are there from another time, all of them and right: packed again they
// must be the same tar, whose form the artifact ID fixes to the byte. If they are not they are removed.
func (p *puller) repack(ctx context.Context, l manifest.Layer) (bool, error) {
	members := p.partial.packed(l.Digest)
	if len(members) == 0 || slices.ContainsFunc(members, func(f manifest.File) bool { return !p.found[f.Name] }) {
		p.removeAll(members)
		return false, nil
	}
	whole := newPackDigest()
	sums := make([]*hashing.Stream, 0, len(members))
	open := func(name string) (io.ReadCloser, error) {
		f, _, err := openRegular(p.root, name)
		if err != nil {
			return nil, err
		}
		sums = append(sums, whole.begin())
		return reader{untilDone(ctx, f), closeFunc(func() error { whole.end(); return f.Close() })}, nil
	}
	err := manifest.WritePack(whole, manifest.Layer{Name: l.Name, Pack: true, Files: members}, open)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if err != nil || whole.Sum() != l.Digest {
		p.removeAll(members)
		return false, nil
	}
	for i, f := range members {
		if sums[i].Size() != f.Size {
			return false, fmt.Errorf("member %q: %w", f.Name, errReadAhead)
		}
		f.SHA256 = sums[i].Sum()
		if err := p.expected.member(f); err != nil {
			return false, fmt.Errorf("member %q: %w", f.Name, err)
		}
	}
	return true, nil
}

func (p *puller) removeAll(members []manifest.File) {
	for _, f := range members {
		_ = p.root.Remove(f.Name)
	}
}

// reader is a reader and what closes it.
type reader struct {
	io.Reader
	io.Closer
}

// untilDone reads until the end of ctx.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	return readFunc(func(b []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(b)
	})
}

type closeFunc func() error

func (f closeFunc) Close() error { return f() }

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// maxPackRecord is the cap on what is noted of one pack, in bytes.
const maxPackRecord = 64 << 20

type packRecord struct {
	Files []packMember `json:"files"`
}

type packMember struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// notePack notes what a pack held once all of it is written.
func (p *partial) notePack(digest hashing.Sum, members []manifest.File) error {
	var r packRecord
	for _, f := range members {
		r.Files = append(r.Files, packMember{f.Name, f.Size})
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("note members of pack %s: %w", digest, err)
	}
	name := partialPacks + "/" + digest.Hex()
	if err := p.root.RemoveAll(name); err != nil {
		return err
	}
	return p.root.WriteFile(name, raw, 0o644)
}

// packed returns what was noted of a pack, if that can be read.
func (p *partial) packed(digest hashing.Sum) []manifest.File {
	raw, err := readRegular(p.root, partialPacks+"/"+digest.Hex(), maxPackRecord)
	var r packRecord
	if err != nil || json.Unmarshal(raw, &r) != nil {
		return nil
	}
	files := make([]manifest.File, 0, len(r.Files))
	for _, f := range r.Files {
		if manifest.CleanName(f.Name) != nil || f.Size < 0 {
			return nil
		}
		files = append(files, manifest.File{Name: f.Name, Size: f.Size})
	}
	return files
}

func trimJournal(name string) string { return strings.TrimSuffix(name, journalSuffix) }
