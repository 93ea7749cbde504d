package chain_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

var then = time.Date(2026, 11, 20, 15, 33, 0, 0, time.UTC)

func (w *world) search(lib chain.Library) chain.Search {
	return chain.NewSearch(lib, w.by.Roots(), w.options().Policy)
}

// state signs p about the artifact with this ID.
func (w *world) state(id string, p attestations.Predicate) chain.Item {
	w.t.Helper()
	st, err := attestations.NewStatement(attestations.Artifact{ID: id, Name: "chat", Kind: attestations.KindModel}, p)
	if list, ok := p.(attestations.Revocations); ok {
		st, err = attestations.NewRevocations(list)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	bundle, _, err := attestations.Sign(ctx, st, w.by)
	if err != nil {
		w.t.Fatal(err)
	}
	return chain.Item{Where: "claims.sig", Bundle: bundle}
}

func (w *world) id(o manifest.Options) string {
	w.t.Helper()
	id, err := w.build(o).ID()
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// reads counts how often the bytes of an artifact of 10 bytes are read, by what hashing them reports.
func reads(files *chain.Files) func() int {
	var total, last int64
	files.Options.Progress = func(done, _ int64) {
		if done < last {
			last = 0
		}
		total, last = total+done-last, done
	}
	return func() int { return int(total / 10) }
}

func codes(findings []policy.Finding) []policy.Reason {
	var out []policy.Reason
	for _, f := range findings {
		out = append(out, f.Code)
	}
	return out
}

func TestTargetIsReadOnceForSignaturesThatListAlike(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	signed := items{w.sign(m, nil), w.sign(m, nil), w.sign(m, withoutAnnotations(t))}
	files := &chain.Files{Path: w.path, Options: chain.FilesOptions{Workers: 1}}
	count := reads(files)
	f := w.search(nil).Target(ctx, chain.Target{Artifact: files, Sources: []chain.Source{signed}})
	if len(f.Evidence) != 3 || len(f.Problems) > 0 || f.Artifact.ID != w.id(manifest.Options{}) || len(f.Files) != 3 || count() != 1 {
		t.Fatalf("read %d times: %+v", count(), f)
	}
	for _, e := range f.Evidence {
		if !e.Compared || len(e.Findings) > 0 {
			t.Errorf("not held: %+v", e)
		}
	}
	// Another search reads again: between two runs anything may have happened.
	w.write("config.json", "[]\n")
	f = w.search(nil).Target(ctx, chain.Target{Artifact: files, Sources: []chain.Source{signed}})
	if got := codes(f.Evidence[0].Findings); !slices.Equal(got, []policy.Reason{policy.DigestMismatch}) || f.Artifact.ID != w.id(manifest.Options{}) || count() != 2 {
		t.Errorf("read %d times: %v, ID %s", count(), got, f.Artifact.ID)
	}
}

// TestTargetHasTheIDOfAllItsFiles looks at what no signature tells, where an ID of the signed files alone would be the one
// that evidence names.
func TestTargetHasTheIDOfAllItsFiles(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	before := w.id(manifest.Options{})
	w.write("evil.py", "import os")
	for name, sources := range map[string][]chain.Source{"signed": {signed}, "unsigned": nil} {
		f := w.search(nil).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: sources})
		if f.Artifact.ID == before || f.Artifact.ID != w.id(manifest.Options{}) || len(f.Files) != 4 || len(f.Problems) > 0 || f.Artifact.Files != 4 || f.Artifact.Size != 19 {
			t.Errorf("%s: %+v, %d files, problems %v", name, f.Artifact, len(f.Files), f.Problems)
		}
	}
	shards := w.build(manifest.Options{Method: manifest.Shards, ShardSize: 4, Algorithm: hashing.BLAKE3, IgnorePaths: []string{"evil.py"}})
	f := w.search(nil).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{w.sign(shards, nil)}}})
	if f.Artifact.ID != before || !slices.Contains(f.Artifact.Uncovered, "evil.py") || len(f.Problems) > 0 || len(f.Files) != 3 {
		t.Errorf("of shards: %+v", f)
	}
	wrong := w.sign(shards, func(p []byte) []byte {
		return []byte(strings.ReplaceAll(string(p), before, "sha256:"+strings.Repeat("0", 64)))
	})
	f = w.search(nil).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{wrong}}})
	if got := codes(f.Problems); !slices.Equal(got, []policy.Reason{policy.IDMismatch}) {
		t.Errorf("another ID was written: %v", got)
	}
}

