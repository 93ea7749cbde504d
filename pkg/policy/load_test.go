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

func TestLoadReadsEveryKey(t *testing.T) {
	d, err := Load([]byte(testdata(t, "every-key.yaml")), words)
	if err != nil {
		t.Fatal(err)
	}
	if d.Version != 1<<64-1 || !d.Expires.Equal(time.Date(2027, 3, 1, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("version %d, expires %v", d.Version, d.Expires)
	}
	trainer := d.Identities["trainer"]
	if len(trainer) != 2 || !trainer[0].Pattern.Match("https://github.com/acme/train/.github/workflows/t.yml@refs/heads/main") ||
		trainer[0].Pattern.Match("https://github.com/acme/train/.github/workflows/t.yml@refs/heads/main2") || len(trainer[0].Claims) != 2 {
		t.Errorf("trainer %+v", trainer)
	}
	day := func(month time.Month, day int) time.Time { return time.Date(2026, month, day, 0, 0, 0, 0, time.UTC) }
	if want := (trust.Window{ValidFrom: day(1, 1), ValidUntil: day(13, 1).Add(-1), RevokedAt: day(11, 1)}); trainer[1].Window != want {
		t.Errorf("window %v, not %v", trainer[1].Window, want)
	}
	if d.Builders[0].Level != 3 || d.Builders[1].Level != 0 || d.Lists.MaxAge != 0 {
		t.Errorf("%+v %+v", d.Builders, d.Lists)
	}
	if want := []Source{{"registry.example/acme/", true}, {"mirror.example:5000/", false}}; !slices.Equal(d.Sources, want) {
		t.Errorf("sources %v", d.Sources)
	}
	if d.Targets["model"] != "release" || d.Targets["adapter"] != "lora" || len(d.Targets) != 2 {
		t.Errorf("targets %v", d.Targets)
	}
	s := d.Steps["release"]
	if s.Signature.Distinct != 2 || !slices.Equal(s.Uncovered, []string{"README.md", "docs/card.md"}) {
		t.Errorf("%+v", s.Signature)
	}
	if p := s.Provenance; p.Level != 2 || p.Rule == nil || p.MaxAge != 365*24*time.Hour {
		t.Errorf("provenance %+v", p)
	}
	train, source := s.Inputs["dataset.train"], s.Inputs["source"]
	if train.Min != 0 || train.Max != 3 || len(source.URIs) != 1 || len(source.Patterns) != 1 || len(source.Pinned) != 1 || !source.AllowDirty {
		t.Errorf("inputs %+v %+v", train, source)
	}
	if q := s.Evidence[0]; q.Subtype != "attack" || !q.Latest || q.MaxAge != 30*24*time.Hour {
		t.Errorf("attacks %+v", q)
	}
	if q := s.Evidence[1]; !q.OwnWork || q.Distinct != 2 {
		t.Errorf("fit %+v", q)
	}
	if r := s.Release; r.Channel != "prod" || r.Rollback.Distinct != 2 || d.Steps["released"].Release.Rollback.Distinct != 1 {
		t.Errorf("release %+v", r)
	}
	if a := d.Steps["lora"].AnyOf; len(a) != 1 || a[0].Step != "released" {
		t.Errorf("lora %+v", a)
	}
	in, vsa := d.Steps["data"].AnyOf[0].Ingested, d.Steps["data"].AnyOf[1].VSA
	if len(in.Upstreams) != 1 || in.MaxAge != 90*24*time.Hour || len(vsa.Resources) != 1 || len(vsa.Policies) != 1 || vsa.MaxAge != 90*time.Minute {
		t.Errorf("data %+v %+v", in, vsa)
	}
	if w := d.Waivers[0]; w.Finding != EvidenceMissing || !w.Until.Equal(day(12, 1)) {
		t.Errorf("waiver %+v", w)
	}
}

func TestLoadWithoutWordsTakesAnyButReadsNoFile(t *testing.T) {
	const raw = "apiVersion: hallmark/v1\nkind: Policy\nname: p\nversion: 1\nidentities: {ci: {issuer: https://acme.example, subject: ci, claims: {branch: main}}}\n" +
		"target: {thing: s}\nsteps: {s: {kind: thing, signature: [ci]}}\n"
	if _, err := Load([]byte(raw), LoadOptions{}); err != nil {
		t.Error(err)
	}
	_, err := Load([]byte(strings.Replace(raw, "issuer: https://acme.example, subject: ci, claims: {branch: main}", "key: ci.pub", 1)), LoadOptions{})
	if err == nil || !strings.Contains(err.Error(), `read policy file:5:24: "ci.pub": no file is read beside this policy`) {
		t.Errorf("%v", err)
	}
}

func TestLoadTakesKeysInThePolicyItself(t *testing.T) {
	indent := func(name string) string {
		return strings.ReplaceAll("\n"+strings.TrimSpace(testdata(t, "keys/"+name)), "\n", "\n        ")
	}
	raw := edited(t, "lead-1: {key: keys/lead1.pub}", "lead-1:\n      key: |"+indent("lead1.pub"))
	raw = strings.Replace(raw, `red-team: {ca: keys/ca.pem, subject: "spiffe://acme/red-team"}      # a CA alone is never enough`, "red-team:\n      subject: spiffe://acme/red-team\n      ca: |"+indent("ca.pem"), 1)
	read := map[string]bool{}
	o := words
	o.Read = func(name string) ([]byte, error) { read[name] = true; return words.Read(name) }
	d, err := Load([]byte(raw), o)
	if err != nil {
		t.Fatal(err)
	}
	beside, err := Load([]byte(testdata(t, "prod-llm.yaml")), words)
	if err != nil {
		t.Fatal(err)
	}
	if read["keys/lead1.pub"] || read["keys/ca.pem"] || !read["keys/lead2.pub"] {
		t.Errorf("read %v", read)
	}
	for _, name := range []string{"lead-1", "red-team"} {
		if got, want := d.Identities[name][0], beside.Identities[name][0]; got.Key != want.Key || got.CA != want.CA {
			t.Errorf("%s is %+v, not %+v", name, got, want)
		}
	}
	if _, err := Load([]byte(strings.Replace(raw, "-----END PUBLIC", "-----END", 1)), words); !errors.Is(err, trust.ErrKey) {
		t.Errorf("broken: %v", err)
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

func TestLoadErrorOfTheWholeFileHasNoPosition(t *testing.T) {
	for name, c := range map[string]struct {
		err  LoadError
		want string
	}{
		"a place":   {LoadError{URI: "prod.yaml", Line: 1, Column: 2, Message: "no name", Hint: "add one"}, "read policy prod.yaml:1:2: no name (add one)"},
		"the whole": {LoadError{URI: "prod.yaml", Message: "not UTF-8"}, "read policy prod.yaml: not UTF-8"},
		"no URI":    {LoadError{Message: "key", Err: fs.ErrNotExist}, "read policy file: key: file does not exist"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// What only a Sigstore trusted root can tell is who signs keyless, and when a key signed.
func TestNeedsSigstoreForTheKeylessAndForWindows(t *testing.T) {
	for want, all := range map[bool][]trust.Identity{
		false: {{Key: "k"}, {CA: "ca", Subject: "trainer"}},
		true:  {{Issuer: "https://issuer.example", Subject: "trainer"}, {Key: "k", Window: trust.Window{ValidUntil: time.Unix(1, 0)}}},
	} {
		for _, id := range all {
			d := Document{Identities: map[string]Principal{"lead": {{Key: "l"}}, "trainer": {{Key: "m"}, id}}}
			if d.NeedsSigstore() != want {
				t.Errorf("%v needs it: %t", id, !want)
			}
		}
	}
}
