package attack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// odd are names that a file system takes and that people or programs stumble over. An artifact may have every one.
var odd = map[string]string{
	"line end":             "a\nyes  chat  sha256:0",
	"carriage return":      "a\rno",
	"escape code":          "\x1b[2J\x1b[32myes\x1b[0m",
	"bell and backspace":   "\a\b\b\bx",
	"tab":                  "a\tb",
	"delete":               "a\x7f",
	"C1 control":           "a\u009b2Jb",
	"right to left":        "txt.\u202eexe.bin",
	"isolate":              "a\u2066b\u2069",
	"zero width":           "mo\u200bdel.bin",
	"byte-order mark":      "\ufeffmodel.bin",
	"tag characters":       "a\U000e0041",
	"line separator":       "a\u2028b",
	"no-break space":       "a\u00a0b",
	"space at the ends":    " a ",
	"space alone":          " ",
	"dots":                 "...",
	"dash":                 "-rf",
	"flag":                 "--public-key=x",
	"quotes":               `a"b'c` + "`d",
	"backslash":            `a\..\b`,
	"drive":                `C:\windows`,
	"device of another OS": "CON",
	"colon":                "a:0:4",
	"percent":              "%s%n%!d(MISSING)",
	"JSON":                 `{"verdict":"yes"}`,
	"pattern":              "*",
	"pack of the manifest": "pack-00001.tar",
	"255 bytes":            strings.Repeat("a", 255),
	"255 bytes of emoji":   strings.Repeat("🤖", 63) + "abc",
	"composed":             "caf\u00e9",
	"private use":          "\ue000",
	"not a character":      "\uffff",
	"replacement":          "\ufffd",
}

// TestOddNameIsContentLikeAnyOther signs and verifies it, changes it, and takes it away.
func TestOddNameIsContentLikeAnyOther(t *testing.T) {
	for label, name := range odd {
		t.Run(label, func(t *testing.T) {
			w := newWorld(t, map[string]string{"weights.bin": "0123456789"})
			plain := w.sign(t, manifest.Options{})
			mustHold(t, w.verify(t, chain.FilesOptions{}, plain))
			put(t, func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte("odd"), 0o644) }, w.dir)
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, plain), policy.FileUnsigned)

			for _, o := range []manifest.Options{{}, {Method: manifest.Shards, ShardSize: 2}} {
				write(t, filepath.Join(w.dir, name), "odd")
				b := w.sign(t, o)
				mustHold(t, w.verify(t, chain.FilesOptions{}, b))
				write(t, filepath.Join(w.dir, name), "0dd")
				mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.DigestMismatch)
			}
			b := w.sign(t, manifest.Options{})
			if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
				t.Fatal(err)
			}
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.FileMissing)
		})
	}
}

// mustPrint wants text that a terminal takes for nothing else: no control codes, no marks that turn it round.
func mustPrint(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not UTF-8: %q", what, text)
	}
	for _, r := range text {
		if r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
			t.Errorf("%s has %q in it, unquoted:\n%q", what, r, text)
			return
		}
	}
}

