package transfer

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/hallmark-project/hallmark/pkg/policy"
	"github.com/hallmark-project/hallmark/registry"
	"github.com/hallmark-project/hallmark/test/lab"
)

const (
	user   = "ann"
	secret = "correct-horse"
	// elsewhere is another machine, as far as a client can tell. Its last numbers are those of the registry's own
	// address: nobody may take 127.9.0.1 and 127.0.0.1 for two hosts of one domain.
	elsewhere, alike = "127.0.0.2", "127.9.0.1"
)

// login has a name and a password for every registry.
type login struct{}

func (login) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: user, Password: secret}, nil
}

// guarded are the operations by name, with a login.
func guarded(a *artifact, more []byte) map[string]func(ctx context.Context, ref registry.Ref, dir string) bool {
	o := registry.Options{Timeout: long, Keychain: login{}, Wait: atOnceAgain}
	return map[string]func(context.Context, registry.Ref, string) bool{
		"push": func(ctx context.Context, ref registry.Ref, _ string) bool {
			_, err := a.push(ctx, ref, o)
			return err == nil
		},
		"verify": func(ctx context.Context, ref registry.Ref, _ string) bool {
			d, stored, err := a.verify(ctx, ref, o)
			if stored != nil {
				defer stored.Close()
			}
			return err == nil && d.Verdict() == policy.Yes
		},
		"pull": func(ctx context.Context, ref registry.Ref, dir string) bool {
			d, err := a.pull(ctx, ref, dir, o, 1)
			return err == nil && d.Verdict() == policy.Yes
		},
		"attach": func(ctx context.Context, ref registry.Ref, _ string) bool {
			_, err := a.attach(ctx, ref, more, o)
			return err == nil
		},
	}
}

// gives reports whether a request carries anything that could log somebody in.
func gives(r lab.Request) bool {
	all := r.URI + string(r.Body)
	for k, v := range r.Header {
		all += k + strings.Join(v, "")
	}
	return r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || strings.Contains(all, secret) || strings.Contains(all, "token-")
}

// TestNobodyIsLedElsewhere: whatever address a registry writes into an answer, another host sees no credentials, and no
// request at all but for a blob.
func TestNobodyIsLedElsewhere(t *testing.T) {
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	for kind, o := range kinds {
		stock := a.stock(t, o)
		for _, ip := range []string{elsewhere, alike} {
			for name, operate := range guarded(a, more) {
				t.Run(kind+"/"+ip+"/"+name, func(t *testing.T) {
					o := o
					o.Tokens, o.User, o.Password = true, user, secret
					for i, make := range leading() {
						leadAway(t, ip, make, operate, a, stock, o, i)
					}
				})
			}
		}
	}
}

// leading makes the faults that lead to an address.
func leading() []func(to string) lab.Fault {
	faults := []func(string) lab.Fault{lab.LocationAt, lab.LinkAt, lab.RealmAt}
	for _, status := range []int{301, 302, 303, 307, 308} {
		faults = append(faults, func(to string) lab.Fault { return lab.Redirected(status, to) })
	}
	return faults
}

// leadAway lets one fault strike at the requests of an operation that has to log in; number is the fault's.
func leadAway(t *testing.T, ip string, fault func(to string) lab.Fault, operate func(context.Context, registry.Ref, string) bool,
	a *artifact, stock *lab.Registry, o lab.Options, number int) {
	t.Helper()
	for n := 1 + number%stride(); ; n += stride() {
		guard := lab.New(o)
		copyInto(guard, stock)
		other := &lab.Recorder{Next: guard.Storage()}
		f := fault("http://" + lab.ServeAt(t, ip, other))
		proxy := lab.NewProxy(guard)
		ref := refAt(t, lab.Serve(t, proxy))
		proxy.Set(lab.Rule{Fault: f, At: n})
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		dir := filepath.Join(t.TempDir(), "out")
		ok := operate(ctx, ref, dir)
		ended := ctx.Err() == nil
		cancel()
		struck := proxy.Struck() > 0
		if !ended {
			t.Fatalf("%s at request %d: it does not end", f.Name, n)
		}
		for _, r := range other.Requests() {
			if gives(r) {
				t.Errorf("%s at request %d: credentials went along with %s", f.Name, n, r)
			}
			if !strings.Contains(r.URI, "/blobs/sha256:") || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
				t.Errorf("%s at request %d: somebody else was asked %s", f.Name, n, r)
			}
		}
		if !struck {
			if !ok {
				t.Errorf("%s at request %d: without a fault it fails", f.Name, n)
			}
			return
		}
		proxy.Set()
		if !ok && !operate(t.Context(), ref, dir) {
			t.Errorf("%s at request %d: it fails also without the fault", f.Name, n)
		}
	}
}

// copyInto fills a registry of another kind with what one has of the repository.
func copyInto(to, from *lab.Registry) {
	for _, d := range from.Blobs(repository) {
		raw, _ := from.Blob(repository, d)
		to.PutBlob(repository, raw)
	}
	for _, d := range from.Manifests(repository) {
		raw, _ := from.Manifest(repository, d)
		mediaType := "application/vnd.oci.image.manifest.v1+json"
		if bytes.Contains(raw, []byte(`"manifests":`)) {
			mediaType = "application/vnd.oci.image.index.v1+json"
		}
		to.PutManifest(repository, mediaType, raw, "")
	}
	for tag, d := range from.Tags(repository) {
		to.Tag(repository, tag, d)
	}
}