func TestClaimsAreReadInPlainTerms(t *testing.T) {
	w := newWorld(t, small)
	id, other := w.id(manifest.Options{}), "sha256:"+strings.Repeat("1", 64)
	passed := attestations.TestResult{Result: attestations.ResultPassed, Configuration: []attestations.Resource{}, PassedTests: []string{"arc"},
		Evaluation: attestations.Evaluation{Activity: attestations.Attacked, FinishedOn: then, Metrics: []attestations.Metric{{Name: "robust_accuracy", Value: "0.61"}}}}
	stranger := newWorld(t, small)
	broken := w.state(id, passed)
	payload := []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + id[7:] + `"}}],"predicateType":"` +
		attestations.PredicateTestResult + `","predicate":{"result":"PASSED","configuration":[]}}`)
	raw, err := w.by.Sign(ctx, attestations.PayloadType, payload)
	if err != nil {
		t.Fatal(err)
	}
	broken.Bundle = raw
	f := w.search(nil).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{
		w.state(id, passed), w.state(other, passed), stranger.state(id, passed), broken,
	}}})
	if len(f.Evidence) != 4 {
		t.Fatalf("evidence: %+v", f.Evidence)
	}
	c := f.Evidence[0].Claim
	if c == nil || c.Type != policy.TypeTestResult || c.Subject != id || c.Subtype != "attack" || !c.At.Equal(then) || c.SaysNo || c.Kind != "model" ||
		len(c.Metrics) != 1 || c.Metrics[0] != (policy.Metric{Name: "robust_accuracy", Value: 0.61}) || c.Fields["result"] != "PASSED" || c.Summary == "" {
		t.Errorf("claim %+v", c)
	}
	if c := f.Evidence[1].Claim; c == nil || c.Subject != other || len(f.Evidence[1].Findings) > 0 {
		t.Errorf("about another: %+v", f.Evidence[1])
	}
	if e := f.Evidence[2]; e.Claim != nil || !slices.Equal(codes(e.Findings), []policy.Reason{policy.UntrustedSigner}) {
		t.Errorf("by a stranger: %+v", e)
	}
	if e := f.Evidence[3]; e.Claim != nil || e.Signer == nil || !slices.Equal(codes(e.Findings), []policy.Reason{policy.StatementMalformed}) {
		t.Errorf("breaking its own rules: %+v", e)
	}
}

// TestTargetKeepsTheIDThatItsOwnEvidenceTold: what a library has of an artifact does not make it another, whose evidence
// was never looked for.
func TestTargetKeepsTheIDThatItsOwnEvidenceTold(t *testing.T) {
	w := newWorld(t, small)
	all := w.sign(w.build(manifest.Options{}), nil)
	part := w.sign(w.build(manifest.Options{IgnorePaths: []string{"config.json"}}), nil)
	id := w.id(manifest.Options{})
	for name, elsewhere := range map[string]items{"the same": {all}, "another list": {part}, "nothing": nil} {
		lib := shelf{id: {Sources: []chain.Source{elsewhere}}}
		f := w.search(lib).Target(ctx, chain.Target{Artifact: &chain.Files{Path: w.path}, Sources: []chain.Source{items{all}}})
		if f.Artifact.ID != id || len(f.Files) != 3 || len(f.Problems) > 0 {
			t.Errorf("%s: ID %s, %d files, problems %v", name, f.Artifact.ID, len(f.Files), f.Problems)
		}
		if got := slices.Contains(f.Artifact.Uncovered, "config.json"); got != (name == "another list") {
			t.Errorf("%s: left out %v", name, f.Artifact.Uncovered)
		}
	}
}

// shelf is a library in memory.
type shelf map[string]chain.Found

func (s shelf) Find(_ context.Context, want policy.Want) (chain.Found, error) { return s[want.ID], nil }

type lost struct{ err error }

func (l lost) Find(context.Context, policy.Want) (chain.Found, error) { return chain.Found{}, l.err }

