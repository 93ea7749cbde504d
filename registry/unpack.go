package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// unpack writes the members of a pack and returns those that were written, also where it errs. The whole tar is held to
// the layer's digest by from, whose bytes go into whole; here every member must be a plain regular file with a clean name that was not there yet,
// and what the signed list says.
func (p *puller) unpack(ctx context.Context, from io.Reader, whole *packDigest, l manifest.Layer) (members []manifest.File, err error) {
	tr := tar.NewReader(from)
	left := l.Size // no member is larger than the tar that it lies in
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return members, fmt.Errorf("read tar: %w", err)
		}
		if left -= h.Size; left < 0 || h.Size < 0 {
			return members, fmt.Errorf("member %q: its size is more than the tar has", h.Name)
		}
		f, err := p.unpackMember(ctx, tr, whole, h)
		if err == nil {
			members = append(members, f)
			err = p.expected.member(f)
		}
		if err != nil {
			return members, fmt.Errorf("member %q: %w", h.Name, err)
		}
	}
	// What follows the end mark belongs to the digest too.
	_, err = copyBytes(ctx, io.Discard, from, nil)
	return members, err
}

func (p *puller) unpackMember(ctx context.Context, tr *tar.Reader, whole *packDigest, h *tar.Header) (manifest.File, error) {
	if h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return manifest.File{}, errors.New("it is not a regular file")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return manifest.File{}, errors.New("it is sparse")
		}
	}
	sum := whole.begin()
	defer whole.end()
	var size int64
	if err := p.write(ctx, h.Name, tr, func(n int64) { size += n }); err != nil {
		return manifest.File{}, err
	}
	if sum.Size() != size {
		_ = p.root.Remove(h.Name)
		return manifest.File{}, errReadAhead
	}
	return manifest.File{Name: h.Name, Size: size, SHA256: sum.Sum()}, nil
}

// packDigest is the digest of a pack, and at the same time that of the member whose bytes are going by: two digests of the
// same bytes cost little more than one.
type packDigest struct {
	*hashing.Stream
	member *hashing.Stream // nil between members
}

func newPackDigest() *packDigest { return &packDigest{Stream: hashing.NewStream()} }

// begin returns the digest of a member, which gets what is written from here to end: the member's bytes and no others, as
// archive/tar reads headers and padding before and after. That it did, the digest's size shows: see errReadAhead.
func (d *packDigest) begin() *hashing.Stream {
	d.member = hashing.NewStream()
	return d.member
}

func (d *packDigest) end() { d.member = nil }

// errReadAhead is about a tar reader or writer that moves bytes at another time than it is asked to.
var errReadAhead = errors.New("more or fewer bytes went by than the member has")

// Write never errs.
func (d *packDigest) Write(p []byte) (int, error) {
	if d.member == nil {
		return d.Stream.Write(p)
	}
	hashing.WriteBoth(d.Stream, d.member, p)
	return len(p), nil
}
