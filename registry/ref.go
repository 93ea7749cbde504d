package registry

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/hallmark-project/hallmark/pkg/hashing"
)

// The schemes of references to what lies on disk.
const (
	layoutScheme  = "oci:"         // an OCI image layout
	archiveScheme = "oci-archive:" // an OCI image layout in one tar file
)

// maxRef is the cap on the length of a reference in bytes.
const maxRef = 4096

// The grammars of repository names and tags (distribution-spec 1.1, Pulling manifests).
var (
	repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagLetters     = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
)

// isTag keeps the length out of the expression: written there, it costs every start of the program half a millisecond.
func isTag(s string) bool { return len(s) <= 128 && tagLetters.MatchString(s) }

// Ref names an artifact in a repository, by tag, by digest, or both. The zero Ref names nothing. Refs are comparable.
type Ref struct {
	host, repository string // of a registry
	dir              string // of a layout, or the file of an archive
	archive          bool   // dir is an archive
	tag, digest      string
}

// ParseRef reads a reference:
//
//	HOST/NAME:TAG   HOST/NAME@sha256:HEX   HOST/NAME:TAG@sha256:HEX
//	oci:DIR         oci:DIR:TAG            oci:DIR@sha256:HEX        oci:DIR:TAG@sha256:HEX
//	oci-archive:FILE, likewise
//
// The host is never guessed: it contains a dot or a colon, or is localhost. Neither is the tag: a registry's reference
// has a tag or a digest, or is refused. DIR stays as it was written, relative or absolute; a last colon after its last
// slash begins the tag.
func ParseRef(s string) (Ref, error) {
	if len(s) > maxRef {
		return Ref{}, fmt.Errorf("parse reference: %d bytes, at most %d are read", len(s), maxRef)
	}
	r, err := parseRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("parse reference %q: %w", s, err)
	}
	return r, nil
}

func parseRef(s string) (Ref, error) {
	var r Ref
	rest, local := strings.CutPrefix(s, layoutScheme)
	if !local {
		rest, local = strings.CutPrefix(s, archiveScheme)
		r.archive = local
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 && (!local || strings.HasPrefix(rest[at+1:], "sha256:")) {
		if _, err := hashing.ParseSum(rest[at+1:]); err != nil {
			return Ref{}, fmt.Errorf("digest: %w", err)
		}
		rest, r.digest = rest[:at], rest[at+1:]
	}
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, '/') {
		rest, r.tag = rest[:colon], rest[colon+1:]
		if !isTag(r.tag) {
			return Ref{}, fmt.Errorf("tag %q is not letters, digits, '_', '.' and '-', at most 128", r.tag)
		}
	}
	if local {
		if rest == "" {
			return Ref{}, fmt.Errorf("it names no directory or file")
		}
		r.dir = rest
		return r, nil
	}
	host, repository, found := strings.Cut(rest, "/")
	if !found || (host != "localhost" && !strings.ContainsAny(host, ".:")) {
		return Ref{}, fmt.Errorf("it names no registry: HOST/NAME:TAG, where HOST has a dot or a port")
	}
	if !repositoryName.MatchString(repository) {
		return Ref{}, fmt.Errorf("repository %q is not lower-case letters and digits with single separators", repository)
	}
	parsed, err := name.NewRepository(host+"/"+repository, name.StrictValidation)
	if err != nil {
		return Ref{}, err
	}
	r.host, r.repository = parsed.RegistryStr(), parsed.RepositoryStr()
	if r.tag == "" && r.digest == "" {
		return Ref{}, fmt.Errorf("it has no tag and no digest, and none is assumed")
	}
	return r, nil
}

// String returns the reference as ParseRef reads it.
func (r Ref) String() string {
	s := r.Name()
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

// Name returns the repository alone: HOST/NAME, oci:DIR or oci-archive:FILE.
func (r Ref) Name() string {
	if r.archive {
		return archiveScheme + r.dir
	}
	if r.dir != "" {
		return layoutScheme + r.dir
	}
	if r.host == "" {
		return ""
	}
	return r.host + "/" + r.repository
}

// Pinned returns the reference of the manifest with the given digest in the same repository: what to deploy. It has no
// tag, so that nothing can move it.
func (r Ref) Pinned(digest string) string { return r.Name() + "@" + digest }

// Host returns the registry's host with its port; it is empty for a layout.
func (r Ref) Host() string { return r.host }

// Layout returns the layout's directory; it is empty for a registry.
func (r Ref) Layout() string { return r.dir }

// Tag returns the tag, or nothing.
func (r Ref) Tag() string { return r.tag }

// Digest returns the digest as sha256:HEX, or nothing.
func (r Ref) Digest() string { return r.digest }

// IsZero reports whether r names nothing.
func (r Ref) IsZero() bool { return r == Ref{} }
