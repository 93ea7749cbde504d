package layout_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/in-toto/in-toto-golang/in_toto"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/layout"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/signer"
)

var now = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)

// world is a layout of two steps by two people, their links, and the artifact that came out.
type world struct {
	t             *testing.T
	owner         in_toto.Key // signs the layout
	ownerPublic   []byte
	data, trainer person
	layout        in_toto.Layout
	dir           string
	files         map[string]string
}

type person struct {
	by  signer.Signer
	key in_toto.Key
}

func newPerson(t *testing.T) person {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p := person{by: by}
	if err := p.key.LoadKeyReaderDefaults(bytes.NewReader(publicPEM(t, private.Public()))); err != nil {
		t.Fatal(err)
	}
	return p
}

func publicPEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func newWorld(t *testing.T) *world {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, data: newPerson(t), trainer: newPerson(t), ownerPublic: publicPEM(t, public), dir: filepath.Join(t.TempDir(), "chat"),
		files: map[string]string{"model.bin": "weights", "sub/config.json": "{}"}}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.owner.LoadKeyReaderDefaults(bytes.NewReader(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))); err != nil {
		t.Fatal(err)
	}
	for name, content := range w.files {
		w.write(name, content)
	}
	step := func(name string, p person, materials, products [][]string) in_toto.Step {
		return in_toto.Step{Type: "step", PubKeys: []string{p.key.KeyID}, Threshold: 1,
			SupplyChainItem: in_toto.SupplyChainItem{Name: name, ExpectedMaterials: materials, ExpectedProducts: products}}
	}
	w.layout = in_toto.Layout{Type: "layout", Expires: "2027-01-01T00:00:00Z", Keys: map[string]in_toto.Key{w.data.key.KeyID: w.data.key, w.trainer.key.KeyID: w.trainer.key},
		RootCas: map[string]in_toto.Key{}, IntermediateCas: map[string]in_toto.Key{},
		Steps: []in_toto.Step{
			step("prepare", w.data, [][]string{}, [][]string{{"CREATE", "corpus/*"}, {"DISALLOW", "*"}}),
			step("train", w.trainer, [][]string{{"MATCH", "corpus/*", "WITH", "PRODUCTS", "FROM", "prepare"}, {"DISALLOW", "*"}}, [][]string{{"CREATE", "chat/*"}, {"ALLOW", "corpus/*"}, {"DISALLOW", "*"}}),
		},
		Inspect: []in_toto.Inspection{{Type: "inspection", Run: []string{}, SupplyChainItem: in_toto.SupplyChainItem{Name: "serve",
			ExpectedMaterials: [][]string{{"MATCH", "*", "WITH", "PRODUCTS", "FROM", "train"}, {"DISALLOW", "*"}}, ExpectedProducts: [][]string{}}}},
	}
	return w
}

