package attack

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// present is the injected clock's time.
var present = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is an artifact on disk, somebody who is trusted, and the trust in them.
type world struct {
	dir    string
	key    *ecdsa.PrivateKey
	by     signer.Signer
	roots  trust.Roots
	policy policy.Policy
}

// newWorld makes an artifact of files, by name, and a trusted key.
func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "chat")}
	w.fill(t, files)
	var err error
	if w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if w.by, err = signer.NewKey(w.key); err != nil {
		t.Fatal(err)
	}
	w.trustKey()
	return w
}

func (w *world) trustKey() {
	w.roots = w.by.Roots()
	w.roots.Now = func() time.Time { return present }
	w.policy = policy.Policy{Signers: []trust.Identity{{Key: w.roots.Keys[0].Fingerprint()}}, AllowUncovered: true}
}

func (w *world) fill(t *testing.T, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		write(t, filepath.Join(w.dir, name), content)
	}
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

// statement is the sound OMS statement on the artifact.
func (w *world) statement(t *testing.T, o manifest.Options) attestations.Statement {
	t.Helper()
	m, err := manifest.Build(context.Background(), w.dir, o)
	if err != nil {
		t.Fatal(err)
	}
	s, err := attestations.NewSignature(m, attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sign is a properly signed bundle on the sound statement.
func (w *world) sign(t *testing.T, o manifest.Options) attestations.Bundle {
	t.Helper()
	return w.seal(t, attestations.PayloadType, w.statement(t, o).Payload())
}

// seal signs whatever it is given, sound or not: a trusted signer's tool at its worst.
func (w *world) seal(t *testing.T, payloadType string, payload []byte) attestations.Bundle {
	t.Helper()
	raw, err := w.by.Sign(context.Background(), payloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// inMemory is a source of bundles that lie nowhere.
type inMemory []attestations.Bundle

func (s inMemory) Evidence(context.Context) ([]chain.Item, error) {
	var items []chain.Item
	for _, b := range s {
		items = append(items, chain.Item{Where: "memory", Bundle: b})
	}
	return items, nil
}

// verify decides on the artifact by bundles.
func (w *world) verify(t *testing.T, o chain.FilesOptions, bundles ...attestations.Bundle) policy.Decision {
	t.Helper()
	d, err := chain.Verify(context.Background(), &chain.Files{Path: w.dir, Options: o}, []chain.Source{inMemory(bundles)},
		chain.Options{Roots: w.roots, Policy: w.policy})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mustHold stops the test unless d is a yes: the sound half of a pair.
func mustHold(t *testing.T, d policy.Decision) {
	t.Helper()
	if d.Verdict() != policy.Yes {
		t.Fatalf("without the fault the verdict is %s because of %v\n%s", d.Verdict(), d.Reasons(), details(d))
	}
}

// mustRefuse holds d to a verdict that follows from exactly these reasons: no, unless a reason leads to don't know.
func mustRefuse(t *testing.T, d policy.Decision, reasons ...policy.Reason) {
	t.Helper()
	verdict := policy.Unknown
	for _, r := range reasons {
		verdict = min(verdict, r.Verdict())
	}
	if d.Verdict() != verdict || !slices.Equal(d.Reasons(), reasons) {
		t.Errorf("verdict %s because of %v, want %s because of %v\n%s", d.Verdict(), d.Reasons(), verdict, reasons, details(d))
	}
}

func details(d policy.Decision) string {
	var out string
	for _, c := range d.Checks {
		out += fmt.Sprintf("%s: %.200s\n", c.Name, c.Detail)
		for _, f := range c.Findings {
			out += fmt.Sprintf("  %s  %.60s  %.60s  %.80s  %.80s  %.200s\n", f.Code, f.Where, f.File, f.Want, f.Got, f.Detail)
		}
	}
	return out
}

// small is an artifact of a few files.
func small() map[string]string {
	return map[string]string{"config.json": "{}", "weights.bin": "0123456789", "sub/adapter.bin": "adapter"}
}
