package attestations

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Caps on what a predicate may hold.
const (
	maxName  = 1 << 10  // bytes of a name or a short text
	maxURI   = 4 << 10  // bytes of a URI
	maxText  = 64 << 10 // bytes of any other text
	maxItems = 1 << 16  // items of any list or map
)

// Resource is in-toto's ResourceDescriptor of something immutable: there always is a digest. It is for what is referred
// to and is no input; inputs are each a [Dependency].
type Resource struct {
	Name      string    `json:"name,omitempty"`
	URI       string    `json:"uri,omitempty"`
	Digest    DigestSet `json:"digest"`
	MediaType string    `json:"mediaType,omitempty"`
}

func (r Resource) check() error {
	if r.Name != "" {
		if err := checkName(r.Name); err != nil {
			return err
		}
	}
	if r.URI != "" {
		if err := checkURI(r.URI); err != nil {
			return err
		}
	}
	return r.Digest.check()
}

// checkResources checks each, and that no two have the same name.
func checkResources(what string, all []Resource) error {
	if len(all) > maxItems {
		return fmt.Errorf("%d %s, at most %d are read", len(all), what, maxItems)
	}
	names := map[string]bool{}
	for i, r := range all {
		if err := r.check(); err != nil {
			return fmt.Errorf("%s %d: %w", what, i+1, err)
		}
		if r.Name != "" && names[r.Name] {
			return fmt.Errorf("%s: %q is listed twice", what, clip(r.Name))
		}
		names[r.Name] = true
	}
	return nil
}

// checkName refuses a short text that is empty, too long, or that a terminal would act on.
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case len(s) > maxName:
		return fmt.Errorf("%q: %d bytes, at most %d", clip(s), len(s), maxName)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%q: control characters or no UTF-8", clip(s))
	}
	return nil
}

// checkNames checks each name, and that none is there twice.
func checkNames(names []string) error {
	if len(names) > maxItems {
		return fmt.Errorf("%d names, at most %d are read", len(names), maxItems)
	}
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		if err := checkName(n); err != nil {
			return err
		}
		if seen[n] {
			return fmt.Errorf("%q is listed twice", clip(n))
		}
		seen[n] = true
	}
	return nil
}

// checkFacts checks a map of named texts.
func checkFacts(m map[string]string) error {
	if len(m) > maxItems {
		return fmt.Errorf("%d entries, at most %d are read", len(m), maxItems)
	}
	for _, k := range sortedKeys(m) {
		if err := checkName(k); err != nil {
			return err
		}
		if len(m[k]) > maxText || !utf8.ValidString(m[k]) {
			return fmt.Errorf("%q: more than %d bytes, or no UTF-8", clip(k), maxText)
		}
	}
	return nil
}

// checkURI takes absolute URIs. One with a password in it is refused: a statement is kept for years and read by many.
func checkURI(s string) error {
	if s == "" {
		return errors.New("no URI")
	}
	if len(s) > maxURI {
		return fmt.Errorf("URI of %d bytes, at most %d", len(s), maxURI)
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%q is no absolute URI", clip(s))
	}
	if _, secret := u.User.Password(); secret {
		return fmt.Errorf("URI at host %q holds a password", clip(u.Host))
	}
	return nil
}

// LocalURI returns the URI of an input that lies on the machine where it is used and nowhere else: its base name, and
// nothing of the machine.
func LocalURI(name string) string { return "file:" + url.PathEscape(name) }

// checkTime refuses a time that is missing or before there were models.
func checkTime(what string, t time.Time) error {
	switch {
	case t.IsZero():
		return fmt.Errorf("%s: no time", what)
	case t.Year() < 1970 || t.Year() > 9999:
		return fmt.Errorf("%s: the year %d cannot be", what, t.Year())
	}
	return nil
}

// checkSpan checks two times and that the second is not before the first.
func checkSpan(start string, from time.Time, end string, to time.Time) error {
	if err := checkTime(start, from); err != nil {
		return err
	}
	if err := checkTime(end, to); err != nil {
		return err
	}
	if to.Before(from) {
		return fmt.Errorf("%s %s is before %s %s", end, to.UTC().Format(time.RFC3339), start, from.UTC().Format(time.RFC3339))
	}
	return nil
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
