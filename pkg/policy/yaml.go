package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Caps on what a policy file holds.
const (
	maxYAMLDepth = 32
	maxYAMLNodes = 50_000
	maxText      = 4 << 10 // bytes of one text
	maxPEM       = 32 << 10
	maxItems     = 500 // of one list or mapping
	maxName      = 100 // bytes of a name
)

// reader reads a policy file node by node and stops at the first that does not hold: after a failure its methods return
// zero values, and what they return is not used.
type reader struct {
	o     LoadOptions
	doc   *Document
	err   *LoadError
	after []func() // what can be checked once all of the file was read
	forms []form   // of identities, in the order of the file
}

// field is one key of a mapping.
type field struct {
	key  string
	must bool
	read func(n *yaml.Node)
}

// fail records why the file is refused, at n. The first failure stands.
func (r *reader) fail(n *yaml.Node, hint, format string, args ...any) {
	if r.err == nil {
		r.err = &LoadError{Line: n.Line, Column: n.Column, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
}

// later checks something after all of the file was read.
func (r *reader) later(check func()) { r.after = append(r.after, check) }

// parse returns the one mapping that the file is.
func (r *reader) parse(raw []byte) *yaml.Node {
	switch {
	case len(raw) > MaxFile:
		r.fail(&yaml.Node{}, "", "%d bytes, at most %d are read", len(raw), MaxFile)
	case !utf8.Valid(raw):
		r.fail(&yaml.Node{}, "", "not UTF-8")
	}
	if r.err != nil {
		return nil
	}
	limits := loaderlimits.New(loaderlimits.DepthValue(maxYAMLDepth), loaderlimits.AliasValue(1))
	loader, err := yaml.NewLoader(bytes.NewReader(raw), yaml.WithV4Defaults(), yaml.WithPlugin(limits))
	var doc, next yaml.Node
	if err == nil {
		err = loader.Load(&doc)
	}
	if err != nil {
		r.notYAML(err)
		return nil
	}
	if err := loader.Load(&next); err == nil {
		r.fail(&next, "a policy is one document, in one file", "a second document")
	} else if !errors.Is(err, io.EOF) {
		r.notYAML(err)
	}
	r.plain(&doc)
	if r.err != nil || len(doc.Content) != 1 {
		r.fail(&doc, "", "no document")
		return nil
	}
	return doc.Content[0]
}

func (r *reader) notYAML(err error) {
	at, message := &yaml.Node{}, err.Error()
	var where *yaml.LoadError
	switch {
	case errors.Is(err, io.EOF):
		message = "no document"
	case errors.As(err, &where):
		at.Line, at.Column, message = where.Mark.Line, where.Mark.Column, where.Message
	}
	r.fail(at, "", "not YAML: %s", clip(message))
}

// plain refuses what lets a YAML file mean something else than it shows: anchors, aliases and tags.
func (r *reader) plain(doc *yaml.Node) {
	left, nodes := []*yaml.Node{doc}, 0
	for len(left) > 0 && r.err == nil {
		last := left[len(left)-1]
		left = append(left[:len(left)-1], last.Content...)
		nodes++
		switch {
		case nodes > maxYAMLNodes:
			r.fail(last, "", "more than %d values", maxYAMLNodes)
		case last.Kind == yaml.AliasNode:
			r.fail(last, "write it out", "an alias: a policy says what it means where it means it")
		case last.Anchor != "":
			r.fail(last, "write it out", "an anchor: a policy says what it means where it means it")
		case last.Style&yaml.TaggedStyle != 0:
			r.fail(last, "leave it out", "a tag %s", quote(last.Tag))
		}
	}
}

// fields reads a mapping with exactly these keys.
func (r *reader) fields(n *yaml.Node, what string, known ...field) {
	if !r.is(n, yaml.MappingNode, what) {
		return
	}
	keys := make([]string, len(known))
	for i, f := range known {
		keys[i] = f.key
	}
	given := map[string]bool{}
	r.entries(n, what, func(key, value *yaml.Node) {
		i := slices.Index(keys, key.Value)
		if i < 0 {
			r.fail(key, suggest(key.Value, keys), "unknown key %s in %s", quote(key.Value), what)
			return
		}
		given[key.Value] = true
		known[i].read(value)
	})
	for _, f := range known {
		if f.must && !given[f.key] {
			r.fail(n, "", "%s has no %s", what, f.key)
		}
	}
}

// entries reads the keys and values of a mapping, in the file's order.
func (r *reader) entries(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if !r.is(n, yaml.MappingNode, what) {
		return
	}
	if len(n.Content)/2 > maxItems {
		r.fail(n, "", "%s has %d keys, at most %d are read", what, len(n.Content)/2, maxItems)
	}
	seen := map[string]bool{}
	for pair := range slices.Chunk(n.Content, 2) {
		key, value := pair[0], pair[1]
		switch {
		case r.err != nil:
			return
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			r.fail(key, "quote it", "a key of %s is no text", what)
		case seen[key.Value]:
			r.fail(key, "say it once", "%s is there twice in %s", quote(key.Value), what)
		default:
			seen[key.Value] = true
			each(key, value)
		}
	}
}

// items reads the items of a list that is not empty.
func (r *reader) items(n *yaml.Node, what string, each func(*yaml.Node)) {
	if !r.is(n, yaml.SequenceNode, what) {
		return
	}
	switch {
	case len(n.Content) == 0:
		r.fail(n, "", "%s is empty", what)
	case len(n.Content) > maxItems:
		r.fail(n, "", "%s has %d items, at most %d are read", what, len(n.Content), maxItems)
	}
	for _, one := range n.Content {
		if r.err == nil {
			each(one)
		}
	}
}

func (r *reader) is(n *yaml.Node, kind yaml.Kind, what string) bool {
	if n.Kind == kind && r.err == nil {
		return true
	}
	words := map[yaml.Kind]string{yaml.MappingNode: "a mapping, {key: value}", yaml.SequenceNode: "a list, [one, another]", yaml.ScalarNode: "one value"}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		r.fail(n, "", "%s is empty", what)
	}
	r.fail(n, "", "%s has to be %s", what, words[kind])
	return false
}

// text reads a text of one line.
func (r *reader) text(n *yaml.Node, what string) string {
	s := r.scalar(n, what, "!!str")
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		r.fail(n, "", "%s has control characters", what)
	}
	return s
}

