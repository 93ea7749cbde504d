package interop

import (
	"os"
	"path/filepath"
	"testing"
)

// model is an artifact on disk, and where in it a flipped byte has to show.
type model struct {
	path    string
	flip    string   // a file that is signed
	ignored []string // absolute paths that the signer leaves out; each a folder with a file "x"
	folder  bool     // the reference is given the folder of the one file, and told that nothing else in it matters
}

// signature is where the model's signature has its own place.
func (m model) signature() string {
	if m.single() {
		return m.path + ".sig"
	}
	return filepath.Join(m.path, "model.sig")
}

// claims is where hallmark puts everything else that is said of the model.
func (m model) claims() string {
	if m.single() {
		return m.path + ".claims.sig"
	}
	return filepath.Join(m.path, "claims.sig")
}

// single reports whether the model is one file.
func (m model) single() bool { return m.path == m.flip }

// names are those that verifiers disagree about: Python sorts by path parts and we by bytes ("deploy.md" comes before
// "deploy/x" in one of the two), some aren't ASCII, one has two Unicode forms, and one file is empty.
var names = map[string]string{
	"config.json":          `{"layers": 2}`,
	"deploy.md":            "how to serve it\n",
	"deploy/x":             "one\n",
	"deploy/deep/er/y.bin": "two\n",
	"empty":                "",
	"weights.safetensors":  "not really, but bytes are bytes",
	"mödel-模型-🙂.bin":       "unicode",
	"e\u0301.txt":          "decomposed",
	"\u00e9.txt":           "composed",
	"with space & quote'":  "shell",
}

// shapes are the artifacts that every test signs.
var shapes = map[string]func(*testing.T) model{
	"directory":   func(t *testing.T) model { return directory(t, nil) },
	"single file": singleFile,
	"directory with ignored paths": func(t *testing.T) model {
		return directory(t, []string{"cache", "deploy/tmp"})
	},
}

func directory(t *testing.T, ignored []string) model {
	t.Helper()
	m := model{path: filepath.Join(t.TempDir(), "model")}
	for name, content := range names {
		write(t, filepath.Join(m.path, filepath.FromSlash(name)), content)
	}
	for _, name := range ignored {
		folder := filepath.Join(m.path, filepath.FromSlash(name))
		write(t, filepath.Join(folder, "x"), "nobody signs this")
		m.ignored = append(m.ignored, folder)
	}
	m.flip = filepath.Join(m.path, "weights.safetensors")
	return m
}

func singleFile(t *testing.T) model {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	write(t, path, names["weights.safetensors"])
	return model{path: path, flip: path}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// flipByte flips one bit of the file's first byte. Doing it twice restores the file.
func flipByte(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[0] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
