package attack

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// object is a JSON object to be edited.
type object = map[string]any

// edit is one fault of a signed statement. Of its three forms, tree changes the document before it is encoded (the root
// digest is made to fit afterwards, unless keepRoot), text replaces one string in the encoded form, and bytes does as it
// likes with that.
type edit struct {
	tree     func(object)
	keepRoot bool
	text     [2]string
	bytes    func([]byte) []byte
}

// apply returns the payload with the fault. An edit that changes nothing would test nothing and ends the test.
func (e edit) apply(t *testing.T, payload []byte) []byte {
	t.Helper()
	out := payload
	if e.tree != nil {
		doc := decode(t, payload)
		e.tree(doc)
		if !e.keepRoot {
			reroot(doc)
		}
		out = encode(t, doc)
	}
	if e.text[0] != "" {
		out = replaceOnce(t, out, e.text[0], e.text[1])
	}
	if e.bytes != nil {
		out = e.bytes(slices.Clone(out))
	}
	if bytes.Equal(out, payload) {
		t.Fatal("the fault changes nothing")
	}
	return out
}

func decode(t *testing.T, raw []byte) object {
	t.Helper()
	var doc object
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// replaceOnce replaces the first of what must be there.
func replaceOnce(t *testing.T, in []byte, old, new string) []byte {
	t.Helper()
	if !bytes.Contains(in, []byte(old)) {
		t.Fatalf("%q is not in %s", old, in)
	}
	return bytes.Replace(in, []byte(old), []byte(new), 1)
}

func predicate(doc object) object     { return doc["predicate"].(object) }
func serialization(doc object) object { return predicate(doc)["serialization"].(object) }
func subject(doc object) object       { return doc["subject"].([]any)[0].(object) }
func resources(doc object) []any      { return predicate(doc)["resources"].([]any) }
func resource(doc object, i int) object {
	return resources(doc)[i].(object)
}

// reroot makes the root digest fit the resources, as far as they have digests (OMS §6.5.1).
func reroot(doc object) {
	list, ok := predicate(doc)["resources"].([]any)
	if !ok {
		return
	}
	h := sha256.New()
	for _, r := range list {
		text, _ := r.(object)["digest"].(string)
		raw, err := hex.DecodeString(text)
		if err != nil {
			return
		}
		h.Write(raw)
	}
	subject(doc)["digest"] = object{"sha256": hex.EncodeToString(h.Sum(nil))}
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// set sets one member.
func set(of func(object) object, key string, value any) func(object) {
	return func(doc object) { of(doc)[key] = value }
}

func self(doc object) object   { return doc }
func first(doc object) object  { return resource(doc, 0) }
func second(doc object) object { return resource(doc, 1) }

// annotate sets an annotation of the first resource.
func annotate(key string, value any) func(object) {
	return func(doc object) { first(doc)["annotations"].(object)[key] = value }
}

const (
	annotationID   = "io.github.hallmark-project.artifact-id"
	annotationKind = "io.github.hallmark-project.kind"
)

// faulty is a table's row.
type faulty struct {
	edit
	reasons []policy.Reason // none: it is harmless, and a yes
}

func because(r ...policy.Reason) []policy.Reason { return r }

var (
	malformed  = because(policy.StatementMalformed)
	unexpected = because(policy.UnexpectedStatement)
)

// runStatements signs every row's payload with the trusted key and verifies the artifact that the sound one is on.
func runStatements(t *testing.T, o manifest.Options, rows map[string]faulty) {
	w := newWorld(t, small())
	sound := w.statement(t, o).Payload()
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		t.Run(name, func(t *testing.T) {
			row := rows[name]
			mustHold(t, w.verify(t, chain.FilesOptions{}, w.seal(t, attestations.PayloadType, sound)))
			d := w.verify(t, chain.FilesOptions{}, w.seal(t, attestations.PayloadType, row.apply(t, sound)))
			if row.reasons == nil {
				mustHold(t, d)
				return
			}
			mustRefuse(t, d, row.reasons...)
		})
	}
}

func TestSignedStatementOfAnotherTypeIsRefused(t *testing.T) {
	runStatements(t, manifest.Options{}, map[string]faulty{
		"_type of v0.1":            {edit{tree: set(self, "_type", "https://in-toto.io/Statement/v0.1")}, unexpected},
		"_type in other case":      {edit{tree: set(self, "_type", "https://in-toto.io/statement/v1")}, unexpected},
		"_type missing":            {edit{tree: func(d object) { delete(d, "_type") }}, unexpected},
		"_type a list":             {edit{tree: set(self, "_type", []string{attestations.StatementType})}, unexpected},
		"predicateType missing":    {edit{tree: func(d object) { delete(d, "predicateType") }}, unexpected},
		"predicateType empty":      {edit{tree: set(self, "predicateType", "")}, unexpected},
		"predicateType of cosign":  {edit{tree: set(self, "predicateType", attestations.PredicateCosign)}, because(policy.NoEvidence)},
		"predicateType of SLSA":    {edit{tree: set(self, "predicateType", "https://slsa.dev/provenance/v1")}, because(policy.NoEvidence)},
		"predicateType with slash": {edit{tree: set(self, "predicateType", attestations.PredicateOMS+"/")}, because(policy.NoEvidence)},
		"predicateType re-cased":   {edit{tree: set(self, "predicateType", strings.ToUpper(attestations.PredicateOMS))}, because(policy.NoEvidence)},
		"predicateType of v0.2.0":  {edit{tree: set(self, "predicateType", attestations.PredicateOMSLegacy)}, because(policy.FileUnsigned, policy.FileMissing)},
		"predicate missing":        {edit{tree: func(d object) { delete(d, "predicate") }, keepRoot: true}, malformed},
		"predicate null":           {edit{tree: set(self, "predicate", nil), keepRoot: true}, malformed},
		"predicate a string":       {edit{tree: set(self, "predicate", "signed"), keepRoot: true}, malformed},
		"payload no JSON":          {edit{bytes: func([]byte) []byte { return []byte("all is well") }}, unexpected},
		"payload a list":           {edit{bytes: func(b []byte) []byte { return append(append([]byte("["), b...), ']') }}, unexpected},
		"payload null":             {edit{bytes: func([]byte) []byte { return []byte("null") }}, unexpected},
		"payload cut short":        {edit{bytes: func(b []byte) []byte { return b[:len(b)-1] }}, unexpected},
		"payload twice":            {edit{bytes: func(b []byte) []byte { return append(b, b...) }}, unexpected},
		"payload and a zero byte":  {edit{bytes: func(b []byte) []byte { return append(b, 0) }}, unexpected},
		"payload with a BOM":       {edit{bytes: func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }}, unexpected},
		"payload and a line end":   {edit{bytes: func(b []byte) []byte { return append(b, '\n') }}, nil},
	})
}

