package chain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/pkg/trust"
)

// Described is one bundle of an artifact as people look at it. It decides nothing: Verify does. All text in it is from
// outside.
type Described struct {
	Where         string
	Bundle        string        // own name; empty where the bundle cannot be read
	PredicateType string        // as the bundle says
	Verified      bool          // opened against roots, and about this artifact
	Why           string        // why it is not verified
	Reason        policy.Reason // code of Why; empty where roots trust nobody
	Signer        string        // who signed; where it is not verified, what the bundle says
	Time          time.Time     // trusted time of signing; zero: none
	Summary       string        // what is claimed, in a line
	SaysNo        bool
	Inputs        []attestations.Dependency // of provenance
}

// Describe opens each bundle that lies with the artifact id against roots and says what it claims. A bundle whose claim is
// about another artifact, or breaks its own specification, is not verified, whoever signed it. Signatures on artifacts are
// opened, and not compared with any bytes.
func Describe(id string, items []Item, roots trust.Roots) []Described {
	out := make([]Described, len(items))
	for i, item := range items {
		out[i] = describe(id, item, roots)
	}
	return out
}

// life is the order in which an artifact comes by statements, as people tell it.
var life = []string{
	attestations.PredicateOMS, attestations.PredicateOMSLegacy, attestations.PredicateProvenance, attestations.PredicateIngestion, attestations.PredicateBOM,
	attestations.PredicateTestResult, attestations.PredicateVulnerabilities, attestations.PredicateApproval, attestations.PredicateRelease,
	attestations.PredicateVSA, attestations.PredicateSVR, attestations.PredicateDeployment,
}

// Order sorts bundles that lie in no order of their own, as in a registry: its order is that of digests, another one
// whenever something is signed anew. They come as in an artifact's life, then by what they claim, who signed, and their own
// name; what is not known here and what is for other tools comes last.
func Order(all []Described) {
	place := func(d Described) int {
		if at := slices.Index(life, d.PredicateType); at >= 0 {
			return at
		}
		return len(life)
	}
	slices.SortStableFunc(all, func(a, b Described) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.PredicateType, b.PredicateType), cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Signer, b.Signer), cmp.Compare(a.Bundle, b.Bundle))
	})
}

func describe(id string, item Item, roots trust.Roots) Described {
	d := Described{Where: item.Where}
	u, err := item.Bundle.Peek()
	if err != nil {
		d.Why, d.Reason = err.Error(), policy.BundleMalformed
		return d
	}
	d.Bundle, d.PredicateType, d.SaysNo = u.Name, u.PredicateType, item.Bundle.SaysNo()
	d.Signer = strings.TrimSpace(u.Method + " " + strings.TrimSpace(u.Signer+" "+u.Issuer))
	err = d.claim(id, item.Bundle)
	if roots.Empty() {
		d.Why = "no trust was given"
		return d
	}
	a, opened := attestations.Open(item.Bundle, roots)
	switch {
	case opened != nil:
		d.Why, d.Reason = opened.Error(), policy.BundleMalformed
		var refused *attestations.OpenError
		if errors.As(opened, &refused) {
			d.Reason = refused.Reason
		}
		return d
	case err != nil:
		d.Why, d.Reason = err.Error(), policy.UnexpectedStatement
		return d
	}
	d.Verified, d.Signer = true, a.Signer().String()
	if t, _, ok := a.Time(); ok {
		d.Time = t
	}
	return d
}

// claim fills in what the bundle claims of id.
func (d *Described) claim(id string, b attestations.Bundle) error {
	switch d.PredicateType {
	case attestations.PredicateOMS, attestations.PredicateOMSLegacy:
		d.Summary = "signature on the files"
		return nil
	case attestations.PredicateCosign:
		d.Summary = "for cosign; never counted"
		return nil
	}
	c, err := b.PeekClaim()
	if err != nil {
		return err
	}
	d.Summary = summary(c.Predicate)
	if c.On.ID != id {
		return fmt.Errorf("it is about another artifact: %q", c.On.ID)
	}
	if p, ok := c.Predicate.(attestations.Provenance); ok {
		d.Inputs = p.BuildDefinition.ResolvedDependencies
	}
	return nil
}

// maxReason is how many bytes of a reason a summary shows.
const maxReason = 200

// summary is one line about a claim.
func summary(p attestations.Predicate) string {
	switch p := p.(type) {
	case attestations.Provenance:
		return "made by " + p.BuildDefinition.BuildType.Short() + ", " + p.RunDetails.Builder.ID
	case attestations.Ingestion:
		return fmt.Sprintf("let in from %s %s@%s", p.Upstream.Registry, p.Upstream.Name, p.Upstream.Version)
	case attestations.TestResult:
		return fmt.Sprintf("%s %s: %d passed, %d warned, %d failed", p.Evaluation.Activity, p.Result, len(p.PassedTests), len(p.WarnedTests), len(p.FailedTests))
	case attestations.Vulnerabilities:
		return fmt.Sprintf("%d known vulnerabilities, says %s", len(p.Scanner.Result), p.Scanner.URI)
	case attestations.BOM:
		return "described as " + p.Metadata.Component.Name
	case attestations.Release:
		return fmt.Sprintf("released as %s, %s %d", p.PURL, p.Order.Channel, p.Order.Sequence)
	case attestations.VSA:
		return fmt.Sprintf("verified %s %s", p.VerificationResult, strings.Join(p.VerifiedLevels, " "))
	case attestations.Approval:
		text := fmt.Sprintf("%s for %s", p.Decision, strings.Join(p.Scope, ", "))
		if reason := p.Reason; len(reason) > maxReason {
			text += ": " + strings.ToValidUTF8(reason[:maxReason], "") + "…"
		} else if reason != "" {
			text += ": " + reason
		}
		return text
	case attestations.Deployment:
		return fmt.Sprintf("%s %s", p.Action, p.Target)
	}
	return p.PredicateType()
}
