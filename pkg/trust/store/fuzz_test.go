package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzLoad reads any bytes as a store. What loads holds a root that can be used, and never reads as an empty store.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"schema": "hallmark.trust-store/v1", "stored": "2026-01-01T00:00:00Z", "trustedRoot": "e30="}`))
	f.Add([]byte(`{"schema": "hallmark.trust-store/v1", "stored": "2026-01-01T00:00:00Z", "trustedRoot": "e30=", "tuf": {"mirror": "m"}}`))
	f.Add([]byte("{}"))
	s := Store{Dir: filepath.Join(f.TempDir(), "store")}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(s.path(), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := s.Load()
		switch {
		case errors.Is(err, ErrNone):
			t.Fatal("a store that is there reads as none")
		case err == nil && (r.Sigstore == nil || len(r.Sigstore.Witnesses()) == 0 || r.Sigstore.Origin().Digest == ""):
			t.Fatalf("it loads and trusts nobody: %+v", r)
		case err != nil && r != nil:
			t.Fatal("a root comes with the error")
		}
	})
}