func TestInputIsComparedByItsManifestOrNotAtAll(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	canonical, err := m.OCI()
	if err != nil {
		t.Fatal(err)
	}
	id := canonical.ID
	evidence := []chain.Source{items{w.sign(m, nil)}}
	at := func(a chain.Artifact) policy.Facts {
		t.Helper()
		return w.search(shelf{id: {Artifact: a, Sources: evidence}}).Inputs(ctx, policy.Want{ID: id})[0]
	}
	f := at(chain.NewManifest(canonical.Manifest, "oci:x", "", ""))
	if e := f.Evidence[0]; !e.Compared || len(e.Findings) > 0 || f.Artifact.ID != id || len(f.Files) != 3 || len(f.Problems) > 0 {
		t.Errorf("by its manifest: %+v", f)
	}
	built, err := chain.NewBuilt(m, w.path)
	if err != nil {
		t.Fatal(err)
	}
	if f := at(built); !f.Evidence[0].Compared || f.Artifact.Bytes != policy.BytesRead || len(f.Files) != 3 {
		t.Errorf("by its files: %+v", f)
	}
	f = at(nil)
	if e := f.Evidence[0]; e.Compared || !slices.Equal(codes(e.Findings), []policy.Reason{policy.BytesNeeded}) || f.Artifact.ID != id || f.Files != nil {
		t.Errorf("by nothing but the signer's word: %+v", f)
	}
	f = at(chain.NewManifest([]byte(`{"schemaVersion":2}`), "oci:x", "", ""))
	if e := f.Evidence[0]; !slices.Equal(codes(e.Findings), []policy.Reason{policy.WrongArtifact}) || len(f.Problems) > 0 || f.Artifact.ID != id {
		t.Errorf("by a manifest of something else: %+v", f)
	}
	w.write("model.safetensors", "others!")
	other, err := w.build(manifest.Options{}).OCI()
	if err != nil {
		t.Fatal(err)
	}
	f = at(chain.NewManifest(other.Manifest, "oci:x", "", ""))
	if e := f.Evidence[0]; e.Compared || !slices.Equal(codes(f.Problems), []policy.Reason{policy.Unreadable}) {
		t.Errorf("by another's manifest: %+v", f)
	}
}

func TestInputThatLiesNowhereIsNoProblem(t *testing.T) {
	w := newWorld(t, small)
	want := policy.Want{ID: "sha256:" + strings.Repeat("1", 64)}
	for _, lib := range []chain.Library{nil, shelf{}} {
		if f := w.search(lib).Inputs(ctx, want)[0]; len(f.Evidence)+len(f.Problems) > 0 || f.Artifact.ID != want.ID {
			t.Errorf("nowhere: %+v", f)
		}
	}
	for err, code := range map[error][]policy.Reason{
		errors.New("disk on fire"): {policy.Unreadable},
		context.DeadlineExceeded:   {policy.TimedOut},
		errors.Join(errors.New("one"), errors.Join(context.DeadlineExceeded, &chain.MalformedError{Where: "x", Err: errors.New("y")})): {policy.Unreadable, policy.TimedOut, policy.EvidenceMalformed},
	} {
		if f := w.search(lost{err}).Inputs(ctx, want)[0]; !slices.Equal(codes(f.Problems), code) {
			t.Errorf("%v: %v", err, codes(f.Problems))
		}
	}
}

func TestEvidenceIsCappedAndTakenOnce(t *testing.T) {
	w := newWorld(t, small)
	want := policy.Want{ID: w.id(manifest.Options{})}
	one := w.sign(w.build(manifest.Options{}), nil)
	many := make(items, chain.MaxBundles+1)
	for i := range many {
		many[i] = chain.Item{Where: "x", Bundle: []byte(strings.Repeat(" ", i) + "{")}
	}
	at := func(s items) chain.Library { return shelf{want.ID: {Sources: []chain.Source{s, s}}} }
	if f := w.search(at(slices.Repeat(items{one}, 300))).Inputs(ctx, want)[0]; len(f.Evidence) != 1 || len(f.Problems) > 0 {
		t.Errorf("one bundle 600 times: %d, %v", len(f.Evidence), f.Problems)
	}
	if f := w.search(at(many[1:])).Inputs(ctx, want)[0]; len(f.Evidence) != chain.MaxBundles || len(f.Problems) > 0 {
		t.Errorf("as many as may be: %d, %v", len(f.Evidence), f.Problems)
	}
	if f := w.search(at(many)).Inputs(ctx, want)[0]; len(f.Evidence) != chain.MaxBundles || !slices.Equal(codes(f.Problems), []policy.Reason{policy.CapReached}) {
		t.Errorf("one more: %d, %v", len(f.Evidence), f.Problems)
	}
	s := w.search(at(items{one}))
	s.Left(int64(len(one.Bundle)))
	if f := s.Inputs(ctx, want)[0]; len(f.Problems) > 0 {
		t.Errorf("as many bytes as may be: %v", f.Problems)
	}
	if f := s.Inputs(ctx, want)[0]; len(f.Evidence) > 0 || !slices.Equal(codes(f.Problems), []policy.Reason{policy.CapReached}) {
		t.Errorf("more bytes: %+v", f)
	}
}

