package transfer

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

const (
	repository = "team/chat"
	tag        = "v1"
	long       = time.Minute            // for steps that must not time out
	short      = 400 * time.Millisecond // for steps that must
	deadline   = 2 * time.Minute        // for a whole operation: past it, it does not end
)

// present is the injected clock's time.
var present = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// artifact is a signed directory, and whom to trust for it.
type artifact struct {
	dir       string
	manifest  *manifest.Manifest
	canonical *manifest.Canonical
	evidence  []chain.Item // the signature first, then another claim
	by        signer.Signer
	key       *ecdsa.PublicKey // by's
	roots     trust.Roots
	policy    policy.Policy
}

// noise is n bytes that do not repeat: where two parts are exchanged, it shows.
func noise(n int, seed byte) string {
	b := make([]byte, n)
	r := mathrand.NewChaCha8([32]byte{seed})
	_, _ = r.Read(b)
	return string(b)
}

// small is what the sweeps carry: two blobs worth cutting, one below a folder, and an empty file.
func small() map[string]string {
	return map[string]string{"model.safetensors": noise(150_000, 1), "sub/tokenizer.json": noise(50_000, 2), "empty.txt": ""}
}

// newArtifact writes files and signs them; the bundle lies beside them, as hallmark sign leaves it.
func newArtifact(t *testing.T, files map[string]string) *artifact {
	t.Helper()
	a := &artifact{dir: filepath.Join(t.TempDir(), "chat")}
	for name, content := range files {
		write(t, filepath.Join(a.dir, filepath.FromSlash(name)), content)
	}
	var err error
	if a.manifest, err = manifest.Build(t.Context(), a.dir, manifest.Options{}); err != nil {
		t.Fatal(err)
	}
	if a.canonical, err = a.manifest.OCI(); err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if a.by, err = signer.NewKey(key); err != nil {
		t.Fatal(err)
	}
	a.key = &key.PublicKey
	a.roots = a.by.Roots()
	a.roots.Now = func() time.Time { return present }
	a.policy = policy.Policy{Signers: []trust.Identity{{Key: a.roots.Keys[0].Fingerprint()}}, AllowUncovered: true}
	statement, err := attestations.NewSignature(a.manifest, attestations.KindModel)
	if err != nil {
		t.Fatal(err)
	}
	a.evidence = []chain.Item{
		{Where: "model.sig", Bundle: a.seal(t, statement.Payload())},
		{Where: "claims.sig line 1", Bundle: a.claim(t, 1)},
	}
	return a
}

