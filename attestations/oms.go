package attestations

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// Kind is what an artifact is.
type Kind string

// The three kinds of artifact.
const (
	KindModel   Kind = "model"
	KindAdapter Kind = "adapter"
	KindDataset Kind = "dataset"
)

// ParseKind reads a Kind; anything but the three is an error.
func ParseKind(s string) (Kind, error) {
	switch k := Kind(s); k {
	case KindModel, KindAdapter, KindDataset:
		return k, nil
	}
	return "", fmt.Errorf("kind %q: it is model, adapter or dataset", s)
}

// The annotations that Hallmark puts on an OMS statement's first resource. Other verifiers ignore them (OMS §5.2.1).
const (
	annotationID   = "io.github.hallmark-project.artifact-id"
	annotationKind = "io.github.hallmark-project.kind"
	annotationTime = "io.github.hallmark-project.not-before"
)

type omsStatement struct {
	Type          string         `json:"_type"`
	Subject       []Subject      `json:"subject"`
	PredicateType string         `json:"predicateType"`
	Predicate     jsontext.Value `json:"predicate"`
}

type omsPredicate struct {
	Resources     jsontext.Value   `json:"resources"`
	Serialization omsSerialization `json:"serialization"`
}

type omsResource struct {
	Name        string            `json:"name"`
	Digest      string            `json:"digest"`
	Algorithm   string            `json:"algorithm"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type omsSerialization struct {
	Method        *string    `json:"method"`
	HashType      *string    `json:"hash_type"`
	ShardSize     *byteCount `json:"shard_size,omitempty"`
	AllowSymlinks *bool      `json:"allow_symlinks"`
	IgnorePaths   *[]string  `json:"ignore_paths,omitempty"`
}

// byteCount is a whole number of bytes. The reference implementation may write 7 as 7.0, which JSON Schema's integer allows.
type byteCount int64

// UnmarshalJSON reads a JSON number without a fraction.
func (b *byteCount) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	if whole, fraction, ok := strings.Cut(text, "."); ok && strings.Trim(fraction, "0") == "" {
		text = whole
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no whole number of bytes", raw)
	}
	*b = byteCount(n)
	return nil
}

// NewSignature returns the OMS v1.0 statement on m (OMS §6.6), with the artifact ID and the kind as annotations of its
// first resource. It errs where m has no ID and where OMS would list no resource: an artifact of empty files in shards.
func NewSignature(m *manifest.Manifest, kind Kind) (Statement, error) {
	return newSignature(m, kind, nil)
}

// newSignature is NewSignature with an RFC 3161 response on the artifact ID as one more annotation, unless that is nil.
func newSignature(m *manifest.Manifest, kind Kind, stamp []byte) (Statement, error) {
	if _, err := ParseKind(string(kind)); err != nil {
		return Statement{}, err
	}
	id, err := m.ID()
	if err != nil {
		return Statement{}, err
	}
	if len(m.Resources) == 0 {
		return Statement{}, errors.New("state signature: no bytes to sign: every file is empty, and shards of an empty file are none (OMS §6.3.2)")
	}
	resources := make([]omsResource, len(m.Resources))
	for i, r := range m.Resources {
		resources[i] = omsResource{Name: r.Name, Digest: hex.EncodeToString(r.Digest), Algorithm: string(r.Algorithm)}
	}
	resources[0].Annotations = map[string]string{annotationID: id, annotationKind: string(kind)}
	if stamp != nil {
		resources[0].Annotations[annotationTime] = base64.StdEncoding.EncodeToString(stamp)
	}
	s := m.Serialization
	method, algorithm := string(s.Method), string(s.Algorithm)
	predicate := struct {
		Resources     []omsResource    `json:"resources"`
		Serialization omsSerialization `json:"serialization"`
	}{resources, omsSerialization{Method: &method, HashType: &algorithm, AllowSymlinks: &s.AllowSymlinks}}
	if s.Method == manifest.Shards {
		size := byteCount(s.ShardSize)
		predicate.Serialization.ShardSize = &size
	}
	if len(s.IgnorePaths) > 0 {
		predicate.Serialization.IgnorePaths = &s.IgnorePaths
	}
	payload, err := json.Marshal(struct {
		Type          string    `json:"_type"`
		Subject       []Subject `json:"subject"`
		PredicateType string    `json:"predicateType"`
		Predicate     any       `json:"predicate"`
	}{StatementType, []Subject{{Name: m.Name, Digest: map[string]string{"sha256": m.RootDigest().Hex()}}}, PredicateOMS, predicate},
		json.Deterministic(true))
	if err != nil {
		return Statement{}, fmt.Errorf("encode statement: %w", err)
	}
	return Statement{payload: payload}, nil
}

// Signature is what an OMS statement says of an artifact's files.
type Signature struct {
	Name          string                 // the artifact's base name when it was signed; informational
	Serialization manifest.Serialization // how the files were listed and hashed
	Resources     []manifest.Resource    // files or shards, in the order that was signed
	ArtifactID    string                 // what the signer wrote; empty in a foreign bundle. It can only cause a no
	Kind          Kind                   // what the signer wrote; empty in a foreign bundle
	Stamp         []byte                 // RFC 3161 response on ArtifactID, signed along; empty: none. See NotBefore
	Notes         []string               // deviations from OMS v1.0 that are no reason to refuse
}

// ErrUnsupported is in a *StatementError about something that is well formed and not verified here.
var ErrUnsupported = errors.New("not supported")

// StatementError refuses a statement whose signature is good and whose content breaks its own specification.
type StatementError struct{ Err error }

func (e *StatementError) Error() string { return "read signed statement: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StatementError) Unwrap() error { return e.Err }

// ReadSignature returns what a says of an artifact's files. It reads OMS v1.0 strictly (OMS §8.3) and the deprecated
// v0.2.0; it errs with a *StatementError on everything else, also where the statement contradicts itself: a root
// digest that is not its resources', duplicate or unclean names, mixed algorithms, shards that leave a gap.
func ReadSignature(a *Attestation) (*Signature, error) {
	var s *Signature
	var err error
	switch a.PredicateType() {
	case PredicateOMS:
		s, err = readOMS(a.payload)
	case PredicateOMSLegacy:
		s, err = readLegacy(a)
	default:
		err = fmt.Errorf("predicate type %q is not a signature on an artifact", a.PredicateType())
	}
	if err == nil {
		err = s.check()
	}
	if err != nil {
		return nil, &StatementError{err}
	}
	return s, nil
}

// clip shortens text from outside for an error: a person reads it, and it may be megabytes.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func readOMS(payload []byte) (*Signature, error) {
	var st omsStatement
	if err := json.Unmarshal(payload, &st, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	if len(st.Subject) != 1 || st.Subject[0].Name == "" {
		return nil, fmt.Errorf("%d subjects, not one with a name (OMS §6.5)", len(st.Subject))
	}
	var p omsPredicate
	if err := json.Unmarshal(st.Predicate, &p, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("predicate: %w", err)
	}
	serialization, err := p.Serialization.read()
	if err != nil {
		return nil, fmt.Errorf("serialization: %w", err)
	}
	// Members that in-toto's resource descriptor may have are ignored (OMS §5.2.1).
	var resources []struct {
		Name        string         `json:"name"`
		Digest      string         `json:"digest"`
		Algorithm   string         `json:"algorithm"`
		Annotations jsontext.Value `json:"annotations"`
	}
	if err := json.Unmarshal(p.Resources, &resources); err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	s := &Signature{Name: st.Subject[0].Name, Serialization: serialization}
	for i, r := range resources {
		res, err := readResource(r.Name, r.Digest, r.Algorithm, serialization)
		if err != nil {
			return nil, fmt.Errorf("resource %d: %w", i+1, err)
		}
		s.Resources = append(s.Resources, res)
	}
	if len(resources) > 0 {
		if err := s.readAnnotations(resources[0].Annotations); err != nil {
			return nil, err
		}
	}
	root := (&manifest.Manifest{Resources: s.Resources}).RootDigest().Hex()
	if st.Subject[0].Digest["sha256"] != root {
		return nil, fmt.Errorf("root digest is %q, the resources make sha256 %s (OMS §6.5.1)", clip(st.Subject[0].Digest["sha256"]), root)
	}
	return s, nil
}

func (s *omsSerialization) read() (manifest.Serialization, error) {
	var out manifest.Serialization
	if s.Method == nil || s.HashType == nil || s.AllowSymlinks == nil || *s.HashType == "" {
		return out, errors.New("method, hash_type and allow_symlinks are required (OMS §5.2.2)")
	}
	algorithm, err := hashing.ParseAlgorithm(*s.HashType)
	if err != nil {
		return out, fmt.Errorf("%w: hash_type %q", ErrUnsupported, clip(*s.HashType))
	}
	out = manifest.Serialization{Method: manifest.Method(*s.Method), Algorithm: algorithm, AllowSymlinks: *s.AllowSymlinks}
	switch {
	case out.Method == manifest.Shards && s.ShardSize != nil && *s.ShardSize > 0:
		out.ShardSize = int64(*s.ShardSize)
	case out.Method == manifest.Shards:
		return out, errors.New("shards need a shard_size above 0 (OMS §5.2.2)")
	case out.Method != manifest.Files:
		return out, fmt.Errorf("method %q is neither files nor shards", clip(*s.Method))
	case s.ShardSize != nil:
		return out, errors.New("shard_size with method files (OMS §5.2.2)")
	}
	if s.IgnorePaths != nil {
		out.IgnorePaths = *s.IgnorePaths
	}
	return out, nil
}

// readResource takes algorithm names as the reference implementation writes them: "sha256-sharded-N" for shards of N.
func readResource(name, digest, algorithm string, s manifest.Serialization) (manifest.Resource, error) {
	want := string(s.Algorithm)
	if algorithm != want && (s.Method != manifest.Shards || algorithm != fmt.Sprintf("%s-sharded-%d", want, s.ShardSize)) {
		return manifest.Resource{}, fmt.Errorf("%q is hashed with %q, the statement with %s", clip(name), clip(algorithm), want)
	}
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != s.Algorithm.Size() || strings.ToLower(digest) != digest {
		return manifest.Resource{}, fmt.Errorf("%q: %q is no %s digest in lower-case hex", clip(name), clip(digest), want)
	}
	return manifest.Resource{Name: name, Algorithm: s.Algorithm, Digest: raw}, nil
}

// readAnnotations takes our two annotations; a foreign tool's, of whatever form, are ignored.
func (s *Signature) readAnnotations(raw jsontext.Value) error {
	var annotations map[string]jsontext.Value
	if len(raw) == 0 || json.Unmarshal(raw, &annotations) != nil {
		return nil
	}
	var stamp string
	for key, into := range map[string]*string{annotationID: &s.ArtifactID, annotationKind: (*string)(&s.Kind), annotationTime: &stamp} {
		v, ok := annotations[key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(v, into); err != nil {
			return fmt.Errorf("annotation %s: %w", key, err)
		}
	}
	if s.ArtifactID != "" {
		if _, err := hashing.ParseSum(s.ArtifactID); err != nil {
			return fmt.Errorf("annotation %s: %w", annotationID, err)
		}
	}
	var err error
	if s.Stamp, err = base64.StdEncoding.DecodeString(stamp); err != nil {
		return fmt.Errorf("annotation %s: %w", annotationTime, err)
	}
	if s.Kind != "" {
		if _, err := ParseKind(string(s.Kind)); err != nil {
			return fmt.Errorf("annotation %s: %w", annotationKind, err)
		}
	}
	return nil
}

// checkIgnored refuses a recorded exclusion that covers everything or is no path. One that lies outside the artifact, as
// one implementation writes them, covers nothing and is let be.
func checkIgnored(p string) error {
	clean := path.Clean(p)
	switch {
	case p == "", clean == ".", clean == "/":
		return fmt.Errorf("ignored path %q excludes every file", clip(p))
	case path.IsAbs(clean), clean == "..", strings.HasPrefix(clean, "../"):
		return nil
	}
	if err := manifest.CleanName(clean); err != nil {
		return fmt.Errorf("ignored path %q: it is no path (OMS §6.2.1)", clip(p))
	}
	return nil
}

// check holds the rules that every version shares.
func (s *Signature) check() error {
	if len(s.Resources) == 0 {
		return errors.New("no resources (OMS §5.2.1)")
	}
	for _, p := range s.Serialization.IgnorePaths {
		if err := checkIgnored(p); err != nil {
			return err
		}
	}
	if _, err := s.Files(); err != nil {
		return err
	}
	if !slices.IsSortedFunc(s.Resources, func(a, b manifest.Resource) int { return strings.Compare(a.Name, b.Name) }) {
		s.Notes = append(s.Notes, "its files are not in code-point order (OMS §5.2.1)")
	}
	return nil
}
