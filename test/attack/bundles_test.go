package attack

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/manifest"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func material(doc object) object { return doc["verificationMaterial"].(object) }
func envelope(doc object) object { return doc["dsseEnvelope"].(object) }
func signature(doc object) object {
	return envelope(doc)["signatures"].([]any)[0].(object)
}
func publicKey(doc object) object { return material(doc)["publicKey"].(object) }

// runBundles changes a properly signed bundle in what no signature covers: its own JSON. Every row's edit is of the
// bundle, not of the statement.
func runBundles(t *testing.T, rows map[string]faulty) {
	w := newWorld(t, small())
	sound := w.sign(t, manifest.Options{})
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		t.Run(name, func(t *testing.T) {
			row := rows[name]
			row.keepRoot = true
			mustHold(t, w.verify(t, chain.FilesOptions{}, sound))
			d := w.verify(t, chain.FilesOptions{}, row.apply(t, sound))
			if row.reasons == nil {
				mustHold(t, d)
				return
			}
			mustRefuse(t, d, row.reasons...)
		})
	}
}

var (
	broken       = because(policy.BundleMalformed)
	badSignature = because(policy.BadSignature)
	untrusted    = because(policy.UntrustedSigner)
)

func TestBundleThatIsNotStrictlyFormedIsRefused(t *testing.T) {
	rows := map[string]faulty{
		"trailing object":        {edit{bytes: func(b []byte) []byte { return append(b, "{}"...) }}, broken},
		"trailing zero byte":     {edit{bytes: func(b []byte) []byte { return append(b, 0) }}, broken},
		"trailing line end":      {edit{bytes: func(b []byte) []byte { return append(b, '\n') }}, nil},
		"a byte-order mark":      {edit{bytes: func(b []byte) []byte { return append([]byte("\xef\xbb\xbf"), b...) }}, broken},
		"cut short":              {edit{bytes: func(b []byte) []byte { return b[:len(b)/2] }}, broken},
		"empty":                  {edit{bytes: func([]byte) []byte { return nil }}, broken},
		"white space":            {edit{bytes: func([]byte) []byte { return []byte(" \n") }}, broken},
		"null":                   {edit{bytes: func([]byte) []byte { return []byte("null") }}, broken},
		"a list":                 {edit{bytes: func(b []byte) []byte { return append(append([]byte("["), b...), ']') }}, broken},
		"in UTF-16":              {edit{bytes: func(b []byte) []byte { return bytes.Join([][]byte{nil, b[:1], b[1:]}, []byte{0}) }}, broken},
		"a comment":              {edit{bytes: func(b []byte) []byte { return append([]byte("/* signed */"), b...) }}, broken},
		"unknown at the top":     {edit{tree: set(self, "extra", 1)}, broken},
		"unknown in material":    {edit{tree: set(material, "extra", 1)}, broken},
		"unknown in key":         {edit{tree: set(publicKey, "extra", 1)}, broken},
		"unknown in envelope":    {edit{tree: set(envelope, "extra", 1)}, broken},
		"unknown in signature":   {edit{tree: set(signature, "extra", 1)}, broken},
		"double in a log entry":  {edit{text: [2]string{`"tlogEntries":[]`, `"tlogEntries":[{"a":1,"a":2}]`}}, broken},
		"payload in URL base64":  {edit{text: [2]string{`"payload":"`, `"payload":"-_-_`}}, broken},
		"payload a list":         {edit{tree: set(envelope, "payload", []int{123, 125})}, broken},
		"media type of an image": {edit{tree: set(self, "mediaType", "application/vnd.oci.image.manifest.v1+json")}, broken},
		"media type missing":     {edit{tree: func(d object) { delete(d, "mediaType") }}, broken},
		"media type re-cased":    {edit{tree: set(self, "mediaType", strings.ToUpper(attestations.BundleMediaType))}, broken},
		"media type to come":     {edit{tree: set(self, "mediaType", "application/vnd.dev.sigstore.bundle.v9.9+json")}, broken},
		"media type that begins": {edit{tree: set(self, "mediaType", "application/vnd.dev.sigstore.bundled")}, broken},
		"media type of v0.1":     {edit{tree: set(self, "mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.1")}, nil},
		"media type of v0.3":     {edit{tree: set(self, "mediaType", "application/vnd.dev.sigstore.bundle+json;version=0.3")}, nil},
	}
	for _, m := range []struct{ name, recased string }{
		{"mediaType", "mediatype"}, {"verificationMaterial", "VerificationMaterial"}, {"dsseEnvelope", "dsseenvelope"},
		{"publicKey", "PublicKey"}, {"hint", "Hint"}, {"tlogEntries", "TlogEntries"},
		{"payload", "Payload"}, {"payloadType", "payloadtype"}, {"signatures", "Signatures"}, {"sig", "Sig"}, {"keyid", "keyID"},
	} {
		key := `"` + m.name + `":`
		rows[m.name+" twice"] = faulty{edit{text: [2]string{key, key + "null," + key}}, broken}
		rows[m.name+" re-cased"] = faulty{edit{text: [2]string{key, `"` + m.recased + `":`}}, broken}
		rows[m.name+" and re-cased"] = faulty{edit{text: [2]string{key, `"` + m.recased + `":null,` + key}}, broken}
	}
	runBundles(t, rows)
}

