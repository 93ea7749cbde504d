package attack

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/registry"
)

const day = 24 * time.Hour

// scene is a release that was fine-tuned from a base that was let in, on a dataset that is signed and scanned: real files,
// with everything beside them that the policy asks, properly signed. An attack changes one thing in it.
type scene struct {
	t   *testing.T
	dir string
	now time.Time

	policy string // the file

	release, base, data, sibling *piece
	lists                        []attestations.Bundle // of what is revoked, one a line
	evidence                     []string              // where inputs are found; nil: base and data
	baseAt                       string                // where the release's provenance says that the base lies
	targets                      []*piece              // nil: the release

	state  *policy.State // what is remembered; nil: nothing is
	floors map[string]uint64
}

// piece is one artifact and what is said of it.
type piece struct {
	path, id string
	kind     attestations.Kind
	claims   []attestations.Bundle
}

// person is somebody who signs, under the name that the policy has for them.
type person struct {
	signer.Signer
	public []byte // PEM
}

// people are made once: nobody's key says anything of another case.
var people = sync.OnceValue(func() map[string]person {
	out := map[string]person{}
	for _, name := range []string{"trainer", "data", "red-team", "lead-1", "lead-2", "mary"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		by, err := signer.NewKey(key)
		if err != nil {
			panic(err)
		}
		der, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			panic(err)
		}
		out[name] = person{by, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	}
	return out
})

// scenePolicy is what the scene is held to. The names in angle brackets are filled in.
const scenePolicy = `apiVersion: hallmark/v1
kind: Policy
name: prod
version: 7
expires: <expires>
identities:
  trainer: {key: keys/trainer.pub}
  data: {key: keys/data.pub}
  red-team: {key: keys/red-team.pub}
  lead-1: {key: keys/lead-1.pub}
  lead-2: {key: keys/lead-2.pub}
builders:
  - {id: https://acme.example/builders/k8s-train, signers: [trainer], level: 2}
revocations: {from: revoked.jsonl, signers: [data], maxAge: 3d}
target: release
steps:
  release:
    kind: model
    signature: [trainer]
    provenance: {types: [finetune], signers: [trainer]}
    inputs:
      base-model: {step: approved-base, count: 1}
      dataset.train: {step: clean-data, min: 1}
      source: {uri: git+https://git.example/acme/train}
    evidence:
      - {name: robustness, type: test-result, activity: attack, signers: [red-team], maxAge: 30d, rule: 'metric("robust_accuracy") >= 0.6'}
      - {name: sign-off, type: approval, signers: [lead-1, lead-2], distinct: 2, maxAge: 90d, rule: '"production" in predicate.scope'}
  approved-base:
    anyOf:
      - ingested: {signers: [data]}
      - vsa: {verifiers: [https://acme.example/verify], signers: [data], maxAge: 90d}
      - pinned: [sha256:1111111111111111111111111111111111111111111111111111111111111111]
  clean-data:
    kind: dataset
    signature: [data]
    evidence:
      - {name: pii, type: test-result, activity: pii-scan, signers: [data]}
`

// newScene makes the scene as it is at now.
func newScene(t *testing.T, now time.Time) *scene {
	t.Helper()
	s := &scene{t: t, dir: t.TempDir(), now: now.UTC().Truncate(time.Second), policy: scenePolicy, baseAt: "oci://registry.example/llm/base"}
	s.replace("<expires>", s.now.Add(90*day).Format(time.RFC3339))
	for name, p := range people() {
		write(t, filepath.Join(s.dir, "keys", name+".pub"), string(p.public))
	}
	s.release = s.piece("chat", attestations.KindModel, "fine-tuned weights")
	s.base = s.piece("base", attestations.KindModel, "base weights")
	s.data = s.piece("corpus", attestations.KindDataset, "rows of text")
	s.sibling = s.piece("sibling", attestations.KindModel, "weights of a run that went better")

	s.sign(s.release, "trainer")
	s.says(s.release, "trainer", s.made())
	s.says(s.release, "red-team", s.tested(10*day, "0.71"))
	s.says(s.release, "lead-1", s.approved(9*day))
	s.says(s.release, "lead-2", s.approved(8*day))
	s.says(s.base, "data", s.letIn())
	s.sign(s.data, "data")
	s.says(s.data, "data", s.scanned(20*day))
	s.list(5, "data")
	return s
}