func TestSignedStatementWithWrongSubjectIsRefused(t *testing.T) {
	runStatements(t, manifest.Options{}, map[string]faulty{
		"none":                {edit{tree: set(self, "subject", []any{}), keepRoot: true}, malformed},
		"null":                {edit{tree: set(self, "subject", nil), keepRoot: true}, malformed},
		"two":                 {edit{tree: func(d object) { d["subject"] = []any{subject(d), subject(d)} }, keepRoot: true}, malformed},
		"no name":             {edit{tree: func(d object) { delete(subject(d), "name") }}, malformed},
		"empty name":          {edit{tree: set(subject, "name", "")}, malformed},
		"no digest":           {edit{tree: func(d object) { delete(subject(d), "digest") }, keepRoot: true}, malformed},
		"another digest":      {edit{tree: set(subject, "digest", object{"sha256": sum("another")}), keepRoot: true}, malformed},
		"digest of nothing":   {edit{tree: set(subject, "digest", object{"sha256": sum("")}), keepRoot: true}, malformed},
		"empty digest":        {edit{tree: set(subject, "digest", object{"sha256": ""}), keepRoot: true}, malformed},
		"sha512 alone":        {edit{tree: func(d object) { subject(d)["digest"] = object{"sha512": subject(d)["digest"].(object)["sha256"]} }, keepRoot: true}, malformed},
		"SHA256 in upper":     {edit{tree: func(d object) { subject(d)["digest"] = object{"SHA256": subject(d)["digest"].(object)["sha256"]} }, keepRoot: true}, malformed},
		"upper-case digest":   {edit{tree: func(d object) { up(subject(d)["digest"].(object), "sha256") }, keepRoot: true}, malformed},
		"unknown member":      {edit{tree: set(subject, "uri", "https://example.com")}, malformed},
		"digest twice":        {edit{text: [2]string{`"digest":{"sha256":`, `"digest":{"sha256":"` + sum("x") + `","sha256":`}}, unexpected},
		"name of another":     {edit{tree: set(subject, "name", "other")}, nil},
		"name that climbs":    {edit{tree: set(subject, "name", "../../../etc/passwd")}, nil},
		"name with an escape": {edit{tree: set(subject, "name", "\x1b[2Jyes")}, nil},
	})
}

