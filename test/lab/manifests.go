package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const maxManifest = 4 << 20 // bytes of a manifest, as with distribution

// serveManifest answers GET, HEAD, PUT and DELETE of a manifest.
func (g *Registry) serveManifest(w http.ResponseWriter, r *http.Request, name, target string) {
	if r.Method == http.MethodPut {
		g.storeManifest(w, r, name, target)
		return
	}
	g.mu.Lock()
	repo := g.view(name)
	d, ok := repo.lookup(target)
	if ok && r.Method == http.MethodDelete {
		repo.remove(target)
	}
	g.mu.Unlock()
	switch {
	case !ok:
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "no such manifest")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		w.Header().Set("Content-Type", d.mediaType)
		w.Header().Set("Content-Length", strconv.Itoa(len(d.raw)))
		w.Header().Set("Docker-Content-Digest", Digest(d.raw))
		_, _ = w.Write(d.raw) // which HEAD does not send
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusAccepted)
	default:
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "no such method")
	}
}

// remove takes a tag away, or a manifest and all its tags.
func (r *repository) remove(target string) {
	delete(r.tags, target)
	if strings.Contains(target, ":") {
		delete(r.manifests, target)
		maps.DeleteFunc(r.tags, func(_, digest string) bool { return digest == target })
	}
}

// Descriptor is an entry of a list of referrers, and what a manifest names things by (image-spec 1.1, OCI Content
// Descriptors).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// wire is what a registry reads of a manifest or index.
type wire struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Config       *Descriptor       `json:"config"`
	Layers       []Descriptor      `json:"layers"`
	Manifests    []Descriptor      `json:"manifests"`
	Subject      *Descriptor       `json:"subject"`
	Annotations  map[string]string `json:"annotations"`
}

// storeManifest takes a manifest if everything that it names is there, its subject excepted.
func (g *Registry) storeManifest(w http.ResponseWriter, r *http.Request, name, target string) {
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil || len(raw) > maxManifest {
		refuse(w, http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "too long, or broken off")
		return
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	var m wire
	switch err := json.Unmarshal(raw, &m); {
	case err != nil || (m.MediaType != "" && m.MediaType != mediaType):
		refuse(w, http.StatusBadRequest, "MANIFEST_INVALID", "no JSON, or of another type than it is sent as")
		return
	case strings.Contains(target, ":") && target != Digest(raw):
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "other bytes than the digest's")
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.repository(name)
	if missing := repo.missing(&m); missing != "" {
		refuse(w, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", missing)
		return
	}
	digest := Digest(raw)
	repo.manifests[digest] = document{mediaType, raw}
	if !strings.Contains(target, ":") {
		repo.tags[target] = digest
	}
	if m.Subject != nil && g.options.Referrers && !g.options.NoSubjectHeader {
		w.Header().Set("OCI-Subject", m.Subject.Digest)
	}
	w.Header().Set("Location", "/v2/"+name+"/manifests/"+digest)
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

// missing returns the digest of something that m names and the repository does not have, or nothing.
func (r *repository) missing(m *wire) string {
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(slices.Clone(blobs), *m.Config)
	}
	for _, d := range blobs {
		if _, ok := r.blobs[d.Digest]; !ok {
			return d.Digest
		}
	}
	for _, d := range m.Manifests {
		if _, ok := r.manifests[d.Digest]; !ok {
			return d.Digest
		}
	}
	return ""
}

// serveReferrers answers the referrers API (distribution-spec 1.1, Listing Referrers).
func (g *Registry) serveReferrers(w http.ResponseWriter, r *http.Request, name, subject string) {
	if !g.options.Referrers {
		refuse(w, http.StatusNotFound, "NOT_FOUND", "no such address")
		return
	}
	query := r.URL.Query()
	only := query.Get("artifactType")
	if g.options.NoFilter {
		only = ""
	}
	g.mu.Lock()
	found := g.view(name).referrers(subject, only)
	g.mu.Unlock()
	from := 0
	if last := query.Get("last"); last != "" {
		from = after(found, last, func(d Descriptor) string { return d.Digest })
	}
	found = found[from:]
	if n := g.options.PageSize; n > 0 && n < len(found) {
		found = found[:n]
		next := url.Values{"last": {found[n-1].Digest}}
		if only != "" {
			next.Set("artifactType", only)
		}
		linkNext(w, r, next)
	}
	if only != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": found})
}

// referrers lists what refers to a subject, sorted by digest; never nil.
func (r *repository) referrers(subject, only string) []Descriptor {
	found := []Descriptor{}
	for _, digest := range slices.Sorted(maps.Keys(r.manifests)) {
		d := r.manifests[digest]
		var m wire
		if json.Unmarshal(d.raw, &m) != nil || m.Subject == nil || m.Subject.Digest != subject {
			continue
		}
		kind := m.ArtifactType
		if kind == "" && m.Config != nil {
			kind = m.Config.MediaType
		}
		if only != "" && kind != only {
			continue
		}
		found = append(found, Descriptor{MediaType: d.mediaType, Digest: digest, Size: int64(len(d.raw)),
			ArtifactType: kind, Annotations: m.Annotations})
	}
	return found
}

// after returns the index of the first entry behind last in the order of names.
func after[T any](list []T, last string, name func(T) string) int {
	for i, e := range list {
		if name(e) > last {
			return i
		}
	}
	return len(list)
}

// linkNext says where the next page is (RFC 8288).
func linkNext(w http.ResponseWriter, r *http.Request, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, r.URL.Path, query.Encode()))
}

// page cuts a sorted list of names to what a request asks for and the registry gives at once.
func (g *Registry) page(w http.ResponseWriter, r *http.Request, names []string) []string {
	query := r.URL.Query()
	if last := query.Get("last"); last != "" {
		names = names[after(names, last, func(s string) string { return s }):]
	}
	limit := g.options.PageSize
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n >= 0 && (limit == 0 || n < limit) {
		limit = n
	} else if err != nil && limit == 0 {
		return names
	}
	if limit >= len(names) {
		return names
	}
	names = names[:limit]
	if limit > 0 {
		linkNext(w, r, url.Values{"n": {strconv.Itoa(limit)}, "last": {names[limit-1]}})
	}
	return names
}

func (g *Registry) serveTags(w http.ResponseWriter, r *http.Request, name, _ string) {
	g.mu.Lock()
	repo, known := g.repos[name]
	var tags []string
	if known {
		tags = slices.Sorted(maps.Keys(repo.tags))
	}
	g.mu.Unlock()
	if !known {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "no such repository")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	tags = append([]string{}, g.page(w, r, tags)...)
	_ = json.NewEncoder(w).Encode(map[string]any{"name": name, "tags": tags})
}

func (g *Registry) serveCatalog(w http.ResponseWriter, r *http.Request, _, _ string) {
	g.mu.Lock()
	names := slices.Sorted(maps.Keys(g.repos))
	g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	names = append([]string{}, g.page(w, r, names)...)
	_ = json.NewEncoder(w).Encode(map[string]any{"repositories": names})
}
