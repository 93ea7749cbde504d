package index

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// world is a registry on loopback with models in it.
type world struct {
	t     *testing.T
	g     *lab.Registry
	proxy *lab.Proxy
	host  string
	by    signer.Signer
}

func newWorld(t *testing.T, o lab.Options) *world {
	t.Helper()
	w := &world{t: t, g: lab.New(o), by: newSigner(t)}
	w.proxy = lab.NewProxy(w.g)
	w.host = lab.Serve(t, w.proxy)
	return w
}

type anonymous struct{}

func (anonymous) Resolve(authn.Resource) (authn.Authenticator, error) { return authn.Anonymous, nil }

func (w *world) options() registry.Options {
	return registry.Options{Keychain: anonymous{}, Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) }}
}

func (w *world) update(x *Index, scope string) (Report, error) {
	w.t.Helper()
	s, err := registry.ParseScope(w.host + scope)
	if err != nil {
		w.t.Fatal(err)
	}
	return x.Update(w.t.Context(), s, UpdateOptions{Roots: w.by.Roots(), Policy: believe(w.by), Registry: w.options()})
}

// believe is a policy that trusts the signers' keys.
func believe(all ...signer.Signer) (p policy.Policy) {
	for _, by := range all {
		for _, k := range by.Roots().Keys {
			p.Signers = append(p.Signers, trust.Identity{Key: k.Fingerprint()})
		}
	}
	return p
}

// mustUpdate updates x from the whole registry.
func (w *world) mustUpdate(x *Index) Report {
	w.t.Helper()
	r, err := w.update(x, "")
	if err != nil || len(r.Problems) > 0 {
		w.t.Fatalf("update: %+v, %v", r, err)
	}
	return r
}

// push pushes a signed artifact of one file, with claims about it, under name:tag, and returns its ID.
func (w *world) push(name, tag string, claims ...attestations.Predicate) string {
	w.t.Helper()
	ctx := w.t.Context()
	dir := filepath.Join(w.t.TempDir(), "model")
	if err := os.Mkdir(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "weights"), []byte(name), 0o644); err != nil {
		w.t.Fatal(err)
	}
	m, err := manifest.Build(ctx, dir, manifest.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	id, err := m.ID()
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := attestations.NewSignature(m, attestations.KindModel)
	if err != nil {
		w.t.Fatal(err)
	}
	items := []chain.Item{{Bundle: w.sign(st)}}
	for _, c := range claims {
		items = append(items, chain.Item{Bundle: w.state(id, c)})
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

func (w *world) sign(st attestations.Statement) attestations.Bundle {
	w.t.Helper()
	b, _, err := attestations.Sign(w.t.Context(), st, w.by)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) state(id string, p attestations.Predicate) attestations.Bundle {
	w.t.Helper()
	var st attestations.Statement
	var err error
	if list, ok := p.(attestations.Revocations); ok {
		st, err = attestations.NewRevocations(list)
	} else {
		kind := attestations.KindModel
		if made, ok := p.(attestations.Provenance); ok {
			kind = made.BuildDefinition.BuildType.Kinds()[0]
		}
		st, err = attestations.NewStatement(attestations.Artifact{ID: id, Kind: kind}, p)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return w.sign(st)
}

// attach attaches a claim to an artifact that is there.
func (w *world) attach(ref, id string, p attestations.Predicate) {
	w.t.Helper()
	w.attachTo(ref, id, w.state(id, p))
}

func (w *world) attachTo(ref, id string, b attestations.Bundle) {
	w.t.Helper()
	r, err := registry.ParseRef(w.host + "/" + ref + "@" + id)
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := registry.Find(w.t.Context(), r, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	defer stored.Close()
	if err := stored.Attach(w.t.Context(), b); err != nil {
		w.t.Fatal(err)
	}
}

func input(role attestations.Role, id string) attestations.Dependency {
	name := fmt.Sprintf("%s %s", role, id[7:13])
	return attestations.Dependency{Name: name, Role: role, URI: attestations.LocalURI("in"), Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: id[7:]}}
}

func made(b attestations.BuildType, inputs ...attestations.Dependency) attestations.Provenance {
	var p attestations.Provenance
	p.BuildDefinition.BuildType, p.BuildDefinition.ResolvedDependencies = b, inputs
	p.RunDetails.Builder.ID = "https://builder.example/trainer"
	p.RunDetails.Metadata.StartedOn, p.RunDetails.Metadata.FinishedOn = then, then.Add(time.Hour)
	return p
}

var source = attestations.Dependency{Name: "train", Role: attestations.RoleSource, URI: "git+https://git.example/train",
	Digest: attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat("0a", 20)}}

// family pushes a dataset, a base model trained on it, a fine-tune of that and its quantisation, and returns their IDs.
func (w *world) family() (data, base, chat, small string) {
	w.t.Helper()
	data = w.push("data/corpus", "v1")
	base = w.push("llm/base", "v1", made(attestations.BuildTrain, source, input(attestations.RoleDatasetTrain, data)))
	chat = w.push("llm/chat", "v1", made(attestations.BuildFinetune, source, input(attestations.RoleBaseModel, base), input(attestations.RoleDatasetTrain, data)))
	small = w.push("llm/chat-int8", "v1", made(attestations.BuildQuantize, input(attestations.RoleBaseModel, chat)), deployment("https://prod.example", attestations.Deployed, then))
	return data, base, chat, small
}

func deployment(target string, action attestations.DeploymentAction, at time.Time) attestations.Deployment {
	return attestations.Deployment{Target: target, Action: action, VSA: digest("vsa"), Time: at}
}

func mustScope(t testing.TB, s string) registry.Scope {
	t.Helper()
	scope, err := registry.ParseScope(s)
	if err != nil {
		t.Fatal(err)
	}
	return scope
}

func digest(s string) string { return sumOf([]byte(s)).String() }

// decided is a decision on the artifact with the ID: a no, for it has no evidence.
func decided(id string, at time.Time) policy.Decision {
	p := policy.Policy{Signers: []trust.Identity{{Key: strings.Repeat("ab", 32)}}}
	return policy.Decide(p, policy.Facts{Artifact: policy.Artifact{ID: id, Ref: "registry.example/llm:v1"}}, at)
}

// eachStore runs a test on every kind of store. at returns a new place of that kind.
func eachStore(t *testing.T, test func(t *testing.T, at string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "index ?#%.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, postgresDatabase(t)) })
}

func mustOpen(t testing.TB, at string, o Options) *Index {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return then }
	}
	x, err := Open(t.Context(), at, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

func create(t testing.TB, at string) *Index { return mustOpen(t, at, Options{Create: true}) }

func mustRecord(t testing.TB, x *Index, entries ...Entry) {
	t.Helper()
	if n, err := x.Record(t.Context(), entries...); err != nil || n != len(entries) {
		t.Fatalf("recorded %d of %d: %v", n, len(entries), err)
	}
}

func mustCheck(t testing.TB, x *Index) Head {
	t.Helper()
	h, err := x.Check(t.Context(), Head{})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// refusal is an entry that only n tells from others.
func refusal(n int) Entry {
	return Refused{About: digest("refused"), Where: fmt.Sprint("place ", n), Reason: policy.BadSignature, Why: "for a test"}
}

func isDamaged(err error) bool { return errors.Is(err, ErrDamaged) }