// piece makes an artifact on disk.
func (s *scene) piece(name string, kind attestations.Kind, weights string) *piece {
	s.t.Helper()
	p := &piece{path: filepath.Join(s.dir, name), kind: kind}
	write(s.t, filepath.Join(p.path, "weights.bin"), weights)
	write(s.t, filepath.Join(p.path, "config.json"), "{}")
	s.measure(p)
	return p
}

// measure finds out what p's ID is by now.
func (s *scene) measure(p *piece) *manifest.Manifest {
	s.t.Helper()
	m, err := manifest.Build(context.Background(), p.path, manifest.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	if p.id, err = m.ID(); err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *scene) ago(d time.Duration) time.Time { return s.now.Add(-d) }

// replace edits the policy. What is to be replaced must be there, once.
func (s *scene) replace(old, new string) {
	s.t.Helper()
	if n := strings.Count(s.policy, old); n != 1 {
		s.t.Fatalf("%q is %d times in the policy", old, n)
	}
	s.policy = strings.Replace(s.policy, old, new, 1)
}

// cut takes what is between two texts out of the policy, the first included.
func cut(s *scene, from, to string) {
	s.t.Helper()
	a, b := strings.Index(s.policy, from), strings.Index(s.policy, to)
	if a < 0 || b < a {
		s.t.Fatalf("%q and %q are at %d and %d of the policy", from, to, a, b)
	}
	s.policy = s.policy[:a] + s.policy[b:]
}

// sign has somebody sign an artifact's files.
func (s *scene) sign(p *piece, by string) {
	s.t.Helper()
	signed, err := attestations.SignArtifact(context.Background(), s.measure(p), p.kind, people()[by])
	if err != nil {
		s.t.Fatal(err)
	}
	p.claims = append(p.claims, signed.Signature)
}

// says has somebody state something about an artifact.
func (s *scene) says(p *piece, by string, what attestations.Predicate) {
	s.t.Helper()
	p.claims = append(p.claims, s.statement(p, by, what))
}

func (s *scene) statement(p *piece, by string, what attestations.Predicate) attestations.Bundle {
	s.t.Helper()
	st, err := attestations.NewStatement(attestations.Artifact{ID: p.id, Kind: p.kind}, what)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.seal(by, st.Payload())
}

// seal signs whatever it is given, sound or not.
func (s *scene) seal(by string, payload []byte) attestations.Bundle {
	s.t.Helper()
	raw, err := people()[by].Sign(context.Background(), attestations.PayloadType, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// drop takes away the statements of one type.
func (s *scene) drop(p *piece, predicateType string) {
	s.t.Helper()
	before := len(p.claims)
	p.claims = slices.DeleteFunc(p.claims, func(b attestations.Bundle) bool {
		u, err := b.Peek()
		return err == nil && u.PredicateType == predicateType
	})
	if len(p.claims) == before {
		s.t.Fatalf("there is no %s to take away", predicateType)
	}
}

// instead has somebody state something in place of what was stated of that type.
func (s *scene) instead(p *piece, by string, what attestations.Predicate) {
	s.t.Helper()
	s.drop(p, what.PredicateType())
	s.says(p, by, what)
}

// list puts a list of what is revoked where the policy finds it.
func (s *scene) list(sequence uint64, by string, entries ...attestations.Revocation) {
	s.t.Helper()
	for i := range entries {
		entries[i].Reason = "poisoned"
		if entries[i].Since.IsZero() {
			entries[i].Since = s.ago(90 * day)
		}
		if entries[i].Scope == "" && entries[i].Digest.Class == attestations.ClassAttestation { // nothing is made from it
			entries[i].Scope = attestations.ScopeSelf
		}
		if entries[i].Scope == "" {
			entries[i].Scope = attestations.ScopeDescendants
		}
	}
	if entries == nil {
		entries = []attestations.Revocation{}
	}
	s.revoke(by, attestations.Revocations{Sequence: sequence, Issued: s.ago(day), Expires: s.now.Add(7 * day), Entries: entries})
}

func (s *scene) revoke(by string, list attestations.Revocations) {
	s.t.Helper()
	st, err := attestations.NewRevocations(list)
	if err != nil {
		s.t.Fatal(err)
	}
	s.lists = append(s.lists, s.seal(by, st.Payload()))
}

// relist has the one list revoke entries.
func (s *scene) relist(entries ...attestations.Revocation) {
	s.t.Helper()
	s.lists = nil
	s.list(5, "data", entries...)
}

func digestOf(class attestations.DigestClass, text string) attestations.Digest {
	_, digits, _ := strings.Cut(text, ":")
	return attestations.Digest{Class: class, Hex: digits}
}

func artifactDigest(p *piece) attestations.Digest { return digestOf(attestations.ClassArtifact, p.id) }

func commitDigest(two string) attestations.Digest {
	return attestations.Digest{Class: attestations.ClassGitCommit, Hex: strings.Repeat(two, 20)}
}

// made is the provenance of the release.
func (s *scene) made() attestations.Provenance {
	return attestations.Provenance{
		BuildDefinition: attestations.BuildDefinition{
			BuildType:          attestations.BuildFinetune,
			ExternalParameters: attestations.Parameters{Seed: "42"},
			ResolvedDependencies: []attestations.Dependency{
				{Name: "base", Role: attestations.RoleBaseModel, URI: s.baseAt, Digest: artifactDigest(s.base)},
				{Name: "corpus", Role: attestations.RoleDatasetTrain, URI: "oci://registry.example/data/corpus", Digest: artifactDigest(s.data)},
				{Name: "train", Role: attestations.RoleSource, URI: "git+https://git.example/acme/train", Digest: commitDigest("c0")},
			},
		},
		RunDetails: attestations.RunDetails{
			Builder:  attestations.Builder{ID: "https://acme.example/builders/k8s-train"},
			Metadata: attestations.Metadata{StartedOn: s.ago(15 * day), FinishedOn: s.ago(14 * day)},
		},
	}
}

// madeFrom is the provenance of the release after one of its inputs was changed.
func (s *scene) madeFrom(role attestations.Role, change func(*attestations.Dependency)) attestations.Provenance {
	p := s.made()
	for i := range p.BuildDefinition.ResolvedDependencies {
		if d := &p.BuildDefinition.ResolvedDependencies[i]; d.Role == role {
			change(d)
		}
	}
	return p
}

func (s *scene) tested(before time.Duration, accuracy string) attestations.TestResult {
	return attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"pgd"},
		Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: s.ago(before), Metrics: []attestations.Metric{{Name: "robust_accuracy", Value: accuracy}}}}
}