func TestEnvelopeThatSaysSomethingElseIsRefused(t *testing.T) {
	another := base64.StdEncoding.EncodeToString([]byte(`{"_type":"` + attestations.StatementType + `","predicateType":"x"}`))
	runBundles(t, map[string]faulty{
		"no envelope":             {edit{tree: func(d object) { delete(d, "dsseEnvelope") }}, broken},
		"a message signature":     {edit{tree: func(d object) { delete(d, "dsseEnvelope"); d["messageSignature"] = object{} }}, broken},
		"no signatures":           {edit{tree: set(envelope, "signatures", []any{})}, broken},
		"null signatures":         {edit{tree: set(envelope, "signatures", nil)}, broken},
		"two signatures":          {edit{tree: func(d object) { envelope(d)["signatures"] = []any{signature(d), signature(d)} }}, broken},
		"empty signature":         {edit{tree: set(signature, "sig", "")}, broken},
		"another signature":       {edit{tree: set(signature, "sig", "c2lnbmVk")}, badSignature},
		"signature and a byte":    {edit{tree: func(d object) { lengthen(signature(d), "sig") }}, badSignature},
		"no payload":              {edit{tree: set(envelope, "payload", "")}, broken},
		"another payload":         {edit{tree: set(envelope, "payload", another)}, badSignature},
		"payload and a space":     {edit{tree: func(d object) { lengthen(envelope(d), "payload") }}, badSignature},
		"payload type swapped":    {edit{tree: set(envelope, "payloadType", "application/json")}, unexpected},
		"payload type missing":    {edit{tree: func(d object) { delete(envelope(d), "payloadType") }}, unexpected},
		"payload type re-cased":   {edit{tree: set(envelope, "payloadType", "application/vnd.in-toto+JSON")}, unexpected},
		"payload type with more":  {edit{tree: set(envelope, "payloadType", attestations.PayloadType+";v=1")}, unexpected},
		"no material":             {edit{tree: func(d object) { delete(d, "verificationMaterial") }}, broken},
		"no key in material":      {edit{tree: func(d object) { delete(material(d), "publicKey") }}, broken},
		"key and chain":           {edit{tree: set(material, "x509CertificateChain", object{"certificates": []any{object{"rawBytes": "MAA="}}})}, broken},
		"key and certificate":     {edit{tree: set(material, "certificate", object{"rawBytes": "MAA="})}, broken},
		"too many log entries":    {edit{tree: set(material, "tlogEntries", make([]any, 33))}, broken},
		"log entries no list":     {edit{tree: set(material, "tlogEntries", object{})}, broken},
		"hint of another key":     {edit{tree: set(publicKey, "hint", sum("another"))}, untrusted},
		"hint in upper case":      {edit{tree: func(d object) { up(publicKey(d), "hint") }}, untrusted},
		"hint in Sigstore's form": {edit{tree: set(publicKey, "hint", base64.StdEncoding.EncodeToString(make([]byte, 32)))}, untrusted},
		"hint a number":           {edit{tree: set(publicKey, "hint", 7)}, broken},
		"hint that names nothing": {edit{tree: set(publicKey, "hint", "my key")}, nil},
		"hint empty":              {edit{tree: set(publicKey, "hint", "")}, nil},
		"hint missing":            {edit{tree: func(d object) { delete(publicKey(d), "hint") }}, nil},
		"key brought along":       {edit{tree: set(publicKey, "rawBytes", strangersKey(t))}, nil},
		"keyid a number":          {edit{tree: set(signature, "keyid", 7)}, broken},
		"keyid of another":        {edit{tree: set(signature, "keyid", sum("another"))}, nil},
		"keyid that climbs":       {edit{tree: set(signature, "keyid", "../../key\x1b[2J")}, nil},
		"keyid null":              {edit{tree: set(signature, "keyid", nil)}, nil},
	})
}

