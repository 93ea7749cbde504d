package manifest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

func oci(t testing.TB, files ...manifest.File) *manifest.Canonical {
	t.Helper()
	c, err := (&manifest.Manifest{Files: files}).OCI()
	must(t, err)
	return c
}

// wantBroken holds err to a *NotCanonicalError that speaks of rule.
func wantBroken(t *testing.T, raw []byte, rule string) {
	t.Helper()
	var broken *manifest.NotCanonicalError
	c, err := manifest.ParseCanonical(raw)
	if !errors.As(err, &broken) || c != nil || !strings.Contains(broken.Rule, rule) {
		t.Errorf("error %v, want one that speaks of %q", err, rule)
	}
}

func TestParseCanonicalRefusesWhatDiffers(t *testing.T) {
	c := oci(t, file("a.json", "{}"), file("b/weights.bin", "w"), file("c.bin", "w"))
	if again, err := manifest.ParseCanonical(c.Manifest); err != nil || again.ID != c.ID {
		t.Fatalf("the manifest itself: %v", err)
	}
	other := oci(t, file("other", "x"))
	sum := func(data []byte) string { return hashing.Sum(sha256.Sum256(data)).String() }
	layers := func(raw []byte) string {
		s := string(raw)
		return s[strings.Index(s, `"layers":[`)+len(`"layers":[`) : len(s)-len("]}")]
	}
	first := layers(oci(t, file("a.json", "{}")).Manifest)
	second := layers(oci(t, file("b/weights.bin", "w")).Manifest)
	pack := strings.Replace(layers(oci(t, file("pack-00001.tar", "w")).Manifest), "weight.v1.raw", "dataset.v1.tar", 1)
	for _, m := range []struct{ title, old, new, rule string }{
		{"schema version", `"schemaVersion":2`, `"schemaVersion":1`, "schema version is 1"},
		{"media type", "vnd.oci.image.manifest", "vnd.docker.distribution.manifest", "media type is"},
		{"artifact type", "vnd.cncf.model.manifest.v1", "vnd.cncf.model.manifest.v2", `"application/vnd.cncf.model.manifest.v2+json"`},
		{"config type", "vnd.cncf.model.config.v1", "vnd.oci.image.config.v1", "config is of type"},
		{"other config", sum(c.Config), sum(other.Config), "is not the one of its layers"},
		{"config size", fmt.Sprintf(`"size":%d}`, len(c.Config)), `"size":7}`, "is not the one of its layers"},
		{"config digest in capitals", sum(c.Config), "sha256:" + strings.ToUpper(sum(c.Config)[7:]), "is not the one of its layers"},
		{"other layer digest", sum([]byte("{}")), sum([]byte("[]")), "is not the one of its layers"},
		{"layer digest of another kind", sum([]byte("{}")), "sha512:" + sum([]byte("{}"))[7:], "64 lower-case hex digits"},
		{"layer digest in capitals", sum([]byte("{}")), "sha256:" + strings.ToUpper(sum([]byte("{}"))[7:]), "64 lower-case hex digits"},
		{"layer media type", "weight.config.v1.raw", "weight.v1.raw", `"a.json" is of type`},
		{"layer media type of a docker layer", "application/vnd.cncf.model.weight.config.v1.raw", "application/vnd.oci.image.layer.v1.tar", "is of type"},
		{"title", `image.title":"a.json"`, `image.title":"A.json"`, "title"},
		{"no title", `,"org.opencontainers.image.title":"a.json"`, ``, "title"},
		{"no annotations", `,"annotations":{"org.cncf.model.filepath":"a.json","org.opencontainers.image.title":"a.json"}`, ``, "title"},
		{"another annotation", `"a.json"}}`, `"a.json","x":"y"}}`, "only annotations"},
		{"a name that climbs", `"a.json"`, `"../a.json"`, "clean relative path"},
		{"an absolute name", `"a.json"`, `"/a.json"`, "clean relative path"},
		{"negative size", `"size":2,`, `"size":-2,`, "its size is -2"},
		{"size in exponents", `"size":2,`, `"size":2e0,`, "size"},
		{"huge size", `"size":2,`, `"size":9223372036854775807,`, "impossible size"},
		{"beyond huge size", `"size":2,`, `"size":9223372036854775808,`, "size"},
		{"size with a zero in front", `"size":2,`, `"size":02,`, ""},
		{"foreign URLs", `"size":2,`, `"size":2,"urls":["https://example.com/x"],`, "urls"},
		{"embedded data", `"size":2,`, `"size":2,"data":"e30=",`, "data"},
		{"manifest annotations", `]}`, `],"annotations":{"x":"y"}}`, "annotations"},
		{"a subject", `]}`, `],"subject":{}}`, "subject"},
		{"white space", `,"layers"`, `, "layers"`, "canonical form"},
		{"trailing line", `]}`, "]}\n", "canonical form"},
		{"trailing data", `]}`, `]}{}`, ""},
		{"duplicate member", `"schemaVersion":2`, `"schemaVersion":2,"schemaVersion":2`, "duplicate"},
		{"duplicate annotation", `{"org.cncf.model.filepath":"a.json"`, `{"org.cncf.model.filepath":"a.json","org.cncf.model.filepath":"a.json"`, "duplicate"},
		{"another letter case", `"schemaVersion"`, `"schemaversion"`, "schemaversion"},
		{"invalid UTF-8", `"a.json"`, "\"a\xff.json\"", "UTF-8"},
		{"half a surrogate pair", `"a.json"`, `"a\ud800.json"`, ""},
		{"a needless escape", `"a.json"`, `"\u0061.json"`, "canonical form"},
		{"other order of members", `"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"`, `"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2`, "canonical form"},
		{"other order of annotations", `"org.cncf.model.filepath":"a.json","org.opencontainers.image.title":"a.json"`, `"org.opencontainers.image.title":"a.json","org.cncf.model.filepath":"a.json"`, "canonical form"},
		{"a layer less", first + ",", ``, "is not the one of its layers"},
		{"a layer twice", first, first + "," + first, "byte order"},
		{"layers out of order", first + "," + second, second + "," + first, "byte order"},
		{"an extra layer", first, layers(oci(t, file("Z", "x")).Manifest) + "," + first, "is not the one of its layers"},
		{"a file behind a pack", first, pack + "," + first, "stands behind a pack"},
		{"small files beside a pack", `]}`, "," + pack + "]}", "small and not packed"},
		{"a second pack without a first", first, strings.ReplaceAll(pack, "pack-00001", "pack-00002"), "where pack-00001.tar belongs"},
		{"no layers", layers(c.Manifest), ``, "no layers"},
		{"null for layers", "[" + layers(c.Manifest) + "]", `null`, "no layers"},
	} {
		t.Run(m.title, func(t *testing.T) {
			raw := string(c.Manifest)
			if !strings.Contains(raw, m.old) {
				t.Fatalf("%q is not in the manifest", m.old)
			}
			wantBroken(t, []byte(strings.ReplaceAll(raw, m.old, m.new)), m.rule)
		})
	}
	for _, raw := range []string{"", "null", "[]", "{}", "0", `"x"`, string(c.Manifest[:len(c.Manifest)-1])} {
		wantBroken(t, []byte(raw), "")
	}
	wantBroken(t, bytes.Repeat([]byte(" "), manifest.MaxCanonical+1), "at most 4000000")
}