func (s *scene) failedTest(before time.Duration) attestations.TestResult {
	r := s.tested(before, "0.02")
	r.Result, r.PassedTests, r.FailedTests = attestations.ResultFailed, nil, []string{"pgd"}
	return r
}

func (s *scene) scanned(before time.Duration) attestations.TestResult {
	r := s.tested(before, "1")
	r.PassedTests, r.Evaluation.Activity, r.Evaluation.Metrics = []string{"names"}, attestations.ScannedForPII, nil
	return r
}

func (s *scene) approved(before time.Duration, scope ...string) attestations.Approval {
	if scope == nil {
		scope = []string{"production"}
	}
	return attestations.Approval{Decision: attestations.Approved, Scope: scope, Evidence: []string{"sha256:" + strings.Repeat("e", 64)},
		DecidedOn: s.ago(before), Expires: s.now.Add(30 * day)}
}

func (s *scene) letIn() attestations.Ingestion {
	return attestations.Ingestion{
		Ingestor: attestations.Party{ID: "https://acme.example"}, Platform: attestations.Platform{ID: "https://acme.example/ingest"},
		Upstream: attestations.Upstream{Registry: "https://models.example", Name: "org/base", Version: strings.Repeat("0a", 20)},
		Event:    attestations.IngestionEvent{Timestamp: s.ago(40 * day), Path: "oci://registry.example/llm/base"},
	}
}

func (s *scene) released(sequence uint64) attestations.Release {
	return attestations.Release{PURL: "pkg:oci/chat@1.2.0", Order: attestations.ReleaseOrder{Channel: "stable", Sequence: sequence, ReleasedOn: s.ago(7 * day)}}
}

// verified is a verification summary that may stand for the base, under the scene's policy as it is now.
func (s *scene) verified() attestations.VSA {
	return attestations.VSA{
		Verifier: attestations.Verifier{ID: "https://acme.example/verify"}, TimeVerified: s.ago(5 * day), ResourceURI: "oci://registry.example/llm/base",
		SLSAVersion: attestations.SLSAVersion, Policy: attestations.Resource{URI: "file:policy.yaml", Digest: attestations.DigestSet{"sha256": sum(s.policy)}},
		VerificationResult: attestations.ResultPassed, VerifiedLevels: []string{},
		Basis: attestations.Basis{Ancestors: []attestations.Digest{artifactDigest(s.sibling), commitDigest("ba")}, Oldest: s.ago(50 * day)},
	}
}

