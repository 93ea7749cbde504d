package signer

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/hallmark-project/hallmark/pkg/trust"
)

// vectors returns the folder of test vectors, or skips the test where there is none.
func vectors(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("HALLMARK_VECTORS"); dir != "" {
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("HALLMARK_VECTORS: %v", err)
		}
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Skip("no module root above the test, so no test vectors beside it")
		}
		dir = filepath.Dir(dir)
	}
	dir = filepath.Join(dir, "..", "shared", "vectors")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no test vectors: %v", err)
	}
	return dir
}

// omsSchema compiles the OMS bundle schema.
func omsSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"bundle", "envelope", "statement", "predicate"} {
		data, err := os.ReadFile(filepath.Join(vectors(t), "oms", "schemas", name+".schema.json"))
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource("https://model_signing/"+name+"/v1.0/schema", doc); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := compiler.Compile("https://model_signing/bundle/v1.0/schema")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, raw []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(doc)
}

// omsKeys signs with the keys of the OMS conformance suite.
func omsKeys(t *testing.T) (key, certificate, selfSigned Signer) {
	t.Helper()
	folder := filepath.Join(vectors(t), "oms", "assets", "keys")
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	load := func(keyFile string, certFiles ...string) Signer {
		private, err := ParsePrivateKey(read(keyFile), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(certFiles) == 0 {
			s, err := NewKey(private)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		var certs []*x509.Certificate
		for _, f := range certFiles {
			parsed, err := trust.ParseCertificates(read(f))
			if err != nil {
				t.Fatal(err)
			}
			certs = append(certs, parsed...)
		}
		s, err := NewCertificate(private, certs[0], certs[1:])
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	return load("certificate/signing-key.pem"),
		load("certificate/signing-key.pem", "certificate/signing-key-cert.pem", "certificate/int-ca-cert.pem", "certificate/ca-cert.pem"),
		load("self-signed/signing-key.pem", "self-signed/signing-cert.pem", "self-signed/signing-cert.pem")
}

func TestBundlesFollowTheOMSSchema(t *testing.T) {
	schema := omsSchema(t)
	key, certificate, selfSigned := omsKeys(t)
	for name, s := range map[string]Signer{"key": key, "certificate": certificate, "self-signed": selfSigned} {
		raw := mustSign(t, s, "{}")
		if err := validate(t, schema, raw); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var broken map[string]json.RawMessage
		if err := json.Unmarshal(raw, &broken); err != nil {
			t.Fatal(err)
		}
		broken["verificationMaterial"] = json.RawMessage(`{"tlogEntries":[]}`)
		data, err := json.Marshal(broken)
		if err != nil {
			t.Fatal(err)
		}
		if validate(t, schema, data) == nil {
			t.Errorf("%s: the schema takes a bundle without a verifier", name)
		}
	}
}

func TestKeyHintIsTheReferenceImplementations(t *testing.T) {
	key, _, _ := omsKeys(t)
	d := decode(t, mustSign(t, key, "{}"))
	// OMS v1.0, appendix A, names the conformance suite's key so.
	const want = "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e"
	if d.Material.PublicKey == nil || d.Material.PublicKey.Hint != want {
		t.Errorf("hint is %+v, want %s", d.Material.PublicKey, want)
	}
}
