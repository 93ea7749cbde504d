package registry

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/test/lab"
)

// TestMalformedManifestIsNotCanonical: what a repository has under the name that was asked for was read, and is refused.
func TestMalformedManifestIsNotCanonical(t *testing.T) {
	ctx := context.Background()
	by := newSigner(t)
	dir, m := signedModel(t, by, manifest.Options{})
	c, err := m.OCI()
	if err != nil {
		t.Fatal(err)
	}
	first := func(old, new string) []byte { return bytes.Replace(c.Manifest, []byte(old), []byte(new), 1) }
	for name, row := range map[string]struct {
		raw  []byte
		want policy.Verdict
		says string
	}{
		"as it should be":   {c.Manifest, policy.Yes, ""},
		"a key twice":       {first(`{"schemaVersion":2,`, `{"schemaVersion":2,"schemaVersion":2,`), policy.No, "duplicate"},
		"a key twice below": {first(`"size":`, `"size":1,"size":`), policy.No, "duplicate"},
		"a key in capitals": {first(`"layers"`, `"Layers"`), policy.No, "Layers"},
		"no UTF-8":          {first(`config.json`, "config\xff.json"), policy.No, "UTF-8"},
		"more behind it":    {append(bytes.Clone(c.Manifest), "{}"...), policy.No, "after top-level value"},
		"broken off":        {c.Manifest[:len(c.Manifest)/2], policy.No, "EOF"},
		"no JSON":           {[]byte("manifest"), policy.No, "invalid"},
		"nothing":           {nil, policy.No, "EOF"},
	} {
		for _, p := range []place{
			{"registry", func(t *testing.T) Ref { return serve(t, quiet(ggcr.WithReferrersSupport(true))) }},
			{"layout", func(t *testing.T) Ref { return mustRef(t, "oci:"+t.TempDir()+":v1") }},
		} {
			t.Run(name+", "+p.name, func(t *testing.T) {
				ref := p.ref(t)
				publish(t, dir, m, ref)
				d := Descriptor{ocispec.MediaTypeImageManifest, sumOf(row.raw), int64(len(row.raw))}
				r := open(t, ref, Options{})
				if _, err := r.store.putManifest(ctx, row.raw, d, "v1"); err != nil {
					t.Fatal(err)
				}
				pinned := mustRef(t, ref.Pinned(d.Digest))
				for _, ref := range []Ref{ref, pinned} {
					stored, err := Find(ctx, ref, Options{Keychain: anonymous{}})
					if err != nil {
						t.Fatalf("find %s: %v", ref, err)
					}
					defer stored.Close()
					decision, err := chain.Verify(ctx, stored.Artifact, []chain.Source{stored}, trusting(by))
					if err != nil || decision.Verdict() != row.want {
						t.Fatalf("%s: verdict %s, %v: %v", ref, decision.Verdict(), decision.Reasons(), err)
					}
					_, findings := stored.Artifact.Describe()
					if row.want == policy.No && (len(findings) != 1 || findings[0].Code != policy.NotCanonical || !strings.Contains(findings[0].Detail, row.says)) {
						t.Errorf("%s: it finds %+v, not %q", ref, findings, row.says)
					}
				}
			})
		}
	}
}

// TestUncertainManifestIsNoEvidence: an answer that is not what the registry has under a digest says nothing about the
// artifact, and neither does the beginning of one that is too long to read.
func TestUncertainManifestIsNoEvidence(t *testing.T) {
	f, ref, c := filled(t, lab.New(lab.Options{Referrers: true}))
	give := func(mediaType string, raw []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(raw)
		}
	}
	page := []byte("<html>log in first</html>")
	twice := bytes.Replace(c.Manifest, []byte(`{`), []byte(`{"schemaVersion":2,`), 1)
	for name, row := range map[string]struct {
		fault fault
		want  policy.Reason
	}{
		"a page wherever one asks": {answer("/manifests/", give("text/html", page)), policy.Unreadable},
		"a page under the tag":     {answer("/manifests/v1", give(ocispec.MediaTypeImageManifest, page)), policy.Unreadable},
		"broken off":               {answer("/manifests/v1", give(ocispec.MediaTypeImageManifest, c.Manifest[:99])), policy.Unreadable},
		"not there by its digest":  {answer("/manifests/v1", give(ocispec.MediaTypeImageManifest, twice)), policy.Unreadable},
		"too long":                 {answer("/manifests/", give(ocispec.MediaTypeImageManifest, bytes.Repeat([]byte(" "), maxManifest+1))), policy.CapReached},
	} {
		f.set(row.fault)
		_, err := open(t, ref, Options{}).Resolve(context.Background(), ref)
		var e *Error
		if !errors.As(err, &e) || e.Reason() != row.want {
			t.Errorf("%s: resolve ended with %v", name, err)
		}
	}
	f.set(answer("/manifests/", give(ocispec.MediaTypeImageManifest, twice)))
	if _, err := open(t, ref, Options{}).Resolve(context.Background(), ref); err != nil {
		t.Errorf("what is there under its digest: %v", err)
	}
}