func (w *world) write(name, content string) {
	w.t.Helper()
	at := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) manifest() *manifest.Manifest {
	w.t.Helper()
	m, err := manifest.Build(context.Background(), w.dir, manifest.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) signed() []byte {
	w.t.Helper()
	block := &in_toto.Metablock{Signed: w.layout}
	if err := block.Sign(w.owner); err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(block)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

var corpus = []manifest.File{{Name: "a.txt", Size: 1, SHA256: [32]byte{1}}}

// link is a step's, by p.
func (w *world) link(p person, name string, fill func(*attestations.Link)) []byte {
	w.t.Helper()
	l := attestations.NewLink(name, []string{"true"})
	fill(l)
	raw, err := l.Sign(context.Background(), p.by)
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func (w *world) links(m *manifest.Manifest) [][]byte {
	return [][]byte{
		w.link(w.data, "prepare", func(l *attestations.Link) { l.AddProducts("corpus", false, corpus) }),
		w.link(w.trainer, "train", func(l *attestations.Link) {
			l.AddMaterials("corpus", false, corpus)
			l.AddProducts("corpus", false, corpus)
			l.AddProducts("chat", false, m.Files)
		}),
	}
}

func (w *world) options() layout.Options {
	return layout.Options{Keys: [][]byte{w.ownerPublic}, Now: now}
}

func TestLayoutHolds(t *testing.T) {
	w := newWorld(t)
	m := w.manifest()
	steps, err := layout.Verify(w.signed(), w.links(m), m, w.options())
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 2 || steps[0].Name != "prepare" || len(steps[1].Signed) != 1 || steps[1].Signed[0] != w.trainer.key.KeyID {
		t.Errorf("steps %+v", steps)
	}
	// A layout without inspections says nothing of the artifact: its files then have to be the last step's products.
	w.layout.Inspect = []in_toto.Inspection{}
	if _, err := layout.Verify(w.signed(), w.links(m), m, w.options()); err != nil {
		t.Errorf("without inspections: %v", err)
	}
	// Links of other layouts lie there too.
	other := w.link(w.data, "elsewhere", func(*attestations.Link) {})
	if _, err := layout.Verify(w.signed(), append(w.links(m), other), m, w.options()); err != nil {
		t.Errorf("beside another's link: %v", err)
	}
	one := &manifest.Manifest{Name: "model.bin", Single: true, Files: m.Files[:1]}
	w.layout.Steps[1].ExpectedProducts[0] = []string{"CREATE", "model.bin"}
	links := w.links(m)
	links[1] = w.link(w.trainer, "train", func(l *attestations.Link) {
		l.AddMaterials("corpus", false, corpus)
		l.AddProducts("corpus", false, corpus)
		l.AddProducts("model.bin", true, m.Files[:1])
	})
	if _, err := layout.Verify(w.signed(), links, one, w.options()); err != nil {
		t.Errorf("of a single file: %v", err)
	}
}

// TestLayoutRefuses spoils one thing at a time of what holds.
func TestLayoutRefuses(t *testing.T) {
	type made struct {
		links   [][]byte
		options layout.Options
	}
	for name, spoil := range map[string]func(w *world, m *made){
		"a file that was changed":        func(w *world, _ *made) { w.write("model.bin", "others!") },
		"a file more":                    func(w *world, _ *made) { w.write("evil.py", "") },
		"a file more, and no inspection": func(w *world, _ *made) { w.write("evil.py", ""); w.layout.Inspect = []in_toto.Inspection{} },
		"a file more, in an open inspection": func(w *world, _ *made) {
			w.write("evil.py", "")
			w.layout.Inspect[0].ExpectedMaterials = [][]string{{"ALLOW", "*"}}
		},
		"a file less, and no inspection": func(w *world, _ *made) {
			if err := os.Remove(filepath.Join(w.dir, "sub", "config.json")); err != nil {
				w.t.Fatal(err)
			}
			w.layout.Inspect = []in_toto.Inspection{}
		},
		"a file less, that is required": func(w *world, _ *made) {
			if err := os.Remove(filepath.Join(w.dir, "sub", "config.json")); err != nil {
				w.t.Fatal(err)
			}
			w.layout.Inspect[0].ExpectedMaterials = append([][]string{{"REQUIRE", "chat/sub/config.json"}}, w.layout.Inspect[0].ExpectedMaterials...)
		},
		"a link that is not there": func(_ *world, m *made) { m.links = m.links[:1] },
		"a link by somebody else": func(w *world, m *made) {
			m.links[0] = w.link(w.trainer, "prepare", func(l *attestations.Link) { l.AddProducts("corpus", false, corpus) })
		},
		"two links by one": func(_ *world, m *made) { m.links = append(m.links, m.links[0]) },
		"data that were not prepared": func(w *world, m *made) {
			m.links[0] = w.link(w.data, "prepare", func(l *attestations.Link) {
				l.AddProducts("corpus", false, []manifest.File{{Name: "a.txt", SHA256: [32]byte{2}}})
			})
		},
		"a layout by somebody else":           func(w *world, m *made) { m.options.Keys = [][]byte{newWorld(w.t).ownerPublic} },
		"a layout that one of two has signed": func(w *world, m *made) { m.options.Keys = append(m.options.Keys, newWorld(w.t).ownerPublic) },
		"a layout that has ended":             func(w *world, m *made) { m.options.Now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a layout of no steps":                func(w *world, _ *made) { w.layout.Steps = []in_toto.Step{} },
		"a threshold of nobody":               func(w *world, _ *made) { w.layout.Steps[0].Threshold = 0 },
		"a threshold of more than there are":  func(w *world, _ *made) { w.layout.Steps[0].Threshold = 2 },
		"a rule that is none":                 func(w *world, _ *made) { w.layout.Steps[0].ExpectedProducts[0] = []string{"LET", "*"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := made{w.links(w.manifest()), w.options()}
			spoil(w, &m)
			steps, err := layout.Verify(w.signed(), m.links, w.manifest(), m.options)
			var no *layout.Refused
			if !errors.As(err, &no) {
				t.Errorf("%+v, %v", steps, err)
			}
		})
	}
}

// TestLayoutThatAsksForMoreIsNoAnswer has what is not done here, and what cannot be read.
func TestLayoutThatAsksForMoreIsNoAnswer(t *testing.T) {
	for name, spoil := range map[string]func(w *world){
		"a command to run":        func(w *world) { w.layout.Inspect[0].Run = []string{"touch", "ran"} },
		"a certificate authority": func(w *world) { w.layout.RootCas = map[string]in_toto.Key{w.data.key.KeyID: w.data.key} },
	} {
		w := newWorld(t)
		m := w.manifest()
		spoil(w)
		if _, err := layout.Verify(w.signed(), w.links(m), m, w.options()); !errors.Is(err, layout.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := newWorld(t)
	m := w.manifest()
	sub := &in_toto.Metablock{Signed: w.layout}
	if err := sub.Sign(w.owner); err != nil {
		t.Fatal(err)
	}
	nested, err := json.Marshal(sub)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layout.Verify(w.signed(), [][]byte{nested}, m, w.options()); !errors.Is(err, layout.ErrUnsupported) {
		t.Errorf("a sublayout: %v", err)
	}
	var no *layout.Refused
	for name, call := range map[string]func() error{
		"no key":    func() error { _, err := layout.Verify(w.signed(), w.links(m), m, layout.Options{Now: now}); return err },
		"no layout": func() error { _, err := layout.Verify([]byte("{}"), w.links(m), m, w.options()); return err },
		"a broken key": func() error {
			_, err := layout.Verify(w.signed(), w.links(m), m, layout.Options{Keys: [][]byte{{1}}})
			return err
		},
		"a member twice": func() error {
			_, err := layout.Verify([]byte(strings.Replace(string(w.signed()), `"signed"`, `"signed":1,"signed"`, 1)), w.links(m), m, w.options())
			return err
		},
		"a link that is none": func() error { _, err := layout.Verify(w.signed(), [][]byte{[]byte("[]")}, m, w.options()); return err },
		"too long":            func() error { _, err := layout.Verify(make([]byte, layout.MaxFile+1), nil, m, w.options()); return err },
		"no files": func() error {
			_, err := layout.Verify(w.signed(), w.links(m), &manifest.Manifest{Name: "x"}, w.options())
			return err
		},
	} {
		if err := call(); err == nil || errors.As(err, &no) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPatternsMeanOneThing has patterns that both dialects read alike, by what they match, and those that they do not.
func TestPatternsMeanOneThing(t *testing.T) {
	with := func(pattern string) error {
		w := newWorld(t)
		m := w.manifest()
		w.layout.Inspect[0].ExpectedMaterials = [][]string{{"MATCH", pattern, "WITH", "PRODUCTS", "FROM", "train"}, {"DISALLOW", "*"}}
		_, err := layout.Verify(w.signed(), w.links(m), m, w.options())
		return err
	}
	var no *layout.Refused
	for pattern, all := range map[string]bool{
		"*": true, "chat/*": true, "c?at/*": true, "[a-c]hat/*": true, "[!x]hat/*": true, "[!d-z]hat/*": true, "c*": true,
		"*.json": false, "[!c]hat/*": false, "chat/*.bin": false, "chat": false, "?": false, "[x-z]hat/*": false,
	} {
		if err := with(pattern); (err == nil) != all || err != nil && !errors.As(err, &no) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	for _, pattern := range []string{`chat/\*`, "[^x]hat/*", "[chat/*", "[]hat/*", "[!]hat/*", "chat]", "[a-]hat/*", "[-a]hat/*", "[c-a]hat/*", "[a[b]hat/*"} {
		if err := with(pattern); !errors.Is(err, layout.ErrUnsupported) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
}