// scalar reads a value that has one of the YAML types, in words that are not empty.
func (r *reader) scalar(n *yaml.Node, what string, tags ...string) string {
	if !r.is(n, yaml.ScalarNode, what) {
		return ""
	}
	switch tag := n.ShortTag(); {
	case tag == "!!null" || n.Value == "":
		r.fail(n, "", "%s is empty", what)
	case !slices.Contains(tags, tag) && tags[0] == "!!str":
		r.fail(n, "quote it", "%s has to be a text", what)
	case !slices.Contains(tags, tag):
		r.fail(n, "", "%s is not of type %s", what, strings.TrimPrefix(tags[0], "!!"))
	case len(n.Value) > maxText:
		r.fail(n, "", "%s has %d bytes, at most %d are read", what, len(n.Value), maxText)
	default:
		return n.Value
	}
	return ""
}

// texts reads one text or a list of them, each once.
func (r *reader) texts(n *yaml.Node, what string, each func(*yaml.Node, string)) []string {
	var out []string
	add := func(n *yaml.Node) {
		s := r.text(n, what)
		if slices.Contains(out, s) && r.err == nil {
			r.fail(n, "say it once", "%s is there twice in %s", quote(s), what)
		}
		if each != nil && r.err == nil {
			each(n, s)
		}
		out = append(out, s)
	}
	if n.Kind == yaml.ScalarNode {
		add(n)
		return out
	}
	r.items(n, what, add)
	return out
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// name reads a name that the policy gives or uses.
func (r *reader) name(n *yaml.Node, what string) string {
	s := r.text(n, what)
	if r.err == nil && (len(s) > maxName || !nameShape.MatchString(s)) {
		r.fail(n, "letters, digits, dots, dashes and underscores, and a letter or digit first", "%s is no name for %s", quote(s), what)
	}
	return s
}

// word reads one of the words known. None are known where known is nil: then any will do.
func (r *reader) word(n *yaml.Node, what string, known []string) string {
	s := r.name(n, what)
	if known != nil && r.err == nil && !slices.Contains(known, s) {
		r.fail(n, suggest(s, known), "unknown %s %s", what, quote(s))
	}
	return s
}

// number reads a whole number between least and most.
func (r *reader) number(n *yaml.Node, what string, least, most uint64) uint64 {
	s := r.scalar(n, what, "!!int")
	if r.err != nil {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil || v < least || v > most {
		r.fail(n, "", "%s is %s and has to be from %d to %d", what, quote(s), least, most)
	}
	return v
}

// yes reads true or false.
func (r *reader) yes(n *yaml.Node, what string) bool {
	s := r.scalar(n, what, "!!bool")
	if s != "true" && s != "false" {
		r.fail(n, "true or false", "%s is %s", what, quote(s))
	}
	return s == "true"
}

// began reads the first instant of something: a day begins with its first in UTC.
func (r *reader) began(n *yaml.Node, what string) time.Time { return r.instant(n, what, 0) }

// ended reads the last instant of something: a day ends with its last in UTC.
func (r *reader) ended(n *yaml.Node, what string) time.Time {
	return r.instant(n, what, 24*time.Hour-time.Nanosecond)
}

func (r *reader) instant(n *yaml.Node, what string, intoDay time.Duration) time.Time {
	s := r.scalar(n, what, "!!str", "!!timestamp")
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.Add(intoDay)
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil && r.err == nil {
		r.fail(n, "2027-03-01, or 2027-03-01T12:00:00Z", "%s is no time: %s", what, quote(s))
	}
	return t.UTC()
}

// duration reads a time span: Go's syntax, or whole days as "30d".
func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	const longest = 100 * 365 * 24 * time.Hour
	s := r.scalar(n, what, "!!str")
	if r.err != nil {
		return 0
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var count uint64
		if count, err = strconv.ParseUint(days, 10, 16); err == nil {
			d = time.Duration(count) * 24 * time.Hour
		}
	}
	if err != nil || d <= 0 || d > longest {
		r.fail(n, "30d, 720h or 90m", "%s is no span of time: %s", what, quote(s))
	}
	return d
}