// seal signs any payload at all.
func (a *artifact) seal(t *testing.T, payload []byte) attestations.Bundle {
	t.Helper()
	raw, err := a.by.Sign(t.Context(), attestations.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// public is the key to trust, as a file has it.
func (a *artifact) public(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

const claimType = "https://example.com/test-result/v1"

// claim is a statement about the artifact that is no signature on it; n tells claims apart.
func (a *artifact) claim(t *testing.T, n int) attestations.Bundle {
	t.Helper()
	return a.seal(t, mustJSON(t, map[string]any{
		"_type":         attestations.StatementType,
		"subject":       []any{map[string]any{"name": "chat", "digest": map[string]string{"sha256": strings.TrimPrefix(a.canonical.ID, "sha256:")}}},
		"predicateType": claimType, "predicate": map[string]int{"n": n},
	}))
}

func (a *artifact) subject() registry.Descriptor {
	return registry.Descriptor{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: a.canonical.ID, Size: int64(len(a.canonical.Manifest))}
}

// anonymous has no logins, whatever the machine has.
type anonymous struct{}

func (anonymous) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }

// options are a client's that nobody has to wait for: what it tries again, it tries at once.
func options(timeout time.Duration) registry.Options {
	return registry.Options{Timeout: timeout, Keychain: anonymous{}, Wait: atOnceAgain}
}

func atOnceAgain(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }

func refAt(t *testing.T, host string) registry.Ref {
	t.Helper()
	return mustRef(t, host+"/"+repository+":"+tag)
}

func mustRef(t *testing.T, s string) registry.Ref {
	t.Helper()
	ref, err := registry.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// push is hallmark push, one request after the other.
func (a *artifact) push(ctx context.Context, ref registry.Ref, o registry.Options) (registry.Published, error) {
	return registry.Publish(ctx, a.dir, a.manifest, a.evidence, ref, registry.PublishOptions{Options: o, PushOptions: registry.PushOptions{Workers: 1}})
}

// verify is hallmark verify REF. What cannot be found is a decision too, as it is there.
func (a *artifact) verify(ctx context.Context, ref registry.Ref, o registry.Options) (policy.Decision, *registry.Stored, error) {
	stored, err := registry.Find(ctx, ref, o)
	if err != nil {
		facts := policy.Facts{Artifact: policy.Artifact{Ref: ref.String(), Bytes: policy.BytesUnread}, Problems: []policy.Finding{chain.Problem(err)}}
		return policy.Decide(a.policy, facts, present), nil, ctx.Err()
	}
	d, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, chain.Options{Roots: a.roots, Policy: a.policy})
	return d, stored, err
}

// pull is hallmark pull REF DIR.
func (a *artifact) pull(ctx context.Context, ref registry.Ref, dir string, o registry.Options, workers int) (policy.Decision, error) {
	d, stored, err := a.verify(ctx, ref, o)
	if stored != nil {
		defer stored.Close()
	}
	if err != nil || d.Verdict() != policy.Yes {
		return d, err
	}
	return d, stored.Fetch(ctx, d, a.roots, dir, registry.FetchOptions{Workers: workers})
}

// attach attaches one more claim.
func (a *artifact) attach(ctx context.Context, ref registry.Ref, bundle []byte, o registry.Options) (string, error) {
	repo, err := registry.Open(ref, o)
	if err != nil {
		return "", err
	}
	defer repo.Close()
	return repo.Attach(ctx, a.subject(), bundle, claimType)
}

// kinds are the two ways in which registries keep evidence.
var kinds = map[string]lab.Options{
	"referrers API": {Referrers: true, PageSize: 1},
	"fallback tag":  {PageSize: 2},
}

// stock returns a registry of a kind that the artifact was pushed to.
func (a *artifact) stock(t *testing.T, o lab.Options) *lab.Registry {
	t.Helper()
	g := lab.New(o)
	if _, err := a.push(t.Context(), refAt(t, lab.Serve(t, g)), options(long)); err != nil {
		t.Fatal(err)
	}
	return g
}

// bundles reads what evidence a registry has for the artifact, with nothing in between.
func (a *artifact) bundles(t *testing.T, g *lab.Registry) [][]byte {
	t.Helper()
	repo, err := registry.Open(refAt(t, lab.Serve(t, g)), options(long))
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	items, err := repo.Bundles(t.Context(), a.canonical.ID)
	if err != nil {
		t.Errorf("evidence cannot be read any more: %v", err)
	}
	var found [][]byte
	for _, i := range items {
		if len(i.Bundle) == 0 {
			t.Errorf("among the evidence lies %s", i.Where)
		}
		found = append(found, i.Bundle)
	}
	return found
}

// mustHaveAll fails unless the registry has the artifact as a whole, and exactly this evidence.
func (a *artifact) mustHaveAll(t *testing.T, g *lab.Registry, more ...[]byte) {
	t.Helper()
	if raw, ok := g.Manifest(repository, a.canonical.ID); !ok || !bytes.Equal(raw, a.canonical.Manifest) {
		t.Error("the manifest is not there")
		return
	}
	for _, l := range a.canonical.Layers {
		if raw, ok := g.Blob(repository, l.Digest.String()); !ok || lab.Digest(raw) != l.Digest.String() {
			t.Errorf("blob of %q is not there", l.Name)
		}
	}
	if raw, ok := g.Blob(repository, lab.Digest(a.canonical.Config)); !ok || !bytes.Equal(raw, a.canonical.Config) {
		t.Error("the config is not there")
	}
	want := slices.Clone(more)
	for _, e := range a.evidence {
		want = append(want, e.Bundle)
	}
	found := a.bundles(t, g)
	for _, w := range want {
		if !slices.ContainsFunc(found, func(f []byte) bool { return bytes.Equal(f, w) }) {
			t.Error("a bundle is not there")
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d bundles are there, not %d", len(found), len(want))
	}
}

// mustBeTrue fails unless a yes says what is so.
func (a *artifact) mustBeTrue(t *testing.T, d policy.Decision, ref registry.Ref) {
	t.Helper()
	got := d.Artifact
	want := policy.Artifact{Ref: ref.String(), Pinned: ref.Pinned(a.canonical.ID), Tag: ref.Tag(), ID: a.canonical.ID, Kind: "model",
		Bytes: policy.BytesUnread, Files: len(a.manifest.Files), Size: a.manifest.Bytes()}
	if got.Ref != want.Ref || got.Pinned != want.Pinned || got.Tag != want.Tag || got.ID != want.ID || got.Kind != want.Kind ||
		got.Bytes != want.Bytes || got.Files != want.Files || got.Size != want.Size || len(got.Uncovered) != 0 {
		t.Errorf("a yes with wrong facts: %+v, want %+v", got, want)
	}
	if !slices.ContainsFunc(d.Evidence, func(e policy.Evidence) bool { return e.Counted && e.Signer != nil && a.policy.Trusts(*e.Signer) }) {
		t.Error("a yes by nobody")
	}
}

// checkTarget looks at what a pull left: DIR whole if there was no error, or else no DIR; and beside it nothing but
// what a later pull goes on with.
func (a *artifact) checkTarget(t *testing.T, dir string, pulled bool) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(dir))
	if err != nil {
		t.Fatal(err)
	}
	there := false
	for _, e := range entries {
		switch name := e.Name(); {
		case name == filepath.Base(dir):
			there = true
		case name == filepath.Base(dir)+".partial" && !pulled: // the one name that a later pull resumes
		default:
			t.Errorf("%q was left behind", name)
		}
	}
	if there != pulled {
		t.Errorf("DIR is there: %v; pulled: %v", there, pulled)
	}
	if !there {
		return
	}
	want, got := tree(t, a.dir), tree(t, dir)
	if got[manifest.SignatureName] != string(a.evidence[0].Bundle) {
		t.Error("model.sig is not the signature that counted")
	}
	delete(got, manifest.SignatureName)
	delete(got, manifest.ClaimsName)
	if !maps.Equal(want, got) {
		t.Errorf("the files differ: %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// tree reads a directory: names and contents. What is neither file nor directory fails the test.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			t.Errorf("%s is %s", at, d.Type())
			return nil
		}
		raw, err := os.ReadFile(at)
		name, _ := filepath.Rel(dir, at)
		found[filepath.ToSlash(name)] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func write(t *testing.T, at, content string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(content), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