func TestParseCanonicalRefusesFileAndFolder(t *testing.T) {
	good := oci(t, file("a", "1"), file("b/c", "2"))
	raw := bytes.ReplaceAll(good.Manifest, []byte(`"b/c"`), []byte(`"a/c"`))
	wantBroken(t, raw, "a file and a folder")
}

func TestParseCanonicalTellsForeignArtifacts(t *testing.T) {
	c := oci(t, file("a", "1"))
	for raw, foreign := range map[string]bool{
		strings.NewReplacer(manifest.ArtifactType, "application/vnd.example", manifest.ConfigMediaType, "application/vnd.example").Replace(string(c.Manifest)): true,
		`{"schemaVersion":2,"config":{}}`: true,
		string(c.Manifest) + "\n":         false,
		"not JSON":                        false,
	} {
		var broken *manifest.NotCanonicalError
		if _, err := manifest.ParseCanonical([]byte(raw)); !errors.As(err, &broken) || broken.Foreign != foreign {
			t.Errorf("%.60q: %v, want foreign %t", raw, err, foreign)
		}
	}
}

func TestParseCanonicalTakesPacks(t *testing.T) {
	big := oci(t, manifest.File{Name: "big.bin", Size: 4 << 20, SHA256: sha256.Sum256([]byte("big"))})
	// A packed manifest is made by hand: nothing in it says that there were too many files.
	packs := []string{"pack-00001.tar", "pack-00002.tar"}
	layers, digests := "", `"`+big.Layers[0].Digest.String()+`"`
	for _, name := range packs {
		digest := hashing.Sum(sha256.Sum256([]byte(name))).String()
		digests += `,"` + digest + `"`
		layers += fmt.Sprintf(`,{"mediaType":%q,"digest":%q,"size":10240,"annotations":{"org.cncf.model.filepath":%q,"org.opencontainers.image.title":%q}}`,
			manifest.PackMediaType, digest, name, name)
	}
	config := `{"descriptor":{},"modelfs":{"type":"layers","diffIds":[` + digests + `]},"config":{}}`
	raw := strings.Replace(string(big.Manifest), "}}]}", "}}"+layers+"]}", 1)
	raw = strings.Replace(raw, hashing.Sum(sha256.Sum256(big.Config)).String(), hashing.Sum(sha256.Sum256([]byte(config))).String(), 1)
	raw = strings.Replace(raw, fmt.Sprintf(`"size":%d}`, len(big.Config)), fmt.Sprintf(`"size":%d}`, len(config)), 1)
	c, err := manifest.ParseCanonical([]byte(raw))
	must(t, err)
	if string(c.Config) != config || len(c.Layers) != 3 || c.Layers[0].Pack || !c.Layers[1].Pack || !c.Layers[2].Pack || len(c.Layers[1].Files) != 0 {
		t.Errorf("layers %+v", c.Layers)
	}
	wantBroken(t, []byte(strings.ReplaceAll(raw, "big.bin", "pack-00009.tar")), "as the pack of small files would be")
}