func strangersKey(t *testing.T) string {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// lengthen adds one space to a base64 member's bytes.
func lengthen(o object, key string) {
	raw, _ := base64.StdEncoding.DecodeString(o[key].(string))
	o[key] = base64.StdEncoding.EncodeToString(append(raw, ' '))
}

// TestSignedPayloadTypeIsPartOfTheSignature signs other payload types than in-toto's, properly.
func TestSignedPayloadTypeIsPartOfTheSignature(t *testing.T) {
	w := newWorld(t, small())
	payload := w.statement(t, manifest.Options{}).Payload()
	for _, kind := range []string{"application/json", "application/vnd.in-toto+json ", "APPLICATION/VND.IN-TOTO+JSON", "text/plain"} {
		t.Run(kind, func(t *testing.T) {
			mustHold(t, w.verify(t, chain.FilesOptions{}, w.seal(t, attestations.PayloadType, payload)))
			b := w.seal(t, kind, payload)
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.UnexpectedStatement)
			renamed := edit{tree: set(envelope, "payloadType", attestations.PayloadType), keepRoot: true}
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, renamed.apply(t, b)), policy.BadSignature)
		})
	}
}

// TestBundleOfAnotherSignerOrArtifactIsRefused takes sound bundles to where they do not belong.
func TestBundleOfAnotherSignerOrArtifactIsRefused(t *testing.T) {
	w, stranger := newWorld(t, small()), newWorld(t, small())
	own, strange := w.sign(t, manifest.Options{}), stranger.sign(t, manifest.Options{})
	mustHold(t, w.verify(t, chain.FilesOptions{}, own))
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, strange), policy.UntrustedSigner)
	mustRefuse(t, w.verify(t, chain.FilesOptions{}), policy.NoEvidence)
	mustHold(t, w.verify(t, chain.FilesOptions{}, strange, own))

	claimed := edit{tree: set(publicKey, "hint", w.roots.Keys[0].Fingerprint()), keepRoot: true}
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, claimed.apply(t, strange)), policy.BadSignature)

	// The stranger's key opens, because somebody else trusts it for something else; the policy does not.
	w.roots.Keys = append(w.roots.Keys, stranger.roots.Keys...)
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, strange), policy.UntrustedSigner)

	w.fill(t, map[string]string{"weights.bin": "changed 10"})
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, own), policy.DigestMismatch)
}

// TestNobodyTrustedIsNeverAYes has every way of trusting nobody.
func TestNobodyTrustedIsNeverAYes(t *testing.T) {
	w := newWorld(t, small())
	b := w.sign(t, manifest.Options{})
	fingerprint := w.roots.Keys[0].Fingerprint()
	for name, p := range map[string]policy.Policy{
		"zero policy":         {},
		"zero identity":       {Signers: []trust.Identity{{}}},
		"any subject alone":   {Signers: []trust.Identity{{AnySubject: true}}},
		"key with a subject":  {Signers: []trust.Identity{{Key: fingerprint, Subject: "a"}}},
		"one identity broken": {Signers: []trust.Identity{{Key: fingerprint}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			mustHold(t, w.verify(t, chain.FilesOptions{}, b))
			sound := w.policy
			defer func() { w.policy = sound }()
			w.policy = p
			mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.PolicyUnusable)
		})
	}
	w.roots = trust.Roots{Now: w.roots.Now}
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.UntrustedSigner)
}

// TestSignatureOnAFileIsNoneOnAFolder has a bundle of before v1.1.0, which calls a single file ".", beside a folder whose
// one file has that file's bytes and the folder's own name.
func TestSignatureOnAFileIsNoneOnAFolder(t *testing.T) {
	w := newWorld(t, map[string]string{"chat": "weights"})
	single := edit{tree: func(d object) { first(d)["name"] = "."; delete(first(d), "annotations") }}
	b := w.seal(t, attestations.PayloadType, single.apply(t, w.statement(t, manifest.Options{}).Payload()))
	folder := w.dir
	w.dir = filepath.Join(folder, "chat")
	mustHold(t, w.verify(t, chain.FilesOptions{}, b))
	w.dir = folder
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, b), policy.FileUnsigned, policy.FileMissing)
}

// TestTooManyBundlesIsNotASelection has the sound bundle in front of more than are opened.
func TestTooManyBundlesIsNotASelection(t *testing.T) {
	w, stranger := newWorld(t, small()), newWorld(t, small())
	strange := stranger.sign(t, manifest.Options{})
	bundles := slices.Repeat([]attestations.Bundle{strange}, chain.MaxBundles-1)
	bundles = append([]attestations.Bundle{w.sign(t, manifest.Options{})}, bundles...)
	mustHold(t, w.verify(t, chain.FilesOptions{}, bundles...))
	mustRefuse(t, w.verify(t, chain.FilesOptions{}, append(bundles, strange)...), policy.CapReached)
}