func up(o object, key string) { o[key] = strings.ToUpper(o[key].(string)) }

func TestSignedStatementWithDoubleOrRecasedMembersIsRefused(t *testing.T) {
	const method = `"method":"files"`
	rows := map[string]faulty{
		"ignore_paths twice":    {edit{text: [2]string{method, method + `,"ignore_paths":[]`}}, unexpected},
		"unknown top member":    {edit{tree: set(self, "extra", 1)}, malformed},
		"unknown in predicate":  {edit{tree: set(predicate, "extra", 1)}, malformed},
		"unknown in serialize":  {edit{tree: set(serialization, "extra", 1)}, malformed},
		"invalid UTF-8":         {edit{text: [2]string{`"name":"chat"`, "\"name\":\"ch\xff\""}}, unexpected},
		"lone surrogate":        {edit{text: [2]string{`"name":"chat"`, `"name":"\ud800"`}}, unexpected},
		"annotation twice":      {edit{text: [2]string{`"` + annotationKind + `":`, `"` + annotationKind + `":"model","` + annotationKind + `":`}}, unexpected},
		"double in a foreign":   {edit{tree: set(first, "content", object{"a": 1}), text: [2]string{`{"a":1}`, `{"a":1,"a":2}`}}, unexpected},
		"descriptor's own more": {edit{tree: set(first, "mediaType", "text/plain")}, nil},
	}
	// Members by the level that they are on: each is doubled with its own value, then re-cased alone.
	for _, m := range []struct{ name, recased string }{
		{"_type", "_Type"}, {"subject", "Subject"}, {"predicateType", "predicatetype"}, {"predicate", "Predicate"}, // statement
		{"resources", "Resources"}, {"serialization", "Serialization"}, // predicate
		{"method", "Method"}, {"hash_type", "Hash_Type"}, {"allow_symlinks", "allow_Symlinks"}, // serialization
		{"digest", "Digest"}, {"algorithm", "Algorithm"}, // resource
	} {
		key := `"` + m.name + `":`
		rows[m.name+" twice"] = faulty{edit{text: [2]string{key, key + "null," + key}}, unexpected}
		reasons := malformed
		if m.name == "_type" || m.name == "predicateType" {
			reasons = unexpected
		}
		rows[m.name+" re-cased"] = faulty{edit{text: [2]string{key, `"` + m.recased + `":`}}, reasons}
		if m.name != "digest" && m.name != "algorithm" { // a resource may have members of its own
			rows[m.name+" and re-cased"] = faulty{edit{text: [2]string{key, `"` + m.recased + `":null,` + key}}, malformed}
		}
	}
	runStatements(t, manifest.Options{}, rows)
}

