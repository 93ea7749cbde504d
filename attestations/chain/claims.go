package chain

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// readable are the predicate types that a policy can ask for. Others, and a list of what is revoked, which is about no
// artifact, are evidence of nothing here.
var readable = map[string]string{
	attestations.PredicateProvenance:      policy.TypeProvenance,
	attestations.PredicateIngestion:       policy.TypeIngestion,
	attestations.PredicateTestResult:      policy.TypeTestResult,
	attestations.PredicateVulnerabilities: policy.TypeVulnerabilities,
	attestations.PredicateBOM:             policy.TypeBOM,
	attestations.PredicateRelease:         policy.TypeRelease,
	attestations.PredicateVSA:             policy.TypeVSA,
	attestations.PredicateSVR:             policy.TypeSVR,
	attestations.PredicateApproval:        policy.TypeApproval,
	attestations.PredicateDeployment:      policy.TypeDeployment,
}

// plainly returns a claim of a readable kind in policy's plain terms, and errs where one of them does not hold it. predicate
// is its JSON as it was signed. Whether it is about the artifact that it lay with is policy's to say.
func plainly(kind string, read attestations.Claim, predicate []byte) (*policy.Claim, error) {
	c := &policy.Claim{Type: kind, Subject: read.On.ID, Kind: string(read.On.Kind),
		SaysNo: attestations.SaysNo(read.Predicate), Summary: summary(read.Predicate)}
	if err := json.Unmarshal(predicate, &c.Fields); err != nil {
		return nil, fmt.Errorf("decode predicate: %w", err)
	}
	if err := state(c, read.Predicate); err != nil {
		return nil, err
	}
	return c, nil
}

// state fills in what one type of predicate says.
func state(c *policy.Claim, p attestations.Predicate) error {
	switch p := p.(type) {
	case attestations.Provenance:
		c.At, c.Making = p.RunDetails.Metadata.FinishedOn, making(p)
	case attestations.Ingestion:
		c.At, c.Upstream = p.Event.Timestamp, fmt.Sprintf("%s %s@%s", p.Upstream.Registry, p.Upstream.Name, p.Upstream.Version)
	case attestations.TestResult:
		c.At, c.Subtype = p.Evaluation.FinishedOn, string(p.Evaluation.Activity)
		return measured(c, p.Evaluation.Metrics)
	case attestations.Vulnerabilities:
		c.At = p.Metadata.ScanFinishedOn
	case attestations.BOM:
		c.At = p.Metadata.Timestamp
	case attestations.Release:
		if o := p.Order; o.Sequence > 0 { // another tool's release has no order
			c.At, c.Release = o.ReleasedOn, &policy.ReleaseClaim{Channel: o.Channel, Sequence: o.Sequence}
		}
	case attestations.VSA:
		c.At, c.VSA = p.TimeVerified, verified(p)
	case attestations.SVR:
		c.At = p.TimeCreated
	case attestations.Approval:
		c.At, c.Expires = p.DecidedOn, p.Expires
	case attestations.Deployment:
		c.At = p.Time
	}
	return nil
}

func making(p attestations.Provenance) *policy.Making {
	m := &policy.Making{BuildType: p.BuildDefinition.BuildType.Short(), Builder: p.RunDetails.Builder.ID, Began: p.RunDetails.Metadata.StartedOn}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		m.Inputs = append(m.Inputs, policy.Input{Name: d.Name, Role: string(d.Role), Class: string(d.Digest.Class), Digest: d.Digest.String(),
			URI: d.URI, Dirty: d.Dirty, Content: d.Role.Content()})
	}
	return m
}

// measured reads the metrics, which are numbers as text. One that no float64 can hold is an error.
func measured(c *policy.Claim, metrics []attestations.Metric) error {
	for _, m := range metrics {
		value, err := strconv.ParseFloat(m.Value, 64)
		if err != nil {
			return fmt.Errorf("metric %q: %w", m.Name, err)
		}
		out := policy.Metric{Name: m.Name, Value: value}
		if m.Dataset != (attestations.Digest{}) {
			out.Dataset = m.Dataset.String()
		}
		c.Metrics = append(c.Metrics, out)
	}
	return nil
}

// verified is what a verification summary says. A policy that it names by no SHA-256 is none that can be compared.
func verified(p attestations.VSA) *policy.VSAClaim {
	v := &policy.VSAClaim{Verifier: p.Verifier.ID, Resource: p.ResourceURI, Levels: slices.Clone(p.VerifiedLevels), Oldest: p.Basis.Oldest}
	if sum, ok := p.Policy.Digest["sha256"]; ok {
		v.Policy = "sha256:" + sum
	}
	for _, r := range p.InputAttestations {
		if sum, ok := r.Digest["sha256"]; ok {
			v.Inputs = append(v.Inputs, "sha256:"+sum)
		}
	}
	for _, d := range p.Basis.Ancestors {
		v.Ancestors = append(v.Ancestors, policy.Ancestor{Class: string(d.Class), Digest: d.String()})
	}
	return v
}
