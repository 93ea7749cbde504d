package registry

import (
	"context"
	"fmt"
	"io"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// Single reads the one file that the artifact is, at most most bytes, and returns what it is called. It errs where the
// manifest is not canonical, or has not exactly one file.
func (s *Stored) Single(ctx context.Context, most int64) (name string, content []byte, err error) {
	canonical, err := s.Artifact.Canonical()
	if err != nil {
		return "", nil, err
	}
	if len(canonical.Layers) != 1 || canonical.Layers[0].Pack {
		return "", nil, fmt.Errorf("read %s: it is not exactly one file", canonical.ID)
	}
	content, err = s.repo.readFile(ctx, canonical.Layers[0], most)
	return canonical.Layers[0].Name, content, doing(err, "read %s", canonical.ID)
}

func (r *Repo) readFile(ctx context.Context, l manifest.Layer, most int64) ([]byte, error) {
	if l.Size > most {
		return nil, tooLarge(fmt.Sprintf("file of %d bytes", l.Size), most)
	}
	d := Descriptor{l.MediaType, l.Digest.String(), l.Size}
	from, err := r.store.openBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return io.ReadAll(newCheckedReader(from, d.Digest, d.Size))
}
