package attestations

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// PredicateRelease is in-toto's Release v0.2.
const PredicateRelease = "https://in-toto.io/attestation/release/v0.2"

// Release says that an artifact is a version of something under a name. in-toto gives releases no order: Order does.
type Release struct {
	PURL      string       `json:"purl"` // package URL with a version, as "pkg:oci/chat@1.2.0"
	PackageID string       `json:"packageId,omitempty"`
	Order     ReleaseOrder `json:"https://github.com/hallmark-project/hallmark/attestations/release/v1,omitzero"`
}

// ReleaseOrder says which of two releases is newer. A closed object, under a URI of its own; missing in other tools'
// statements.
type ReleaseOrder struct {
	Channel    string    `json:"channel"`         // as "stable"; each has an order of its own
	Sequence   uint64    `json:"sequence,string"` // from 1, larger is newer; text in JSON, so that no reader rounds it
	ReleasedOn time.Time `json:"releasedOn"`
}

// UnmarshalJSON reads the closed object.
func (o *ReleaseOrder) UnmarshalJSON(raw []byte) error {
	type plain ReleaseOrder
	return decode(raw, (*plain)(o), json.RejectUnknownMembers(true))
}

// PredicateType returns PredicateRelease.
func (Release) PredicateType() string { return PredicateRelease }

// NameVersion returns the name, with its namespace, and the version in r's package URL, both decoded. It errs where
// there is none of either (package-url specification; in-toto Release v0.2, parsing rules).
func (r Release) NameVersion() (name, version string, err error) {
	rest, ok := strings.CutPrefix(r.PURL, "pkg:")
	if err := checkURI(r.PURL); err != nil || !ok {
		return "", "", fmt.Errorf("purl %q is no package URL", clip(r.PURL))
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, _, _ = strings.Cut(rest, "?")
	at := strings.LastIndexByte(rest, '@')
	if at < 0 || strings.Contains(rest[at:], "/") {
		return "", "", fmt.Errorf("purl %q has no version", clip(r.PURL))
	}
	_, path, ok := strings.Cut(strings.Trim(rest[:at], "/"), "/")
	if !ok {
		return "", "", fmt.Errorf("purl %q has no type or no name", clip(r.PURL))
	}
	if name, err = url.PathUnescape(path); err == nil {
		version, err = url.PathUnescape(rest[at+1:])
	}
	if err != nil {
		return "", "", fmt.Errorf("purl %q: %w", clip(r.PURL), err)
	}
	if err := errors.Join(checkName(name), checkName(version)); err != nil {
		return "", "", fmt.Errorf("purl %q: %w", clip(r.PURL), err)
	}
	return name, version, nil
}

// Check returns why r cannot be stated or believed: a package URL without a version, or an order without channel,
// sequence or time.
func (r Release) Check() error {
	if _, _, err := r.NameVersion(); err != nil {
		return err
	}
	if r.PackageID != "" {
		if err := checkName(r.PackageID); err != nil {
			return fmt.Errorf("packageId: %w", err)
		}
	}
	o := r.Order
	if o == (ReleaseOrder{}) {
		return nil // another tool's statement
	}
	if err := checkName(o.Channel); err != nil {
		return fmt.Errorf("channel: %w", err)
	}
	if o.Sequence == 0 {
		return errors.New("sequence: it begins at 1")
	}
	return checkTime("releasedOn", o.ReleasedOn)
}

// checkOn wants the order in every statement that is made here; kind is how those are known.
func (r Release) checkOn(on Artifact) error {
	if on.Kind != "" && r.Order == (ReleaseOrder{}) {
		return errors.New("no channel, sequence and time of the release")
	}
	return nil
}
