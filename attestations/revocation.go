package attestations

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateRevocations is Hallmark's own: what is no longer to be trusted.
const PredicateRevocations = namespace + "revocations/v1"

// maxRevocations is as many subjects as Sigstore's verifiers take.
const maxRevocations = 1024

// Revocations is a whole list of what is revoked: a newer list replaces an older one, and an expired one says nothing. It
// expires so that withholding it is noticed.
type Revocations struct {
	Sequence uint64       `json:"sequence,string"` // from 1, larger is newer; text in JSON, so that no reader rounds it
	Issued   time.Time    `json:"issued"`
	Expires  time.Time    `json:"expires"` // after Issued
	Entries  []Revocation `json:"entries"` // not nil; empty says that nothing is revoked
}

// Revocation is one thing that is revoked: exactly one of Digest, Identity, Builder and SourceURI.
type Revocation struct {
	Digest    Digest          `json:"digest,omitzero"`
	Identity  SignerIdentity  `json:"identity,omitzero"`
	Builder   string          `json:"builder,omitempty"` // URI
	SourceURI string          `json:"source,omitempty"`  // URI
	Scope     RevocationScope `json:"scope"`
	Reason    string          `json:"reason"`
	Since     time.Time       `json:"since"` // what was signed or made from then on is no longer trusted
}

// SignerIdentity is a signer: a key, or an identity and who vouches for it. Exactly one of Key, CA and Issuer, with Subject
// beside the latter two.
type SignerIdentity struct {
	Key     string `json:"key,omitempty"`     // fingerprint of a public key, 64 hex digits
	CA      string `json:"ca,omitempty"`      // fingerprint of a certificate authority, 64 hex digits
	Issuer  string `json:"issuer,omitempty"`  // OIDC issuer
	Subject string `json:"subject,omitempty"` // certificate subject or OIDC identity; empty with CA: all of them
}

// RevocationScope is how far a revocation reaches.
type RevocationScope string

// The scopes.
const (
	ScopeSelf        RevocationScope = "self"
	ScopeDescendants RevocationScope = "descendants" // and all that was made from it
)

// PredicateType returns PredicateRevocations.
func (Revocations) PredicateType() string { return PredicateRevocations }

// Check returns why r cannot be stated or believed: no sequence, no list, an end that is not after the issue, an entry
// that revokes nothing or two things, the same thing twice.
func (r Revocations) Check() error {
	if r.Sequence == 0 {
		return errors.New("sequence: it begins at 1")
	}
	if err := checkSpan("issued", r.Issued, "expires", r.Expires); err != nil {
		return err
	}
	if r.Expires.Equal(r.Issued) {
		return errors.New("expires: not after issued")
	}
	if r.Entries == nil {
		return errors.New("no entries: an empty list says that nothing is revoked")
	}
	if len(r.Entries) > maxRevocations {
		return fmt.Errorf("%d entries, at most %d are read", len(r.Entries), maxRevocations)
	}
	type what struct {
		digest          Digest
		identity        SignerIdentity
		builder, source string
	}
	seen := map[what]int{}
	for i, e := range r.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		w := what{e.Digest, e.Identity, e.Builder, e.SourceURI}
		if other := seen[w]; other > 0 {
			return fmt.Errorf("entries %d and %d revoke the same", other, i+1)
		}
		seen[w] = i + 1
	}
	return nil
}