// TestBlobsMayLieElsewhere: the pair of the above. A registry whose blobs lie with somebody else is an ordinary one.
func TestBlobsMayLieElsewhere(t *testing.T) {
	a := newArtifact(t, small())
	for kind, o := range kinds {
		stock := a.stock(t, o)
		storage := &lab.Recorder{Next: stock.Storage()}
		o.Tokens, o.User, o.Password = true, user, secret
		o.BlobsAt = "http://" + lab.ServeAt(t, elsewhere, storage) + "/bucket/"
		guard := lab.New(o)
		copyInto(guard, stock)
		dir := filepath.Join(t.TempDir(), "out")
		if !guarded(a, nil)["pull"](t.Context(), refAt(t, lab.Serve(t, guard)), dir) {
			t.Errorf("%s: cannot be pulled", kind)
		}
		a.checkTarget(t, dir, true)
		seen := storage.Requests()
		if len(seen) == 0 {
			t.Errorf("%s: the storage was not asked", kind)
		}
		for _, r := range seen {
			if gives(r) {
				t.Errorf("%s: credentials went along with %s", kind, r)
			}
		}
	}
}

// dialer finds registry.example on loopback, and refuses and remembers every other address.
type dialer struct {
	to string

	mu      sync.Mutex
	refused []string
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if host, _, _ := net.SplitHostPort(addr); host == "registry.example" {
		return (&net.Dialer{}).DialContext(ctx, network, d.to)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused = append(d.refused, addr)
	return nil, errors.New("this address is not of this test")
}

// TestARegistryOutsideLeadsNobodyInside: a registry that is not on this machine may send for its blobs to other hosts
// outside, but not to this machine and its link, where services listen that trust whoever can reach them.
func TestARegistryOutsideLeadsNobodyInside(t *testing.T) {
	a := newArtifact(t, small())
	stock := a.stock(t, kinds["referrers API"])
	fetch := func(t *testing.T, to string) []string {
		t.Helper()
		proxy := lab.NewProxy(stock.Clone())
		d := &dialer{to: lab.Serve(t, proxy)}
		proxy.Set(lab.Rule{Fault: lab.Redirected(http.StatusTemporaryRedirect, to).At("", "/blobs/")})
		transport := &http.Transport{DialContext: d.dial}
		defer transport.CloseIdleConnections()
		o := registry.Options{InsecureHTTP: true, Timeout: long, Keychain: anonymous{}, Transport: transport, Wait: atOnceAgain}
		dec, err := a.pull(t.Context(), mustRef(t, "registry.example:80/"+repository+":"+tag), filepath.Join(t.TempDir(), "out"), o, 1)
		if err == nil && dec.Verdict() == policy.Yes {
			t.Errorf("%s: pulled", to)
		}
		return d.refused
	}
	for _, to := range []string{
		"http://127.0.0.1", "http://127.0.0.2:8080", "http://localhost", "http://localhost.", "http://LOCALHOST", "http://x.localhost",
		"http://x.localhost.", "http://[::1]", "http://[::ffff:127.0.0.1]", "http://[0:0:0:0:0:0:0:1]", "http://0.0.0.0", "http://[::]",
		"http://169.254.169.254", "http://[fe80::1]", "http://[fe80::1%25lo]", "http://[::ffff:169.254.169.254]",
		"http://2130706433", "http://0x7f000001", "http://127.1", "http://0177.0.0.1", "http://0x7f.0.0.1",
	} {
		if dialled := fetch(t, to); len(dialled) > 0 {
			t.Errorf("%s: %v was dialled", to, dialled)
		}
	}
	if dialled := fetch(t, "http://storage.example"); len(dialled) == 0 {
		t.Error("a host outside was not asked either")
	}
}

// fewestUses is what a token must be good for: one that ends with its first requests is used up by a client's parallel
// requests before all of them had their turn.
const fewestUses = 5

// TestTokensAreRenewedInTheMiddle: a token that ends, at whichever request, costs no operation its success.
func TestTokensAreRenewedInTheMiddle(t *testing.T) {
	a := newArtifact(t, small())
	more := a.claim(t, 2)
	for kind, o := range kinds {
		stock := a.stock(t, o)
		for uses := fewestUses; uses <= 12; uses++ {
			o.Tokens, o.User, o.Password, o.TokenUses = true, user, secret, uses
			for name, operate := range guarded(a, more) {
				guard := lab.New(o)
				if name != "push" {
					copyInto(guard, stock)
				}
				if !operate(t.Context(), refAt(t, lab.Serve(t, guard)), filepath.Join(t.TempDir(), "out")) {
					t.Errorf("%s, %s with tokens for %d requests fails", kind, name, uses)
				}
				if name == "push" {
					a.mustHaveAll(t, open(guard))
				}
			}
		}
		o.User = "somebody else"
		guard := lab.New(o)
		for name, operate := range guarded(a, more) {
			if operate(t.Context(), refAt(t, lab.Serve(t, guard)), filepath.Join(t.TempDir(), "out")) {
				t.Errorf("%s, %s by somebody unknown succeeds", kind, name)
			}
		}
	}
}

// open is a registry with the same content that lets everybody in.
func open(g *lab.Registry) *lab.Registry {
	o := lab.New(lab.Options{Referrers: len(g.Tags(repository)) == 1})
	copyInto(o, g)
	return o
}
