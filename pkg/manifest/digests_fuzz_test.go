package manifest_test

import (
	"testing"

	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// FuzzParseDigests: what is read can be written and read again as the same, and whatever is signed of it has an ID.
func FuzzParseDigests(f *testing.F) {
	f.Add([]byte(digestsFile(listedFile("a") + "," + listedFile("b/c"))))
	f.Add([]byte(`{"schema":"hallmark.digests/v1","name":"a","single":true,"files":[` + listedFile("a") + `],"packs":[]}`))
	f.Add([]byte(digestsFile(listedFile("model.sig"))))
	f.Add([]byte(digestsFile(listedFile("a")) + "{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := manifest.ParseDigests(raw)
		if err != nil {
			return
		}
		m, err := d.Manifest(manifest.DigestsOptions{})
		if err != nil {
			return
		}
		id, err := m.ID()
		if err != nil || len(m.Resources) != len(d.Files) {
			t.Fatalf("%d of %d files would be signed: %v", len(m.Resources), len(d.Files), err)
		}
		written, err := d.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := manifest.ParseDigests(written)
		if err != nil {
			t.Fatalf("written and read again: %v", err)
		}
		if m, err = again.Manifest(manifest.DigestsOptions{}); err != nil {
			t.Fatal(err)
		}
		if got, err := m.ID(); err != nil || got != id {
			t.Fatalf("written and read again it is %s, not %s: %v", got, id, err)
		}
	})
}
