package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hallmark-project/hallmark/attestations/chain"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Judge is by what artifacts are decided on: a policy over a chain, or who must have signed. The zero Judge trusts nobody,
// and every verdict is then a don't know.
type Judge struct {
	Document *policy.Document    // decides over the chain; nil: Policy decides on each artifact by itself
	Options  chain.PolicyOptions // with Document; Now is the audit's, and a State stays as it is: an audit lets nothing pass

	Roots  trust.Roots // opens bundles, with Policy; Now is the audit's
	Policy policy.Policy
}

// String says in words what the Judge asks.
func (j *Judge) String() string {
	if j.Document != nil {
		return j.Document.String()
	}
	return j.Policy.String()
}

// prepare returns the Judge with lists of what is revoked that are read once.
func (j Judge) prepare() *Judge {
	sources := make([]chain.Source, len(j.Options.Revocations))
	for i, s := range j.Options.Revocations {
		sources[i] = &readOnce{from: s}
	}
	j.Options.Revocations, j.Options.Openings = sources, new(chain.Openings)
	return &j
}

// decide decides on t by the clock at. Its error is that ctx ended.
func (j *Judge) decide(ctx context.Context, t chain.Target, lib chain.Library, at time.Time) (policy.Decision, error) {
	clock := func() time.Time { return at }
	if j.Document == nil {
		roots := j.Roots
		roots.Now = clock
		return chain.Verify(ctx, t.Artifact, t.Sources, chain.Options{Roots: roots, Policy: j.Policy, Openings: j.Options.Openings})
	}
	o := j.Options
	o.Now = clock
	decisions, _, err := chain.VerifyPolicy(ctx, []chain.Target{t}, lib, j.Document, o)
	if err != nil {
		return policy.Decision{}, err
	}
	return decisions[0], nil
}

