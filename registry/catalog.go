package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/go-containerregistry/pkg/name"
)

// Caps on a list of repositories.
const (
	maxCatalogPages = 1000
	maxRepositories = 100_000
)

// catalogScope is what a token for the list of repositories is good for (distribution's token authentication).
const catalogScope = "registry:catalog:*"

// Scope is a part of what is kept somewhere: all repositories of a registry, those below a prefix, or one. The zero Scope
// is nothing.
type Scope struct {
	host   string // with repo empty: its repositories
	prefix string // of them those whose names begin so; empty, or ends with a slash
	repo   Ref    // one repository: no tag, no digest
}

// ParseScope reads what to look at:
//
//	HOST            every repository that the registry lists
//	HOST/PREFIX/    those of them below PREFIX
//	HOST/NAME       that repository alone; the registry need not have a list
//	oci:DIR         an OCI image layout on disk, or oci-archive:FILE
//
// The last slash makes the difference, so that nobody looks at one repository and takes it for all of them.
func ParseScope(s string) (Scope, error) {
	wrong := func(format string, args ...any) (Scope, error) {
		return Scope{}, fmt.Errorf("parse %q: %w", s, fmt.Errorf(format, args...))
	}
	switch {
	case len(s) > maxRef:
		return Scope{}, fmt.Errorf("parse what to look at: %d bytes, at most %d are read", len(s), maxRef)
	case strings.HasPrefix(s, layoutScheme) || strings.HasPrefix(s, archiveScheme):
		r, err := ParseRef(s)
		if err == nil && (r.tag != "" || r.digest != "") {
			return wrong("a tag or digest is one artifact, not all of them")
		}
		return Scope{repo: r}, err
	}
	host, rest, _ := strings.Cut(s, "/")
	if host != "localhost" && !strings.ContainsAny(host, ".:") {
		return wrong("it names no registry: HOST, HOST/PREFIX/ or HOST/NAME, where HOST has a dot or a port")
	}
	registry, err := name.NewRegistry(host, name.StrictValidation)
	if err != nil {
		return wrong("%w", err)
	}
	path, below := strings.CutSuffix(rest, "/")
	switch {
	case rest == "":
		return Scope{host: registry.RegistryStr()}, nil
	case !repositoryName.MatchString(path):
		return wrong("repository %q is not lower-case letters and digits with single separators, and neither a tag nor a digest belongs here", path)
	case below:
		return Scope{host: registry.RegistryStr(), prefix: rest}, nil
	}
	repository, err := name.NewRepository(s, name.StrictValidation)
	if err != nil {
		return wrong("%w", err)
	}
	return Scope{repo: Ref{host: repository.RegistryStr(), repository: repository.RepositoryStr()}}, nil
}

// String returns the scope as ParseScope reads it.
func (s Scope) String() string {
	switch {
	case !s.repo.IsZero():
		return s.repo.Name()
	case s.prefix != "":
		return s.host + "/" + s.prefix
	}
	return s.host
}

// Has reports whether a reference, as Ref writes it, lies in s.
func (s Scope) Has(ref string) bool {
	if s.repo.IsZero() {
		return s.host != "" && strings.HasPrefix(ref, s.host+"/"+s.prefix)
	}
	rest, ok := strings.CutPrefix(ref, s.repo.Name())
	return ok && (strings.HasPrefix(rest, ":") || strings.HasPrefix(rest, "@"))
}

// Catalog is a list of repositories.
type Catalog struct {
	Repos   []Ref    // without tag and digest, sorted by name, each once; see Open and Repo.Refs
	Refused []string // names on the list that no repository may have, as the registry wrote them; sorted
}

// Repositories lists the repositories of s. One repository is a list of it, whether or not it is there. Where the
// registry has to be asked, everything but a whole list is an error: a page that failed, a registry without a list, one
// that pages for ever (ErrTooLarge).
func Repositories(ctx context.Context, s Scope, o Options) (Catalog, error) {
	if !s.repo.IsZero() {
		return Catalog{Repos: []Ref{s.repo}}, nil
	}
	if s.host == "" {
		return Catalog{}, errors.New("list repositories: of nothing")
	}
	c, err := catalog(ctx, s, o)
	return c, doing(err, "list repositories of %s", s)
}

func catalog(ctx context.Context, s Scope, o Options) (Catalog, error) {
	// Any repository's client will do, with another scope.
	repo, err := Open(Ref{host: s.host, repository: "catalog"}, o)
	if err != nil {
		return Catalog{}, err
	}
	defer repo.Close()
	r, ok := repo.store.(*remote)
	if !ok {
		return Catalog{}, errors.New("not a registry")
	}
	r.client.auth.scope = catalogScope
	first := &url.URL{Path: "/v2/_catalog", RawQuery: "n=1000"}
	found := Catalog{}
	total := 0
	err = r.pages(ctx, first, maxCatalogPages, func(_ int, resp *http.Response) (bool, error) {
		if resp.StatusCode != http.StatusOK {
			return false, refusal(resp)
		}
		defer resp.Body.Close()
		raw, err := readCapped(resp.Body, "list of repositories", maxManifest)
		if err != nil {
			return false, err
		}
		var page struct {
			Repositories []string `json:"repositories"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return false, fmt.Errorf("decode list of repositories: %w", err)
		}
		if page.Repositories == nil {
			return false, errors.New("decode list of repositories: it lists none")
		}
		if total += len(page.Repositories); total > maxRepositories {
			return false, tooLarge("list of repositories", maxRepositories)
		}
		for _, n := range page.Repositories {
			switch {
			case !strings.HasPrefix(n, s.prefix):
			case repositoryName.MatchString(n) && len(s.host)+1+len(n) <= maxRef:
				found.Repos = append(found.Repos, Ref{host: s.host, repository: n})
			default:
				found.Refused = append(found.Refused, n)
			}
		}
		return true, nil
	})
	if err != nil {
		return Catalog{}, err
	}
	slices.SortFunc(found.Repos, func(a, b Ref) int { return strings.Compare(a.repository, b.repository) })
	slices.Sort(found.Refused)
	found.Repos, found.Refused = slices.Compact(found.Repos), slices.Compact(found.Refused)
	return found, nil
}
