package attack

import (
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// timeAttacks show a verifier an older world than it has seen, or a clock that is wrong.
func timeAttacks() []attack {
	remembers := func(state policy.State) func(*scene) { return func(s *scene) { s.state = &state } }
	channel := func(seen, now uint64, more ...func(*scene)) func(*scene) {
		return func(s *scene) {
			asRelease(s, now)
			s.state = &policy.State{Channels: map[string]uint64{"stable": seen}}
			for _, f := range more {
				f(s)
			}
		}
	}
	return []attack{
		{"an expired policy", nil, func(s *scene) {
			s.replace("expires: "+s.now.Add(90*day).Format(time.RFC3339), "expires: "+s.ago(time.Hour).Format(time.RFC3339))
		}, because(policy.PolicyExpired)},
		{"an older policy", remembers(policy.State{PolicyVersion: 7}), remembers(policy.State{PolicyVersion: 8}), because(policy.PolicyRollback)},
		{"a clock behind what was seen", func(s *scene) { s.state = &policy.State{Latest: s.now} }, func(s *scene) { s.state = &policy.State{Latest: s.now.Add(time.Hour)} },
			because(policy.ClockBehind)},
		{"a list of tomorrow", nil, func(s *scene) {
			s.lists = nil
			s.revoke("data", attestations.Revocations{Sequence: 5, Issued: s.now.Add(day), Expires: s.now.Add(7 * day), Entries: []attestations.Revocation{}})
		}, because(policy.ClockBehind)},
		{"an older release", channel(8, 8), channel(9, 8), because(policy.ReleaseRollback)},
		{"an older release than the caller takes", func(s *scene) { asRelease(s, 8); s.floors = map[string]uint64{"stable": 8} },
			func(s *scene) { asRelease(s, 8); s.floors = map[string]uint64{"stable": 9} }, because(policy.ReleaseRollback)},
		{"nothing is known of the channel", channel(0, 8), func(s *scene) { asRelease(s, 8) }, because(policy.StateMissing)},
		{"a rollback that nobody approved", channel(9, 8, rollback("lead-1", "rollback")), channel(9, 8, rollback("mary", "rollback")),
			because(policy.ReleaseRollback, policy.EvidenceMissing)},
		{"a rollback approved by the wrong one", channel(9, 8, rollback("lead-1", "rollback")), channel(9, 8, rollback("red-team", "rollback")),
			because(policy.ReleaseRollback, policy.EvidenceMissing)},
		{"a rollback approved of another artifact", channel(9, 8, rollback("lead-1", "rollback")), channel(9, 8, func(s *scene) {
			rollback("mary", "rollback")(s)
			s.release.claims = append(s.release.claims, s.statement(s.sibling, "lead-1", s.approved(day, "rollback")))
		}), because(policy.ReleaseRollback, policy.WrongSubject)},
		{"a release in another channel", channel(8, 8), func(s *scene) {
			asRelease(s, 8)
			s.state = &policy.State{Channels: map[string]uint64{"stable": 8}}
			beta := s.released(9)
			beta.Order.Channel = "beta"
			s.instead(s.release, "trainer", beta)
		}, because(policy.EvidenceMissing)},
		{"a release number by another", channel(8, 8), func(s *scene) {
			channel(9, 8)(s)
			s.says(s.release, "red-team", s.released(99))
		}, because(policy.ReleaseRollback)},
	}
}

// asRelease has the policy ask for a place in a channel, and the trainer state one.
func asRelease(s *scene, sequence uint64) {
	s.replace("    evidence:\n      - {name: robustness", "    release: {channel: stable, signers: [trainer]}\n    evidence:\n      - {name: robustness")
	s.says(s.release, "trainer", s.released(sequence))
}

// rollback lets lead-1 approve of an older release, and has somebody approve.
func rollback(by, scope string) func(*scene) {
	return func(s *scene) {
		s.replace("{channel: stable, signers: [trainer]}", "{channel: stable, signers: [trainer], rollback: [lead-1]}")
		s.says(s.release, by, s.approved(day, strings.Fields(scope)...))
	}
}
