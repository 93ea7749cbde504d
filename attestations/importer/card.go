package importer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/hallmark-project/hallmark/attestations"
)

// MaxCard is the cap on a model or dataset card, and maxFront that on what stands before its text, in bytes.
const (
	MaxCard  = 4 << 20
	maxFront = 256 << 10
)

// ReadCard returns what a Hugging Face card, README.md, claims in the YAML before its text: license, base models and
// datasets. It is the publisher's word and no more. A card without any YAML claims nothing; YAML that is malformed, or
// has something else where names belong, is an error.
func ReadCard(raw []byte) (attestations.Claimed, error) {
	var out attestations.Claimed
	front, err := frontMatter(raw)
	if err != nil || front == nil {
		return out, err
	}
	var card struct {
		License     any `yaml:"license"`
		LicenseName any `yaml:"license_name"`
		BaseModel   any `yaml:"base_model"`
		Datasets    any `yaml:"datasets"`
		Sources     any `yaml:"source_datasets"`
	}
	if err := yaml.Unmarshal(front, &card); err != nil {
		return out, fmt.Errorf("read card: %w", err)
	}
	licenses, err := names("license", card.License)
	if err != nil {
		return out, err
	}
	if name, _ := card.LicenseName.(string); name != "" && len(licenses) == 1 && licenses[0] == "other" {
		licenses[0] = name
	}
	out.License = strings.Join(licenses, ", ")
	if out.BaseModels, err = names("base_model", card.BaseModel); err != nil {
		return out, err
	}
	if out.Datasets, err = names("datasets", card.Datasets); err != nil || out.Datasets != nil {
		return out, err
	}
	out.Datasets, err = names("source_datasets", card.Sources)
	return out, err
}

// frontMatter is what stands between the first line, "---", and the next such line; nil where the card begins otherwise.
func frontMatter(raw []byte) ([]byte, error) {
	if len(raw) > MaxCard {
		return nil, fmt.Errorf("read card: %d bytes, at most %d are read", len(raw), MaxCard)
	}
	raw = bytes.ReplaceAll(bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf")), []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(raw, []byte("---\n"))
	if !ok {
		return nil, nil
	}
	front, _, ok := bytes.Cut(append([]byte("\n"), rest...), []byte("\n---\n"))
	if !ok {
		if front, ok = bytes.CutSuffix(rest, []byte("\n---")); !ok {
			return nil, errors.New("read card: its YAML has no end")
		}
	}
	if len(front) > maxFront {
		return nil, fmt.Errorf("read card: %d bytes of YAML, at most %d are read", len(front), maxFront)
	}
	if bytes.Contains(front, []byte("&")) && bytes.Contains(front, []byte("*")) && hasAlias(front) {
		return nil, errors.New("read card: YAML with aliases")
	}
	return front, nil
}

// hasAlias reports whether the YAML refers to parts of itself, by which a few bytes can stand for very many.
func hasAlias(front []byte) bool {
	var n yaml.Node
	if yaml.Unmarshal(front, &n) != nil {
		return false // the reader says what is wrong with it
	}
	left := []*yaml.Node{&n}
	for len(left) > 0 {
		last := left[len(left)-1]
		left = append(left[:len(left)-1], last.Content...)
		if last.Kind == yaml.AliasNode {
			return true
		}
	}
	return false
}

// names reads one name or a list of them, each once.
func names(what string, v any) ([]string, error) {
	var out []string
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		out = []string{v}
	case []any:
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("read card: %s holds something else than names", what)
			}
			out = append(out, s)
		}
	default:
		return nil, fmt.Errorf("read card: %s is neither a name nor a list of names", what)
	}
	if len(out) > maxTests {
		return nil, fmt.Errorf("read card: %d of %s, at most %d are read", len(out), what, maxTests)
	}
	if err := checkNames(what, out, map[string]bool{}); err != nil {
		return nil, fmt.Errorf("read card: %w", err)
	}
	return out, nil
}