func (e Revocation) check() error {
	forms := 0
	for _, there := range []bool{e.Digest != (Digest{}), e.Identity != (SignerIdentity{}), e.Builder != "", e.SourceURI != ""} {
		if there {
			forms++
		}
	}
	if forms != 1 {
		return fmt.Errorf("%d of digest, identity, builder and source, not one", forms)
	}
	if e.Scope != ScopeSelf && e.Scope != ScopeDescendants {
		return fmt.Errorf("scope %q: it is self or descendants", clip(string(e.Scope)))
	}
	if err := checkName(e.Reason); err != nil {
		return fmt.Errorf("reason: %w", err)
	}
	if err := checkTime("since", e.Since); err != nil {
		return err
	}
	switch {
	case e.Digest.Class == ClassAttestation:
		if e.Scope == ScopeDescendants {
			return errors.New("scope descendants: nothing is made from an attestation")
		}
		return checkHex(e.Digest.algorithm(), e.Digest.Hex)
	case e.Digest != (Digest{}):
		return e.Digest.check()
	case e.Identity != (SignerIdentity{}):
		return e.Identity.check()
	case e.Builder != "":
		return checkURI(e.Builder)
	}
	return checkURI(e.SourceURI)
}

func (i SignerIdentity) check() error {
	switch {
	case i.Key != "" && i.CA == "" && i.Issuer == "" && i.Subject == "":
		return checkHex("sha256", i.Key)
	case i.CA != "" && i.Key == "" && i.Issuer == "":
		return checkHex("sha256", i.CA)
	case i.Issuer != "" && i.Subject != "" && i.Key == "" && i.CA == "":
		return errors.Join(checkURI(i.Issuer), checkName(i.Subject))
	}
	return errors.New("identity: it is a key, a ca, or an issuer and a subject")
}

// subjects are what r revokes by digest, in order; the list itself, by the digest of its predicate, where that is nothing.
func (r Revocations) subjects() ([]subjectIn, error) {
	var out []subjectIn
	for _, e := range r.Entries {
		if e.Digest != (Digest{}) {
			out = append(out, subjectIn{Name: string(e.Digest.Class), Digest: map[string]string{e.Digest.algorithm(): e.Digest.Hex}})
		}
	}
	if out != nil {
		return out, nil
	}
	raw, err := json.Marshal(r, json.Deterministic(true), utcTimes)
	if err != nil {
		return nil, fmt.Errorf("encode revocations: %w", err)
	}
	sum := sha256.Sum256(raw)
	return []subjectIn{{Name: "revocations", Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}}}, nil
}

// NewRevocations returns the statement of r. Its subjects are the digests that r revokes; where it revokes none by
// digest, the list itself.
func NewRevocations(r Revocations) (Statement, error) {
	if err := r.Check(); err != nil {
		return Statement{}, fmt.Errorf("make statement %s: %w", PredicateRevocations, err)
	}
	subjects, err := r.subjects()
	if err != nil {
		return Statement{}, err
	}
	return encodeStatement(subjects, r)
}

// checkSubjects holds a list that was read to the subjects that it has to have. The first may hold a timestamp besides.
func (r Revocations) checkSubjects(got []subjectIn) error {
	want, err := r.subjects()
	if err != nil {
		return err
	}
	if len(got) > 0 {
		want[0].Annotations.Stamp = got[0].Annotations.Stamp
	}
	a, err := json.Marshal(want, json.Deterministic(true))
	if err != nil {
		return err
	}
	b, err := json.Marshal(got, json.Deterministic(true))
	if err != nil {
		return err
	}
	if !bytes.Equal(a, b) {
		return errors.New("the subjects are not what the list revokes")
	}
	return nil
}

// Add puts e on the list and reports whether that says more than the list did. What is there already is only ever made to
// reach further: to descendants, and further back.
func (r *Revocations) Add(e Revocation) bool {
	for i := range r.Entries {
		old := &r.Entries[i]
		if old.Digest != e.Digest || old.Identity != e.Identity || old.Builder != e.Builder || old.SourceURI != e.SourceURI {
			continue
		}
		more := false
		if e.Scope == ScopeDescendants && old.Scope != ScopeDescendants {
			old.Scope, more = e.Scope, true
		}
		if e.Since.Before(old.Since) {
			old.Since, more = e.Since, true
		}
		return more
	}
	r.Entries = append(r.Entries, e)
	return true
}
