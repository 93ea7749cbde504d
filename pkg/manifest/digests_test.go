package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func digestsSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(manifest.DigestsSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("digests.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("digests.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func valid(t *testing.T, schema *jsonschema.Schema, raw []byte) error {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(value)
}

// encoded is the digests file of the artifact at path.
func encoded(t *testing.T, path string) (*manifest.Manifest, []byte) {
	t.Helper()
	m, err := manifest.Build(t.Context(), path, manifest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := m.Digests()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return m, raw
}

func mustWrite(t *testing.T, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDigestsCarryWhatIsSigned: what the other machine makes of the file is, for all that a signature says, what hashing
// made here: packed artifacts, single files and odd names among them.
func TestDigestsCarryWhatIsSigned(t *testing.T) {
	schema := digestsSchema(t)
	packed := 0
	for _, v := range vectors(t) {
		if v.Packed && packed > 0 {
			continue // twenty thousand files are enough
		}
		dir := filepath.Join(t.TempDir(), "artifact")
		for name, content := range v.contents(t) {
			mustWrite(t, dir, name, content)
		}
		paths := []string{dir}
		if len(v.Files) == 1 {
			paths = append(paths, filepath.Join(dir, filepath.FromSlash(v.Files[0].Name)))
		}
		for _, path := range paths {
			here, raw := encoded(t, path)
			if err := valid(t, schema, raw); err != nil {
				t.Errorf("%s: the file breaks its schema: %v", v.Title, err)
			}
			d, err := manifest.ParseDigests(raw)
			if err != nil {
				t.Errorf("%s: %v", v.Title, err)
				continue
			}
			there, err := d.Manifest(manifest.DigestsOptions{})
			if err != nil {
				t.Errorf("%s: %v", v.Title, err)
				continue
			}
			want, err := here.ID()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := there.ID(); err != nil || got != want || path == dir && got != v.ArtifactID {
				t.Errorf("%s: artifact ID %s, %v; want %s", v.Title, got, err, want)
			}
			if there.RootDigest() != here.RootDigest() || there.Name != here.Name || there.Single != here.Single ||
				!slices.Equal(there.Serialization.IgnorePaths, here.Serialization.IgnorePaths) {
				t.Errorf("%s: %+v there, %+v here", v.Title, there.Serialization, here.Serialization)
			}
			if len(d.Packs) > 0 {
				packed++
			}
		}
	}
	if packed == 0 {
		t.Error("no packed artifact was tried")
	}
}

const oneSum = "sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865"

func digestsFile(files string) string {
	return `{"schema":"hallmark.digests/v1","name":"chat","single":false,"files":[` + files + `],"packs":[]}`
}

func listedFile(name string) string {
	return fmt.Sprintf(`{"name":%q,"size":1,"sha256":%q}`, name, oneSum)
}

func TestParseDigestsRefuses(t *testing.T) {
	good := digestsFile(listedFile("a") + "," + listedFile("b/c"))
	if d, err := manifest.ParseDigests([]byte(good + "\n")); err != nil || len(d.Files) != 2 {
		t.Fatalf("a file without a fault: %v", err)
	}
	edit := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the file has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	schema := digestsSchema(t)
	for _, c := range []struct {
		says, raw string
		form      bool // the schema can tell too
	}{
		{"EOF", "", false},
		{"its schema is", edit("digests/v1", "digests/v2"), true},
		{"unknown object member", edit(`"single"`, `"kind":"model","single"`), true},
		{"unknown object member", edit(`"size":1`, `"size":1,"builder":"me"`), true},
		{"duplicate object member", edit(`"single"`, `"name":"other","single"`), false},
		{"unknown object member", edit(`"single"`, `"Single"`), true},
		{"after top-level value", good + "{}", false},
		{"invalid UTF-8", edit(`"b/c"`, "\"b\xff\""), false},
		{"single, files and packs are required", edit(`"single":false,`, ""), true},
		{"single, files and packs are required", edit(`,"packs":[]`, ""), true},
		{"single, files and packs are required", edit(`"packs":[]`, `"packs":null`), true},
		{"name, size and sha256 are required", edit(`"size":1,`, ""), true},
		{"name, size and sha256 are required", edit(`"size":1,`, `"size":null,`), true},
		{"not sha256:", edit("sha256:43", "sha256:4G"), true},
		{"not sha256:", edit("sha256:43", "SHA256:43"), true},
		{"impossible size", edit(`"size":1`, `"size":-1`), true},
		{"impossible size", strings.ReplaceAll(good, `"size":1`, `"size":9223372036854775807`), false},
		{"JSON number", edit(`"size":1`, `"size":1.5`), true},
		{"JSON number", edit(`"size":1`, `"size":18446744073709551617`), false},
		{"no files left", digestsFile(""), true},
		{"empty file name", edit(`"name":"chat"`, `"name":""`), true},
		{"it is a path", edit(`"name":"chat"`, `"name":"a/chat"`), true},
		{"not a clean relative path", edit(`"name":"chat"`, `"name":".."`), false},
		{"not a clean relative path", digestsFile(listedFile("../a")), false},
		{"not a clean relative path", digestsFile(listedFile("/a")), false},
		{"byte order", digestsFile(listedFile("b") + "," + listedFile("a")), false},
		{"byte order", digestsFile(listedFile("a") + "," + listedFile("a")), false},
		{"a file and a folder", digestsFile(listedFile("a") + "," + listedFile("a/b")), false},
		{"a single file", edit(`"single":false`, `"single":true`), false},
		{"where the files make 0", edit(`"packs":[]`, `"packs":[`+listedFile("pack-00001.tar")+`]`), false},
		{"at most 67108864 are read", good + strings.Repeat(" ", manifest.MaxDigests), false},
	} {
		_, err := manifest.ParseDigests([]byte(c.raw))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.200q: %v; want %q", c.raw, err, c.says)
		}
		if c.form && valid(t, schema, []byte(c.raw)) == nil {
			t.Errorf("the schema takes %s", c.raw)
		}
	}
}

func TestDigestsManifestRefusesWhatIsLeftOut(t *testing.T) {
	for says, c := range map[string]struct {
		name   string
		ignore []string
	}{
		`is left out by "model.sig"`:              {"model.sig", nil},
		`is left out by ".git"`:                   {".git/config", nil},
		`is left out by "cache"`:                  {"cache/a/b", []string{"cache"}},
		`ignored path "../up": it climbs`:         {"a", []string{"../up"}},
		`ignored path "/abs": it is absolute`:     {"a", []string{"/abs"}},
		`ignored path "*.tmp": it has a wildcard`: {"a", []string{"*.tmp"}},
	} {
		d, err := manifest.ParseDigests([]byte(digestsFile(listedFile(c.name))))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Manifest(manifest.DigestsOptions{IgnorePaths: c.ignore}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	d, err := manifest.ParseDigests([]byte(digestsFile(listedFile("cached") + "," + listedFile("sub/.git"))))
	if err != nil {
		t.Fatal(err)
	}
	m, err := d.Manifest(manifest.DigestsOptions{IgnorePaths: []string{"cache"}, AllowSymlinks: true})
	if err != nil || !slices.Contains(m.Serialization.IgnorePaths, "cache") || !m.Serialization.AllowSymlinks {
		t.Errorf("what is not left out: %v", err)
	}
}

func TestDigestsAreOfWholeFilesOnly(t *testing.T) {
	dir := t.TempDir()
	mustWrite(t, dir, "a", []byte("a"))
	for _, o := range []manifest.Options{{Algorithm: hashing.BLAKE3}, {Method: manifest.Shards}, {NoID: true}} {
		m, err := manifest.Build(t.Context(), dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Digests(); !errors.Is(err, manifest.ErrDigestsForm) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
