package attack

import (
	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// setAttacks serve an adapter on another base than it was made for.
func setAttacks() []attack {
	return []attack{
		{"on another base", func(s *scene) { adapter(s, s.base) }, func(s *scene) { adapter(s, s.sibling) }, because(policy.BaseMismatch)},
		{"on another base, and another team calls it a model", func(s *scene) { adapter(s, s.base) }, func(s *scene) {
			adapter(s, s.sibling)
			s.replace("target: {adapter: release, model: served}", "target: release")
			cut(s, "  served:", "  clean-data:")
			s.replace("    kind: adapter\n", "")
			s.release.kind = attestations.KindModel
			s.sign(s.release, "red-team")
		}, because(policy.BaseMismatch)},
		{"and another team calls it a model", func(s *scene) { adapter(s, s.base) }, func(s *scene) {
			adapter(s, s.base)
			s.release.kind = attestations.KindModel
			s.sign(s.release, "red-team")
		}, because(policy.WrongKind, policy.BaseMismatch)},
	}
}

// adapter makes an adapter of the release, and serves it on a base that the trainer signed too.
func adapter(s *scene, on *piece) {
	s.replace("target: release", "target: {adapter: release, model: served}")
	s.replace("  clean-data:\n", "  served: {signature: [trainer]}\n  clean-data:\n")
	s.replace("    kind: model\n", "    kind: adapter\n")
	s.replace("types: [finetune]", "types: [adapter]")
	s.release.kind, s.release.claims = attestations.KindAdapter, nil
	p := s.made()
	p.BuildDefinition.BuildType = attestations.BuildAdapter
	s.sign(s.release, "trainer")
	s.says(s.release, "trainer", p)
	s.says(s.release, "red-team", s.tested(10*day, "0.71"))
	s.says(s.release, "lead-1", s.approved(9*day))
	s.says(s.release, "lead-2", s.approved(8*day))
	s.sign(on, "trainer")
	s.targets = []*piece{s.release, on}
}
