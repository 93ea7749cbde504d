package registry

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func TestSingleReadsTheOneFile(t *testing.T) {
	ctx := context.Background()
	dir := model(t, map[string]string{"prod.yaml": "name: prod\n", "other.yaml": "name: other\n"})
	one, err := manifest.Build(ctx, filepath.Join(dir, "prod.yaml"), manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	two, err := manifest.Build(ctx, dir, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range stores() {
		t.Run(p.name, func(t *testing.T) {
			find := func(path string, m *manifest.Manifest) *Stored {
				ref := p.ref(t)
				publish(t, path, m, ref)
				stored, err := Find(ctx, ref, Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = stored.Close() })
				return stored
			}
			stored := find(filepath.Join(dir, "prod.yaml"), one)
			if name, content, err := stored.Single(ctx, 11); name != "prod.yaml" || string(content) != "name: prod\n" || err != nil {
				t.Errorf("%q %q %v", name, content, err)
			}
			if _, content, err := stored.Single(ctx, 10); !errors.Is(err, ErrTooLarge) {
				t.Errorf("one byte too many: %q %v", content, err)
			}
			if _, content, err := find(dir, two).Single(ctx, 100); err == nil {
				t.Errorf("two files: %q", content)
			}
		})
	}
}
