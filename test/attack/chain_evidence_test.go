package attack

import (
	"strings"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// evidenceAttacks are on the statements that a step asks for.
func evidenceAttacks() []attack {
	return []attack{
		{"nobody tested", nil, func(s *scene) { s.drop(s.release, attestations.PredicateTestResult) }, because(policy.EvidenceMissing)},
		{"the wrong team tested", nil, func(s *scene) { s.instead(s.release, "lead-1", s.tested(day, "0.9")) }, because(policy.EvidenceMissing)},
		{"a stranger tested", nil, func(s *scene) { s.instead(s.release, "mary", s.tested(day, "0.9")) }, because(policy.EvidenceMissing)},
		{"something else was tested", nil, func(s *scene) { s.instead(s.release, "red-team", s.scanned(day)) }, because(policy.EvidenceMissing)},
		{"the testers approve", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateApproval)
			s.says(s.release, "lead-1", s.approved(day))
			s.says(s.release, "red-team", s.approved(day))
		}, because(policy.QuorumMissed)},
		{"a sibling's test is replayed", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateTestResult)
			s.release.claims = append(s.release.claims, s.statement(s.sibling, "red-team", s.tested(day, "0.9")))
		}, because(policy.WrongSubject)},
		{"everything of a sibling is replayed", nil, func(s *scene) {
			sibling := *s.sibling
			s.sign(&sibling, "trainer")
			s.says(&sibling, "trainer", s.made())
			s.says(&sibling, "red-team", s.tested(day, "0.9"))
			s.says(&sibling, "lead-1", s.approved(day))
			s.says(&sibling, "lead-2", s.approved(day))
			s.release.claims = sibling.claims
		}, because(policy.DigestMismatch, policy.WrongSubject, policy.LinkUnattested)},
		{"a retrained model keeps its evidence", nil, func(s *scene) {
			write(s.t, s.release.path+"/weights.bin", "weights of the next run")
			s.drop(s.release, attestations.PredicateOMS)
			s.sign(s.release, "trainer")
		}, because(policy.WrongSubject, policy.LinkUnattested)},
		{"an old test", nil, func(s *scene) { s.instead(s.release, "red-team", s.tested(31*day, "0.9")) }, because(policy.Stale)},
		{"a test of next year", nil, func(s *scene) { s.instead(s.release, "red-team", s.tested(-365*day, "0.9")) }, because(policy.Stale)},
		{"an approval that ended", nil, func(s *scene) {
			ended := s.approved(9 * day)
			ended.Expires = s.ago(day)
			s.drop(s.release, attestations.PredicateApproval)
			s.says(s.release, "lead-1", ended)
			s.says(s.release, "lead-2", s.approved(day))
		}, because(policy.Stale, policy.QuorumMissed)},
		{"a newer failure", func(s *scene) { s.says(s.release, "red-team", s.failedTest(11*day)) },
			func(s *scene) { s.says(s.release, "red-team", s.failedTest(9*day)) }, because(policy.Refuted)},
		{"a failure at the same time", nil, func(s *scene) { s.says(s.release, "red-team", s.failedTest(10*day)) }, because(policy.Refuted)},
		{"a failure that a pass of next year is to outrank", func(s *scene) {
			s.says(s.release, "red-team", s.failedTest(9*day))
			s.says(s.release, "red-team", s.tested(8*day, "0.9"))
		}, func(s *scene) {
			s.says(s.release, "red-team", s.failedTest(9*day))
			s.says(s.release, "red-team", s.tested(-365*day, "0.9"))
		}, because(policy.Stale, policy.Refuted)},
		{"a failure by a stranger helps nobody, a pass neither", func(s *scene) { s.says(s.release, "mary", s.failedTest(day)) }, func(s *scene) {
			s.says(s.release, "red-team", s.failedTest(day))
			s.says(s.release, "mary", s.tested(0, "0.9"))
		}, because(policy.Refuted)},
		{"a withdrawn approval", nil, func(s *scene) {
			no := s.approved(day)
			no.Decision, no.Evidence, no.Expires = attestations.Rejected, nil, no.DecidedOn.Add(30*day)
			s.says(s.release, "lead-1", no)
		}, because(policy.Refuted)},
		{"a failure on one branch, pinned on another", func(s *scene) { behindPin(s, s.scanned(10*day)) }, func(s *scene) {
			no := s.scanned(10 * day)
			no.Result, no.PassedTests, no.FailedTests = attestations.ResultFailed, nil, []string{"names"}
			behindPin(s, no)
		}, because(policy.Refuted)},
		{"one approval", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateApproval)
			s.says(s.release, "lead-1", s.approved(day))
		}, because(policy.QuorumMissed)},
		{"one lead approves twice", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateApproval)
			s.says(s.release, "lead-1", s.approved(day))
			s.says(s.release, "lead-1", s.approved(2*day))
		}, because(policy.QuorumMissed)},
		{"one lead approves by two keys", func(s *scene) { twoKeys(s, "lead-2") }, func(s *scene) { twoKeys(s, "mary") }, because(policy.QuorumMissed)},
		{"the trainer approves", func(s *scene) { trainersToo(s, "lead-2") }, func(s *scene) { trainersToo(s, "trainer") }, because(policy.OwnWork, policy.QuorumMissed)},
		{"the trainer approves in another step", func(s *scene) { approvedApart(s, "lead-2") }, func(s *scene) { approvedApart(s, "trainer") },
			because(policy.OwnWork, policy.QuorumMissed)},
		{"approved for something else", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateApproval)
			s.says(s.release, "lead-1", s.approved(day, "research"))
			s.says(s.release, "lead-2", s.approved(day, "production"))
		}, because(policy.RuleFailed, policy.QuorumMissed)},
		{"a test that went badly", nil, func(s *scene) { s.instead(s.release, "red-team", s.tested(day, "0.59")) }, because(policy.RuleFailed)},
		{"a test that measured something else", nil, func(s *scene) {
			r := s.tested(day, "0.9")
			r.Evaluation.Metrics[0].Name = "clean_accuracy"
			s.instead(s.release, "red-team", r)
		}, because(policy.RuleError)},
		{"a test that measured on two datasets", nil, func(s *scene) {
			r := s.tested(day, "0.9")
			r.Evaluation.Metrics[0].Dataset = artifactDigest(s.data)
			r.Evaluation.Metrics = append(r.Evaluation.Metrics, attestations.Metric{Name: "robust_accuracy", Value: "0.1", Dataset: artifactDigest(s.base)})
			s.instead(s.release, "red-team", r)
		}, because(policy.RuleError)},
		{"signed as a dataset", nil, func(s *scene) {
			s.drop(s.release, attestations.PredicateOMS)
			s.release.kind = attestations.KindDataset
			s.sign(s.release, "trainer")
		}, because(policy.WrongKind)},
		{"a model in the place of a dataset", nil, func(s *scene) {
			s.drop(s.data, attestations.PredicateOMS)
			s.data.kind = attestations.KindModel
			s.sign(s.data, "data")
		}, because(policy.WrongKind)},
		{"a file that another team signed away", func(s *scene) { unsignedStep(s); s.sign(s.release, "red-team") }, func(s *scene) {
			unsignedStep(s)
			signedAway(s, "red-team", "evil.py")
		}, because(policy.Uncovered)},
	}
}