func TestSignedResourceWithBadNameIsRefused(t *testing.T) {
	rows := map[string]faulty{
		"listed twice":   {edit{tree: func(d object) { predicate(d)["resources"] = append(resources(d), maps.Clone(second(d))) }}, malformed},
		"no resources":   {edit{tree: set(predicate, "resources", []any{})}, malformed},
		"null resources": {edit{tree: set(predicate, "resources", nil), keepRoot: true}, malformed},
		"name a number":  {edit{tree: set(second, "name", 7)}, malformed},
		"in Python's order": {edit{tree: func(d object) {
			r := resources(d)
			r[1], r[2] = r[2], r[1]
		}}, nil},
		"not there": {edit{tree: set(second, "name", "other")}, because(policy.FileUnsigned, policy.FileMissing)},
		"re-cased":  {edit{tree: set(second, "name", "SUB/adapter.bin")}, because(policy.FileUnsigned, policy.FileMissing)},
		"a pattern": {edit{tree: set(second, "name", "sub/*")}, because(policy.FileUnsigned, policy.FileMissing)},
		"a folder":  {edit{tree: set(second, "name", "sub")}, because(policy.FileUnsigned, policy.FileMissing)},
		"names swapped": {edit{tree: func(d object) {
			a, b := second(d), resource(d, 2)
			a["name"], b["name"] = b["name"], a["name"]
		}}, because(policy.DigestMismatch)},
	}
	for _, name := range []string{"", ".", "..", "/", "../adapter.bin", "/etc/passwd", "./sub/adapter.bin", "sub//adapter.bin",
		"sub/./adapter.bin", "sub/../sub/adapter.bin", "sub/adapter.bin/", "sub/..", "a\x00b", strings.Repeat("a/", 200) + "b",
		strings.Repeat("a", 5000)} {
		label := name
		if len(label) > 20 {
			label = label[:20] + "…"
		}
		rows["name "+encodeName(label)] = faulty{edit{tree: set(second, "name", name)}, malformed}
	}
	runStatements(t, manifest.Options{}, rows)
}

func encodeName(s string) string { return strings.NewReplacer("\x00", "NUL").Replace(`"` + s + `"`) }

func TestSignedResourceWithBadDigestIsRefused(t *testing.T) {
	unsupported := because(policy.Unsupported)
	runStatements(t, manifest.Options{}, map[string]faulty{
		"upper case":              {edit{tree: func(d object) { up(second(d), "digest") }}, malformed},
		"short":                   {edit{tree: set(second, "digest", sum("x")[:62])}, malformed},
		"long":                    {edit{tree: set(second, "digest", sum("x")+"00")}, malformed},
		"odd":                     {edit{tree: set(second, "digest", sum("x")[:63]), keepRoot: true}, malformed},
		"not hex":                 {edit{tree: set(second, "digest", "zz"+sum("x")[2:]), keepRoot: true}, malformed},
		"with its algorithm":      {edit{tree: set(second, "digest", "sha256:"+sum("x")), keepRoot: true}, malformed},
		"empty":                   {edit{tree: set(second, "digest", "")}, malformed},
		"missing":                 {edit{tree: func(d object) { delete(second(d), "digest") }}, malformed},
		"of other bytes":          {edit{tree: set(second, "digest", sum("x"))}, because(policy.DigestMismatch)},
		"algorithm missing":       {edit{tree: func(d object) { delete(second(d), "algorithm") }}, malformed},
		"algorithm of one file":   {edit{tree: set(second, "algorithm", "blake3")}, malformed},
		"algorithm in upper case": {edit{tree: set(second, "algorithm", "SHA256")}, malformed},
		"algorithm of shards":     {edit{tree: set(second, "algorithm", "sha256-sharded-10")}, malformed},
		"hash_type of the other":  {edit{tree: set(serialization, "hash_type", "blake3")}, malformed},
		"hash_type in upper case": {edit{tree: set(serialization, "hash_type", "SHA256")}, unsupported},
		"hash_type broken":        {edit{tree: allAlgorithms("md5")}, unsupported},
		"hash_type unknown":       {edit{tree: allAlgorithms("sha3-256")}, unsupported},
		"hash_type empty":         {edit{tree: allAlgorithms("")}, malformed},
		"hash_type missing":       {edit{tree: func(d object) { delete(serialization(d), "hash_type") }}, malformed},
		"hash_type null":          {edit{tree: set(serialization, "hash_type", nil)}, malformed},
		"method unknown":          {edit{tree: set(serialization, "method", "tar")}, malformed},
		"method missing":          {edit{tree: func(d object) { delete(serialization(d), "method") }}, malformed},
		"method shards":           {edit{tree: set(serialization, "method", "shards")}, malformed},
		"allow_symlinks missing":  {edit{tree: func(d object) { delete(serialization(d), "allow_symlinks") }}, malformed},
		"allow_symlinks a string": {edit{tree: set(serialization, "allow_symlinks", "true")}, malformed},
		"shard_size with files":   {edit{tree: set(serialization, "shard_size", 10)}, malformed},
	})
}

// allAlgorithms names one algorithm everywhere.
func allAlgorithms(name string) func(object) {
	return func(d object) {
		serialization(d)["hash_type"] = name
		for i := range resources(d) {
			resource(d, i)["algorithm"] = name
		}
	}
}

