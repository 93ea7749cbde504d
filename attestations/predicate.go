package attestations

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxPredicate is the cap on a predicate's bytes: as much as fits a bundle of MaxBundle, which writes it in base64.
const MaxPredicate = MaxBundle/4*3 - 256<<10

// Predicate is what a statement claims: one of this package's types, each a plain struct that may be filled in and
// compared. They are read and written by NewStatement, ParseStatement, DecodePredicate and Read alone.
type Predicate interface {
	// PredicateType returns the URI that a statement names the type of its predicate by.
	PredicateType() string
	// Check returns why the claim contradicts itself or its specification. It is asked before a statement is made and
	// after one is read.
	Check() error
}

// Artifact is what a statement is about: the one artifact with this ID.
type Artifact struct {
	ID   string // artifact ID, "sha256:" and 64 lower-case hex digits
	Name string // a name for people, such as the directory's; nothing is found or decided by it. May be empty
	Kind Kind   // written always; empty where another tool's statement was read that does not say
}

// Claim is a statement that was read: a predicate and the artifact that it is about. The revocation list is about no
// single artifact; there On is zero. A Claim is as good as what it was read from: ReadClaim's was signed by the
// Attestation's signer, ParseStatement's by nobody.
type Claim struct {
	On        Artifact
	Predicate Predicate

	stamp   []byte // RFC 3161 response, signed along; empty: none. See NotBefore
	stampOn string // the digest that it has to be on
}

// predicates are how each type is decoded. Where the specification closes the object, unknown members are refused.
var predicates = map[string]func(raw []byte) (Predicate, error){
	PredicateProvenance:      decoder[Provenance](),
	PredicateIngestion:       decoder[Ingestion](),
	PredicateTestResult:      decoder[TestResult](),
	PredicateVulnerabilities: decoder[Vulnerabilities](),
	PredicateBOM:             decoder[BOM](),
	PredicateRelease:         decoder[Release](),
	PredicateVSA:             decoder[VSA](),
	PredicateSVR:             decoder[SVR](),
	PredicateApproval:        decoder[Approval](json.RejectUnknownMembers(true)),
	PredicateRevocations:     decoder[Revocations](json.RejectUnknownMembers(true)),
	PredicateDeployment:      decoder[Deployment](json.RejectUnknownMembers(true)),
}

// PredicateTypes returns the predicate types that can be stated, in alphabetical order.
func PredicateTypes() []string { return sortedKeys(predicates) }

// decoder returns the strict reader of one predicate type.
func decoder[P Predicate](options ...json.Options) func([]byte) (Predicate, error) {
	return func(raw []byte) (Predicate, error) {
		var p P
		if err := decode(raw, &p, options...); err != nil {
			return nil, err
		}
		if err := p.Check(); err != nil {
			return nil, err
		}
		return p, nil
	}
}

// DecodePredicate reads one predicate strictly and checks it: duplicate or re-cased members, null where a value belongs,
// times that are not UTC, and unknown members of closed objects are refused. The result is one of this package's types, not
// a pointer to it.
func DecodePredicate(predicateType string, raw []byte) (Predicate, error) {
	read, known := predicates[predicateType]
	if !known {
		return nil, fmt.Errorf("predicate type %q is not known here", clip(predicateType))
	}
	if len(raw) > MaxPredicate {
		return nil, fmt.Errorf("predicate of %d bytes, at most %d are read", len(raw), MaxPredicate)
	}
	p, err := read(raw)
	if err != nil {
		return nil, fmt.Errorf("decode predicate %s: %w", predicateType, err)
	}
	return p, nil
}

// subjectIn is a statement's subject as it is written and read here.
type subjectIn struct {
	Name        string             `json:"name,omitempty"`
	Digest      map[string]string  `json:"digest"`
	Annotations subjectAnnotations `json:"annotations,omitzero"`
}

