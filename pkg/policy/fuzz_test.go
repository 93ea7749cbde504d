package policy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What loads is sound; what does not is refused with a place in the file.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, s := range []string{"", "a: *a", "a: &a [*a]", "{a: b, a: c}", "? [a]\n: b", "a: !!binary aGk=", "--- a\n--- b", "%YAML 1.2\n---\na: b", "'\\", "\"\\x", "- |2\n   a", "<<: {a: b}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := Load(raw, words)
		if err != nil {
			var refused *LoadError
			if d != nil || !errors.As(err, &refused) || refused.Message == "" || refused.Line < 0 || refused.Column < 0 {
				t.Fatalf("%v, %v", d, err)
			}
			return
		}
		sound(t, d)
	})
}

// sound checks what every Document that loads promises.
func sound(t *testing.T, d *Document) {
	t.Helper()
	if d.Name == "" || d.Version == 0 || len(d.Identities) == 0 || len(d.Targets) == 0 || len(d.Steps) == 0 {
		t.Fatalf("%+v", d)
	}
	known := func(signers []string, distinct int) {
		if len(signers) == 0 || distinct < 1 || distinct > len(signers) {
			t.Fatalf("%d of %v", distinct, signers)
		}
		for _, s := range signers {
			if len(d.Identities[s]) == 0 {
				t.Fatalf("no identity %q", s)
			}
		}
	}
	for _, p := range d.Identities {
		for _, id := range p {
			if err := id.Validate(); err != nil || id.AnySubject {
				t.Fatalf("%v %v", id, err)
			}
		}
	}
	for _, name := range d.Targets {
		if d.Steps[name] == nil {
			t.Fatalf("no step %q", name)
		}
	}
	for _, s := range d.Steps {
		if s.Signature != nil {
			known(s.Signature.Signers, s.Signature.Distinct)
		}
		if s.Provenance != nil {
			known(s.Provenance.Signers, 1)
		}
		for _, q := range s.Evidence {
			known(q.Signers, q.Distinct)
			if q.Latest && q.MaxAge == 0 {
				t.Fatalf("%+v", q)
			}
		}
		for role, in := range s.Inputs {
			if in.Step != "" && d.Steps[in.Step] == nil || s.Provenance == nil {
				t.Fatalf("%s: %+v", role, in)
			}
		}
		if s.Signature == nil && s.Provenance == nil && s.Evidence == nil && s.Release == nil && s.AnyOf == nil {
			t.Fatalf("step %s asks nothing", s.Name)
		}
	}
}
