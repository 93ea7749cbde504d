package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

func TestDecideJudgesKeysByTrustedTimeAlone(t *testing.T) {
	at := func(months int) *time.Time { t := now.AddDate(0, months, 0); return &t }
	until := trust.Window{ValidUntil: *at(-6)}
	revoked := trust.Window{RevokedAt: *at(-6)}
	from := trust.Window{ValidFrom: *at(-6)}
	later := trust.Window{ValidFrom: *at(-2), ValidUntil: *at(2)}
	for name, c := range map[string]struct {
		windows           []trust.Window
		notBefore, signed *time.Time
		reason            policy.Reason // empty: a yes
	}{
		"valid now, and no time":             {[]trust.Window{{ValidUntil: *at(6)}}, nil, nil, policy.KeyTimeMissing},
		"expired now, signed before":         {[]trust.Window{until}, nil, at(-7), ""},
		"expired, signed after":              {[]trust.Window{until}, nil, at(-5), policy.KeyExpired},
		"revoked, signed before":             {[]trust.Window{revoked}, nil, at(-7), ""},
		"revoked, seen after":                {[]trust.Window{revoked}, at(-9), at(-5), policy.Revoked},
		"from, and a timestamp alone":        {[]trust.Window{from}, nil, at(-1), policy.KeyTimeMissing},
		"from, and seen before":              {[]trust.Window{from}, nil, at(-7), policy.KeyTooEarly},
		"from, and a bound below":            {[]trust.Window{from}, at(-1), at(-1), ""},
		"no window and no time":              {[]trust.Window{{}}, nil, nil, ""},
		"the second of two windows":          {[]trust.Window{until, later}, at(-1), at(-1), ""},
		"between two windows":                {[]trust.Window{until, later}, at(-4), at(-4), policy.KeyExpired},
		"a window and the same without one":  {[]trust.Window{until, {}}, nil, nil, ""},
		"a window that ends before it opens": {[]trust.Window{{ValidFrom: *at(1), ValidUntil: *at(-1)}}, at(0), at(0), policy.PolicyUnusable},
	} {
		t.Run(name, func(t *testing.T) {
			p := policy.Policy{}
			for _, w := range c.windows {
				p.Signers = append(p.Signers, trust.Identity{Key: alice.Key, Window: w})
			}
			e := signedBy(alice)
			e.Time, e.TimeSource, e.NotBefore = c.signed, "timestamped", c.notBefore
			d := policy.Decide(p, facts(e), now)
			want := policy.Yes
			var reasons []policy.Reason
			if c.reason != "" {
				want, reasons = c.reason.Verdict(), []policy.Reason{c.reason}
			}
			if d.Verdict() != want || !slices.Equal(d.Reasons(), reasons) || d.Evidence[0].Counted != (want == policy.Yes) {
				t.Errorf("verdict %s because of %v, want %s because of %v", d.Verdict(), d.Reasons(), want, reasons)
			}
			e.Compared = false // as the callers leave it that ask Refuses first
			if c.reason == "" {
				return
			}
			if d := policy.Decide(p, facts(e), now); d.Verdict() != want || !slices.Contains(d.Reasons(), c.reason) {
				t.Errorf("not compared: verdict %s because of %v, want %s because of %s", d.Verdict(), d.Reasons(), want, c.reason)
			}
		})
	}
}

func TestDecideRequiresTheLog(t *testing.T) {
	p := trustsAlice()
	p.RequireLog = true
	if !strings.Contains(p.String(), "in a transparency log") {
		t.Errorf("policy reads %q", p)
	}
	e := signedBy(alice)
	for p.LogThreshold = range 2 { // none and one ask no more than the log itself
		if d := policy.Decide(p, facts(e), now); d.Verdict() != policy.No || !slices.Equal(d.Reasons(), []policy.Reason{policy.LogMissing}) {
			t.Errorf("unlogged, %d asked: %s because of %v", p.LogThreshold, d.Verdict(), d.Reasons())
		}
	}
	e.LoggedBy = []string{"one.test"}
	if d := policy.Decide(p, facts(e), now); d.Verdict() != policy.Yes {
		t.Errorf("logged: %s because of %v", d.Verdict(), d.Reasons())
	}
	// Nothing is said of who counts for nothing anyway.
	if got := p.Refuses(signedBy(mary)); len(got) != 0 {
		t.Errorf("refuses a stranger for %v", got)
	}
}

func TestRefusesNames(t *testing.T) {
	p := policy.Policy{Signers: []trust.Identity{{Key: alice.Key, Window: trust.Window{ValidUntil: now}}}}
	found := p.Refuses(signedBy(alice))
	if len(found) != 1 || !strings.Contains(found[0].Detail, "key a1: nobody trusted says when the key was used") {
		t.Errorf("found %+v", found)
	}
}
