package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/in-toto/in-toto-golang/in_toto"
)

// TestInTotoVerifiesALayout has in-toto-golang's verifier check two steps by the links that `hallmark run --link` wrote: that
// the training read what the preparation wrote, byte for byte, each by whom the layout names.
func TestInTotoVerifiesALayout(t *testing.T) {
	if os.Getenv("HALLMARK_E2E") != "1" {
		t.Skip("runs the hallmark binary: set HALLMARK_E2E=1")
	}
	c := newChain(t)
	if err := c.verify(t, "trainer"); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if err := c.verify(t, "data"); err == nil {
		t.Error("verified with a training by somebody else than the layout says")
	}
	swapped := newChain(t, "x,1\n")
	if err := swapped.verify(t, "trainer"); err == nil || !strings.Contains(err.Error(), "corpus/data.csv") {
		t.Errorf("with a dataset that was exchanged between the steps: %v", err)
	}
}

// linked is two steps and their links: a dataset is prepared, and a model trained with it.
type linked struct{ dir string }

// newChain runs the steps. Between them the dataset is overwritten where a text is given.
func newChain(t *testing.T, exchanged ...string) linked {
	t.Helper()
	c := linked{t.TempDir()}
	for _, who := range []string{"owner", "data", "trainer"} {
		must(t, hallmark(t, "keygen", c.path(who)))
	}
	write(t, c.path("raw", "data.csv"), "a,1\nb,2\n")
	write(t, c.path("code", "train.py"), "print()\n")
	run := func(who, what, from, to string) {
		must(t, hallmark(t, append([]string{"run", "--type", what, "--input", "source=" + c.path("code"), "--input", "dataset.train=" + c.path(from),
			"--output", c.path(to), "--link", c.path(who + ".link"), "--private-key", c.path(who + ".key")},
			work(c.path(from, "data.csv"), c.path(to, "data.csv"))...)...))
	}
	run("data", "dataset-prepare", "raw", "corpus")
	for _, text := range exchanged {
		write(t, c.path("corpus", "data.csv"), text)
	}
	run("trainer", "train", "corpus", "chat")
	return c
}

func (c linked) path(names ...string) string {
	return filepath.Join(append([]string{c.dir}, names...)...)
}

// key is somebody's, as in-toto reads it from what keygen wrote.
func (c linked) key(t *testing.T, file string) in_toto.Key {
	t.Helper()
	var k in_toto.Key
	if err := k.LoadKey(c.path(file), "ecdsa-sha2-nistp256", []string{"sha256", "sha512"}); err != nil {
		t.Fatal(err)
	}
	return k
}

// verify checks the chain against a layout in which trainer is who may train.
func (c linked) verify(t *testing.T, trainer string) error {
	t.Helper()
	data, training := c.key(t, "data.pub"), c.key(t, trainer+".pub")
	links := t.TempDir()
	for name, by := range map[string]in_toto.Key{"dataset-prepare": data, "train": c.key(t, "trainer.pub")} {
		raw, err := os.ReadFile(c.path(map[string]string{"dataset-prepare": "data.link", "train": "trainer.link"}[name]))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(links, fmt.Sprintf(in_toto.LinkNameFormat, name, by.KeyID)), string(raw))
	}
	step := func(name string, by in_toto.Key, materials, products [][]string) in_toto.Step {
		return in_toto.Step{Type: "step", PubKeys: []string{by.KeyID}, Threshold: 1, ExpectedCommand: []string{},
			SupplyChainItem: in_toto.SupplyChainItem{Name: name, ExpectedMaterials: materials, ExpectedProducts: products}}
	}
	nothingElse := []string{"DISALLOW", "*"}
	layout := in_toto.Layout{Type: "layout", Expires: "2199-01-01T00:00:00Z", Inspect: []in_toto.Inspection{},
		Keys: map[string]in_toto.Key{data.KeyID: data, training.KeyID: training},
		Steps: []in_toto.Step{
			step("dataset-prepare", data, [][]string{{"ALLOW", "raw/*"}, {"ALLOW", "code/*"}, nothingElse}, [][]string{{"CREATE", "corpus/*"}, nothingElse}),
			step("train", training, [][]string{{"MATCH", "corpus/*", "WITH", "PRODUCTS", "FROM", "dataset-prepare"}, {"ALLOW", "code/*"}, nothingElse},
				[][]string{{"CREATE", "chat/*"}, nothingElse}),
		}}
	var signed in_toto.Envelope
	if err := signed.SetPayload(layout); err != nil {
		t.Fatal(err)
	}
	if err := signed.Sign(c.key(t, "owner.key")); err != nil {
		t.Fatal(err)
	}
	owner := c.key(t, "owner.pub")
	_, err := in_toto.InTotoVerify(&signed, map[string]in_toto.Key{owner.KeyID: owner}, links, "", nil, nil, false)
	return err
}
