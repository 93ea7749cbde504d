package chain_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// people are several signers by name, and what they have signed.
type people struct {
	t     testing.TB
	by    map[string]signer.Signer
	doc   *policy.Document
	shelf shelf
}

func newPeople(t testing.TB, names ...string) *people {
	t.Helper()
	p := &people{t: t, by: map[string]signer.Signer{}, shelf: shelf{}, doc: &policy.Document{
		Name: "prod", Version: 1, Digest: "sha256:" + strings.Repeat("d", 64), Identities: map[string]policy.Principal{},
		Builders: []policy.Builder{{ID: "https://acme.example/b", Signers: names, Level: 2}}, Targets: map[string]string{"": "release"}, Steps: map[string]*policy.Step{},
	}}
	for _, name := range names {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if p.by[name], err = signer.NewKey(key); err != nil {
			t.Fatal(err)
		}
		k := p.by[name].Roots().Keys[0]
		p.doc.Roots.Keys = append(p.doc.Roots.Keys, k)
		p.doc.Identities[name] = policy.Principal{trust.Identity{Key: k.Fingerprint()}}
	}
	return p
}

func (p *people) signs(name string, m *manifest.Manifest) chain.Item {
	p.t.Helper()
	made, err := attestations.SignArtifact(ctx, m, attestations.KindModel, p.by[name])
	if err != nil {
		p.t.Fatal(err)
	}
	return chain.Item{Where: name + ".sig", Bundle: made.Signature}
}

func (p *people) says(name, id string, what attestations.Predicate) chain.Item {
	p.t.Helper()
	st, err := attestations.NewStatement(attestations.Artifact{ID: id, Name: "x", Kind: attestations.KindModel}, what)
	if err != nil {
		p.t.Fatal(err)
	}
	b, _, err := attestations.Sign(ctx, st, p.by[name])
	if err != nil {
		p.t.Fatal(err)
	}
	return chain.Item{Where: name, Bundle: b}
}

