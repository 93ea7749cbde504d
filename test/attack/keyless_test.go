package attack

import (
	"encoding/base64"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// The real keyless bundles were signed by this identity, and logged in the public-good instance.
const (
	realSubject = "stefanb@us.ibm.com"
	realIssuer  = "https://sigstore.verify.ibm.com/oauth2"
)

// vectors finds the shared test vectors, or skips.
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
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		if found := filepath.Join(dir, "../shared/vectors"); isFolder(found) {
			return found
		}
	}
	t.Skip("the shared test vectors are not there: set HALLMARK_VECTORS")
	return ""
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// keyless is a real bundle with its model, and the trust that it stands on.
type keyless struct {
	*world
	bundle  attestations.Bundle
	root    object // the trusted root, to be edited
	options chain.FilesOptions
}

func newKeyless(t *testing.T, version string) *keyless {
	t.Helper()
	v := vectors(t)
	dir := filepath.Join(v, "oms/cases/verify/historical/historical-"+version+"-sigstore")
	raw, err := os.ReadFile(filepath.Join(dir, "bundle.sig"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.ReadFile(filepath.Join(v, "trust/public-good/trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	k := &keyless{world: &world{dir: filepath.Join(dir, "model")}, bundle: raw, root: decode(t, root)}
	if _, err := os.Stat(filepath.Join(k.dir, "ignore-me")); err == nil {
		k.options.IgnorePaths = []string{"ignore-me"}
	}
	k.policy = policy.Policy{Signers: []trust.Identity{{Issuer: realIssuer, Subject: realSubject}}, AllowUncovered: true}
	k.trust(t, k.root)
	return k
}

func (k *keyless) trust(t *testing.T, root object) {
	t.Helper()
	s, err := trust.LoadSigstore(encode(t, root))
	if err != nil {
		t.Fatal(err)
	}
	k.roots = trust.Roots{Sigstore: s, Now: func() time.Time { return present }}
}

func entry(doc object) object { return material(doc)["tlogEntries"].([]any)[0].(object) }
func proof(doc object) object { return entry(doc)["inclusionProof"].(object) }
func promise(doc object) object {
	return entry(doc)["inclusionPromise"].(object)
}

// spoil flips one bit of a base64 member.
func spoil(of func(object) object, key string, at int) func(object) {
	return func(doc object) {
		raw, _ := base64.StdEncoding.DecodeString(of(doc)[key].(string))
		raw[(at+len(raw))%len(raw)] ^= 1
		of(doc)[key] = base64.StdEncoding.EncodeToString(raw)
	}
}

// TestKeylessBundleThatIsAlteredIsRefused takes real bundles of two versions of the reference implementation, one logged
// only, one timestamped too, and changes one thing. That a certificate was never logged (its SCT stripped) cannot be made
// here without the authority's key: TestKeylessNeedsWhatItsRootNames takes the transparency logs' keys away instead.
func TestKeylessBundleThatIsAlteredIsRefused(t *testing.T) {
	logInvalid, logMissing := because(policy.LogInvalid), because(policy.LogMissing)
	for version, other := range map[string]string{"v0.3.1": "v1.0.1", "v1.0.1": "v1.0.0"} {
		another := decode(t, newKeyless(t, other).bundle)
		rows := map[string]faulty{
			"log entries removed":          {edit{tree: set(material, "tlogEntries", []any{})}, logMissing},
			"log entries missing":          {edit{tree: func(d object) { delete(material(d), "tlogEntries") }}, logMissing},
			"log entry of another":         {edit{tree: func(d object) { material(d)["tlogEntries"] = material(another)["tlogEntries"] }}, logInvalid},
			"log entry of another besides": {edit{tree: func(d object) { material(d)["tlogEntries"] = []any{entry(d), entry(another)} }}, logInvalid},
			"log entry twice":              {edit{tree: func(d object) { material(d)["tlogEntries"] = []any{entry(d), entry(d)} }}, logInvalid},
			"body of another":              {edit{tree: func(d object) { entry(d)["canonicalizedBody"] = entry(another)["canonicalizedBody"] }}, logInvalid},
			"body altered":                 {edit{tree: spoil(entry, "canonicalizedBody", 300)}, logInvalid},
			"log index altered":            {edit{tree: set(entry, "logIndex", "1")}, logInvalid},
			"log of another": {edit{tree: func(d object) {
				entry(d)["logId"] = object{"keyId": base64.StdEncoding.EncodeToString(make([]byte, 32))}
			}}, because(policy.LogUntrusted)},
			"time altered":           {edit{tree: set(entry, "integratedTime", "1900000000")}, logInvalid},
			"proof's root altered":   {edit{tree: spoil(proof, "rootHash", 0)}, logInvalid},
			"proof's index altered":  {edit{tree: set(proof, "logIndex", "1")}, logInvalid},
			"proof's size altered":   {edit{tree: set(proof, "treeSize", "1")}, logInvalid},
			"proof's hashes removed": {edit{tree: set(proof, "hashes", []any{})}, logInvalid},
			"proof's hash altered":   {edit{tree: func(d object) { proof(d)["hashes"].([]any)[0] = base64.StdEncoding.EncodeToString(make([]byte, 32)) }}, logInvalid},
			"proof of another":       {edit{tree: func(d object) { entry(d)["inclusionProof"] = entry(another)["inclusionProof"] }}, logInvalid},
			"checkpoint of another":  {edit{tree: func(d object) { proof(d)["checkpoint"] = proof(another)["checkpoint"] }}, logInvalid},
			"checkpoint unsigned": {edit{tree: func(d object) {
				text := proof(d)["checkpoint"].(object)["envelope"].(string)
				proof(d)["checkpoint"] = object{"envelope": text[:strings.Index(text, "\n\n")+2]}
			}}, logInvalid},
			"promise altered":        {edit{tree: spoil(promise, "signedEntryTimestamp", -1)}, logInvalid},
			"promise of another":     {edit{tree: func(d object) { entry(d)["inclusionPromise"] = entry(another)["inclusionPromise"] }}, logInvalid},
			"certificate of another": {edit{tree: func(d object) { material(d)["certificate"] = material(another)["certificate"] }}, logInvalid},
			"certificate cut short":  {edit{tree: func(d object) { c := material(d)["certificate"].(object); c["rawBytes"] = c["rawBytes"].(string)[:400] }}, broken},
			"certificate altered": {edit{tree: func(d object) {
				spoil(func(object) object { return material(d)["certificate"].(object) }, "rawBytes", -1)(d)
			}}, logInvalid},
			"payload of another":              {edit{tree: func(d object) { envelope(d)["payload"] = envelope(another)["payload"] }}, logInvalid},
			"signature of another":            {edit{tree: func(d object) { envelope(d)["signatures"] = envelope(another)["signatures"] }}, logInvalid},
			"envelope of another":             {edit{tree: func(d object) { d["dsseEnvelope"] = another["dsseEnvelope"] }}, logInvalid},
			"material of another":             {edit{tree: func(d object) { d["verificationMaterial"] = another["verificationMaterial"] }}, logInvalid},
			"called a key's":                  {edit{tree: func(d object) { delete(material(d), "certificate"); material(d)["publicKey"] = object{"hint": ""} }}, untrusted},
			"called a chain's":                {edit{tree: asChain}, untrusted},
			"a member doubled in a log entry": {edit{text: [2]string{`"logIndex":`, `"logIndex":"1","logIndex":`}}, broken},
		}
		for _, name := range slices.Sorted(maps.Keys(rows)) {
			t.Run(version+" "+name, func(t *testing.T) {
				row := rows[name]
				row.keepRoot = true
				k := newKeyless(t, version)
				mustHold(t, k.verify(t, k.options, k.bundle))
				sound := encode(t, decode(t, k.bundle))
				mustHold(t, k.verify(t, k.options, sound)) // written anew, it is still the same bundle
				mustRefuse(t, k.verify(t, k.options, row.apply(t, sound)), row.reasons...)
			})
		}
	}
}

// asChain puts the leaf where the certificate method has its chain: that method asks for no log at all.
func asChain(d object) {
	c := material(d)["certificate"]
	delete(material(d), "certificate")
	material(d)["x509CertificateChain"] = object{"certificates": []any{c}}
}

// TestKeylessNeedsWhatItsRootNames takes parts out of the trusted root. The bundles stay as they are.
func TestKeylessNeedsWhatItsRootNames(t *testing.T) {
	strangers := func(t *testing.T, key string, part func(object) object) func(object) {
		return func(root object) {
			for _, of := range root[key].([]any) {
				if k := part(of.(object)); k["keyDetails"] == "PKIX_ECDSA_P256_SHA_256" { // the others logged none of these
					k["rawBytes"] = spki(t)
				}
			}
		}
	}
	logKey := func(o object) object { return o["publicKey"].(object) }
	for name, c := range map[string]struct {
		edit   func(*testing.T) func(object)
		reason policy.Reason
	}{
		"certificate-transparency logs": {func(*testing.T) func(object) { return set(self, "ctlogs", []any{}) }, policy.SCTInvalid},
		"keys of those logs":            {func(t *testing.T) func(object) { return strangers(t, "ctlogs", logKey) }, policy.SCTInvalid},
		"keys of the transparency logs": {func(t *testing.T) func(object) { return strangers(t, "tlogs", logKey) }, policy.LogInvalid},
		"the authority's window": {func(*testing.T) func(object) {
			return func(root object) {
				for _, a := range root["certificateAuthorities"].([]any) {
					a.(object)["validFor"] = object{"start": "2019-01-01T00:00:00Z", "end": "2019-12-31T00:00:00Z"}
				}
			}
		}, policy.UntrustedSigner},
		"the logs' window": {func(*testing.T) func(object) {
			return func(root object) {
				for _, l := range root["tlogs"].([]any) {
					l.(object)["publicKey"].(object)["validFor"] = object{"start": "2019-01-01T00:00:00Z", "end": "2019-12-31T00:00:00Z"}
				}
			}
		}, policy.LogInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t, "v1.0.1")
			mustHold(t, k.verify(t, k.options, k.bundle))
			c.edit(t)(k.root)
			k.trust(t, k.root)
			mustRefuse(t, k.verify(t, k.options, k.bundle), c.reason)
		})
	}
}

// spki is a stranger's public key.
func spki(t *testing.T) string {
	t.Helper()
	return base64.StdEncoding.EncodeToString(publicDER(t))
}

// TestTrustedRootThatTrustsNobodyIsRefused: it could only ever say no, and whoever gave it meant something else.
func TestTrustedRootThatTrustsNobodyIsRefused(t *testing.T) {
	k := newKeyless(t, "v1.0.1")
	for name, edit := range map[string]func(object){
		"no authorities": set(self, "certificateAuthorities", []any{}),
		"no logs":        set(self, "tlogs", []any{}),
		"nothing":        func(root object) { clear(root) },
		"unknown type":   set(self, "mediaType", "application/json"),
	} {
		t.Run(name, func(t *testing.T) {
			root := decode(t, encode(t, k.root))
			if _, err := trust.LoadSigstore(encode(t, root)); err != nil {
				t.Fatal(err)
			}
			edit(root)
			if _, err := trust.LoadSigstore(encode(t, root)); err == nil {
				t.Error("it was taken for a trusted root")
			}
		})
	}
}

// TestKeylessIdentityIsHeldExactly tries identities that are nearly the signer's.
func TestKeylessIdentityIsHeldExactly(t *testing.T) {
	for name, who := range map[string]trust.Identity{
		"another subject":        {Issuer: realIssuer, Subject: "stefanb@example.com"},
		"another issuer":         {Issuer: "https://accounts.google.com", Subject: realSubject},
		"subject in other case":  {Issuer: realIssuer, Subject: strings.ToUpper(realSubject)},
		"part of the subject":    {Issuer: realIssuer, Subject: "stefanb@us.ibm.co"},
		"subject and more":       {Issuer: realIssuer, Subject: "x" + realSubject},
		"a pattern":              {Issuer: realIssuer, Subject: ".*"},
		"a pattern that matches": {Issuer: realIssuer, Subject: "stefanb@us.ibm.co."},
		"issuer with a slash":    {Issuer: realIssuer + "/", Subject: realSubject},
		"part of the issuer":     {Issuer: "https://sigstore.verify.ibm.com", Subject: realSubject},
		"a CA's any subject":     {CA: sum("x"), AnySubject: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyless(t, "v1.0.1")
			mustHold(t, k.verify(t, k.options, k.bundle))
			k.policy.Signers = []trust.Identity{who}
			mustRefuse(t, k.verify(t, k.options, k.bundle), policy.UntrustedSigner)
		})
	}
	k := newKeyless(t, "v1.0.1")
	k.policy.Signers = []trust.Identity{{Subject: realSubject}}
	mustRefuse(t, k.verify(t, k.options, k.bundle), policy.PolicyUnusable)
}

// TestKeylessBundleOfAnotherArtifactIsRefused takes sound bundles to another model.
func TestKeylessBundleOfAnotherArtifactIsRefused(t *testing.T) {
	k := newKeyless(t, "v1.0.1")
	mustHold(t, k.verify(t, k.options, k.bundle))
	own := k.dir
	k.world.dir = filepath.Join(t.TempDir(), "chat")
	k.fill(t, small())
	mustRefuse(t, k.verify(t, chain.FilesOptions{}, k.bundle), policy.FileUnsigned, policy.FileMissing)
	k.dir, k.roots = own, trust.Roots{Now: k.roots.Now}
	mustRefuse(t, k.verify(t, k.options, k.bundle), policy.UntrustedSigner)
}