// paths are where inputs are found.
func (s *scene) paths() []string {
	if s.evidence != nil {
		return s.evidence
	}
	return []string{s.base.path, s.data.path}
}

func (s *scene) set() []*piece {
	if s.targets != nil {
		return s.targets
	}
	return []*piece{s.release}
}

// lay writes everything to where it is looked for.
func (s *scene) lay() {
	s.t.Helper()
	write(s.t, filepath.Join(s.dir, "policy.yaml"), s.policy)
	for _, p := range append([]*piece{s.base, s.data, s.sibling}, s.set()...) {
		s.file(filepath.Join(p.path, manifest.ClaimsName), p.claims)
	}
	s.file(filepath.Join(s.dir, "revoked.jsonl"), s.lists)
	if s.state != nil {
		if err := (registry.States{Dir: filepath.Join(s.dir, "state")}).Remember(context.Background(), "prod", *s.state); err != nil {
			s.t.Fatal(err)
		}
	}
}

// file writes bundles, one a line; none is no file.
func (s *scene) file(at string, bundles []attestations.Bundle) {
	s.t.Helper()
	_ = os.Remove(at)
	if len(bundles) > 0 {
		write(s.t, at, string(bytes.Join(raw(bundles), []byte("\n")))+"\n")
	}
}

func raw(bundles []attestations.Bundle) [][]byte {
	out := make([][]byte, len(bundles))
	for i, b := range bundles {
		out[i] = b
	}
	return out
}

// document reads the policy that lies there.
func (s *scene) document() *policy.Document {
	s.t.Helper()
	doc, err := policy.Load([]byte(s.policy), policy.LoadOptions{URI: "policy.yaml", Read: func(name string) ([]byte, error) {
		return os.ReadFile(filepath.Join(s.dir, filepath.FromSlash(name)))
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	return doc
}

// decide decides on the first target, in the test's own process and at the scene's time.
func (s *scene) decide() policy.Decision {
	s.t.Helper()
	s.lay()
	library, err := registry.OpenLibrary(registry.LibraryOptions{Paths: s.paths()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer library.Close()
	return s.decideWith(library)
}

// decideWith is decide with another library.
func (s *scene) decideWith(library chain.Library) policy.Decision {
	s.t.Helper()
	o := chain.PolicyOptions{Now: func() time.Time { return s.now }, State: s.state, Floors: s.floors}
	doc := s.document()
	if doc.Lists != nil {
		o.Revocations = []chain.Source{registry.Lists{From: doc.Lists.From, Dir: s.dir}}
	}
	var targets []chain.Target
	for _, p := range s.set() {
		targets = append(targets, chain.Target{Artifact: &chain.Files{Path: p.path}, Sources: []chain.Source{registry.Beside{Path: p.path}}})
	}
	decisions, _, err := chain.VerifyPolicy(context.Background(), targets, library, doc, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return decisions[0]
}

// command decides with the binary, which takes the machine's clock, and asks nobody.
func (s *scene) command() ran {
	s.t.Helper()
	return s.verify("--json", "--offline")
}

// verify is command with flags.
func (s *scene) verify(flags ...string) ran {
	s.t.Helper()
	s.lay()
	return s.asItLies(flags...)
}

// asItLies is verify of what lies there by now.
func (s *scene) asItLies(flags ...string) ran {
	s.t.Helper()
	args := append([]string{"verify", "--policy", filepath.Join(s.dir, "policy.yaml")}, flags...)
	for _, p := range s.paths() {
		args = append(args, "--evidence", p)
	}
	if s.state != nil {
		args = append(args, "--state", filepath.Join(s.dir, "state"))
	}
	for channel, floor := range s.floors {
		args = append(args, "--release-floor", fmt.Sprintf("%s=%d", channel, floor))
	}
	for _, p := range s.set() {
		args = append(args, p.path)
	}
	return run(s.t, args...)
}

// signedAway has somebody sign that a file, which is put there, does not belong to the release.
func signedAway(s *scene, by, name string) {
	s.t.Helper()
	write(s.t, filepath.Join(s.release.path, name), "import os")
	m, err := manifest.Build(context.Background(), s.release.path, manifest.Options{IgnorePaths: []string{name}})
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := attestations.SignArtifact(context.Background(), m, s.release.kind, people()[by])
	if err != nil {
		s.t.Fatal(err)
	}
	s.release.claims = append(s.release.claims, signed.Signature)
}
