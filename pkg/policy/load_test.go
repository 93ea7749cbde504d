package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// words are what another package knows of kinds, roles, build types and so on.
var words = LoadOptions{
	URI:        "prod.yaml",
	Read:       func(name string) ([]byte, error) { return fs.ReadFile(os.DirFS("testdata"), name) },
	Kinds:      []string{"model", "adapter", "dataset"},
	Roles:      []string{"source", "base-model", "adapter", "dataset.train", "dataset.validation"},
	BuildTypes: []string{"train", "finetune", "quantize", "dataset-prepare"},
	Activities: []string{"evaluation", "attack", "pii-scan"},
	Claims:     []string{"runnerEnvironment", "sourceRepositoryURI", "sourceRepositoryRef"},
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestLoadReadsAWholePolicy(t *testing.T) {
	raw := testdata(t, "prod-llm.yaml")
	d, err := Load([]byte(raw), words)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(raw))
	if d.Name != "prod-llm" || d.Version != 7 || d.URI != "prod.yaml" || d.Digest != "sha256:"+hex.EncodeToString(sum[:]) {
		t.Errorf("%s %d %s %s", d.Name, d.Version, d.URI, d.Digest)
	}
	if want := time.Date(2027, 3, 2, 0, 0, 0, 0, time.UTC).Add(-1); !d.Expires.Equal(want) {
		t.Errorf("expires %v", d.Expires)
	}
	if len(d.Identities) != 5 || len(d.Roots.Keys) != 3 || len(d.Roots.Authorities) != 1 {
		t.Errorf("identities %v, %d keys, %d authorities", d.Identities, len(d.Roots.Keys), len(d.Roots.Authorities))
	}
	trainer := d.Identities["trainer"][0]
	if trainer.Name != "trainer" || trainer.Issuer != "https://token.actions.githubusercontent.com" || trainer.Claims["runnerEnvironment"] != "github-hosted" ||
		!strings.HasSuffix(trainer.Subject, "train.yml@refs/heads/main") {
		t.Errorf("trainer %+v", trainer)
	}
	if w := d.Identities["data"][0].Window; !w.ValidFrom.Equal(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) || !w.ValidUntil.IsZero() {
		t.Errorf("window %+v", w)
	}
	if red := d.Identities["red-team"][0]; red.CA != d.Roots.Authorities[0].Fingerprint() || red.Subject != "spiffe://acme/red-team" {
		t.Errorf("red-team %+v", red)
	}
	if b := d.Builders; len(b) != 1 || b[0].ID != "https://acme.example/builders/k8s-train" || b[0].Level != 2 || !slices.Equal(b[0].Signers, []string{"trainer"}) {
		t.Errorf("builders %+v", b)
	}
	if l := d.Lists; l == nil || l.From != "oci://registry.example/acme/revocations:latest" || l.MaxAge != 72*time.Hour {
		t.Errorf("revocations %+v", l)
	}
	if d.Targets[""] != "release" || len(d.Steps) != 3 {
		t.Errorf("targets %v, steps %v", d.Targets, d.Steps)
	}
	if w := d.Waivers; len(w) != 1 || w[0].Finding != Stale || w[0].Step != "release" || w[0].Evidence != "robustness" || w[0].Until.Day() != 1 {
		t.Errorf("waivers %+v", w)
	}
}

func TestLoadReadsSteps(t *testing.T) {
	d, err := Load([]byte(testdata(t, "prod-llm.yaml")), words)
	if err != nil {
		t.Fatal(err)
	}
	s := d.Steps["release"]
	if s.Name != "release" || s.Kind != "model" || s.Signature.Distinct != 1 || !slices.Equal(s.Signature.Signers, []string{"trainer"}) {
		t.Errorf("release %+v", s)
	}
	if p := s.Provenance; !slices.Equal(p.Types, []string{"finetune", "quantize"}) || !slices.Equal(p.Signers, []string{"trainer"}) {
		t.Errorf("provenance %+v", p)
	}
	base, train, source := s.Inputs["base-model"], s.Inputs["dataset.train"], s.Inputs["source"]
	if base.Step != "approved-base" || base.Min != 1 || base.Max != 1 || train.Min != 1 || train.Max != 0 || source.Min != 1 || source.Max != 0 ||
		!slices.Equal(source.URIs, []string{"git+https://github.com/acme/train"}) {
		t.Errorf("inputs %+v %+v %+v", base, train, source)
	}
	robust, approval := s.Evidence[0], s.Evidence[1]
	if robust.Name != "robustness" || robust.Type != TypeTestResult || robust.Distinct != 1 || robust.MaxAge != 720*time.Hour || robust.Rule == nil ||
		!slices.Equal(robust.Controls, []string{"VAL-1"}) || robust.Latest {
		t.Errorf("robustness %+v", robust)
	}
	if approval.Distinct != 2 || approval.Type != TypeApproval || approval.OwnWork || approval.Rule.String() != `predicate.scope == "production"` {
		t.Errorf("sign-off %+v", approval)
	}
	any := d.Steps["approved-base"].AnyOf
	if len(any) != 3 || any[0].Ingested == nil || any[1].VSA == nil || any[1].VSA.MaxAge != 2160*time.Hour || len(any[2].Pinned) != 1 {
		t.Errorf("anyOf %+v", any)
	}
}

func TestLoadErrorUnwraps(t *testing.T) {
	o := words
	o.Read = func(string) ([]byte, error) { return nil, fs.ErrPermission }
	if _, err := Load([]byte(testdata(t, "prod-llm.yaml")), o); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("unreadable: %v", err)
	}
	o.Read = func(string) ([]byte, error) { return []byte("no key"), nil }
	if _, err := Load([]byte(testdata(t, "prod-llm.yaml")), o); !errors.Is(err, trust.ErrKey) {
		t.Errorf("no key: %v", err)
	}
}
