package attestations_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// measured is a chain of artifacts with real bundles, as it lies in memory once everything was read.
type measured struct {
	seal    func(payload []byte) attestations.Bundle
	who     trust.Identity
	roots   trust.Roots
	root    *trust.Sigstore
	target  *chain.Manifest
	bundles map[string]bundleList // by artifact ID
}

type bundleList []chain.Item

func (l bundleList) Evidence(context.Context) ([]chain.Item, error) { return l, nil }

// Find implements chain.Library.
func (m *measured) Find(_ context.Context, want policy.Want) (chain.Found, error) {
	return chain.Found{Sources: []chain.Source{m.bundles[want.ID]}}, nil
}

// keyed signs with a key, whose signatures nobody saw.
func keyed(b testing.TB) *measured {
	by := newSigner(b)
	seal := func(payload []byte) attestations.Bundle {
		return must[[]byte](b)(by.Sign(context.Background(), attestations.PayloadType, payload))
	}
	return &measured{seal: seal, who: trust.Identity{Key: by.Roots().Keys[0].Fingerprint()}, roots: trust.Roots{Keys: by.Roots().Keys}}
}

// logged signs keyless: with a certificate, an entry of a log and a timestamp.
func logged(b testing.TB) *measured {
	i := newInstance(b, "one.test")
	seal := func(payload []byte) attestations.Bundle {
		return i.seal(payload, []string{"one.test"}, []string{"one.test"})
	}
	return &measured{seal: seal, who: trust.Identity{Issuer: "https://issuer.test", Subject: "ann@example.com"}, root: i.roots().Sigstore}
}

// says adds a bundle.
func (m *measured) says(b testing.TB, id string, p attestations.Predicate) {
	b.Helper()
	st := must[attestations.Statement](b)(attestations.NewStatement(attestations.Artifact{ID: id, Kind: attestations.KindModel}, p))
	m.bundles[id] = append(m.bundles[id], chain.Item{Where: "claims.sig", Bundle: m.seal(st.Payload())})
}

func mergedFrom(parents []string, at time.Time) attestations.Provenance {
	p := attestations.Provenance{
		BuildDefinition: attestations.BuildDefinition{BuildType: attestations.BuildMerge},
		RunDetails:      attestations.RunDetails{Builder: attestations.Builder{ID: "https://acme.example/merge"}, Metadata: attestations.Metadata{StartedOn: at, FinishedOn: at}},
	}
	role := attestations.RoleMergeParent
	if len(parents) == 1 {
		p.BuildDefinition.BuildType, role = attestations.BuildPrune, attestations.RoleBaseModel
	}
	for k, id := range parents {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies, attestations.Dependency{
			Name: fmt.Sprint("parent", k), Role: role, URI: "oci://registry.example/llm/parent", Digest: attestations.Digest{Class: attestations.ClassArtifact, Hex: id[7:]}})
	}
	return p
}

// lattice makes layers of artifacts, each made from several of the layer below: wide is how many a layer has, from of how
// many each is made. One is on top, and the last layer was let in. Where tested, each has a test result besides.
func (m *measured) lattice(b testing.TB, layers, wide, from int, tested bool) {
	b.Helper()
	m.bundles = map[string]bundleList{}
	built := must[*manifest.Canonical](b)(artifact(b, manifest.Options{}).OCI())
	m.target = chain.NewManifest(built.Manifest, "registry.example/llm/chat", "", "")
	id := func(layer, i int) string {
		if layer == 0 {
			return built.ID
		}
		sum := sha256.Sum256(fmt.Append(nil, layer, i%wide))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	for layer := range layers {
		at := signedAt.Add(-time.Duration(layer+1) * time.Hour)
		width := wide
		if layer == 0 {
			width = 1
		}
		for i := range width {
			here := id(layer, i)
			if tested {
				m.says(b, here, attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"pgd"},
					Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: at}})
			}
			if layer == layers-1 {
				m.says(b, here, attestations.Ingestion{
					Ingestor: attestations.Party{ID: "https://acme.example"}, Platform: attestations.Platform{ID: "https://acme.example/ingest"},
					Upstream: attestations.Upstream{Registry: "https://models.example", Name: "org/base", Version: "1"},
					Event:    attestations.IngestionEvent{Timestamp: at, Path: "oci://registry.example/llm/base"}})
				continue
			}
			var parents []string
			for k := range from {
				parents = append(parents, id(layer+1, i+k))
			}
			m.says(b, here, mergedFrom(parents, at))
		}
	}
}