// ground is a digest of everything that a verdict rests on besides an artifact's own evidence, that of its inputs, and the
// time; empty where a verdict may not be used again. What it leaves out must not be able to turn a no into a yes.
func (j *Judge) ground(ctx context.Context, program string, now time.Time) (string, error) {
	h := sha256.New()
	say := func(what string, values ...any) { fmt.Fprintf(h, "%q %q\n", what, fmt.Sprint(values...)) }
	say("program", program)
	for _, r := range []*trust.Sigstore{j.Roots.Sigstore, j.Options.Sigstore} {
		if r != nil {
			say("trusted root", r.Origin().Digest)
		}
	}
	for _, k := range j.Roots.Keys {
		say("key", k.Fingerprint())
	}
	for _, a := range j.Roots.Authorities {
		say("ca", a.Fingerprint())
	}
	if j.Document == nil {
		p := j.Policy
		say("policy", p.AllowUnsigned, " ", p.AllowUncovered, " ", p.RequireLog, " ", p.LogThreshold, " ", p.TimeThreshold)
		for _, s := range p.Signers {
			if s.Pattern != nil {
				say("pattern", s.Pattern)
			}
			say("signer", fmt.Sprintf("%q", []string{s.Key, s.CA, s.Issuer, s.Subject, fmt.Sprintf("%q", s.Claims), fmt.Sprint(s.AnySubject)}),
				s.Window.ValidFrom.UnixNano(), s.Window.ValidUntil.UnixNano(), s.Window.RevokedAt.UnixNano())
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	}
	found, state, err := j.general(ctx, now)
	if err != nil || len(found) > 0 || j.Document.Digest == "" || readsClock(j.Document) {
		return "", err
	}
	say("policy", j.Document.Digest)
	say("revoked", strings.Join(state.Revoked, "\n")) // not who signed the list, and when: it is issued anew again and again
	for _, channel := range slices.Sorted(maps.Keys(j.Options.Floors)) {
		say("floor", channel, "=", j.Options.Floors[channel])
	}
	if s := j.Options.State; s != nil {
		say("state")
		for _, channel := range slices.Sorted(maps.Keys(s.Channels)) {
			say("channel", channel, "=", s.Channels[channel])
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// readsClock reports whether a rule of the policy may look at the time: then nothing bounds how long a verdict holds. A
// rule has no other word for it, and one that has the word in a text is taken to.
func readsClock(d *policy.Document) bool {
	for _, s := range d.Steps {
		for _, r := range s.Evidence {
			if r.Rule != nil && strings.Contains(r.Rule.String(), "now") {
				return true
			}
		}
		if p := s.Provenance; p != nil && p.Rule != nil && strings.Contains(p.Rule.String(), "now") {
			return true
		}
	}
	return false
}

// waits are reasons that the passing of time alone may take away.
var waits = []policy.Reason{policy.ClockBehind, policy.CertificateTooEarly, policy.KeyTooEarly, policy.Ambiguous}

// failures are reasons that asking again may take away.
var failures = []policy.Reason{policy.Unreachable, policy.Unreadable, policy.TimedOut, policy.Changed, policy.CapReached}

// everywhere are reasons that are the policy's as a whole, and no artifact's. They come with time too, all at once, so they
// are told once, and looked for anew in each audit.
var everywhere = []policy.Reason{policy.PolicyExpired, policy.RevocationsStale}

// own are a decision's reasons save those of the policy as a whole.
func own(d policy.Decision) []policy.Reason {
	return slices.DeleteFunc(append([]policy.Reason{}, d.Reasons()...), func(r policy.Reason) bool { return slices.Contains(everywhere, r) })
}

// same reports whether two decisions on one artifact at different times are the same, for the same reasons and on the same
// evidence. Then it was the same at all times between, for evidence only grows too old, and what counts at both ends counts
// in between; see steady. The reasons that are everywhere are left aside: whoever uses the verdict again has to look whether
// there are any then.
func same(first, last policy.Decision) bool {
	return slices.Equal(own(first), own(last)) && slices.Equal(counted(first), counted(last))
}

// steady reports whether nothing but what grows old has a part in a decision: no failure that may be over when it is asked
// again, and nothing that may begin to count later.
func steady(d policy.Decision) bool {
	if d.Verdict() == policy.Unknown || failed(d) || finds(d, waits) || dated(d, d.Evidence) {
		return false
	}
	return !slices.ContainsFunc(d.Chain, func(l policy.Link) bool { return dated(d, l.Evidence) })
}

// dated reports whether a statement among evidence is of a time that had yet to come when d was decided.
func dated(d policy.Decision, evidence []policy.Evidence) bool {
	return slices.ContainsFunc(evidence, func(e policy.Evidence) bool { return e.Claim != nil && e.Claim.At.After(d.At) })
}

// failed reports whether something that a decision asked for did not come.
func failed(d policy.Decision) bool { return finds(d, failures) }

func finds(d policy.Decision, codes []policy.Reason) bool {
	for f := range findings(d) {
		if slices.Contains(codes, f.Code) {
			return true
		}
	}
	return false
}

// amounts is what a decision at another time amounts to, the policy's own end aside.
func amounts(d policy.Decision) Outcome {
	o := Outcome{policy.Yes, own(d)}
	for _, r := range o.Reasons {
		o.Verdict = min(o.Verdict, r.Verdict())
	}
	return o
}

// general returns what would stand in the way of every artifact at a time, and what a verifier would remember then.
func (j *Judge) general(ctx context.Context, at time.Time) ([]policy.Finding, policy.State, error) {
	if j.Document == nil {
		return nil, policy.State{}, nil
	}
	o := j.Options
	o.Now = func() time.Time { return at }
	nothing := chain.Target{Artifact: chain.NewManifest([]byte("{}"), "nothing", "", "")}
	decisions, state, err := chain.VerifyPolicy(ctx, []chain.Target{nothing}, nil, j.Document, o)
	if err != nil {
		return nil, state, err
	}
	first := decisions[0].Checks[0] // what concerns them all comes before what concerns one
	if first.Name != "policy" {
		return nil, state, nil
	}
	return first.Findings, state, nil
}

// listEnds is when the list of what is revoked that counts now no longer does, to the minute; zero: not before the horizon,
// or not now.
func (j *Judge) listEnds(ctx context.Context, now, horizon time.Time) (time.Time, error) {
	stale := func(at time.Time) (bool, error) {
		found, _, err := j.general(ctx, at)
		return slices.ContainsFunc(found, func(f policy.Finding) bool { return f.Code == policy.RevocationsStale }), err
	}
	if first, err := stale(now); first || err != nil {
		return time.Time{}, err
	}
	if last, err := stale(horizon); !last || err != nil {
		return time.Time{}, err
	}
	for horizon.Sub(now) > time.Minute {
		middle := now.Add(horizon.Sub(now) / 2)
		ended, err := stale(middle)
		if err != nil {
			return time.Time{}, err
		}
		if ended {
			horizon = middle
		} else {
			now = middle
		}
	}
	return now, nil
}

// counted names the evidence that counted, by place.
func counted(d policy.Decision) []string {
	var out []string
	add := func(place string, evidence []policy.Evidence) {
		for _, e := range evidence {
			if e.Counted {
				out = append(out, place+" "+e.Digest)
			}
		}
	}
	add("", d.Evidence)
	for _, l := range d.Chain {
		add(l.Step+" "+l.Artifact.ID, l.Evidence)
	}
	slices.Sort(out)
	return out
}

// findings are all that a decision has, wherever they stand.
func findings(d policy.Decision) func(yield func(policy.Finding) bool) {
	lists := [][]policy.Finding{}
	add := func(checks []policy.Check, evidence []policy.Evidence) {
		for _, c := range checks {
			lists = append(lists, c.Findings)
		}
		for _, e := range evidence {
			lists = append(lists, e.Findings)
		}
	}
	add(d.Checks, d.Evidence)
	for _, l := range d.Chain {
		add(l.Checks, l.Evidence)
	}
	return func(yield func(policy.Finding) bool) {
		for _, list := range lists {
			for _, f := range list {
				if !yield(f) {
					return
				}
			}
		}
	}
}

// readOnce is a source that is read by the first who asks.
type readOnce struct {
	from  chain.Source
	mu    sync.Mutex
	read  bool
	items []chain.Item
	err   error
}

// Evidence returns what the first reading returned. One that ended with its context was none.
func (s *readOnce) Evidence(ctx context.Context) ([]chain.Item, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.read {
		s.items, s.err = s.from.Evidence(ctx)
		s.read = ctx.Err() == nil
	}
	return s.items, s.err
}
