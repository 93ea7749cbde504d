package token

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/go-json-experiment/json"
)

// ErrNone is that the machine offers no identity token.
var ErrNone = errors.New("no identity token is offered here")

// Where ambient tokens lie that no variable names.
const (
	kubernetesFile = "/var/run/sigstore/cosign/oidc-token" // where Sigstore's tools look for a projected token
	productFile    = "/sys/class/dmi/id/product_name"      // says "Google Compute Engine" on Google's machines
	googleHost     = "metadata.google.internal"            // the metadata server, unless GCE_METADATA_HOST says otherwise
	googlePath     = "/computeMetadata/v1/instance/service-accounts/default/identity"
	spiffeScheme   = "spiffe://"
	flavor         = "Metadata-Flavor" // on requests and answers of Google's metadata server
)

// provider is one way in which a machine can offer a token.
type provider struct {
	key  string // what a person types to choose it
	name string

	// offered reports whether the environment offers a token this way. What is offered by half is an error: falling
	// through to the next provider would sign as somebody else.
	offered func(o Options) (bool, error)
	fetch   func(ctx context.Context, o Options) (string, error)
	check   func(Token) error
}

// providers in the order in which they are tried: the workload's own identity before that of the machine it runs on.
var providers = []provider{
	{key: "github", name: "GitHub Actions", offered: githubOffers, fetch: githubToken},
	{key: "gitlab", name: "GitLab", offered: gitlabOffers, fetch: gitlabToken},
	{key: "kubernetes", name: "Kubernetes", offered: kubernetesOffers, fetch: kubernetesToken},
	{key: "spiffe", name: "SPIFFE", offered: spiffeOffers, fetch: spiffeToken, check: isSPIFFE},
	{key: "buildkite", name: "Buildkite", offered: buildkiteOffers, fetch: buildkiteToken},
	{key: "google", name: "Google Cloud", offered: googleOffers, fetch: googleToken},
}

// Providers are the keys for Named, in the order in which Ambient tries them:
//
//	github      GitHub Actions: ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN
//	gitlab      GitLab: the id_token SIGSTORE_ID_TOKEN of the job
//	kubernetes  a projected service account token: the file KUBERNETES_ID_TOKEN_FILE, or Sigstore's usual place
//	spiffe      a JWT-SVID: the file SPIFFE_JWT_SVID_FILE
//	buildkite   Buildkite: buildkite-agent oidc request-token
//	google      Google Cloud's metadata server: GCE_METADATA_HOST, or a machine that says it is Google's
func Providers() []string {
	keys := make([]string, len(providers))
	for i, p := range providers {
		keys[i] = p.key
	}
	return keys
}

// Ambient returns the first of Providers that the environment offers. Nothing is dialled for it. It errs with ErrNone
// where there is none, and where one is offered by half, as in a workflow without the permission: the next provider
// would name somebody else, so there is no falling through, here or when the token is fetched.
func Ambient(o Options) (*Source, error) {
	complete := o.complete()
	for _, p := range providers {
		offered, err := p.offered(complete)
		if err != nil {
			return nil, fmt.Errorf("find an identity token: %s: %w", p.name, err)
		}
		if offered {
			return p.source(complete), nil
		}
	}
	return nil, ErrNone
}

// Named returns the provider with this key, whatever else the machine offers. It errs where the environment does not
// offer it.
func Named(key string, o Options) (*Source, error) {
	complete := o.complete()
	for _, p := range providers {
		if p.key != key {
			continue
		}
		offered, err := p.offered(complete)
		if err == nil && !offered {
			err = ErrNone
		}
		if err != nil {
			return nil, fmt.Errorf("find an identity token: %s: %w", p.name, err)
		}
		return p.source(complete), nil
	}
	return nil, fmt.Errorf("find an identity token: there is no provider %q, only %s", clip(key), strings.Join(Providers(), ", "))
}

func (p provider) source(o Options) *Source {
	s := newSource(p.name, o, func(ctx context.Context) (string, error) { return p.fetch(ctx, o) })
	s.check = p.check
	return s
}

func githubOffers(o Options) (bool, error) {
	url, bearer := o.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"), o.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	switch {
	case url != "" && bearer != "":
		return true, nil
	case url != "" || bearer != "":
		return false, errors.New("of ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN only one is set")
	case o.Getenv("GITHUB_ACTIONS") == "true":
		return false, errors.New("the workflow's job needs the permission id-token: write")
	}
	return false, nil
}

// githubToken follows GitHub's documentation of OpenID Connect for actions: a GET with the job's bearer token.
func githubToken(ctx context.Context, o Options) (string, error) {
	u, err := secretURL(o.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"))
	if err != nil {
		return "", fmt.Errorf("read ACTIONS_ID_TOKEN_REQUEST_URL: %w", err)
	}
	query := u.Query()
	query.Set("audience", o.Audience)
	u.RawQuery = query.Encode()
	answer, _, err := o.get(ctx, u, http.Header{
		"Authorization": {"Bearer " + o.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")}, "Accept": {"application/json"},
	})
	if err != nil {
		return "", err
	}
	var a struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(answer, &a) != nil || a.Value == "" { // the decoder's own message could show the token
		return "", fmt.Errorf("read the answer of %q: it holds no token", u.Host)
	}
	return a.Value, nil
}

func gitlabOffers(o Options) (bool, error) {
	if o.Getenv("SIGSTORE_ID_TOKEN") != "" {
		return true, nil
	}
	if o.Getenv("GITLAB_CI") == "true" {
		return false, errors.New("the job needs SIGSTORE_ID_TOKEN under id_tokens, with aud: " + o.Audience)
	}
	return false, nil
}

func gitlabToken(_ context.Context, o Options) (string, error) {
	return o.Getenv("SIGSTORE_ID_TOKEN"), nil
}

func (o Options) kubernetesPath() string {
	if named := o.Getenv("KUBERNETES_ID_TOKEN_FILE"); named != "" {
		return named
	}
	return o.files.kubernetes
}

// kubernetesOffers takes a file that was named for granted: one that is not there is an error when it is read.
func kubernetesOffers(o Options) (bool, error) {
	if o.Getenv("KUBERNETES_ID_TOKEN_FILE") != "" {
		return true, nil
	}
	_, err := os.Stat(o.files.kubernetes)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// kubernetesToken reads the file anew each time: kubelet renews it.
func kubernetesToken(ctx context.Context, o Options) (string, error) {
	return readFile(ctx, o.kubernetesPath())
}

func spiffeOffers(o Options) (bool, error) { return o.Getenv("SPIFFE_JWT_SVID_FILE") != "", nil }

func spiffeToken(ctx context.Context, o Options) (string, error) {
	return readFile(ctx, o.Getenv("SPIFFE_JWT_SVID_FILE"))
}

// isSPIFFE holds a JWT-SVID to what its subject must be (SPIFFE JWT-SVID §3.1).
func isSPIFFE(t Token) error {
	if !strings.HasPrefix(t.Subject, spiffeScheme) {
		return fmt.Errorf("its subject %q is no SPIFFE ID", clip(t.Subject))
	}
	return nil
}

// googleOffers asks the machine's firmware, as Google's own libraries do, rather than the network.
func googleOffers(o Options) (bool, error) {
	if o.Getenv("GCE_METADATA_HOST") != "" {
		return true, nil
	}
	product, err := os.ReadFile(o.files.product)
	return err == nil && strings.HasPrefix(string(product), "Google"), nil // another machine may have no such file
}
