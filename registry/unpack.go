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

// unpack writes the members of a pack. The whole tar is held to the layer's digest by from; here every member must be a
// plain regular file with a clean name that was not there yet, and what the signed list says.
func (p *puller) unpack(ctx context.Context, from io.Reader, l manifest.Layer) error {
	tr := tar.NewReader(from)
	left := l.Size // no member is larger than the tar that it lies in
	for {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if left -= h.Size; left < 0 || h.Size < 0 {
			return fmt.Errorf("member %q: its size is more than the tar has", h.Name)
		}
		if err := p.unpackMember(ctx, tr, h); err != nil {
			return fmt.Errorf("member %q: %w", h.Name, err)
		}
	}
	// What follows the end mark belongs to the digest too.
	_, err := copyBytes(ctx, io.Discard, from, nil)
	return err
}

func (p *puller) unpackMember(ctx context.Context, tr *tar.Reader, h *tar.Header) error {
	if h.Typeflag != tar.TypeReg || h.Linkname != "" {
		return errors.New("it is not a regular file")
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return errors.New("it is sparse")
		}
	}
	if err := manifest.CleanName(h.Name); err != nil {
		return err
	}
	f, err := p.create(h.Name)
	if err != nil {
		return err
	}
	sum := sha256.New()
	n, err := copyBytes(ctx, io.MultiWriter(f, sum), tr, nil)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return p.expected.member(manifest.File{Name: h.Name, Size: n, SHA256: hashing.Sum(sum.Sum(nil))})
}