func numbered(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// packaged is provenance of an artifact that is made from one other.
func packaged(from string, at time.Time) attestations.Provenance {
	d, err := attestations.ParseArtifactID(from)
	if err != nil {
		panic(err)
	}
	return attestations.Provenance{
		BuildDefinition: attestations.BuildDefinition{BuildType: attestations.BuildPackage, ResolvedDependencies: []attestations.Dependency{
			{Name: "base", Role: attestations.RoleBaseModel, URI: "oci://registry.example/" + from[60:], Digest: d}}},
		RunDetails: attestations.RunDetails{Builder: attestations.Builder{ID: "https://acme.example/b"}, Metadata: attestations.Metadata{StartedOn: at, FinishedOn: at}},
	}
}

func svr(at time.Time) attestations.SVR {
	return attestations.SVR{Verifier: attestations.SVRVerifier{ID: "https://v.example", Policies: []attestations.Resource{}}, TimeCreated: at, Properties: []string{"scanned"}}
}

func (p *people) verify(lib chain.Library, o chain.PolicyOptions, targets ...chain.Target) []policy.Decision {
	p.t.Helper()
	o.Now = func() time.Time { return then.Add(time.Hour) }
	d, _, err := chain.VerifyPolicy(ctx, targets, lib, p.doc, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

func TestVerifyPolicyCountsEverySignature(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	p := newPeople(t, "lead-1", "lead-2", "other")
	p.doc.Steps["release"] = &policy.Step{Name: "release", Signature: &policy.Quorum{Signers: []string{"lead-1", "lead-2"}, Distinct: 2}}
	files := &chain.Files{Path: w.path, Options: chain.FilesOptions{Workers: 1}}
	count := reads(files)
	both := items{p.signs("lead-1", m), p.signs("lead-2", m)}
	want(t, p.verify(nil, chain.PolicyOptions{}, chain.Target{Artifact: files, Sources: []chain.Source{both}})[0], policy.Yes)
	if count() != 1 {
		t.Errorf("two signatures had the files read %d times", count())
	}
	for name, few := range map[string]items{"one": both[:1], "one twice": {both[0], p.signs("lead-1", m)}, "one and another": {both[0], p.signs("other", m)}} {
		d := p.verify(nil, chain.PolicyOptions{}, chain.Target{Artifact: files, Sources: []chain.Source{few}})[0]
		if d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.QuorumMissed) {
			t.Errorf("%s: %s because of %v", name, d.Verdict(), d.Reasons())
		}
	}
	// What the library has of the target counts as well.
	lib := shelf{w.id(manifest.Options{}): {Sources: []chain.Source{both[1:]}}}
	want(t, p.verify(lib, chain.PolicyOptions{}, chain.Target{Artifact: files, Sources: []chain.Source{both[:1]}})[0], policy.Yes)
}

// row is a chain of n artifacts, each with provenance that names the next, and another statement.
func (p *people) row(n int) chain.Target {
	at := then
	p.doc.Steps["release"] = &policy.Step{Name: "release", Provenance: &policy.Provenance{Types: []string{"package"}, Signers: []string{"trainer"}},
		Inputs: map[string]*policy.Inputs{"base-model": {Step: "release", Min: 1}}, Evidence: []*policy.Requirement{{Name: "scan", Type: policy.TypeSVR, Signers: []string{"trainer"}, Distinct: 1}}}
	p.doc.Steps["release"].AnyOf = nil
	for i := 1; i < n; i++ {
		made := packaged(numbered(i+1), at.Add(-time.Duration(i)*time.Minute))
		evidence := items{p.says("trainer", numbered(i), made), p.says("trainer", numbered(i), svr(at))}
		p.shelf[numbered(i)] = chain.Found{Sources: []chain.Source{evidence}}
	}
	p.doc.Steps["last"] = &policy.Step{Name: "last", AnyOf: []*policy.Alternative{{Pinned: []string{numbered(n)}}, {Step: "release"}}}
	p.doc.Steps["release"].Inputs["base-model"].Step = "last"
	first := p.shelf[numbered(1)]
	return chain.Target{Artifact: named(numbered(1)), Sources: first.Sources}
}

// named is an artifact that its name stands for.
type named string

func (n named) Describe() (policy.Artifact, []policy.Finding) {
	return policy.Artifact{Ref: string(n), ID: string(n), Bytes: policy.BytesUnread}, nil
}

func (n named) Compare(_ context.Context, _ *attestations.Signature) (chain.Comparison, error) {
	a, _ := n.Describe()
	return chain.Comparison{Artifact: a}, nil
}

func TestVerifyPolicyFollowsAChainToItsEnd(t *testing.T) {
	p := newPeople(t, "trainer")
	target := p.row(10)
	d := p.verify(p.shelf, chain.PolicyOptions{}, target)[0]
	want(t, d, policy.Yes)
	ids := map[string]bool{}
	for _, l := range d.Chain {
		ids[l.Artifact.ID] = true
	}
	if len(ids) != 10 {
		t.Errorf("the chain has %d artifacts", len(ids))
	}
	on, v, err := chain.Summarize(d, p.doc, chain.SummaryOptions{Verifier: attestations.Verifier{ID: "https://v.example"}, Resource: "oci://registry.example/chat", Policy: "https://policy.example"})
	if err != nil || on.ID != numbered(1) || v.VerificationResult != attestations.ResultPassed || len(v.Basis.Ancestors) != 10 || v.Basis.Ancestors[0].String() != on.ID || len(v.InputAttestations) != 18 ||
		!v.Basis.Oldest.Equal(then.Add(-9*time.Minute)) || !slices.Equal(v.VerifiedLevels, []string{"SLSA_BUILD_LEVEL_2"}) || v.Policy.Digest["sha256"] != strings.Repeat("d", 64) {
		t.Errorf("summary %+v of %s: %v", v, on.ID, err)
	}
	delete(p.shelf, numbered(7))
	d = p.verify(p.shelf, chain.PolicyOptions{}, target)[0]
	if d.Verdict() != policy.No || !slices.Contains(d.Reasons(), policy.NoAlternative) && !slices.Contains(d.Reasons(), policy.LinkUnattested) {
		t.Errorf("a link that is gone: %s because of %v", d.Verdict(), d.Reasons())
	}
	if _, v, err = chain.Summarize(d, p.doc, chain.SummaryOptions{Verifier: attestations.Verifier{ID: "https://v.example"}, Resource: "oci://registry.example/chat", Policy: "https://policy.example"}); err != nil ||
		v.VerificationResult != attestations.ResultFailed || !slices.Equal(v.VerifiedLevels, []string{attestations.LevelFailed}) {
		t.Errorf("summary of a no %+v: %v", v, err)
	}
	d = p.verify(lost{fmt.Errorf("gone")}, chain.PolicyOptions{}, target)[0]
	if d.Verdict() != policy.Unknown {
		t.Errorf("a library that failed: %s because of %v", d.Verdict(), d.Reasons())
	}
	if _, _, err := chain.Summarize(d, p.doc, chain.SummaryOptions{Verifier: attestations.Verifier{ID: "https://v.example"}, Resource: "x:y", Policy: "x:y"}); err == nil {
		t.Error("there is a summary of no decision")
	}
}

func TestVerifyPolicyOfWhatIsLost(t *testing.T) {
	p := newPeople(t, "trainer")
	target := p.row(2)
	good := p.verify(p.shelf, chain.PolicyOptions{}, target, target)
	want(t, good[0], policy.Yes)
	d := p.verify(p.shelf, chain.PolicyOptions{}, target, chain.Target{Artifact: chain.Lost{Ref: "registry.example/x:y", Err: fmt.Errorf("no such host")}})
	want(t, d[0], policy.Yes)
	if d[1].Verdict() == policy.Yes || !slices.Contains(d[1].Reasons(), policy.Unreadable) {
		t.Errorf("what was not found: %s because of %v", d[1].Verdict(), d[1].Reasons())
	}
	d = p.verify(p.shelf, chain.PolicyOptions{Problems: []policy.Finding{{Code: policy.Unreadable, Detail: "state"}}}, target)
	want(t, d[0], policy.Unknown, policy.Unreadable)
}

func TestVerifyPolicyEndsWithItsContext(t *testing.T) {
	p := newPeople(t, "trainer")
	target := p.row(3)
	cause := errors.New("stopped")
	ended, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if d, _, err := chain.VerifyPolicy(ended, []chain.Target{target}, p.shelf, p.doc, chain.PolicyOptions{}); !errors.Is(err, cause) || d != nil {
		t.Errorf("%v, %v", d, err)
	}
}

// TestVerifyPolicySearchesNoLongerThanItMay: what lies behind the end of the search is a don't know, and what was found
// before it stands.
func TestVerifyPolicySearchesNoLongerThanItMay(t *testing.T) {
	p := newPeople(t, "trainer")
	target := p.row(3)
	want(t, p.verify(p.shelf, chain.PolicyOptions{Search: time.Hour}, target)[0], policy.Yes)
	d := p.verify(p.shelf, chain.PolicyOptions{Search: time.Nanosecond}, target)[0]
	if d.Verdict() != policy.Unknown || !slices.Contains(d.Reasons(), policy.TimedOut) {
		t.Errorf("%s because of %v", d.Verdict(), d.Reasons())
	}
}

// TestSummarizeKeepsTheKind of what was decided on, and takes what nobody calls anything for a model.
func TestSummarizeKeepsTheKind(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`"model"`), []byte(`"dataset"`)) })}
	d := w.verify(&chain.Files{Path: w.path}, signed)
	want(t, d, policy.Yes)
	doc := &policy.Document{Digest: "sha256:" + strings.Repeat("d", 64)}
	o := chain.SummaryOptions{Verifier: attestations.Verifier{ID: "https://v.example"}, Resource: "oci://registry.example/chat", Policy: "https://policy.example"}
	for kind, summed := range map[string]attestations.Kind{"dataset": attestations.KindDataset, "": attestations.KindModel} {
		d.Artifact.Kind = kind
		if on, _, err := chain.Summarize(d, doc, o); on.Kind != summed {
			t.Errorf("%q is summed up as a %s: %v", kind, on.Kind, err)
		}
	}
	d.Artifact.ID = ""
	if _, _, err := chain.Summarize(d, doc, o); err == nil || !strings.Contains(err.Error(), "ID is not known") {
		t.Errorf("without an ID: %v", err)
	}
}

func BenchmarkVerifyPolicyTenLinks(b *testing.B) {
	p := newPeople(b, "trainer")
	target := p.row(10)
	for b.Loop() {
		if d := p.verify(p.shelf, chain.PolicyOptions{}, target)[0]; d.Verdict() != policy.Yes {
			b.Fatal(d.Reasons())
		}
	}
}