func TestSearchThatEndedIsADontKnow(t *testing.T) {
	w := newWorld(t, small)
	want := policy.Want{ID: w.id(manifest.Options{})}
	lib := shelf{want.ID: {Sources: []chain.Source{items{w.sign(w.build(manifest.Options{}), nil)}}}}
	ended, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancel()
	f := w.search(lib).Inputs(ended, want)[0]
	if !slices.Equal(codes(f.Problems), []policy.Reason{policy.TimedOut}) || f.Evidence[0].Signer != nil {
		t.Errorf("%+v", f)
	}
}

func TestRevocationListsAreOpenedOrStandInTheWay(t *testing.T) {
	w := newWorld(t, small)
	list := attestations.Revocations{Sequence: 3, Issued: then, Expires: then.AddDate(0, 0, 7), Entries: []attestations.Revocation{
		{Digest: attestations.Digest{Class: attestations.ClassAttestation, Hex: strings.Repeat("a", 64)}, Scope: attestations.ScopeSelf, Reason: "withdrawn", Since: then},
		{Identity: attestations.SignerIdentity{Issuer: "https://issuer.example", Subject: "ci"}, Scope: attestations.ScopeDescendants, Reason: "left", Since: then},
	}}
	good := w.state("", list)
	stranger := newWorld(t, small).state("", list)
	malformed := good
	raw, err := w.by.Sign(ctx, attestations.PayloadType, []byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"00"}}],"predicateType":"`+
		attestations.PredicateRevocations+`","predicate":{"sequence":"4"}}`))
	if err != nil {
		t.Fatal(err)
	}
	malformed.Bundle = raw
	other := w.state(w.id(manifest.Options{}), attestations.SVR{Verifier: attestations.SVRVerifier{ID: "https://v.example", Policies: []attestations.Resource{}}, TimeCreated: then, Properties: []string{"x"}})
	for name, c := range map[string]struct {
		sources  []chain.Source
		lists    int
		problems []policy.Reason
	}{
		"a list":                          {[]chain.Source{items{good}}, 1, nil},
		"a list beside a stranger's":      {[]chain.Source{items{stranger, good}}, 1, nil},
		"a stranger's":                    {[]chain.Source{items{stranger}}, 0, []policy.Reason{policy.RevocationsMissing}},
		"another statement":               {[]chain.Source{items{other}}, 0, []policy.Reason{policy.RevocationsMissing}},
		"one that cannot be read":         {[]chain.Source{items{good, malformed}}, 1, []policy.Reason{policy.Unreadable}},
		"a source that failed":            {[]chain.Source{items{good}, broken{errors.New("no")}}, 1, []policy.Reason{policy.Unreadable}},
		"a file that holds something":     {[]chain.Source{broken{&chain.MalformedError{Where: "x", Err: errors.New("y")}}}, 0, []policy.Reason{policy.Unreadable}},
		"nothing, of which policy speaks": {nil, 0, nil},
	} {
		lists, problems := w.search(nil).Revocations(ctx, c.sources...)
		if len(lists) != c.lists || !slices.Equal(codes(problems), c.problems) {
			t.Errorf("%s: %d lists, problems %v", name, len(lists), problems)
		}
	}
	lists, _ := w.search(nil).Revocations(ctx, items{good})
	l := lists[0]
	if l.Sequence != 3 || !l.Issued.Equal(then) || l.Evidence.Signer == nil || l.Entries[0].Class != "attestation" || l.Entries[0].Digest != "sha256:"+strings.Repeat("a", 64) ||
		l.Entries[0].Descendants || !l.Entries[1].Descendants || l.Entries[1].Identity.Subject != "ci" || l.Entries[1].Digest != "" {
		t.Errorf("%+v", l)
	}
}

func TestVerifyPolicyNeedsAPolicyAndATarget(t *testing.T) {
	w := newWorld(t, small)
	for name, call := range map[string]func() ([]policy.Decision, policy.State, error){
		"no policy": func() ([]policy.Decision, policy.State, error) {
			return chain.VerifyPolicy(ctx, []chain.Target{{Artifact: &chain.Files{Path: w.path}}}, nil, nil, chain.PolicyOptions{})
		},
		"no target": func() ([]policy.Decision, policy.State, error) {
			return chain.VerifyPolicy(ctx, nil, nil, &policy.Document{}, chain.PolicyOptions{})
		},
	} {
		if d, _, err := call(); err == nil || d != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}
