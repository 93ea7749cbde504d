package chain_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/signer"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

var ctx = context.Background()

// world is one signer, whom the policy trusts, and an artifact.
type world struct {
	t    *testing.T
	by   signer.Signer
	path string
}

func newWorld(t *testing.T, files map[string]string) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by, err := signer.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, by: by, path: filepath.Join(t.TempDir(), "chat")}
	for name, data := range files {
		w.write(name, data)
	}
	return w
}

func (w *world) write(name, data string) {
	w.t.Helper()
	path := filepath.Join(w.path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) build(o manifest.Options) *manifest.Manifest {
	w.t.Helper()
	m, err := manifest.Build(ctx, w.path, o)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// sign signs m's statement after change had a look at it.
func (w *world) sign(m *manifest.Manifest, change func(payload []byte) []byte) chain.Item {
	w.t.Helper()
	st, err := attestations.NewSignature(m, attestations.KindModel)
	if err != nil {
		w.t.Fatal(err)
	}
	payload := st.Payload()
	if change != nil {
		payload = change(payload)
	}
	bundle, err := w.by.Sign(ctx, attestations.PayloadType, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	return chain.Item{Where: "model.sig", Bundle: bundle}
}

func (w *world) options() chain.Options {
	return chain.Options{Roots: w.by.Roots(), Policy: policy.Policy{
		Signers: []trust.Identity{{Key: w.by.Roots().Keys[0].Fingerprint()}}, AllowUncovered: true,
	}}
}

// items is a source in memory.
type items []chain.Item

func (i items) Evidence(context.Context) ([]chain.Item, error) { return i, nil }

// broken is a source that fails.
type broken struct{ err error }

func (b broken) Evidence(context.Context) ([]chain.Item, error) { return nil, b.err }

func (w *world) verify(a chain.Artifact, sources ...chain.Source) policy.Decision {
	w.t.Helper()
	d, err := chain.Verify(ctx, a, sources, w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func want(t *testing.T, d policy.Decision, verdict policy.Verdict, reasons ...policy.Reason) {
	t.Helper()
	if d.Verdict() != verdict || !slices.Equal(d.Reasons(), reasons) {
		raw, _ := d.MarshalJSON()
		t.Errorf("verdict %s because of %v, want %s because of %v\n%s", d.Verdict(), d.Reasons(), verdict, reasons, raw)
	}
}

var small = map[string]string{"model.safetensors": "weights", "config.json": "{}\n", "empty": ""}

func TestVerifyFiles(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	files := &chain.Files{Path: w.path}
	d := w.verify(files, signed)
	want(t, d, policy.Yes)
	if d.Artifact.ID == "" || d.Artifact.Files != 3 || d.Artifact.Size != 10 || d.Artifact.Bytes != policy.BytesRead || d.Artifact.Kind != "model" {
		t.Errorf("decided on %+v", d.Artifact)
	}
	want(t, w.verify(files), policy.No, policy.NoEvidence)
	want(t, w.verify(files, items{{Where: "x", Bundle: []byte("{")}}), policy.No, policy.BundleMalformed)
	want(t, w.verify(files, broken{errors.New("disk on fire")}, signed), policy.Unknown, policy.Unreadable)
	want(t, w.verify(files, broken{context.DeadlineExceeded}, signed), policy.Unknown, policy.TimedOut)
	want(t, w.verify(files, broken{&chain.MalformedError{Where: "claims.sig", Err: errors.New("not JSON")}}, signed), policy.No, policy.EvidenceMalformed)
	want(t, newWorld(t, small).verify(files, signed), policy.No, policy.UntrustedSigner)

	many := slices.Repeat(signed, chain.MaxBundles)
	want(t, w.verify(files, many), policy.Yes)
	want(t, w.verify(files, append(many, signed[0])), policy.Unknown, policy.CapReached)

	w.write("config.json", "{} ")
	want(t, w.verify(files, signed), policy.No, policy.DigestMismatch)
	// The signature of what is there now counts, wherever the old one lies.
	again := items{signed[0], w.sign(w.build(manifest.Options{}), nil)}
	want(t, w.verify(files, again), policy.Yes)
}

func TestVerifyReadsNothingWithoutATrustedSignature(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	read := false
	files := &chain.Files{Path: w.path, Options: chain.FilesOptions{Progress: func(int64, int64) { read = true }}}
	want(t, newWorld(t, small).verify(files, signed), policy.No, policy.UntrustedSigner)
	if read {
		t.Error("the files were read")
	}
	want(t, w.verify(files, signed), policy.Yes)
	if !read {
		t.Error("the files were not read")
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	cause := errors.New("stopped")
	ended, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	d, err := chain.Verify(ended, &chain.Files{Path: w.path}, []chain.Source{signed}, w.options())
	if !errors.Is(err, cause) || d.Verdict() == policy.Yes {
		t.Errorf("verdict %s, error %v", d.Verdict(), err)
	}
}

func TestVerifyTakesTheRecordedIDAsAReasonToRefuseOnly(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	id, err := m.ID()
	if err != nil {
		t.Fatal(err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	lies := w.sign(m, func(p []byte) []byte { return bytes.ReplaceAll(p, []byte(id), []byte(other)) })
	want(t, w.verify(&chain.Files{Path: w.path}, items{lies}), policy.No, policy.IDMismatch)
	foreign := w.sign(m, withoutAnnotations(t))
	d := w.verify(&chain.Files{Path: w.path}, items{foreign})
	want(t, d, policy.Yes)
	if d.Artifact.ID != id || d.Artifact.Kind != "" {
		t.Errorf("decided on %+v, want ID %s and no kind", d.Artifact, id)
	}
}

// withoutAnnotations makes a statement as other tools write it.
func withoutAnnotations(t *testing.T) func([]byte) []byte {
	return func(payload []byte) []byte {
		var st map[string]any
		if err := json.Unmarshal(payload, &st); err != nil {
			t.Fatal(err)
		}
		for _, r := range st["predicate"].(map[string]any)["resources"].([]any) {
			delete(r.(map[string]any), "annotations")
		}
		out, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestVerifyShards(t *testing.T) {
	w := newWorld(t, map[string]string{"model.bin": "0123456789", "a:0:4": "colons", "empty": ""})
	for _, o := range []manifest.Options{
		{Method: manifest.Shards, ShardSize: 4},
		{Method: manifest.Shards, ShardSize: 5, Algorithm: hashing.BLAKE3},
		{Algorithm: hashing.BLAKE2b},
	} {
		t.Run(fmt.Sprintf("%s of %s", o.Method, o.Algorithm), func(t *testing.T) {
			signed := items{w.sign(w.build(o), nil)}
			files := &chain.Files{Path: w.path}
			d := w.verify(files, signed)
			want(t, d, policy.Yes)
			if d.Artifact.ID != "" || !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.Contains(n, "artifact ID not computed") }) {
				t.Errorf("ID %q, notes %q", d.Artifact.ID, d.Notes)
			}
			w.write("model.bin", "012345678x")
			want(t, w.verify(files, signed), policy.No, policy.DigestMismatch)
			w.write("model.bin", "01234567890")
			want(t, w.verify(files, signed), policy.No, policy.DigestMismatch)
			w.write("model.bin", "0123456789")
			want(t, w.verify(files, signed), policy.Yes)
		})
	}
}

// TestVerifyTakesPythonsNamesForShards: the reference implementation writes sha256-sharded-N.
func TestVerifyTakesPythonsNamesForShards(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{Method: manifest.Shards, ShardSize: 4})
	rename := func(to string) func([]byte) []byte {
		return func(p []byte) []byte {
			return bytes.ReplaceAll(p, []byte(`"algorithm":"sha256"`), []byte(`"algorithm":"`+to+`"`))
		}
	}
	want(t, w.verify(&chain.Files{Path: w.path}, items{w.sign(m, rename("sha256-sharded-4"))}), policy.Yes)
	want(t, w.verify(&chain.Files{Path: w.path}, items{w.sign(m, rename("sha256-sharded-5"))}), policy.No, policy.StatementMalformed)
}

// TestVerifyTakesWholeNumbersAsFloats: so does the reference implementation write the size of a shard.
func TestVerifyTakesWholeNumbersAsFloats(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{Method: manifest.Shards, ShardSize: 4})
	rewrite := func(to string) func([]byte) []byte {
		return func(p []byte) []byte {
			return bytes.Replace(p, []byte(`"shard_size":4`), []byte(`"shard_size":`+to), 1)
		}
	}
	want(t, w.verify(&chain.Files{Path: w.path}, items{w.sign(m, rewrite("4.0"))}), policy.Yes)
	for _, broken := range []string{"4.5", `"4"`, "-4", "4e0", "99999999999999999999", "null", "true"} {
		want(t, w.verify(&chain.Files{Path: w.path}, items{w.sign(m, rewrite(broken))}), policy.No, policy.StatementMalformed)
	}
}

func TestVerifyManifest(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{})
	stored := canonical(t, m)
	signed := items{w.sign(m, nil)}
	foreign := items{w.sign(m, withoutAnnotations(t))}
	at := func(raw []byte) chain.Artifact { return chain.NewManifest(raw, "r/n:v1", "r/n@sha256:1", "v1") }

	d := w.verify(at(stored.Manifest), signed)
	want(t, d, policy.Yes)
	if d.Artifact.Bytes != policy.BytesUnread || d.Artifact.ID != stored.ID || d.Artifact.Files != 3 || d.Artifact.Size != 10 {
		t.Errorf("decided on %+v", d.Artifact)
	}
	want(t, w.verify(at(stored.Manifest), foreign), policy.Yes)

	w.write("config.json", "other")
	want(t, w.verify(at(canonical(t, w.build(manifest.Options{})).Manifest), signed), policy.No, policy.DigestMismatch)
	w.write("config.json", "{}\n")
	w.write("extra", "x")
	want(t, w.verify(at(canonical(t, w.build(manifest.Options{})).Manifest), foreign), policy.No, policy.NotCanonical)
	if err := errors.Join(os.Remove(filepath.Join(w.path, "extra")), os.Remove(filepath.Join(w.path, "empty"))); err != nil {
		t.Fatal(err)
	}
	want(t, w.verify(at(canonical(t, w.build(manifest.Options{})).Manifest), foreign), policy.No, policy.FileMissing)

	want(t, w.verify(at(append([]byte(" "), stored.Manifest...)), signed), policy.No, policy.NotCanonical)
	want(t, w.verify(at([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`)), signed), policy.No, policy.WrongArtifact)
}

func canonical(t *testing.T, m *manifest.Manifest) *manifest.Canonical {
	t.Helper()
	c, err := m.OCI()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestVerifyManifestByTheSignersID: where the list cannot tell, the ID that a trusted signer wrote must be the digest.
func TestVerifyManifestByTheSignersID(t *testing.T) {
	w := newWorld(t, small)
	m := w.build(manifest.Options{Method: manifest.Shards, ShardSize: 4})
	stored := canonical(t, m)
	at := chain.NewManifest(stored.Manifest, "r/n:v1", "", "v1")
	want(t, w.verify(at, items{w.sign(m, nil)}), policy.Yes)
	want(t, w.verify(at, items{w.sign(m, withoutAnnotations(t))}), policy.Unknown, policy.BytesNeeded)
	other := w.sign(m, func(p []byte) []byte {
		return bytes.ReplaceAll(p, []byte(stored.ID), []byte("sha256:"+strings.Repeat("0", 64)))
	})
	want(t, w.verify(at, items{other}), policy.No, policy.IDMismatch)
}

func TestVerifyListsWhatIsLeftOut(t *testing.T) {
	w := newWorld(t, map[string]string{"model.bin": "w", "cache/tmp": "t", ".git/evil.py": "e"})
	signed := items{w.sign(w.build(manifest.Options{IgnorePaths: []string{"cache"}}), nil)}
	files := &chain.Files{Path: w.path}
	d := w.verify(files, signed)
	want(t, d, policy.Yes)
	if !slices.Equal(d.Artifact.Uncovered, []string{".git/evil.py", "cache/tmp"}) {
		t.Errorf("uncovered %q", d.Artifact.Uncovered)
	}
	strict := w.options()
	strict.Policy.AllowUncovered = false
	d, err := chain.Verify(ctx, files, []chain.Source{signed}, strict)
	if err != nil {
		t.Fatal(err)
	}
	want(t, d, policy.No, policy.Uncovered)
}

// TestVerifyReadsWhatIsSignedThoughExcluded: an exclusion in the same statement takes nothing back.
func TestVerifyReadsWhatIsSignedThoughExcluded(t *testing.T) {
	w := newWorld(t, map[string]string{"model.bin": "w", "cache/tmp": "t"})
	signed := items{w.sign(w.build(manifest.Options{}), func(p []byte) []byte {
		return bytes.Replace(p, []byte(`"ignore_paths":[`), []byte(`"ignore_paths":["cache","../outside","/absolute",`), 1)
	})}
	files := &chain.Files{Path: w.path}
	d := w.verify(files, signed)
	want(t, d, policy.Yes)
	if len(d.Notes) != 2 {
		t.Errorf("notes %q, want one each for the two paths that exclude nothing", d.Notes)
	}
	w.write("cache/tmp", "x")
	want(t, w.verify(files, signed), policy.No, policy.DigestMismatch)
	everything := items{w.sign(w.build(manifest.Options{}), func(p []byte) []byte {
		return bytes.Replace(p, []byte(`"ignore_paths":[`), []byte(`"ignore_paths":[".",`), 1)
	})}
	want(t, w.verify(files, everything), policy.No, policy.StatementMalformed)
}

func TestVerifyRefusesSpecialFilesAndLinks(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	if err := os.Symlink("config.json", filepath.Join(w.path, "link")); err != nil {
		t.Fatal(err)
	}
	p := w.options()
	p.Policy.AllowUnsigned = true
	d, err := chain.Verify(ctx, &chain.Files{Path: w.path}, []chain.Source{signed}, p)
	if err != nil {
		t.Fatal(err)
	}
	want(t, d, policy.No, policy.FileRefused)
}

func TestVerifySaysThatFilesChanged(t *testing.T) {
	w := newWorld(t, small)
	signed := items{w.sign(w.build(manifest.Options{}), nil)}
	files := &chain.Files{Path: w.path, Options: chain.FilesOptions{Progress: func(int64, int64) { w.write("config.json", "{ }") }}}
	want(t, w.verify(files, signed), policy.Unknown, policy.Changed)
}
