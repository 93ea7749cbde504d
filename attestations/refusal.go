package attestations

// SaysNo reports whether p says no: a rejection, a verification or test that failed, a list of what is revoked. Other
// tools take any statement by a trusted key for a signature (cosign verify does), so such a statement does harm where
// they look.
func SaysNo(p Predicate) bool {
	switch p := p.(type) {
	case Approval:
		return p.Decision != Approved
	case VSA:
		return p.VerificationResult != ResultPassed
	case TestResult:
		return p.Result == ResultFailed
	case Revocations:
		return true
	}
	return false
}

// maySayNo are the types of predicate that can say no.
var maySayNo = map[string]bool{PredicateApproval: true, PredicateVSA: true, PredicateTestResult: true, PredicateRevocations: true}

// SaysNo reports whether b claims to say no, before anything in it is believed. A bundle of a type that can say no and
// cannot be read does.
func (b Bundle) SaysNo() bool {
	w, err := b.parse()
	if err != nil {
		return false // no statement, so nothing that it says
	}
	h, err := parseHeader(w.Envelope.Payload)
	if err != nil || !maySayNo[h.PredicateType] {
		return false
	}
	c, err := ParseStatement(w.Envelope.Payload)
	return err != nil || SaysNo(c.Predicate)
}

// PeekClaim reads the claim in b as ReadClaim does, without any look at the signature: what it returns is what the bundle
// says of itself, for showing to people, marked as such.
func (b Bundle) PeekClaim() (Claim, error) {
	w, err := b.parse()
	if err != nil {
		return Claim{}, err
	}
	return ParseStatement(w.Envelope.Payload)
}