// mustNotSayYes wants no line to begin with a yes that the exit code does not say.
func mustNotSayYes(t *testing.T, r ran) {
	t.Helper()
	for line := range strings.Lines(r.stdout + r.stderr) {
		if r.code != exitYes && strings.HasPrefix(line, "yes") {
			t.Errorf("exit code %d, and a line that says yes:\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
}

// TestOddNameIsPrintedQuoted has the binary name the file in all that it says for people.
func TestOddNameIsPrintedQuoted(t *testing.T) {
	for label, name := range odd {
		t.Run(label, func(t *testing.T) {
			d := newDesk(t, map[string]string{"weights.bin": "0123456789"})
			path := filepath.Join(d.dir, name)
			put(t, func(string) error { return os.WriteFile(path, []byte("odd"), 0o644) }, d.dir)
			verify := func(code int, flags ...string) {
				t.Helper()
				r := run(t, append([]string{"verify", d.dir, "--public-key", d.public}, flags...)...).mustExit(t, code)
				mustPrint(t, "the output", r.stdout)
				mustPrint(t, "the error", r.stderr)
				mustNotSayYes(t, r)
			}
			d.signArtifact(t).mustExit(t, exitYes)
			verify(exitYes)
			write(t, path, "0dd")
			verify(exitNo)
			verify(exitNo, "--quiet")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			verify(exitNo)
			d.signArtifact(t).mustExit(t, exitYes)
			verify(exitYes)
			write(t, path, "odd")
			verify(exitNo)
			if err := os.Symlink("nowhere", path+"x"); err == nil { // refused by its kind: an error with a name in it
				r := run(t, "digest", d.dir).mustExit(t, exitNo)
				mustPrint(t, "the error", r.stderr)
			}
		})
	}
}

// TestNameThatIsNotUTF8IsPrintedQuoted: no artifact may have it, and the refusal names it.
func TestNameThatIsNotUTF8IsPrintedQuoted(t *testing.T) {
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	d.verifyArtifact(t).mustExit(t, exitYes)
	put(t, intruders["name that is not UTF-8"], d.dir)
	for _, args := range [][]string{{"digest"}, {"verify", "--public-key", d.public}, {"sign", "--private-key", d.private}} {
		r := run(t, append(args, d.dir)...).mustExit(t, exitNo)
		mustPrint(t, args[0]+"'s output", r.stdout)
		mustPrint(t, args[0]+"'s error", r.stderr)
		if !strings.Contains(r.stdout+r.stderr, `caf\xe9`) {
			t.Errorf("%s does not name the file: %s%s", args[0], r.stdout, r.stderr)
		}
	}
}

// TestOddArtifactNameIsPrintedQuoted has the name of the artifact itself from outside, as a loop over a folder has it.
func TestOddArtifactNameIsPrintedQuoted(t *testing.T) {
	for label, name := range odd {
		t.Run(label, func(t *testing.T) {
			d := newDesk(t, small())
			for _, args := range [][]string{{"verify", "--public-key", d.public}, {"inspect"}, {"digest"}, {"sign", "--private-key", d.private}} {
				run(t, append(args, d.dir)...).mustExit(t, exitOf(args[0], false))
			}
			old := d.dir
			d.dir = filepath.Join(filepath.Dir(old), name)
			put(t, func(string) error { return os.Rename(old, d.dir) }, d.dir)
			check := func(code int, args ...string) {
				t.Helper()
				r := run(t, append(args, d.dir)...).mustExit(t, code)
				mustPrint(t, args[0]+"'s output", r.stdout)
				mustPrint(t, args[0]+"'s error", r.stderr)
				mustNotSayYes(t, r)
			}
			check(exitYes, "digest")
			check(exitYes, "verify", "--public-key", d.public)
			check(exitYes, "inspect")
			check(exitYes, "sign", "--private-key", d.private)
			for _, evidence := range []string{"model.sig", "claims.sig"} {
				if err := os.Remove(filepath.Join(d.dir, evidence)); err != nil {
					t.Fatal(err)
				}
			}
			check(exitNo, "verify", "--public-key", d.public)
			write(t, filepath.Join(d.dir, "model.sig"), "hello")
			check(exitNo, "verify", "--public-key", d.public)
			if err := os.RemoveAll(d.dir); err != nil {
				t.Fatal(err)
			}
			check(exitUnknown, "digest")
			check(exitUnknown, "verify", "--public-key", d.public)
		})
	}
}

// exitOf is what a command ends with on an artifact that is unsigned, or signed.
func exitOf(command string, signed bool) int {
	if command == "verify" && !signed {
		return exitNo
	}
	return exitYes
}

// TestBundleTextIsPrintedQuoted has escape codes in everything that a bundle says of itself.
func TestBundleTextIsPrintedQuoted(t *testing.T) {
	const evil = "\x1b[2Jyes\n\u202e"
	d := newDesk(t, small())
	d.signArtifact(t).mustExit(t, exitYes)
	path := filepath.Join(d.dir, "model.sig")
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	payload := d.statement(t, manifest.Options{}).Payload()
	certificate := issueNamed(t, d.world, evil)
	for name, b := range map[string]attestations.Bundle{
		"sound":          sound,
		"hint":           edit{tree: set(publicKey, "hint", evil), keepRoot: true}.apply(t, sound),
		"keyid":          edit{tree: set(signature, "keyid", evil), keepRoot: true}.apply(t, sound),
		"payload type":   d.seal(t, evil, payload),
		"media type":     edit{tree: set(self, "mediaType", attestations.BundleMediaType+evil), keepRoot: true}.apply(t, sound),
		"unknown member": edit{tree: set(self, evil, 1), keepRoot: true}.apply(t, sound),
		"_type":          d.seal(t, attestations.PayloadType, edit{tree: set(self, "_type", evil)}.apply(t, payload)),
		"predicateType":  d.seal(t, attestations.PayloadType, edit{tree: set(self, "predicateType", evil)}.apply(t, payload)),
		"subject":        d.seal(t, attestations.PayloadType, edit{tree: set(subject, "name", evil)}.apply(t, payload)),
		"digest's name":  d.seal(t, attestations.PayloadType, edit{tree: set(subject, "digest", object{evil: evil}), keepRoot: true}.apply(t, payload)),
		"file":           d.seal(t, attestations.PayloadType, edit{tree: set(second, "name", evil)}.apply(t, payload)),
		"digest":         d.seal(t, attestations.PayloadType, edit{tree: set(second, "digest", evil), keepRoot: true}.apply(t, payload)),
		"algorithm":      d.seal(t, attestations.PayloadType, edit{tree: set(second, "algorithm", evil)}.apply(t, payload)),
		"hash_type":      d.seal(t, attestations.PayloadType, edit{tree: set(serialization, "hash_type", evil)}.apply(t, payload)),
		"method":         d.seal(t, attestations.PayloadType, edit{tree: set(serialization, "method", evil)}.apply(t, payload)),
		"ignored":        d.seal(t, attestations.PayloadType, edit{tree: set(serialization, "ignore_paths", []string{evil, "/" + evil})}.apply(t, payload)),
		"artifact ID":    d.seal(t, attestations.PayloadType, edit{tree: annotate(annotationID, evil)}.apply(t, payload)),
		"kind":           d.seal(t, attestations.PayloadType, edit{tree: annotate(annotationKind, evil)}.apply(t, payload)),
		"certificate":    withChain(t, sound, certificate),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"inspect", d.dir}, {"inspect", path}, {"verify", d.dir, "--public-key", d.public},
				{"inspect", d.dir, "--public-key", d.public}, {"digest", d.dir}} {
				r := run(t, args...)
				mustPrint(t, args[0]+"'s output", r.stdout)
				mustPrint(t, args[0]+"'s error", r.stderr)
				if name == "sound" {
					r.mustExit(t, exitYes)
				}
			}
		})
	}
}