// subjectAnnotations are Hallmark's own, as on an OMS statement's first resource; in-toto's readers ignore them. The
// timestamp is the first subject's alone.
type subjectAnnotations struct {
	Kind  Kind   `json:"io.github.hallmark-project.kind,omitempty"`
	Stamp []byte `json:"io.github.hallmark-project.not-before,omitempty"`
}

// stampOn is what a timestamp inside the statement is on: the subject's digest, which for all but a list of what is revoked
// is the artifact ID.
func (s subjectIn) stampOn() string {
	for algorithm, digits := range s.Digest { // one: who makes and who reads statements sees to that
		return algorithm + ":" + digits
	}
	return ""
}

type statementIn struct {
	Type          string         `json:"_type"`
	Subject       []subjectIn    `json:"subject"`
	PredicateType string         `json:"predicateType"`
	Predicate     jsontext.Value `json:"predicate"`
}

// artifactBound is a predicate with rules about the artifact that it is stated of.
type artifactBound interface{ checkOn(Artifact) error }

// NewStatement returns the statement of p about the artifact on. The same p and on give the same bytes. It errs where
// either is not sound: see Check and Artifact.
func NewStatement(on Artifact, p Predicate) (Statement, error) {
	if p == nil {
		return Statement{}, errors.New("make statement: no predicate")
	}
	fail := func(err error) (Statement, error) {
		return Statement{}, fmt.Errorf("make statement %s: %w", p.PredicateType(), err)
	}
	if _, list := p.(Revocations); list {
		return fail(errors.New("it is about no artifact: NewRevocations makes it"))
	}
	if _, err := ParseKind(string(on.Kind)); err != nil {
		return fail(err)
	}
	if err := checkClaim(on, p); err != nil {
		return fail(err)
	}
	digest, err := subjectDigest(on.ID)
	if err != nil {
		return fail(err)
	}
	return encodeStatement([]subjectIn{{on.Name, digest, subjectAnnotations{Kind: on.Kind}}}, p)
}

func encodeStatement(subjects []subjectIn, p Predicate) (Statement, error) {
	raw, err := json.Marshal(p, json.Deterministic(true), utcTimes)
	if err != nil {
		return Statement{}, fmt.Errorf("encode predicate %s: %w", p.PredicateType(), err)
	}
	if _, err := DecodePredicate(p.PredicateType(), raw); err != nil {
		return Statement{}, fmt.Errorf("read back what was written: %w", err)
	}
	return statementIn{StatementType, subjects, p.PredicateType(), raw}.encode()
}

func (st statementIn) encode() (Statement, error) {
	payload, err := json.Marshal(st, json.Deterministic(true))
	if err != nil {
		return Statement{}, fmt.Errorf("encode statement: %w", err)
	}
	return Statement{payload, &st}, nil
}

// checkClaim holds p, and p about on, to their rules.
func checkClaim(on Artifact, p Predicate) error {
	if err := p.Check(); err != nil {
		return err
	}
	if on.Name != "" {
		if err := checkName(on.Name); err != nil {
			return fmt.Errorf("subject's name: %w", err)
		}
	}
	if strings.HasPrefix(p.PredicateType(), namespace) && on.Kind == "" {
		return errors.New("the subject's kind is not stated")
	}
	if bound, ok := p.(artifactBound); ok {
		return bound.checkOn(on)
	}
	return nil
}

// ParseStatement reads a statement that nobody vouches for, such as a draft. What is signed is read by ReadClaim or Read.
func ParseStatement(payload []byte) (Claim, error) {
	if len(payload) > MaxBundle {
		return Claim{}, fmt.Errorf("statement of %d bytes, at most %d are read", len(payload), MaxBundle)
	}
	var st statementIn
	if err := decode(payload, &st); err != nil {
		return Claim{}, fmt.Errorf("decode statement: %w", err)
	}
	if st.Type != StatementType {
		return Claim{}, fmt.Errorf("statement is of type %q, not %s", clip(st.Type), StatementType)
	}
	p, err := DecodePredicate(st.PredicateType, st.Predicate)
	if err != nil {
		return Claim{}, err
	}
	if list, ok := p.(Revocations); ok {
		if err := list.checkSubjects(st.Subject); err != nil {
			return Claim{}, fmt.Errorf("statement %s: %w", st.PredicateType, err)
		}
		return Claim{Predicate: p, stamp: st.Subject[0].Annotations.Stamp, stampOn: st.Subject[0].stampOn()}, nil
	}
	on, err := readSubject(st.Subject)
	if err != nil {
		return Claim{}, err
	}
	if err := checkClaim(on, p); err != nil {
		return Claim{}, fmt.Errorf("statement %s: %w", st.PredicateType, err)
	}
	return Claim{on, p, st.Subject[0].Annotations.Stamp, on.ID}, nil
}

