package lab

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Options says what kind of registry it is. The zero Options is one without the referrers API that lets everybody in,
// honours Range, and answers lists in one piece.
type Options struct {
	Referrers       bool   // has the referrers API, and says OCI-Subject when it took note of a subject
	NoSubjectHeader bool   // has the API and does not say so when a manifest is put
	NoFilter        bool   // ignores ?artifactType
	PageSize        int    // entries on a page of referrers, tags and repositories, at most; 0: no limit
	IgnoreRange     bool   // answers 200 with the whole blob to a request for a part
	NoMount         bool   // opens an upload where a mount was asked for
	Tokens          bool   // asks for bearer tokens, which it gives out itself at /token
	User, Password  string // whoever gets tokens; empty: everybody
	TokenUses       int    // requests that a token is good for; 0: no limit
	BlobsAt         string // address that GETs of blobs are redirected to, the digest's hex appended; see Registry.Storage
	Dir             string // where blobs of more than 1 MiB lie; empty: in memory
}

// Registry is an OCI 1.1 registry in the test's own process. It is an http.Handler and safe for concurrent use.
type Registry struct {
	options Options

	mu      sync.Mutex
	repos   map[string]*repository
	uploads map[string]*upload
	tokens  map[string]*token
	serial  int
	log     []Request
}

type repository struct {
	blobs     map[string]blob
	manifests map[string]document
	tags      map[string]string
}

// document is a manifest or index.
type document struct {
	mediaType string
	raw       []byte
}

// Request is a request that was seen.
type Request struct {
	Method string
	URI    string // path and query
	Host   string
	Header http.Header
	Body   []byte // only a Recorder keeps it
}

// String is method and address.
func (r Request) String() string { return r.Method + " " + r.URI }

// New returns an empty registry.
func New(o Options) *Registry {
	return &Registry{options: o, repos: map[string]*repository{}, uploads: map[string]*upload{}, tokens: map[string]*token{}}
}

// Clone returns a registry of the same kind that holds the same: what is done to one does not show in the other.
// Uploads under way, tokens and the log are left behind.
func (g *Registry) Clone() *Registry {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := New(g.options)
	for name, r := range g.repos {
		c.repos[name] = &repository{maps.Clone(r.blobs), maps.Clone(r.manifests), maps.Clone(r.tags)}
	}
	return c
}

// Requests returns what was asked so far, in order.
func (g *Registry) Requests() []Request {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.log)
}

// route is one kind of address.
type route struct {
	pattern *regexp.Regexp // NAME, then the rest
	serve   func(g *Registry, w http.ResponseWriter, r *http.Request, name, rest string)
}

// The order matters: a repository may be called blobs or uploads, so the longest endings come first.
var routes = []route{
	{regexp.MustCompile(`^/v2/(.+)/blobs/uploads/([^/]*)$`), (*Registry).serveUpload},
	{regexp.MustCompile(`^/v2/(.+)/blobs/([^/]+)$`), (*Registry).serveBlob},
	{regexp.MustCompile(`^/v2/(.+)/manifests/([^/]+)$`), (*Registry).serveManifest},
	{regexp.MustCompile(`^/v2/(.+)/referrers/([^/]+)$`), (*Registry).serveReferrers},
	{regexp.MustCompile(`^/v2/(.+)/tags/(list)$`), (*Registry).serveTags},
}

// ServeHTTP answers as distribution-spec 1.1 says.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.log = append(g.log, Request{Method: r.Method, URI: r.URL.RequestURI(), Host: r.Host, Header: r.Header.Clone()})
	g.mu.Unlock()
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if r.URL.Path == "/token" {
		g.serveToken(w, r)
		return
	}
	name, rest, serve := find(r.URL.Path)
	if serve == nil {
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such address")
		return
	}
	if !g.authorized(w, r, name) {
		return
	}
	serve(g, w, r, name, rest)
}

func find(path string) (name, rest string, serve func(*Registry, http.ResponseWriter, *http.Request, string, string)) {
	switch path {
	case "/v2/", "/v2":
		return "", "", func(_ *Registry, w http.ResponseWriter, _ *http.Request, _, _ string) { w.WriteHeader(http.StatusOK) }
	case "/v2/_catalog":
		return "", "", (*Registry).serveCatalog
	}
	for _, route := range routes {
		if m := route.pattern.FindStringSubmatch(path); m != nil {
			return m[1], m[2], route.serve
		}
	}
	return "", "", nil
}

// refuse answers with an error in the form of distribution-spec 1.1, Error Codes.
func refuse(w http.ResponseWriter, status int, code, message string) {
	type entry struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string][]entry{"errors": {{code, message}}})
}

// repository returns a repository; g.mu is held. One that is not there is empty, and there from now on.
func (g *Registry) repository(name string) *repository {
	r := g.repos[name]
	if r == nil {
		r = &repository{map[string]blob{}, map[string]document{}, map[string]string{}}
		g.repos[name] = r
	}
	return r
}

// view is repository for those who only read: one that is not there stays so. g.mu is held.
func (g *Registry) view(name string) *repository {
	if r := g.repos[name]; r != nil {
		return r
	}
	return &repository{}
}

// Blob returns a copy of a blob's bytes, and whether it is there.
func (g *Registry) Blob(name, digest string) ([]byte, bool) {
	g.mu.Lock()
	b, ok := g.view(name).blobs[digest]
	g.mu.Unlock()
	if !ok {
		return nil, false
	}
	raw, err := b.bytes()
	return raw, err == nil
}

// Blobs returns the digests of a repository's blobs, sorted.
func (g *Registry) Blobs(name string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.view(name).blobs))
}

// PutBlob puts a blob without asking anybody, and returns its digest.
func (g *Registry) PutBlob(name string, raw []byte) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	digest := Digest(raw)
	g.repository(name).blobs[digest] = blob{raw: slices.Clone(raw), size: int64(len(raw))}
	return digest
}

// Manifest returns the manifest under a tag or digest, and whether it is there.
func (g *Registry) Manifest(name, target string) ([]byte, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	d, ok := g.view(name).lookup(target)
	return slices.Clone(d.raw), ok
}

// Manifests returns the digests of a repository's manifests, sorted.
func (g *Registry) Manifests(name string) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.view(name).manifests))
}

// PutManifest puts a manifest under its digest, whatever it is and whether or not what it names is there, and returns
// the digest. tag may be empty.
func (g *Registry) PutManifest(name, mediaType string, raw []byte, tag string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	digest := Digest(raw)
	r := g.repository(name)
	r.manifests[digest] = document{mediaType, slices.Clone(raw)}
	if tag != "" {
		r.tags[tag] = digest
	}
	return digest
}

// Tag makes a tag name a digest; an empty digest takes the tag away.
func (g *Registry) Tag(name, tag, digest string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if digest == "" {
		delete(g.repository(name).tags, tag)
		return
	}
	g.repository(name).tags[tag] = digest
}

// Tags returns a repository's tags and what they name.
func (g *Registry) Tags(name string) map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.view(name).tags)
}

func (r *repository) lookup(target string) (document, bool) {
	if !strings.Contains(target, ":") {
		target = r.tags[target]
	}
	d, ok := r.manifests[target]
	return d, ok
}
