package attestations

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/pkg/hashing"
	"github.com/hallmark-project/hallmark/pkg/manifest"
)

// readLegacy reads the predicate of v0.2.0 (OMS §5.1, §11): the files are the statement's subjects, hashed whole with
// SHA-256; there is no list of exclusions and no root digest.
func readLegacy(a *Attestation) (*Signature, error) {
	var st struct {
		Type    string `json:"_type"`
		Subject []struct {
			Name        string            `json:"name"`
			Digest      map[string]string `json:"digest"`
			Annotations map[string]string `json:"annotations"`
		} `json:"subject"`
		PredicateType string         `json:"predicateType"`
		Predicate     map[string]any `json:"predicate"`
	}
	if err := json.Unmarshal(a.payload, &st, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	s := &Signature{
		Serialization: manifest.Serialization{Method: manifest.Files, Algorithm: hashing.SHA256},
		Notes:         []string{"signed in the deprecated format of v0.2.0"},
	}
	for _, sub := range st.Subject {
		digest, ok := sub.Digest[string(hashing.SHA256)]
		if !ok || len(sub.Digest) != 1 {
			return nil, fmt.Errorf("%q has no sha256 digest, or another beside it", clip(sub.Name))
		}
		if how, ok := sub.Annotations["actual_hash_algorithm"]; ok && how != "file-sha256" {
			return nil, fmt.Errorf("%q is hashed with %q: only whole files are verified in this format", clip(sub.Name), clip(how))
		}
		r, err := readResource(sub.Name, digest, string(hashing.SHA256), s.Serialization)
		if err != nil {
			return nil, err
		}
		s.Resources = append(s.Resources, r)
	}
	return s, nil
}

// legacyPAE is what v0.2.0 signed instead of DSSE's pre-authentication encoding: another case in its magic word, and
// the payload as Python writes a bytes literal. It is tried only for that version's predicate type.
func legacyPAE(payloadType string, payload []byte) ([]byte, error) {
	if !utf8.Valid(payload) {
		return nil, errors.New("payload is not UTF-8")
	}
	out := fmt.Appendf(nil, "DSSEV1 %d %s %d ", len(payloadType), payloadType, len(payload))
	return appendPythonBytes(out, payload), nil
}

// appendPythonBytes appends b as Python's repr of a bytes object.
func appendPythonBytes(out, b []byte) []byte {
	quote := byte('\'')
	single, double := false, false
	for _, c := range b {
		single, double = single || c == '\'', double || c == '"'
	}
	if single && !double {
		quote = '"'
	}
	out = append(out, 'b', quote)
	for _, c := range b {
		switch {
		case c == quote || c == '\\':
			out = append(out, '\\', c)
		case c == '\n':
			out = append(out, '\\', 'n')
		case c == '\r':
			out = append(out, '\\', 'r')
		case c == '\t':
			out = append(out, '\\', 't')
		case c < ' ' || c > '~':
			out = append(out, '\\', 'x')
			if c < 0x10 {
				out = append(out, '0')
			}
			out = strconv.AppendUint(out, uint64(c), 16)
		default:
			out = append(out, c)
		}
	}
	return append(out, quote)
}