// behindPin has the dataset pass by its scan or because the policy names it, and says what.
func behindPin(s *scene, what attestations.TestResult) {
	s.replace("dataset.train: {step: clean-data", "dataset.train: {step: some-data")
	s.policy += "  some-data: {anyOf: [{pinned: [\"" + s.data.id + "\"]}, {step: clean-data}]}\n"
	s.instead(s.data, "data", what)
}

// twoKeys gives lead-1 a second key, mary's, and has lead-1 approve, and somebody else.
func twoKeys(s *scene, second string) {
	s.replace("lead-1: {key: keys/lead-1.pub}", "lead-1: [{key: keys/lead-1.pub}, {key: keys/mary.pub}]")
	s.drop(s.release, attestations.PredicateApproval)
	s.says(s.release, "lead-1", s.approved(day))
	s.says(s.release, second, s.approved(day))
}

// trainersToo lets the trainer approve as well, and has lead-1 approve, and somebody else.
func trainersToo(s *scene, second string) {
	s.replace("signers: [lead-1, lead-2], distinct: 2", "signers: [lead-1, lead-2, trainer], distinct: 2")
	s.drop(s.release, attestations.PredicateApproval)
	s.says(s.release, "lead-1", s.approved(day))
	s.says(s.release, second, s.approved(day))
}

// approvedApart asks for the approval in a step of its own.
func approvedApart(s *scene, second string) {
	trainersToo(s, second)
	at := strings.Index(s.policy, "      - {name: sign-off")
	end := at + strings.Index(s.policy[at:], "\n") + 1
	signOff := s.policy[at:end]
	s.policy = s.policy[:at] + s.policy[end:]
	s.replace("target: release", "target: approved")
	s.policy += "  approved:\n    anyOf: [{step: release}]\n    evidence:\n" + signOff
}

// unsignedStep has the release's step ask for no signature: its provenance is to say everything.
func unsignedStep(s *scene) {
	s.replace("    kind: model\n    signature: [trainer]\n", "    kind: model\n")
	s.drop(s.release, attestations.PredicateOMS)
}