// document is a policy over such a chain: made as it may be, or let in.
func (m *measured) document(tested bool) *policy.Document {
	ann := []string{"ann"}
	made := &policy.Step{Name: "made", Provenance: &policy.Provenance{Types: []string{"merge", "prune"}, Signers: ann},
		Inputs: map[string]*policy.Inputs{"merge-parent": {Step: "any"}, "base-model": {Step: "any"}}}
	anyOf := &policy.Step{Name: "any", AnyOf: []*policy.Alternative{{Ingested: &policy.Ingested{Signers: ann}}, {Step: "made"}}}
	if tested {
		anyOf.Evidence = []*policy.Requirement{{Name: "tests", Type: policy.TypeTestResult, Signers: ann, Distinct: 1, MaxAge: 30 * 24 * time.Hour}}
	}
	return &policy.Document{
		Name: "measured", Digest: "sha256:" + hex.EncodeToString(make([]byte, 32)), Roots: m.roots, Targets: map[string]string{"": "any"},
		Identities: map[string]policy.Principal{"ann": {m.who}}, Builders: []policy.Builder{{ID: "https://acme.example/merge", Signers: ann}},
		Steps: map[string]*policy.Step{"any": anyOf, "made": made},
	}
}

// decide verifies once, with nothing left to read.
func (m *measured) decide(b testing.TB, doc *policy.Document) policy.Decision {
	b.Helper()
	o := chain.PolicyOptions{Sigstore: m.root, Now: func() time.Time { return signedAt }}
	d, _, err := chain.VerifyPolicy(context.Background(), []chain.Target{{Artifact: m.target}}, m, doc, o)
	if err != nil {
		b.Fatal(err)
	}
	return d[0]
}

func TestMeasuredChainsGetAYesForWhatTheyHold(t *testing.T) {
	for name, m := range map[string]*measured{"keys": keyed(t), "keyless": logged(t)} {
		m.lattice(t, 3, 2, 2, true)
		if d := m.decide(t, m.document(true)); d.Verdict() != policy.Yes || len(d.Chain) < 5 {
			t.Errorf("%s: %s because of %v in %d places", name, d.Verdict(), d.Reasons(), len(d.Chain))
		}
		for id := range m.bundles {
			m.bundles[id] = m.bundles[id][:1]
			break
		}
		if d := m.decide(t, m.document(true)); d.Verdict() != policy.No {
			t.Errorf("%s: without one of its bundles %s", name, d.Verdict())
		}
	}
}

// BenchmarkChain verifies whole chains after everything was hashed and read: what is left is opening bundles and walking.
func BenchmarkChain(b *testing.B) {
	for _, c := range []struct {
		name               string
		signed             func(testing.TB) *measured
		layers, wide, from int
		tested             bool
	}{
		{"links=10/bundles=2/keys", keyed, 10, 1, 1, true},
		{"links=10/bundles=2/keyless", logged, 10, 1, 1, true},
		{"nodes=1000/edges=5000/keys", keyed, 21, 50, 5, false},
		{"diamond=25/keys", keyed, 25, 2, 2, false},
		{"diamond=25/keyless", logged, 25, 2, 2, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := c.signed(b)
			m.lattice(b, c.layers, c.wide, c.from, c.tested)
			doc := m.document(c.tested)
			b.ReportAllocs()
			for b.Loop() {
				if d := m.decide(b, doc); d.Verdict() != policy.Yes {
					b.Fatal(d.Verdict(), d.Reasons())
				}
			}
			var held runtime.MemStats
			runtime.ReadMemStats(&held)
			b.ReportMetric(float64(held.Sys)/(1<<20), "MiB-held") // by the process, ever: no less than its peak
		})
	}
}