// TestLegacyBundles signs in the form of v0.2.0, whose pre-authentication encoding is not DSSE's. It counts for that
// version's predicate and for no other.
func TestLegacyBundles(t *testing.T) {
	w := newWorld(t, small())
	current := w.statement(t, manifest.Options{}).Payload()
	legacy := encode(t, object{
		"_type": attestations.StatementType, "predicateType": attestations.PredicateOMSLegacy, "predicate": object{"unused": "Unused, just passed by API"},
		"subject": []any{old("config.json", "{}"), old("sub/adapter.bin", "adapter"), old("weights.bin", "0123456789")},
	})
	subjects := func(edit func([]any) []any) []byte {
		doc := decode(t, legacy)
		doc["subject"] = edit(doc["subject"].([]any))
		return encode(t, doc)
	}
	entry := func(edit func(object)) []byte {
		return subjects(func(s []any) []any { edit(s[1].(object)); return s })
	}
	for name, c := range map[string]struct {
		payload []byte
		legacy  bool
		reasons []policy.Reason
	}{
		"its predicate, its encoding":      {legacy, true, nil},
		"its predicate, DSSE's encoding":   {legacy, false, nil},
		"OMS predicate, legacy encoding":   {current, true, badSignature},
		"OMS predicate, DSSE's encoding":   {current, false, nil},
		"no subjects":                      {subjects(func([]any) []any { return []any{} }), true, malformed},
		"a subject twice":                  {subjects(func(s []any) []any { return append(s, s[0]) }), true, malformed},
		"a subject left out":               {subjects(func(s []any) []any { return s[1:] }), true, because(policy.FileUnsigned)},
		"a name that climbs":               {entry(func(o object) { o["name"] = "../adapter.bin" }), true, malformed},
		"an absolute name":                 {entry(func(o object) { o["name"] = "/etc/passwd" }), true, malformed},
		"a dot among names":                {entry(func(o object) { o["name"] = "." }), true, malformed},
		"digest in upper case":             {entry(func(o object) { up(o["digest"].(object), "sha256") }), true, malformed},
		"digest of another":                {entry(func(o object) { o["digest"] = object{"sha256": sum("x")} }), true, because(policy.DigestMismatch)},
		"no digest":                        {entry(func(o object) { delete(o, "digest") }), true, malformed},
		"two digests":                      {entry(func(o object) { o["digest"].(object)["blake2b"] = sum("x") }), true, malformed},
		"another algorithm":                {entry(func(o object) { o["digest"] = object{"blake2b": sum("x")} }), true, malformed},
		"an unknown member":                {entry(func(o object) { o["uri"] = "x" }), true, malformed},
		"hashed in another way":            {entry(func(o object) { o["annotations"] = object{"actual_hash_algorithm": "file-md5"} }), true, malformed},
		"quotes of both kinds in a name":   {entry(func(o object) { o["name"] = "it's \"new\"" }), true, because(policy.FileUnsigned, policy.FileMissing)},
		"a name beyond ASCII, and escapes": {entry(func(o object) { o["name"] = "\x01é\\'" }), true, because(policy.FileUnsigned, policy.FileMissing)},
	} {
		t.Run(name, func(t *testing.T) {
			mustHold(t, w.verify(t, chain.FilesOptions{}, w.sealLegacy(t, legacy)))
			b := w.seal(t, attestations.PayloadType, c.payload)
			if c.legacy {
				b = w.sealLegacy(t, c.payload)
			}
			d := w.verify(t, chain.FilesOptions{}, b)
			if c.reasons == nil {
				mustHold(t, d)
				return
			}
			mustRefuse(t, d, c.reasons...)
		})
	}
}

func old(name, content string) object {
	return object{"name": name, "digest": object{"sha256": sum(content)}}
}

// sealLegacy signs as v0.2.0 did: over Python's repr of the payload.
func (w *world) sealLegacy(t *testing.T, payload []byte) attestations.Bundle {
	t.Helper()
	message := fmt.Sprintf("DSSEV1 %d %s %d %s", len(attestations.PayloadType), attestations.PayloadType, len(payload), pythonBytes(payload))
	digest := sha256.Sum256([]byte(message))
	sig, err := ecdsa.SignASN1(rand.Reader, w.key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	doc := decode(t, w.seal(t, attestations.PayloadType, payload))
	signature(doc)["sig"] = base64.StdEncoding.EncodeToString(sig)
	return encode(t, doc)
}

// pythonBytes writes what Python's repr writes of bytes.
func pythonBytes(b []byte) string {
	quote := "'"
	if bytes.ContainsRune(b, '\'') && !bytes.ContainsRune(b, '"') {
		quote = `"`
	}
	var out strings.Builder
	out.WriteString("b" + quote)
	for _, c := range b {
		switch {
		case string(c) == quote, c == '\\':
			out.WriteString(`\` + string(c))
		case c >= ' ' && c <= '~':
			out.WriteByte(c)
		case strings.IndexByte("\t\n\r", c) >= 0:
			out.WriteString(map[byte]string{'\t': `\t`, '\n': `\n`, '\r': `\r`}[c])
		default:
			fmt.Fprintf(&out, `\x%02x`, c)
		}
	}
	return out.String() + quote
}