// TestParseCanonicalOfEveryOtherByte puts every other byte in every place: what is still taken must be exactly what is
// written for its layers, under another ID.
func TestParseCanonicalOfEveryOtherByte(t *testing.T) {
	c := oci(t, file("a.json", "{}"), file("b/weights.bin", "w"))
	taken := 0
	for i, was := range c.Manifest {
		for _, is := range []byte("0a\"\\,}] \x00\xff") {
			if was == is {
				continue
			}
			raw := slices.Clone(c.Manifest)
			raw[i] = is
			if got, err := manifest.ParseCanonical(raw); err == nil {
				taken++
				if !bytes.Equal(got.Manifest, raw) || got.ID == c.ID {
					t.Fatalf("%q at %d is taken as %s", is, i, got.Manifest)
				}
			}
		}
	}
	// A size says nothing about the config, so another one is another artifact's manifest: 2 and 1 may be 0.
	if taken != 2 {
		t.Errorf("%d other manifests are taken, want the 2 of other sizes", taken)
	}
}

// TestStringsAreEscapedAsThePageSays goes through every character that JSON writers treat specially.
func TestStringsAreEscapedAsThePageSays(t *testing.T) {
	escaped := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`}
	for r := rune(1); r < ' '; r++ {
		if escaped[r] == "" {
			escaped[r] = fmt.Sprintf(`\u%04x`, r)
		}
	}
	for _, r := range "<>&'\u007f\u0080\u2028\u2029\ufffd\ufffe😀" {
		escaped[r] = string(r)
	}
	for r, want := range escaped {
		c := oci(t, file("x"+string(r)+"y", ""))
		if !bytes.Contains(c.Manifest, []byte(`:"x`+want+`y"`)) {
			t.Errorf("%q is written in %s, want %s", r, c.Manifest, want)
		}
	}
}

// cleanNames are names that no artifact can refuse, sorted and without one that is another's folder.
func cleanNames(t *rapid.T) []string {
	part := rapid.OneOf(rapid.StringN(1, 12, 40), rapid.StringMatching(`[a-c.\-"\\<&\x01-\x1f]{1,4}`), rapid.SampledFrom([]string{"README", "w.safetensors", "pack-00001.tar", "x.JSON"}))
	name := rapid.Map(rapid.SliceOfN(part, 1, 4), func(parts []string) string { return strings.Join(parts, "/") })
	all := rapid.SliceOfNDistinct(name.Filter(func(s string) bool { return manifest.CleanName(s) == nil }), 1, 30, rapid.ID).Draw(t, "names")
	slices.Sort(all)
	return slices.DeleteFunc(all, func(name string) bool {
		return slices.ContainsFunc(all, func(folder string) bool { return strings.HasPrefix(name, folder+"/") })
	})
}

func TestParseCanonicalReadsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var files []manifest.File
		for _, name := range cleanNames(t) {
			f := file(name, rapid.String().Draw(t, "content"))
			f.Size = rapid.Int64Range(0, math.MaxInt64/64).Draw(t, "size")
			files = append(files, f)
		}
		c, err := (&manifest.Manifest{Files: files}).OCI()
		if err != nil {
			t.Fatal(err)
		}
		again, err := manifest.ParseCanonical(c.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID != c.ID || !bytes.Equal(again.Manifest, c.Manifest) || !bytes.Equal(again.Config, c.Config) {
			t.Fatalf("written as\n%s\nread as\n%s", c.Manifest, again.Manifest)
		}
		for i, l := range again.Layers {
			if l.Name != files[i].Name || l.Size != files[i].Size || l.Digest != files[i].SHA256 || l.MediaType != c.Layers[i].MediaType {
				t.Fatalf("layer %+v of %+v", l, files[i])
			}
		}
		checkByAnotherReader(t, c, files)
	})
}

