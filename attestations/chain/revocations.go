package chain

import (
	"context"

	"github.com/hallmark-project/hallmark/attestations"
	"github.com/hallmark-project/hallmark/pkg/policy"
)

// revocations opens the lists of what is revoked. What stands in the way is never a reason to go on without: a source that
// failed, a list by a trusted signer that cannot be read, or lists none of which opens.
func (s *search) revocations(ctx context.Context, sources []Source) ([]policy.Revocations, []policy.Finding) {
	var facts policy.Facts
	items := s.gather(ctx, sources, known{}, &facts)
	for i := range facts.Problems { // a file that holds something else is no list, and no artifact's evidence
		if p := &facts.Problems[i]; p.Code == policy.EvidenceMalformed {
			p.Code = policy.Unreadable
		}
	}
	var lists []policy.Revocations
	var refused []policy.Finding
	for _, item := range items {
		list, found := s.revocation(item)
		if found != nil {
			refused = append(refused, *found)
			continue
		}
		lists = append(lists, list)
	}
	for _, f := range refused {
		if f.Code == policy.Unreadable || len(lists) == 0 {
			facts.Problems = append(facts.Problems, f)
		}
	}
	return lists, facts.Problems
}

// revocation opens one list. The finding says why it is none: unreadable, if the policy trusts who signed it.
func (s *search) revocation(item Item) (policy.Revocations, *policy.Finding) {
	b := s.openings.open(item, s.roots, false)
	if b.attestation == nil {
		return policy.Revocations{}, &policy.Finding{Code: policy.RevocationsMissing, Where: item.Where, Detail: b.evidence.Findings[0].Detail}
	}
	if b.attestation.PredicateType() != attestations.PredicateRevocations {
		return policy.Revocations{}, &policy.Finding{Code: policy.RevocationsMissing, Where: item.Where, Detail: "it is no list of what is revoked"}
	}
	claim, err := attestations.ReadClaim(b.attestation)
	if err != nil {
		return policy.Revocations{}, unreadable(item, err.Error())
	}
	if f := bound(&b.evidence, claim, s.roots); f != nil {
		return policy.Revocations{}, unreadable(item, f.Detail)
	}
	read, ok := claim.Predicate.(attestations.Revocations)
	if !ok {
		return policy.Revocations{}, unreadable(item, "it holds another predicate")
	}
	list := policy.Revocations{Evidence: b.evidence, Sequence: read.Sequence, Issued: read.Issued, Expires: read.Expires}
	for _, e := range read.Entries {
		list.Entries = append(list.Entries, revoked(e))
	}
	return list, nil
}

func unreadable(item Item, why string) *policy.Finding {
	return &policy.Finding{Code: policy.Unreadable, Where: item.Where, Detail: "list of what is revoked: " + why}
}

func revoked(e attestations.Revocation) policy.Revocation {
	out := policy.Revocation{Builder: e.Builder, Source: e.SourceURI, Descendants: e.Scope == attestations.ScopeDescendants, Reason: e.Reason, Since: e.Since}
	if e.Digest != (attestations.Digest{}) {
		out.Class, out.Digest = string(e.Digest.Class), e.Digest.String()
	}
	if i := e.Identity; i != (attestations.SignerIdentity{}) {
		out.Identity = &policy.RevokedSigner{Key: i.Key, CA: i.CA, Issuer: i.Issuer, Subject: i.Subject}
	}
	return out
}
