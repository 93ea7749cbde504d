package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/hallmark-project/hallmark/attestations"
)

// remote is a repository of a registry (distribution-spec 1.1).
type remote struct {
	client *client
	path   string // /v2/NAME
}

func newRemote(ref Ref, o Options) (*remote, error) {
	repository, err := name.NewRepository(ref.Name(), name.StrictValidation)
	if err != nil {
		return nil, err
	}
	reach, err := o.connect(ref.host)
	if err != nil {
		return nil, err
	}
	keychain := o.Keychain
	if keychain == nil {
		keychain = logins{}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	host := (&url.URL{Host: ref.host}).Hostname()
	return &remote{
		path: "/v2/" + ref.repository,
		client: &client{
			home:     &http.Client{Transport: reach.home, CheckRedirect: stay},
			away:     &http.Client{Transport: reach.away, CheckRedirect: stay},
			reach:    reach,
			host:     ref.host,
			plain:    o.InsecureHTTP || isLoopback(host),
			alone:    o.Alone,
			timeout:  o.Timeout,
			auth:     &authorizer{keychain: keychain, resource: repository, scope: scopeOf(ref.repository)},
			patience: newPatience(o),
		},
	}, nil
}

func (r *remote) close() {
	r.client.home.CloseIdleConnections()
	r.client.away.CloseIdleConnections()
}

// under returns an address below the repository's.
func (r *remote) under(parts ...string) *url.URL {
	return &url.URL{Path: r.path + "/" + strings.Join(parts, "/")}
}

func (r *remote) manifest(ctx context.Context, target string) (raw []byte, mediaType string, err error) {
	err = r.client.retry(ctx, func() error {
		resp, err := r.client.do(ctx, call{
			method: http.MethodGet, url: r.under("manifests", target), header: http.Header{"Accept": manifestTypes},
		})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK {
			return refusal(resp)
		}
		defer resp.Body.Close()
		mediaType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
		raw, err = readCapped(resp.Body, "manifest", maxManifest)
		return err
	})
	return raw, mediaType, err
}

// putManifest may be done again whatever became of the last time: it stores the same under the same name.
func (r *remote) putManifest(ctx context.Context, raw []byte, d Descriptor, tag string) (noted bool, err error) {
	target := d.Digest
	if tag != "" {
		target = tag
	}
	err = r.client.retry(ctx, func() error {
		resp, err := r.client.do(ctx, call{
			method: http.MethodPut, url: r.under("manifests", target), access: access{push: true}, size: int64(len(raw)),
			header: http.Header{"Content-Type": {d.MediaType}},
			body:   opener(raw),
		})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusCreated {
			return refusal(resp)
		}
		drain(resp)
		if stored := resp.Header.Get("Docker-Content-Digest"); stored != "" && stored != d.Digest {
			return fmt.Errorf("%w: registry stored %q, not %s", ErrDigest, stored, d.Digest)
		}
		// distribution-spec 1.1, Pushing Manifests with Subject.
		noted = resp.Header.Get("OCI-Subject") != ""
		return nil
	})
	return noted, err
}

func (r *remote) tags(ctx context.Context, prefix string) ([]string, error) {
	var found []string
	total := 0
	first := r.under("tags", "list")
	first.RawQuery = "n=1000"
	err := r.pages(ctx, first, maxTagPages, func(_ int, resp *http.Response) (bool, error) {
		if resp.StatusCode == http.StatusNotFound { // so answers a registry where nothing has a tag
			drain(resp)
			return false, nil
		}
		if resp.StatusCode != http.StatusOK {
			return false, refusal(resp)
		}
		defer resp.Body.Close()
		raw, err := readCapped(resp.Body, "list of tags", maxManifest)
		if err != nil {
			return false, err
		}
		var page struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(raw, &page); err != nil {
			return false, fmt.Errorf("decode list of tags: %w", err)
		}
		if total += len(page.Tags); total > maxTags {
			return false, tooLarge("list of tags", maxTags)
		}
		for _, t := range page.Tags {
			if strings.HasPrefix(t, prefix) && isTag(t) {
				found = append(found, t)
			}
		}
		return true, nil
	})
	return found, err
}

// referrers asks the referrers API (distribution-spec 1.1, Listing Referrers) for bundles. A registry that has no such
// API says 404 to the first page; every other answer than a list is an error.
func (r *remote) referrers(ctx context.Context, subject string) ([]referrer, bool, error) {
	var found []referrer
	supported := false
	first := r.under("referrers", subject)
	first.RawQuery = url.Values{"artifactType": {attestations.BundleMediaType}}.Encode()
	err := r.pages(ctx, first, maxReferrerPages, func(page int, resp *http.Response) (bool, error) {
		if resp.StatusCode == http.StatusNotFound && page == 0 {
			drain(resp)
			return false, nil
		}
		if resp.StatusCode != http.StatusOK {
			return false, refusal(resp)
		}
		defer resp.Body.Close()
		mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		if mediaType != ocispec.MediaTypeImageIndex {
			return false, fmt.Errorf("registry answers with %q, not with an index", mediaType)
		}
		raw, err := readCapped(resp.Body, "page of referrers", maxManifest)
		if err != nil {
			return false, err
		}
		x, err := parseIndex(raw)
		if err != nil {
			return false, err
		}
		supported = true
		if found = append(found, x.Manifests...); len(found) > maxReferrers {
			return false, tooLarge("list of referrers", maxReferrers)
		}
		return true, nil
	})
	return found, supported, err
}

func (r *remote) sole(context.Context) (string, error) {
	return "", fmt.Errorf("reference has no tag and no digest")
}

// pages reads a list page by page until one has no successor. read ends with false what need not go on; it takes a page
// whole or not at all, for one that broke off is read again.
func (r *remote) pages(ctx context.Context, at *url.URL, limit int, read func(page int, resp *http.Response) (bool, error)) error {
	seen := map[string]bool{}
	for page := range limit {
		var resp *http.Response
		more := false
		err := r.client.retry(ctx, func() (err error) {
			if resp, err = r.client.do(ctx, call{method: http.MethodGet, url: at}); err == nil {
				more, err = read(page, resp)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("page %d: %w", page+1, err)
		}
		if !more {
			return nil
		}
		next, ok := nextPage(resp.Header.Values("Link"))
		if !ok {
			return nil
		}
		seen[resp.Request.URL.String()] = true
		if at, err = resp.Request.URL.Parse(next); err != nil {
			return fmt.Errorf("page %d: next page %q is no address", page+2, next)
		}
		if seen[at.String()] {
			return fmt.Errorf("page %d: next page %q was read already", page+2, next)
		}
	}
	return tooLarge("list has more pages", int64(limit))
}

var nextLink = regexp.MustCompile(`^\s*<([^>]*)>\s*;.*\brel="?next"?`)

// nextPage finds the successor in Link headers (RFC 8288).
func nextPage(links []string) (string, bool) {
	for _, l := range links {
		if m := nextLink.FindStringSubmatch(l); m != nil {
			return m[1], true
		}
	}
	return "", false
}
