package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
)

func write(t *testing.T, at string, content []byte) {
	t.Helper()
	if err := os.WriteFile(at, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestReadEvidenceFindsEveryPlace(t *testing.T) {
	ctx := context.Background()
	dir := model(t, map[string]string{"a.bin": "a"})
	line := func(n int) []byte { return append(testBundle(n), '\n') }
	pretty := bytes.ReplaceAll(testBundle(0), []byte(","), []byte(",\n  "))
	write(t, filepath.Join(dir, "model.sig"), pretty)
	write(t, filepath.Join(dir, "claims.sig"), append(line(1), testBundle(2)...))
	write(t, dir+".claims.sig", line(3))
	write(t, filepath.Join(dir, "a.bin.sig"), testBundle(4))
	write(t, filepath.Join(dir, "a.bin.claims.sig"), line(5))
	write(t, filepath.Join(dir, "other.sig"), testBundle(6))
	if err := os.Symlink(filepath.Join(dir, "other.sig"), filepath.Join(dir, "link.sig")); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		path, signature string
		want            string
	}{
		{dir, "", "model.sig, claims.sig line 1, claims.sig line 2, model.claims.sig line 1"},
		{dir + "/", "", "model.sig, claims.sig line 1, claims.sig line 2, model.claims.sig line 1"},
		{filepath.Join(dir, "a.bin"), "", "a.bin.sig, a.bin.claims.sig line 1"},
		{dir, filepath.Join(dir, "link.sig"), filepath.Join(dir, "link.sig") + ", claims.sig line 1, claims.sig line 2, model.claims.sig line 1"},
		{t.TempDir(), "", ""},
	} {
		items, err := Beside{row.path, EvidenceOptions{Signature: row.signature}}.Evidence(ctx)
		var where []string
		for _, i := range items {
			where = append(where, i.Where)
		}
		if got := strings.Join(where, ", "); err != nil || got != row.want {
			t.Errorf("%s: %s (%v), want %s", row.path, got, err, row.want)
		}
	}
	t.Chdir(dir)
	if items, err := ReadEvidence(ctx, ".", EvidenceOptions{}); err != nil || len(items) != 4 || !bytes.Equal(items[3].Bundle, testBundle(3)) {
		t.Errorf("in the directory itself: %v (%v)", items, err)
	}
	for _, missing := range []string{filepath.Join(dir, "none.sig")} {
		if _, err := ReadEvidence(ctx, dir, EvidenceOptions{Signature: missing}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", missing, err)
		}
	}
	if _, err := ReadEvidence(ctx, filepath.Join(dir, "nothing"), EvidenceOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an artifact that is not there: %v", err)
	}
}

// reserved is something that lies under a name reserved for evidence.
type reserved struct {
	name, file string
	make       func(at string) error
	ok         bool
}

func reservedFiles() []reserved {
	b := string(testBundle(1))
	sparse := func(at string, size int64) error {
		f, err := os.Create(at)
		if err != nil {
			return err
		}
		return errors.Join(f.Truncate(size), f.Close())
	}
	content := func(s string) func(string) error {
		return func(at string) error { return os.WriteFile(at, []byte(s), 0o600) }
	}
	return []reserved{
		{"bundle", "model.sig", content(b), true},
		{"empty", "model.sig", content(""), false},
		{"two bundles", "model.sig", content(b + "\n" + b), false},
		{"text", "model.sig", content("import os"), false},
		{"null", "model.sig", content("null"), false},
		{"other JSON", "model.sig", content(`{"mediaType":"application/json"}`), false},
		{"key twice", "model.sig", content(strings.Replace(b, `"payload"`, `"payload":"","payload"`, 1)), false},
		{"invalid UTF-8", "model.sig", content(strings.Replace(b, "none", "\xff", 1)), false},
		{"link", "model.sig", func(at string) error { return os.Symlink("/dev/zero", at) }, false},
		{"link to a bundle", "model.sig", func(at string) error {
			return errors.Join(os.WriteFile(at+".real", []byte(b), 0o600), os.Symlink(filepath.Base(at)+".real", at))
		}, false},
		{"FIFO", "model.sig", makePipe, false},
		{"directory", "model.sig", func(at string) error { return os.Mkdir(at, 0o755) }, false},
		{"over cap", "model.sig", func(at string) error { return sparse(at, attestations.MaxSignatureBundle+1) }, false},
		{"claims", "claims.sig", content(b + "\n" + b + "\n"), true},
		{"claims without a last line break", "claims.sig", content(b), true},
		{"no claims", "claims.sig", content(""), true},
		{"empty line", "claims.sig", content(b + "\n\n" + b), false},
		{"only a line break", "claims.sig", content("\n"), false},
		{"code after a bundle", "claims.sig", content(b + "\nprint(1)\n"), false},
		{"bundle over two lines", "claims.sig", content(strings.Replace(b, ",", ",\n", 1)), false},
		{"bundle of 9 MiB", "claims.sig", content(strings.Replace(b, "e30=", strings.Repeat("A", 9<<20), 1)), false},
		{"claims over cap", "claims.sig", func(at string) error { return sparse(at, maxClaims+1) }, false},
		{"too many lines", "claims.sig", content(strings.Repeat(`{"mediaType":"`+attestations.BundleMediaType+`"}`+"\n", maxClaimLines+1)), false},
		{"as many lines as may be", "claims.sig", content(strings.Repeat(`{"mediaType":"`+attestations.BundleMediaType+`"}`+"\n", maxClaimLines)), true},
		{"claims directory", "claims.sig", func(at string) error { return os.Mkdir(at, 0o755) }, false},
	}
}

func TestReadEvidenceRefusesWhatIsNoEvidence(t *testing.T) {
	ctx := context.Background()
	for _, row := range reservedFiles() {
		dir := model(t, map[string]string{"a.bin": "a"})
		if err := row.make(filepath.Join(dir, row.file)); err != nil {
			t.Fatal(err)
		}
		_, err := ReadEvidence(ctx, dir, EvidenceOptions{})
		var malformed *chain.MalformedError
		switch {
		case row.ok && err != nil:
			t.Errorf("%s: %v", row.name, err)
		case !row.ok && !errors.As(err, &malformed):
			t.Errorf("%s: %v is no *chain.MalformedError", row.name, err)
		case !row.ok && !strings.HasPrefix(malformed.Where, row.file):
			t.Errorf("%s: lies in %q", row.name, malformed.Where)
		}
	}
}

func TestAppendClaimsLosesNothingInParallel(t *testing.T) {
	dir := model(t, map[string]string{"a.bin": "a"})
	at := filepath.Join(dir, "claims.sig")
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			if err := AppendClaims(context.Background(), at, testBundle(i), testBundle(100+i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	items, err := ReadEvidence(context.Background(), dir, EvidenceOptions{})
	if err != nil || len(bundlesOf(items)) != 32 {
		t.Errorf("%d of 32 claims are left (%v)", len(items), err)
	}
	nothingLeft(t, dir, "a.bin", "claims.sig")
}

func TestAppendClaimsAddsNothingTwice(t *testing.T) {
	ctx := context.Background()
	dir := model(t, map[string]string{"a.bin": "a"})
	at := filepath.Join(dir, "claims.sig")
	pretty := bytes.ReplaceAll(testBundle(2), []byte(","), []byte(",\n  "))
	for range 2 {
		if err := AppendClaims(ctx, at, testBundle(1), testBundle(1), pretty); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(at)
	if want := string(testBundle(1)) + "\n" + string(testBundle(2)) + "\n"; err != nil || string(raw) != want {
		t.Errorf("claims are %s (%v)", raw, err)
	}
	if info, err := os.Stat(at); err != nil || info.Mode().Perm()&^0o644 != 0 {
		t.Errorf("mode is %v (%v)", info.Mode(), err)
	}
	for _, bad := range [][]byte{nil, []byte("{}"), []byte("x\n")} {
		if err := AppendClaims(ctx, at, bad); err == nil {
			t.Errorf("appended %q", bad)
		}
	}
	if err := AppendClaims(ctx, at); err == nil {
		t.Error("appended nothing")
	}
}

func TestAppendClaimsKeepsAwayFromOtherFiles(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	for name, make := range map[string]func(at string) error{
		"text": func(at string) error { return os.WriteFile(at, []byte("mine"), 0o600) },
		"link": func(at string) error { return os.Symlink("elsewhere", at) },
		"FIFO": makePipe,
	} {
		at := filepath.Join(dir, name)
		if err := make(at); err != nil {
			t.Fatal(err)
		}
		var malformed *chain.MalformedError
		if err := AppendClaims(ctx, at, testBundle(1)); !errors.As(err, &malformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	nothingLeft(t, dir, "text", "link", "FIFO")
	if raw, err := os.ReadFile(filepath.Join(dir, "text")); err != nil || string(raw) != "mine" {
		t.Errorf("text is %q (%v)", raw, err)
	}
}

func TestWriteSignatureReplacesAtOnce(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	at := filepath.Join(dir, "model.sig")
	write(t, filepath.Join(dir, temporaryPrefix+"model.sig"), []byte("left by a writer that was killed"))
	for i := range 2 {
		if err := WriteSignature(ctx, at, testBundle(i)); err != nil {
			t.Fatal(err)
		}
		if raw, err := os.ReadFile(at); err != nil || !bytes.Equal(raw, testBundle(i)) {
			t.Errorf("%s (%v)", raw, err)
		}
	}
	if err := WriteSignature(ctx, at, []byte("no bundle")); err == nil {
		t.Error("wrote no bundle")
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	unlock, err := lockDirectory(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteSignature(cancelled, at, testBundle(2)); !errors.Is(err, context.Canceled) {
		t.Errorf("wrote beside another writer: %v", err)
	}
	unlock()
	nothingLeft(t, dir, "model.sig")
	if raw, err := os.ReadFile(at); err != nil || !bytes.Equal(raw, testBundle(1)) {
		t.Errorf("%s (%v)", raw, err)
	}
	if err := WriteSignature(ctx, filepath.Join(dir, "none", "model.sig"), testBundle(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("wrote where there is no directory: %v", err)
	}
}

func TestAFullDiskLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	write(t, filepath.Join(dir, "file"), []byte("old"))
	err = writeFile(root, "temporary", "file", func(w io.Writer) error {
		if _, err := io.WriteString(w, "ne"); err != nil {
			return err
		}
		return fmt.Errorf("write: %w", syscall.ENOSPC)
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	nothingLeft(t, dir, "file")
	if raw, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(raw) != "old" {
		t.Errorf("%q (%v)", raw, err)
	}
	if err := replaceFile(root, "file", []byte("new")); err != nil {
		t.Error(err)
	}
	if raw, _ := os.ReadFile(filepath.Join(dir, "file")); string(raw) != "new" {
		t.Errorf("%q", raw)
	}
}

func FuzzSplitClaims(f *testing.F) {
	f.Add([]byte(`{"mediaType":"` + bundleTypes + `"}` + "\n"))
	f.Add([]byte("{}\n\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		items, err := splitClaims("claims.sig", raw)
		if err != nil {
			return
		}
		var b [][]byte
		for _, i := range items {
			b = append(b, i.Bundle)
		}
		if got := bytes.Join(b, []byte("\n")); !bytes.Equal(bytes.TrimSuffix(raw, []byte("\n")), got) {
			t.Errorf("%q is split into %q", raw, got)
		}
	})
}
