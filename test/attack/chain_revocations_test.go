package attack

import (
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/base64"
	"math/big"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// revocationAttacks use what is revoked, or a list that is not the one to be shown.
func revocationAttacks() []attack {
	// revoked is a row whose sound half revokes something of the same class that is nowhere.
	revoked := func(name string, what func(*scene) attestations.Digest, reasons ...policy.Reason) attack {
		return attack{name, func(s *scene) {
			d := what(s)
			d.Hex = sum("nowhere")[:len(d.Hex)]
			s.relist(attestations.Revocation{Digest: d})
		}, func(s *scene) { s.relist(attestations.Revocation{Digest: what(s)}) }, reasons}
	}
	file := func(content string) func(*scene) attestations.Digest {
		return func(*scene) attestations.Digest {
			return attestations.Digest{Class: attestations.ClassFile, Hex: sum(content)}
		}
	}
	identity := func(name string, since time.Duration) []attestations.Revocation {
		return []attestations.Revocation{{Identity: attestations.SignerIdentity{Key: fingerprint(name)}, Since: present.Add(-since)}}
	}
	return []attack{
		revoked("the release", func(s *scene) attestations.Digest { return artifactDigest(s.release) }, policy.Revoked),
		revoked("the base", func(s *scene) attestations.Digest { return artifactDigest(s.base) }, policy.Revoked),
		revoked("a file of the release", file("fine-tuned weights"), policy.Revoked),
		revoked("a file of the dataset", file("rows of text"), policy.Revoked),
		revoked("the commit", func(*scene) attestations.Digest { return commitDigest("c0") }, policy.Revoked),
		revoked("the provenance", func(s *scene) attestations.Digest { return bundleDigest(s, s.release.claims[1]) }, policy.Revoked, policy.LinkUnattested),
		{"the provenance, its signature turned", func(s *scene) {
			s.relist(attestations.Revocation{Digest: attestations.Digest{Class: attestations.ClassAttestation, Hex: sum("nowhere")}})
		}, func(s *scene) {
			s.relist(attestations.Revocation{Digest: bundleDigest(s, s.release.claims[1])})
			s.release.claims[1] = turned(s, s.release.claims[1])
		}, because(policy.Revoked, policy.LinkUnattested)},
		{"the base, which the policy pins", func(s *scene) { pinnedInput(s); s.relist(attestations.Revocation{Digest: artifactDigest(s.sibling)}) },
			func(s *scene) { pinnedInput(s); s.relist(attestations.Revocation{Digest: artifactDigest(s.base)}) }, because(policy.Revoked)},
		{"the base of a release that is pinned elsewhere", func(s *scene) { eitherWay(s); s.relist() },
			func(s *scene) { eitherWay(s); s.relist(attestations.Revocation{Digest: artifactDigest(s.base)}) }, because(policy.Revoked)},
		{"the trainer's key", func(s *scene) { s.relist(identity("mary", 0)...) }, func(s *scene) { s.relist(identity("trainer", 0)...) },
			because(policy.Revoked, policy.LinkUnattested)},
		{"the tester's key, where nothing shows that it signed before", func(s *scene) { s.relist(identity("mary", 0)...) }, func(s *scene) { s.relist(identity("red-team", -time.Hour)...) },
			because(policy.Revoked)},
		{"the builder", func(s *scene) { s.relist(attestations.Revocation{Builder: "https://acme.example/builders/desk"}) },
			func(s *scene) { s.relist(attestations.Revocation{Builder: "https://acme.example/builders/k8s-train"}) }, because(policy.Revoked, policy.LinkUnattested)},
		{"the source repository", func(s *scene) { s.relist(attestations.Revocation{SourceURI: "git+https://git.example/acme/serve"}) },
			func(s *scene) { s.relist(attestations.Revocation{SourceURI: "git+https://git.example/acme/train"}) }, because(policy.Revoked)},
		{"an account of it that names what is revoked, and one that does not", func(s *scene) { s.relist(attestations.Revocation{Digest: commitDigest("ee")}) }, func(s *scene) {
			s.relist(attestations.Revocation{Digest: commitDigest("ee")})
			s.says(s.release, "trainer", s.madeFrom(attestations.RoleSource, func(d *attestations.Dependency) { d.Digest = commitDigest("ee") }))
		}, because(policy.Ambiguous)},

		{"no list", nil, func(s *scene) { s.replace("revocations: {from: revoked.jsonl", "revocations: {from: nowhere.jsonl") }, because(policy.RevocationsMissing, policy.Unreadable)},
		{"a list by another", nil, func(s *scene) { s.lists = nil; s.list(6, "trainer") }, because(policy.RevocationsMissing)},
		{"something else than a list", nil, func(s *scene) { s.lists = s.base.claims[:1] }, because(policy.RevocationsMissing)},
		{"an expired list", nil, func(s *scene) {
			s.lists = nil
			s.revoke("data", attestations.Revocations{Sequence: 5, Issued: s.ago(2 * day), Expires: s.ago(time.Hour), Entries: []attestations.Revocation{}})
		}, because(policy.RevocationsStale)},
		{"an old list", nil, func(s *scene) {
			s.lists = nil
			s.revoke("data", attestations.Revocations{Sequence: 5, Issued: s.ago(4 * day), Expires: s.now.Add(day), Entries: []attestations.Revocation{}})
		}, because(policy.RevocationsStale)},
		{"an older list than was seen", func(s *scene) { s.state = &policy.State{Sequence: 4} }, func(s *scene) { s.state = &policy.State{Sequence: 6} }, because(policy.RevocationsRollback)},
		{"a list far ahead", func(s *scene) { s.lists = nil; s.list(1005, "data"); s.state = &policy.State{Sequence: 5} },
			func(s *scene) { s.lists = nil; s.list(1006, "data"); s.state = &policy.State{Sequence: 5} }, because(policy.RevocationsRollback)},
		{"a newer list that lost an entry, beside the older", func(s *scene) { s.relist(mary()...); s.list(6, "data", mary()...) },
			func(s *scene) { s.relist(mary()...); s.list(6, "data") }, because(policy.RevocationsRollback)},
		{"two lists of one number", func(s *scene) { s.list(5, "data") }, func(s *scene) { s.list(5, "data", mary()...) }, because(policy.RevocationsRollback)},
		{"a list that lost an entry since", func(s *scene) { s.state = &policy.State{Sequence: 4} }, func(s *scene) {
			s.state = &policy.State{Sequence: 4, Revoked: []string{"digest artifact " + s.sibling.id + " descendants=true since=2026-01-01T00:00:00Z"}}
		}, because(policy.RevocationsRollback)},
		{"a file, and nobody knows which the base has", func(s *scene) { s.relist(attestations.Revocation{Digest: file("pickle")(s)}) }, func(s *scene) {
			s.relist(attestations.Revocation{Digest: file("pickle")(s)})
			s.file(s.dir+"/base.jsonl", s.base.claims)
			s.evidence = []string{s.dir + "/base.jsonl", s.data.path}
		}, because(policy.FilesUnknown)},
	}
}

// mary is an entry that nothing in the scene depends on.
func mary() []attestations.Revocation {
	return []attestations.Revocation{{Identity: attestations.SignerIdentity{Key: fingerprint("mary")}, Since: present}}
}

func fingerprint(name string) string {
	k, err := trust.LoadKey(people()[name].public)
	if err != nil {
		panic(err)
	}
	return k.Fingerprint()
}

func bundleDigest(s *scene, b attestations.Bundle) attestations.Digest {
	s.t.Helper()
	u, err := b.Peek()
	if err != nil {
		s.t.Fatal(err)
	}
	return digestOf(attestations.ClassAttestation, u.Name)
}

// turned is a bundle with its ECDSA signature in the other form that verifies, which takes no key to make.
func turned(s *scene, b attestations.Bundle) attestations.Bundle {
	s.t.Helper()
	doc := decode(s.t, b)
	holder := doc["dsseEnvelope"].(object)["signatures"].([]any)[0].(object)
	der, err := base64.StdEncoding.DecodeString(holder["sig"].(string))
	if err != nil {
		s.t.Fatal(err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		s.t.Fatal(err)
	}
	sig.S.Sub(elliptic.P256().Params().N, sig.S)
	if der, err = asn1.Marshal(sig); err != nil {
		s.t.Fatal(err)
	}
	holder["sig"] = base64.StdEncoding.EncodeToString(der)
	return encode(s.t, doc)
}

// pinnedInput has the policy name the base and not follow it.
func pinnedInput(s *scene) {
	s.replace("base-model: {step: approved-base, count: 1}", "base-model: {pinned: [\""+s.base.id+"\"], count: 1}")
	cut(s, "  approved-base:", "  clean-data:")
}

// eitherWay has the release pass by its whole chain or because the policy names it.
func eitherWay(s *scene) {
	s.replace("target: release", "target: either")
	s.policy += "  either: {anyOf: [{pinned: [\"" + s.release.id + "\"]}, {step: release}]}\n"
}
