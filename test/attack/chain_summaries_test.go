package attack

import (
	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// refusedSummary are the reasons where a summary, which alone could stand for the base, may not.
func refusedSummary(reasons ...policy.Reason) []policy.Reason {
	return append(because(policy.LinkUnattested), append(reasons, policy.NotPinned, policy.NoAlternative)...)
}

// summaryAttacks are on summaries that are to stand for the base and all below it. Each is beside one that may.
func summaryAttacks() []attack {
	summed := func(change func(*scene, *attestations.VSA)) func(*scene) {
		return func(s *scene) {
			v := s.verified()
			if change != nil {
				change(s, &v)
			}
			s.drop(s.base, attestations.PredicateIngestion)
			s.says(s.base, "data", v)
		}
	}
	row := func(name string, change func(*scene, *attestations.VSA), reasons ...policy.Reason) attack {
		return attack{name, summed(nil), summed(change), reasons}
	}
	return []attack{
		row("of another resource", func(_ *scene, v *attestations.VSA) { v.ResourceURI = "oci://registry.example/llm/other" }, refusedSummary(policy.VSARefused)...),
		row("of another policy", func(_ *scene, v *attestations.VSA) { v.Policy.Digest = attestations.DigestSet{"sha256": sum("lax")} }, refusedSummary(policy.VSARefused)...),
		row("by another verifier", func(_ *scene, v *attestations.VSA) { v.Verifier.ID = "https://acme.example/verify/2" },
			policy.LinkUnattested, policy.NotPinned, policy.NoAlternative),
		row("of evidence that is old", func(s *scene, v *attestations.VSA) { v.Basis.Oldest = s.ago(91 * day) }, refusedSummary(policy.Stale)...),
		row("that another tool made", func(_ *scene, v *attestations.VSA) { v.Basis = attestations.Basis{} }, refusedSummary(policy.VSARefused)...),
		row("that rests on nothing", func(_ *scene, v *attestations.VSA) { v.Basis.Ancestors = []attestations.Digest{} }, refusedSummary(policy.VSARefused)...),
		row("of next year", func(s *scene, v *attestations.VSA) { v.TimeVerified, v.Basis.Oldest = s.ago(-365*day), s.ago(-365*day) },
			policy.LinkUnattested, policy.Stale, policy.NotPinned, policy.NoAlternative),
		row("that says no", func(_ *scene, v *attestations.VSA) {
			v.VerificationResult, v.VerifiedLevels = attestations.ResultFailed, []string{attestations.LevelFailed}
		}, policy.Refuted),
		{"that says no, beside an ingestion", func(s *scene) { s.says(s.base, "data", s.verified()) }, func(s *scene) {
			no := s.verified()
			no.VerificationResult, no.VerifiedLevels = attestations.ResultFailed, []string{attestations.LevelFailed}
			s.says(s.base, "data", no)
		}, because(policy.Refuted)},
		{"by who lets nothing in", summed(nil), func(s *scene) {
			s.drop(s.base, attestations.PredicateIngestion)
			s.says(s.base, "red-team", s.verified())
		}, because(policy.LinkUnattested, policy.NotPinned, policy.NoAlternative)},
		{"of another artifact", summed(nil), func(s *scene) {
			s.base.claims = []attestations.Bundle{s.statement(s.sibling, "data", s.verified())}
		}, refusedSummary(policy.WrongSubject)},
		row("that rests on what is revoked", func(s *scene, _ *attestations.VSA) {
			s.relist(attestations.Revocation{Digest: artifactDigest(s.sibling)})
		}, policy.Revoked),
		row("that rests on a commit that is revoked", func(s *scene, _ *attestations.VSA) { s.relist(attestations.Revocation{Digest: commitDigest("ba")}) }, policy.Revoked),
		row("that rests on a bundle that is revoked", func(s *scene, v *attestations.VSA) {
			v.InputAttestations = []attestations.Resource{{Digest: attestations.DigestSet{"sha256": sum("bundle")}}}
			s.relist(attestations.Revocation{Digest: attestations.Digest{Class: attestations.ClassAttestation, Hex: sum("bundle")}})
		}, refusedSummary(policy.VSARefused)...),
		row("that rests on who knows which files", func(s *scene, _ *attestations.VSA) {
			s.relist(attestations.Revocation{Digest: attestations.Digest{Class: attestations.ClassFile, Hex: sum("pickle")}})
		}, policy.LinkUnattested, policy.NotPinned, policy.NoAlternative, policy.FilesUnknown),
	}
}
