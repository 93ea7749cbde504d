package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

func fileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(FileSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("policy.schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// jsonOf is a policy file as an editor's checker sees it: times are texts to it.
func jsonOf(t *testing.T, raw string) any {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Load([]byte(raw), &doc); err != nil {
		t.Fatal(err)
	}
	var value func(n *yaml.Node) any
	value = func(n *yaml.Node) any {
		switch n.Kind {
		case yaml.MappingNode:
			out := map[string]any{}
			for i := 0; i < len(n.Content); i += 2 {
				out[n.Content[i].Value] = value(n.Content[i+1])
			}
			return out
		case yaml.SequenceNode:
			out := []any{}
			for _, c := range n.Content {
				out = append(out, value(c))
			}
			return out
		}
		switch n.ShortTag() {
		case "!!int":
			return json.Number(n.Value)
		case "!!bool":
			return n.Value == "true"
		}
		return n.Value
	}
	return value(doc.Content[0])
}

func TestFileSchemaTakesPoliciesThatLoad(t *testing.T) {
	s := fileSchema(t)
	for _, name := range []string{"prod-llm.yaml", "every-key.yaml"} {
		if err := s.Validate(jsonOf(t, testdata(t, name))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFileSchemaRefusesWhatItCan(t *testing.T) {
	s := fileSchema(t)
	for name, c := range map[string][2]string{
		"an unknown key":     {"signature: [trainer]", "signatur: [trainer]"},
		"no target":          {"target: release\n", ""},
		"no signers":         {"signature: [trainer]", "signature: []"},
		"distinct 0":         {"distinct: 2", "distinct: 0"},
		"the latest, of any": {"type: test-result, signers: [data]", "type: test-result, latest: true, signers: [data]"},
		"two alternatives":   {"{ingested: {signers: [data]}}", "{ingested: {signers: [data]}, step: clean-data}"},
		"two forms":          {"lead-1: {key: keys/lead1.pub}", "lead-1: {key: keys/lead1.pub, ca: keys/ca.pem}"},
		"a waiver for ever":  {"until: 2026-12-01, ", ""},
		"a waiver of more":   {"finding: stale", "finding: revoked"},
		"any input":          {"{step: clean-data, min: 1}", "{min: 1}"},
		"count and min":      {"{step: clean-data, min: 1}", "{step: clean-data, count: 2, min: 1}"},
		"an age of nothing":  {"maxAge: 72h", "maxAge: soon"},
	} {
		raw := edited(t, c[0], c[1])
		if s.Validate(jsonOf(t, raw)) == nil {
			t.Errorf("%s passes", name)
		}
		if _, err := Load([]byte(raw), words); err == nil {
			t.Errorf("%s loads", name)
		}
	}
}

// The schema, the reader and the table in README.md know the same keys.
func TestKeysAreKnownEverywhere(t *testing.T) {
	inSchema := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if properties, ok := v["properties"].(map[string]any); ok {
				for name := range properties {
					inSchema[name] = true
				}
			}
			for _, one := range v {
				collect(one)
			}
		case []any:
			for _, one := range v {
				collect(one)
			}
		}
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(FileSchema))
	if err != nil {
		t.Fatal(err)
	}
	collect(document)

	inReader := map[string]bool{}
	sources, err := filepath.Glob("read*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`\{"([A-Za-z]+)", (?:true|false), `).FindAllSubmatch(source, -1) {
			inReader[string(found[1])] = true
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "## The policy file")
	section, _, _ = strings.Cut(section, "\n## ")
	keys := slices.Sorted(maps.Keys(inReader))
	if got := slices.Sorted(maps.Keys(inSchema)); !slices.Equal(got, keys) {
		t.Errorf("the schema knows\n%v, the reader\n%v", got, keys)
	}
	used := map[string]bool{}
	for _, name := range []string{"prod-llm.yaml", "every-key.yaml"} {
		for _, word := range strings.FieldsFunc(testdata(t, name), func(r rune) bool { return strings.ContainsRune(" \n{},-[]", r) }) {
			used[strings.TrimSuffix(word, ":")] = used[word] || strings.HasSuffix(word, ":")
		}
	}
	for _, key := range keys {
		if !used[key] {
			t.Errorf("no policy of the tests has %s", key)
		}
		if !strings.Contains(section, "`"+key+"`") {
			t.Errorf("README.md says nothing of %s", key)
		}
	}
}