func TestSignedAnnotationThatDoesNotFitIsRefused(t *testing.T) {
	runStatements(t, manifest.Options{}, map[string]faulty{
		"another artifact's ID": {edit{tree: annotate(annotationID, "sha256:"+sum("another"))}, because(policy.IDMismatch)},
		"ID without algorithm":  {edit{tree: annotate(annotationID, sum("another"))}, malformed},
		"ID in upper case":      {edit{tree: func(d object) { up(first(d)["annotations"].(object), annotationID) }}, malformed},
		"ID of another length":  {edit{tree: annotate(annotationID, "sha256:00")}, malformed},
		"ID a number":           {edit{tree: annotate(annotationID, 7)}, malformed},
		"kind unknown":          {edit{tree: annotate(annotationKind, "image")}, malformed},
		"kind re-cased":         {edit{tree: annotate(annotationKind, "Model")}, malformed},
		"kind a list":           {edit{tree: annotate(annotationKind, []string{"model"})}, malformed},
		"a foreign one":         {edit{tree: annotate("org.example", object{"a": []int{1}})}, nil},
		"foreign ones alone":    {edit{tree: set(first, "annotations", []int{1})}, nil},
		"none":                  {edit{tree: func(d object) { delete(first(d), "annotations") }}, nil},
	})
}

// TestSignedExclusions has exclusions that a signer may record and that must not hide anything.
func TestSignedExclusions(t *testing.T) {
	ignore := func(paths ...string) edit { return edit{tree: set(serialization, "ignore_paths", paths)} }
	rows := map[string]faulty{
		"a string":            {edit{tree: set(serialization, "ignore_paths", "sub")}, malformed},
		"a list with numbers": {edit{tree: set(serialization, "ignore_paths", []any{1})}, malformed},
		"null":                {edit{tree: set(serialization, "ignore_paths", nil)}, nil},
		"outside":             {ignore("../other", "/etc"), nil},
		"a pattern":           {ignore("*", "**/*"), nil},
		"every signed file":   {ignore("config.json", "sub", "weights.bin"), nil},
	}
	for _, everything := range []string{"", ".", "/", "./", "//", "./.", "././", "sub/..", "/.", "a/../."} {
		rows["everything as "+encodeName(everything)] = faulty{ignore(everything), malformed}
	}
	for label, impossible := range map[string]string{"NUL": "a\x00b", "very long": strings.Repeat("a", 5000), "very deep": strings.Repeat("a/", 300)} {
		rows["a path with "+label] = faulty{ignore(impossible), malformed}
	}
	runStatements(t, manifest.Options{}, rows)
}

// TestSignedExclusionsHideNothing puts a file beside the signed ones that the signed exclusions do or do not cover.
func TestSignedExclusionsHideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		ignore    []string
		uncovered bool
	}{
		"covered by name":              {[]string{"evil.py"}, true},
		"covered with ./":              {[]string{"./evil.py"}, true},
		"a pattern covers nothing":     {[]string{"*.py"}, false},
		"absolute covers nothing":      {[]string{"/evil.py"}, false},
		"outside covers nothing":       {[]string{"../chat/evil.py"}, false},
		"another case covers nothing":  {[]string{"EVIL.py"}, false},
		"a prefix covers nothing":      {[]string{"evil"}, false},
		"a name further down does not": {[]string{"sub/evil.py"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, small())
			e := edit{tree: set(serialization, "ignore_paths", c.ignore)}
			b := w.seal(t, attestations.PayloadType, e.apply(t, w.statement(t, manifest.Options{}).Payload()))
			mustHold(t, w.verify(t, chain.FilesOptions{}, b))
			w.fill(t, map[string]string{"evil.py": "import os"})
			d := w.verify(t, chain.FilesOptions{}, b)
			if !c.uncovered {
				mustRefuse(t, d, policy.FileUnsigned)
				return
			}
			mustHold(t, d)
			if !slices.Equal(d.Artifact.Uncovered, []string{"evil.py"}) {
				t.Errorf("uncovered %q, the excluded file must be named", d.Artifact.Uncovered)
			}
			w.policy.AllowUncovered = false
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.Uncovered)
		})
	}
}
