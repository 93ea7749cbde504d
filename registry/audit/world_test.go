package audit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

var then = time.Date(2026, 11, 20, 14, 3, 0, 0, time.UTC)

func newSigner(t testing.TB) signer.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// world is a registry on loopback with models in it, and somebody whose signature counts.
type world struct {
	t     testing.TB
	g     *lab.Registry
	proxy *lab.Proxy
	host  string
	by    signer.Signer
	now   time.Time
	state *State
}

func newWorld(t testing.TB, o lab.Options) *world {
	t.Helper()
	w := &world{t: t, g: lab.New(o), by: newSigner(t), now: then.Add(time.Hour)}
	w.proxy = lab.NewProxy(w.g)
	w.host = lab.Serve(t, w.proxy)
	return w
}

type anonymous struct{}

func (anonymous) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }

func (w *world) options() registry.Options {
	return registry.Options{Keychain: anonymous{}, Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }}
}

// judge asks for a signature by w.by.
func (w *world) judge() Judge {
	return Judge{Roots: w.by.Roots(), Policy: policy.Policy{Signers: identities(w.by), AllowUncovered: true}}
}

func (w *world) scope(s string) registry.Scope {
	w.t.Helper()
	scope, err := registry.ParseScope(w.host + s)
	if err != nil {
		w.t.Fatal(err)
	}
	return scope
}

// auditOf audits the whole registry.
func (w *world) auditOf(j Judge, change func(*Options)) (*Report, error) {
	w.t.Helper()
	o := Options{Registry: w.options(), Now: func() time.Time { return w.now }, State: w.state, Program: "test"}
	if change != nil {
		change(&o)
	}
	ctx := context.Background()
	return Run(ctx, []registry.Scope{w.scope("")}, j, o)
}

func (w *world) mustAudit(change func(*Options)) *Report {
	w.t.Helper()
	r, err := w.auditOf(w.judge(), change)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// put pushes an artifact of one file, signed by each of by, under name:tag, and returns its ID.
func (w *world) put(name, tag string, by ...signer.Signer) string {
	w.t.Helper()
	return w.putKind(name, tag, attestations.KindModel, by...)
}

func (w *world) putKind(name, tag string, kind attestations.Kind, by ...signer.Signer) string {
	w.t.Helper()
	return w.store(name, tag, name, kind, by...)
}

func (w *world) putBytes(name, tag, content string, by ...signer.Signer) string {
	w.t.Helper()
	return w.store(name, tag, content, attestations.KindModel, by...)
}

func (w *world) store(name, tag, content string, kind attestations.Kind, by ...signer.Signer) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weights"), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
	ctx := context.Background()
	m, err := manifest.Build(ctx, dir, manifest.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := m.ID()
	if err != nil {
		w.t.Fatal(err)
	}
	var items []chain.Item
	for _, s := range by {
		st, err := attestations.NewSignature(m, kind)
		if err != nil {
			w.t.Fatal(err)
		}
		items = append(items, chain.Item{Bundle: w.sign(st, s)})
	}
	ref, err := registry.ParseRef(w.host + "/" + name + ":" + tag)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := registry.Publish(ctx, dir, m, items, ref, registry.PublishOptions{Options: w.options()}); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) sign(st attestations.Statement, s signer.Signer) attestations.Bundle {
	w.t.Helper()
	b, _, err := attestations.Sign(context.Background(), st, s)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// claim attaches a statement by s to an artifact that is there.
func (w *world) claim(name, id string, s signer.Signer, p attestations.Predicate) {
	w.t.Helper()
	kind := attestations.KindModel
	if made, ok := p.(attestations.Provenance); ok {
		kind = made.BuildDefinition.BuildType.Kinds()[0]
	}
	st, err := attestations.NewStatement(attestations.Artifact{ID: id, Kind: kind}, p)
	if err != nil {
		w.t.Fatal(err)
	}
	ref, err := registry.ParseRef(w.host + "/" + name + "@" + id)
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := registry.Find(context.Background(), ref, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	defer stored.Close()
	if err := stored.Attach(context.Background(), w.sign(st, s)); err != nil {
		w.t.Fatal(err)
	}
}

// image puts something that is no model.
func (w *world) image(name, tag string) string {
	raw := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json",` +
		`"digest":"sha256:` + strings.Repeat("a", 64) + `","size":2},"layers":[]}`
	return w.g.PutManifest(name, ocispec.MediaTypeImageManifest, []byte(raw), tag)
}

func made(b attestations.BuildType, inputs ...attestations.Dependency) attestations.Provenance {
	var p attestations.Provenance
	p.BuildDefinition.BuildType, p.BuildDefinition.ResolvedDependencies = b, inputs
	p.RunDetails.Builder.ID = "https://builder.example/trainer"
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = then, then.Add(time.Minute)
	return p
}

func input(role attestations.Role, id string) attestations.Dependency {
	return attestations.Dependency{Name: string(role), Role: role, URI: attestations.LocalURI("in"), Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: id[7:]}}
}

var source = attestations.Dependency{Name: "train", Role: attestations.RoleSource, URI: "git+https://git.example/train",
	Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("0a", 20)}}

// data is a dataset that no repository here holds.
var data = input(attestations.RoleDatasetTrain, "sha256:"+strings.Repeat("da", 32))

// text is a report's rows in short: repository, tags, class, verdict, reasons.
func (w *world) text(r *Report) string {
	var out strings.Builder
	for _, row := range r.Rows {
		fmt.Fprintf(&out, "%s %s %s %s", strings.TrimPrefix(strings.TrimPrefix(row.Repository, w.host), "/"), strings.Join(row.Tags, ","), row.Class, row.Verdict)
		for _, reason := range row.Reasons {
			fmt.Fprintf(&out, " %s", reason)
		}
		if row.Reused {
			out.WriteString(" (reused)")
		}
		out.WriteByte('\n')
	}
	return out.String()
}

// expect fails unless the report's rows are want.
func (w *world) expect(r *Report, want string) {
	w.t.Helper()
	if got := w.text(r); got != want {
		w.t.Errorf("rows:\n%swant:\n%s", got, want)
	}
}

// manifests counts the requests for bundles' bytes since the n-th request, and returns how many requests there were.
func (w *world) blobs(since int) (blobs, all int) {
	requests := w.g.Requests()
	for _, r := range requests[since:] {
		if r.Method == http.MethodGet && strings.Contains(r.URI, "/blobs/") {
			blobs++
		}
	}
	return blobs, len(requests)
}

// without is an index without an entry.
func without(raw []byte, digest string) []byte {
	var x map[string]any
	if err := json.Unmarshal(raw, &x); err != nil {
		panic(err)
	}
	x["manifests"] = slices.DeleteFunc(x["manifests"].([]any), func(m any) bool { return m.(map[string]any)["digest"] == digest })
	out, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return out
}

// identities are what a policy calls a signer by.
func identities(s signer.Signer) []trust.Identity {
	return []trust.Identity{{Key: s.Roots().Keys[0].Fingerprint()}}
}