// readSubject takes exactly one subject, named by an artifact ID and nothing else.
func readSubject(subjects []subjectIn) (Artifact, error) {
	if len(subjects) != 1 {
		return Artifact{}, fmt.Errorf("%d subjects, not one", len(subjects))
	}
	s := subjects[0]
	digits, ok := s.Digest["sha256"]
	if !ok || len(s.Digest) != 1 {
		return Artifact{}, errors.New("the subject has another digest than one sha256")
	}
	if err := checkHex("sha256", digits); err != nil {
		return Artifact{}, fmt.Errorf("subject: %w", err)
	}
	if s.Annotations.Kind != "" {
		if _, err := ParseKind(string(s.Annotations.Kind)); err != nil {
			return Artifact{}, fmt.Errorf("subject: %w", err)
		}
	}
	return Artifact{ID: "sha256:" + digits, Name: s.Name, Kind: s.Annotations.Kind}, nil
}

// ReadClaim returns what a states, strictly read and checked. It errs with a *StatementError on what breaks its own
// specification, and on predicate types that are not known here; signatures on artifacts are ReadSignature's.
func ReadClaim(a *Attestation) (Claim, error) {
	c, err := ParseStatement(a.payload)
	if err != nil {
		return Claim{}, &StatementError{err}
	}
	return c, nil
}

// Read is ReadClaim for one type of predicate. Another under the right name, or the right one under another name, is a
// *StatementError.
func Read[P Predicate](a *Attestation) (P, Artifact, error) {
	var none P
	c, err := ReadClaim(a)
	if err != nil {
		return none, Artifact{}, err
	}
	p, ok := c.Predicate.(P)
	if !ok {
		return none, Artifact{}, &StatementError{fmt.Errorf("it is of type %q, not %q", clip(a.PredicateType()), none.PredicateType())}
	}
	return p, c.On, nil
}

// utcTimes writes times in UTC, with no more of a fraction than there is.
var utcTimes = json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, t time.Time) error {
	return e.WriteToken(jsontext.String(t.UTC().Format(time.RFC3339Nano)))
}))

// timestamp is in-toto's: RFC 3339 in UTC.
var timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$`)

// strictly refuses null, which reads as an absent member to one reader and as an empty one to the next, and times that
// are not written as in-toto has them.
var strictly = json.WithUnmarshalers(json.JoinUnmarshalers(
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, t *time.Time) error {
		v, err := d.ReadValue()
		if err != nil {
			return err
		}
		var s string
		if err := json.Unmarshal(v, &s); err != nil || v.Kind() != '"' || !timestamp.MatchString(s) {
			return fmt.Errorf("%s is no time in UTC", clip(string(v)))
		}
		*t, err = time.Parse(time.RFC3339Nano, s)
		return err
	}),
	json.UnmarshalFromFunc(func(d *jsontext.Decoder, into any) error {
		if _, may := into.(**ResolvedFrom); d.PeekKind() == 'n' && !may {
			return errors.New("null where a value belongs")
		}
		return errors.ErrUnsupported
	}),
))

// decode reads one JSON value strictly. Types with a reader of their own go through it again there.
func decode(raw []byte, into any, options ...json.Options) error {
	return json.Unmarshal(raw, into, append(options, strictly)...)
}