// checkByAnotherReader decodes with the standard library, which knows nothing of the canonical form.
func checkByAnotherReader(t *rapid.T, c *manifest.Canonical, files []manifest.File) {
	var m struct {
		Config struct{ Digest string }
		Layers []struct {
			Size        int64
			Annotations map[string]string
		}
	}
	var config struct{ ModelFS struct{ DiffIDs []string } }
	if err := errors.Join(json.Unmarshal(c.Manifest, &m), json.Unmarshal(c.Config, &config)); err != nil {
		t.Fatal(err)
	}
	if m.Config.Digest != hashing.Sum(sha256.Sum256(c.Config)).String() || len(m.Layers) != len(files) || len(config.ModelFS.DiffIDs) != len(files) {
		t.Fatalf("read as %+v and %+v", m, config)
	}
	for i, l := range m.Layers {
		if l.Annotations["org.opencontainers.image.title"] != files[i].Name || l.Size != files[i].Size || config.ModelFS.DiffIDs[i] != files[i].SHA256.String() {
			t.Fatalf("layer %+v of %+v", l, files[i])
		}
	}
}

func FuzzParseCanonical(f *testing.F) {
	f.Add(oci(f, file("a.json", "{}"), file("b/weights.bin", "w")).Manifest)
	f.Add(oci(f, file("q\"uote\\\n\u2028", "")).Manifest)
	f.Add([]byte(`{"schemaVersion":2}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := manifest.ParseCanonical(raw)
		if err != nil {
			var broken *manifest.NotCanonicalError
			if !errors.As(err, &broken) || c != nil {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if !bytes.Equal(c.Manifest, raw) || c.ID != hashing.Sum(sha256.Sum256(raw)).String() || len(c.Layers) == 0 {
			t.Fatalf("%q is taken as %q", raw, c.Manifest)
		}
		files, packed := []manifest.File{}, false
		for _, l := range c.Layers {
			if err := manifest.CleanName(l.Name); err != nil {
				t.Fatal(err)
			}
			packed = packed || l.Pack
			files = append(files, manifest.File{Name: l.Name, Size: l.Size, SHA256: l.Digest})
		}
		if packed { // cannot be written again without the bytes
			return
		}
		if again, err := (&manifest.Manifest{Files: files}).OCI(); err != nil || again.ID != c.ID {
			t.Fatalf("its files have another ID: %v", err)
		}
	})
}
