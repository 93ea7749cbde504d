package interop

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	provenancev1 "github.com/in-toto/attestation/go/predicates/provenance/v1"
	vsav1 "github.com/in-toto/attestation/go/predicates/vsa/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/hallmark-project/hallmark/test/lab/distribution"
)

// The predicate types that cosign is asked for: it has a word of its own for one of them.
const (
	cosignProvenance = "slsaprovenance1"
	vsa              = "https://slsa.dev/verification_summary/v1"
)

// registries are those that the tests push to, by name. Each returns HOST:PORT.
var registries = map[string]func(*testing.T) string{
	"referrers API":    func(t *testing.T) string { return inMemory(t, true) },
	"no referrers API": func(t *testing.T) string { return inMemory(t, false) },
	"distribution": func(t *testing.T) string {
		server, err := distribution.Start(t.Context(), tool(t, distribution.Package), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Close(); err != nil {
				t.Error(err)
			}
		})
		return server.Host
	},
}

// work is the end of a command line whose command makes one file of another.
func work(from, to string) []string {
	return []string{"--", "sh", "-c", `mkdir "$(dirname "$2")" && tr a-z b-za <"$1" >"$2"`, "sh", from, to}
}

// quantised is a model that `hallmark run` made, with a verification summary, and the key that both are signed with.
func quantised(t *testing.T) (model, key string) {
	t.Helper()
	dir := t.TempDir()
	base, summary := filepath.Join(dir, "base"), filepath.Join(dir, "vsa.json")
	model, key = filepath.Join(dir, "chat"), filepath.Join(dir, "trainer")
	write(t, filepath.Join(base, "model.safetensors"), "weights")
	write(t, summary, `{"verifier": {"id": "https://verifier.example", "version": {"hallmark": "1.0.0"}}, "timeVerified": "2026-11-01T10:00:00Z",
		"resourceUri": "oci://registry.example/llm/chat", "policy": {"uri": "https://policy.example/chat", "digest": {"sha256": "`+strings.Repeat("ab", 32)+`"}},
		"verificationResult": "PASSED", "verifiedLevels": ["SLSA_BUILD_LEVEL_1"], "dependencyLevels": {"SLSA_BUILD_LEVEL_1": 1}, "slsaVersion": "1.2"}`)
	must(t, hallmark(t, "keygen", key))
	must(t, hallmark(t, append([]string{"run", "--type", "quantize", "--parameter", "scheme=int8", "--input", "base-model=" + base, "--output", model,
		"--private-key", key + ".key"}, work(filepath.Join(base, "model.safetensors"), filepath.Join(model, "model.safetensors"))...)...))
	must(t, hallmark(t, "attest", model, "--type", "vsa", "--from", summary, "--private-key", key+".key"))
	must(t, hallmark(t, "sign", model, "--private-key", key+".key"))
	return model, key
}

// TestCosignVerifiesStatements has cosign verify provenance and a verification summary, and in-toto's own types read what it
// prints. A key's bundle has no log entry, so cosign must be told not to want one.
func TestCosignVerifiesStatements(t *testing.T) {
	cosign := tool(t, cosignModule)
	model, key := quantised(t)
	stranger := filepath.Join(t.TempDir(), "stranger")
	must(t, hallmark(t, "keygen", stranger))
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			ref := start(t) + "/team/chat:v1"
			must(t, hallmark(t, "push", model, ref))
			verify := func(key, predicate string) answer {
				return ask(t, exec.Command(cosign, "verify-attestation", "--key", key+".pub", "--type", predicate, "--insecure-ignore-tlog=true", "--allow-http-registry", ref))
			}
			id := strings.TrimSpace(ask(t, hallmark(t, "digest", "--quiet", model)).out)
			for predicate, check := range map[string]func(*testing.T, *intoto.Statement){cosignProvenance: isProvenance, vsa: isSummary} {
				a := verify(key, predicate)
				if a.code != 0 || !strings.Contains(a.out, "The signatures were verified against the specified public key") {
					t.Errorf("%s: exit code %d\n%s", predicate, a.code, a.out)
					continue
				}
				s := printed(t, a.out)
				if subjects := s.GetSubject(); len(subjects) != 1 || "sha256:"+subjects[0].GetDigest()["sha256"] != id {
					t.Errorf("%s: it is about %v, not %s", predicate, subjects, id)
				}
				check(t, s)
				if a := verify(stranger, predicate); a.code == 0 {
					t.Errorf("%s: verified with another key\n%s", predicate, a.out)
				}
			}
			if a := verify(key, "https://in-toto.io/attestation/test-result/v0.1"); a.code == 0 {
				t.Errorf("verified a test result that nobody made\n%s", a.out)
			}
		})
	}
}

// printed is the one statement that cosign prints, in its envelope.
func printed(t *testing.T, out string) *intoto.Statement {
	t.Helper()
	var s *intoto.Statement
	for line := range strings.Lines(out) {
		var envelope struct {
			Payload []byte `json:"payload"`
		}
		if json.Unmarshal([]byte(line), &envelope) != nil || envelope.Payload == nil {
			continue // what it says to people
		}
		if s != nil {
			t.Fatalf("there are several\n%s", out)
		}
		s = new(intoto.Statement)
		if err := protojson.Unmarshal(envelope.Payload, s); err != nil {
			t.Fatal(err)
		}
	}
	if s == nil {
		t.Fatalf("no statement is printed\n%s", out)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	return s
}

// predicate reads a statement's predicate with in-toto's type for it.
func predicate(t *testing.T, s *intoto.Statement, into proto.Message, o protojson.UnmarshalOptions) {
	t.Helper()
	raw, err := s.GetPredicate().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func isProvenance(t *testing.T, s *intoto.Statement) {
	t.Helper()
	var p provenancev1.Provenance
	predicate(t, s, &p, protojson.UnmarshalOptions{})
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	b := p.GetBuildDefinition()
	if deps := b.GetResolvedDependencies(); len(deps) == 0 || deps[0].GetName() != "base" || len(deps[0].GetDigest()["sha256"]) != 64 {
		t.Errorf("made from %v", deps)
	}
	if !strings.HasSuffix(b.GetBuildType(), "/build/quantize/v1") || b.GetExternalParameters().AsMap()["scheme"] != "int8" {
		t.Errorf("made by %s with %v", b.GetBuildType(), b.GetExternalParameters())
	}
}

func isSummary(t *testing.T, s *intoto.Statement) {
	t.Helper()
	var v vsav1.VerificationSummary
	predicate(t, s, &v, protojson.UnmarshalOptions{DiscardUnknown: true}) // its type has no verifier.version
	if v.GetVerificationResult() != "PASSED" || v.GetVerifiedLevels()[0] != "SLSA_BUILD_LEVEL_1" || v.GetVerifier().GetId() != "https://verifier.example" {
		t.Errorf("read %v", &v)
	}
}
