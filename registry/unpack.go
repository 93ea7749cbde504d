package registry

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// unpack writes the members of a pack and returns those that were written, also where it errs. The whole tar is held to
// the layer's digest by from; here every member must be a plain regular file with a clean name that was not there yet,
// and what the signed list says.
func (p *puller) unpack(ctx context.Context, from io.Reader, l manifest.Layer) (members []manifest.File, err error) {
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
		f, err := p.unpackMember(ctx, tr, h)
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

func (p *puller) unpackMember(ctx context.Context, tr *tar.Reader, h *tar.Header) (manifest.File, error) {
	if h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return manifest.File{}, errors.New("it is not a regular file")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return manifest.File{}, errors.New("it is sparse")
		}
	}
	sum := sha256.New()
	counted := &counter{}
	if err := p.write(ctx, h.Name, io.TeeReader(tr, io.MultiWriter(sum, counted)), nil); err != nil {
		return manifest.File{}, err
	}
	return manifest.File{Name: h.Name, Size: counted.n, SHA256: hashing.Sum(sum.Sum(nil))}, nil
}

// counter counts bytes.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
