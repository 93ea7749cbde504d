package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestImportIsUsedUntilItIsReplaced(t *testing.T) {
	s, clock := newStore(t)
	if _, err := s.Current(); !errors.Is(err, ErrNone) {
		t.Errorf("empty store: %v", err)
	}
	data := trustedRoot(t, "file.test")
	if _, err := s.Import(data, nil, "root.json"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), data[:len(data)/2]} {
		if _, err := s.Import(bad, nil, "bad.json"); !errors.Is(err, trust.ErrRoot) {
			t.Errorf("imported %.20q: %v", bad, err)
		}
	}
	*clock = now.Add(1000 * week) // nobody promised anything about it
	current, err := s.Current()
	if err != nil || current.Sigstore.Origin() != (trust.Origin{Source: trust.Imported, From: "root.json", Digest: "sha256:" + digest(data)}) {
		t.Errorf("current: %v, %v", current, err)
	}
	left, err := os.ReadDir(s.Dir)
	if err != nil || len(left) != 1 {
		t.Errorf("the store holds %v, %v", left, err)
	}
}

func TestImportKeepsTheSigningConfigThatComesAlong(t *testing.T) {
	s, _ := newStore(t)
	data := trustedRoot(t, "file.test")
	if _, err := s.Import(data, []byte("config"), "root.json"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Import(data, make([]byte, trust.MaxFile+1), "root.json"); err == nil {
		t.Error("an enormous signing config was imported")
	}
	if r, err := s.Current(); err != nil || string(r.SigningConfig) != "config" {
		t.Errorf("current: %q, %v", r.SigningConfig, err)
	}
}

func TestCurrentRefusesAStaleRoot(t *testing.T) {
	repo := newRepository(t)
	repo.Publish(trustedRoot(t, "one.test"))
	s, clock := newStore(t)
	mustUpdate(t, s, options(repo))
	*clock = now.Add(week - FreshNotice - 1)
	r, err := s.Load()
	if err != nil || r.Warnings(*clock) != nil {
		t.Errorf("long before: %v, %v", r, err)
	}
	*clock = now.Add(week - 1)
	if w := r.Warnings(*clock); len(w) != 1 || !strings.Contains(w[0], "stale from 2026-03-08") {
		t.Errorf("soon before: %q", w)
	}
	if w := r.Warnings(now.Add(week)); len(w) != 1 || !strings.Contains(w[0], "stale since 2026-03-08") {
		t.Errorf("after: %q", w)
	}
	if _, err := s.Current(); err != nil {
		t.Errorf("before its end: %v", err)
	}
	*clock = now.Add(week)
	if _, err := s.Current(); !errors.Is(err, ErrStale) || !strings.Contains(err.Error(), "2026-03-08") {
		t.Errorf("at its end: %v", err)
	}
	if r, err := s.Load(); err != nil || !r.Stale(*clock) {
		t.Errorf("for showing: %v, %v", r, err)
	}
}

func TestLoadRefusesAStoreThatIsNotItsOwn(t *testing.T) {
	data := trustedRoot(t, "file.test")
	for name, spoil := range map[string]func(s Store, text string) error{
		"a file that others write": func(s Store, _ string) error { return os.Chmod(s.path(), 0o620) },
		"a directory that they do": func(s Store, _ string) error { return os.Chmod(s.Dir, 0o777) },
		"another schema": func(s Store, text string) error {
			return os.WriteFile(s.path(), []byte(strings.Replace(text, "store/v1", "store/v2", 1)), 0o600)
		},
		"an unknown member": func(s Store, text string) error {
			return os.WriteFile(s.path(), []byte(strings.Replace(text, "{", `{"trustAll": true,`, 1)), 0o600)
		},
		"a member twice": func(s Store, text string) error {
			return os.WriteFile(s.path(), []byte(strings.Replace(text, "{", `{"stored": "2026-01-01T00:00:00Z",`, 1)), 0o600)
		},
		"a root that is none": func(s Store, text string) error {
			return os.WriteFile(s.path(), []byte(`{"schema": "hallmark.trust-store/v1", "stored": "2026-01-01T00:00:00Z", "trustedRoot": "e30="}`), 0o600)
		},
		"a mirror without an end": func(s Store, text string) error {
			return os.WriteFile(s.path(), []byte(strings.Replace(text, "{", `{"tuf": {"mirror": "https://mirror.test", "anchor": "", "expires": "0001-01-01T00:00:00Z", "root": "", "timestamp": "", "snapshot": "", "targets": ""},`, 1)), 0o600)
		},
		"too much":  func(s Store, text string) error { return os.Truncate(s.path(), maxStore+1) },
		"a half":    func(s Store, text string) error { return os.Truncate(s.path(), int64(len(text)/2)) },
		"a folder":  func(s Store, _ string) error { return errors.Join(os.Remove(s.path()), os.Mkdir(s.path(), 0o700)) },
		"a nothing": func(s Store, _ string) error { return os.Truncate(s.path(), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := newStore(t)
			if _, err := s.Import(data, nil, "root.json"); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(s.Dir, FileName))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Load(); err != nil {
				t.Fatalf("before: %v", err)
			}
			if err := spoil(s, string(text)); err != nil {
				t.Fatal(err)
			}
			if r, err := s.Load(); err == nil || errors.Is(err, ErrNone) || r != nil {
				t.Errorf("loaded: %v, %v", r, err)
			}
		})
	}
}