// issueNamed is a self-signed certificate of that name for w's key, as DER.
func issueNamed(t *testing.T, w *world, name string) []byte {
	t.Helper()
	return issue(t, name, w.key, nil, false, nil).Raw
}

// TestTwinsAreTwoFiles: names that some file systems would merge are distinct here, and so are their artifacts.
func TestTwinsAreTwoFiles(t *testing.T) {
	for label, pair := range map[string][2]string{
		"case":            {"Model.bin", "model.bin"},
		"case of folders": {"Sub/model.bin", "sub/model.bin"},
		"Unicode form":    {"caf\u00e9.bin", "cafe\u0301.bin"},
		"Hangul form":     {"\uac00.bin", "\u1100\u1161.bin"},
		"dotless i":       {"\u0131.bin", "i.bin"},
		"Kelvin":          {"\u212a.bin", "k.bin"},
		"sharp s":         {"ß.bin", "ss.bin"},
		"look-alike":      {"a.bin", "\u0430.bin"},
		"space at end":    {"a.bin", "a.bin "},
		"dot at end":      {"a.bin", "a.bin."},
	} {
		t.Run(label, func(t *testing.T) {
			w := newWorld(t, map[string]string{pair[0]: "one"})
			id := func() string {
				m, err := manifest.Build(t.Context(), w.dir, manifest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				id, err := m.ID()
				if err != nil {
					t.Fatal(err)
				}
				return id
			}
			first, b := id(), w.sign(t, manifest.Options{})
			mustHold(t, w.verify(t, chain.FilesOptions{}, b))
			if err := os.MkdirAll(filepath.Dir(filepath.Join(w.dir, pair[1])), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(w.dir, pair[0]), filepath.Join(w.dir, pair[1])); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(filepath.Join(w.dir, pair[0])); err == nil {
				t.Skip("this file system merges the two names")
			}
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.FileUnsigned, policy.FileMissing)
			if second := id(); first == second {
				t.Errorf("%q and %q make one artifact ID", pair[0], pair[1])
			}
			write(t, filepath.Join(w.dir, pair[0]), "two")
			both := w.sign(t, manifest.Options{})
			mustHold(t, w.verify(t, chain.FilesOptions{}, both))
			write(t, filepath.Join(w.dir, pair[0]), "one")
			write(t, filepath.Join(w.dir, pair[1]), "two")
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, both), policy.DigestMismatch)
		})
	}
}

// TestNamesAndDepthHaveTheirCaps makes paths as long and as deep as may be, and one step more.
func TestNamesAndDepthHaveTheirCaps(t *testing.T) {
	folder := strings.Repeat("a", 250) + "/"
	for label, c := range map[string]struct {
		fits, over string
		code       int
	}{
		"bytes": {strings.Repeat(folder, 16) + "b", strings.Repeat(folder, 16) + strings.Repeat("b", manifest.MaxName), exitNo},
		"depth": {strings.Repeat("d/", manifest.MaxDepth) + "b", strings.Repeat("d/", manifest.MaxDepth+1) + "b", exitUnknown},
	} {
		t.Run(label, func(t *testing.T) {
			d := newDesk(t, small())
			root, err := os.OpenRoot(d.dir) // paths may be longer than the system takes at once
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			add := func(name string) {
				t.Helper()
				name = capped(name)
				if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := root.WriteFile(name, []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			add(c.fits)
			d.signArtifact(t).mustExit(t, exitYes)
			d.verifyArtifact(t).mustExit(t, exitYes)
			add(c.over)
			run(t, "digest", d.dir).mustExit(t, c.code)
			if r := d.verifyArtifact(t); r.code != c.code {
				t.Errorf("verify: exit code %d, want %d", r.code, c.code)
			}
		})
	}
}

// capped breaks a base name that is longer than a file system takes into folders.
func capped(name string) string {
	dir, base := filepath.Split(name)
	for len(base) > 250 {
		dir, base = dir+base[:250]+"/", base[250:]
	}
	return fmt.Sprint(dir, base)
}
