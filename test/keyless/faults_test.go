package keyless

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
	"github.com/hallmark-project/hallmark/test/lab/sigstore"
)

// steps say how an error calls what each server was asked for. A server is asked once for a certificate; for a timestamp
// and a log entry once for each of an artifact's two bundles.
var steps = [3]struct {
	says string
	asks int
}{
	sigstore.Fulcio: {"get a certificate from", 1},
	sigstore.TSA:    {"get a timestamp from", 2},
	sigstore.Rekor:  {"log the signature at", 2},
}

// tries is how often a request is made in all.
const tries = 3

// eachStep runs a test for every request that signing makes: the n-th to server s.
func eachStep(t *testing.T, test func(t *testing.T, w *world, s sigstore.Server, n int)) {
	t.Helper()
	for i, step := range steps {
		s := sigstore.Server(i)
		for n := 1; n <= step.asks; n++ {
			t.Run(fmt.Sprintf("%s %d", s, n), func(t *testing.T) {
				t.Parallel()
				test(t, newWorld(t, sigstore.Options{}), s, n)
			})
		}
	}
}

// named returns the lab's fault of a name.
func named(t *testing.T, name string) lab.Fault {
	t.Helper()
	for _, f := range append(lab.Broken(), lab.Slow()...) {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("no fault %q", name)
	return lab.Fault{}
}

// TestKeylessServerStaysBroken has one server fail from its n-th request on.
func TestKeylessServerStaysBroken(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name, says string
		again      bool // whether asking again makes sense
	}{
		{"500", "500 Internal Server Error", true},
		{"429", "429 Too Many Requests", true},
		{"reset at once", "", true},
		{"truncated", "unexpected EOF", true},
		{"no HTTP", "malformed HTTP", true},
		{"403", "403 Forbidden", false},
		{"no content", "204 No Content", false},
		{"login page", "", false},
		{"nothing", "", false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			eachStep(t, func(t *testing.T, w *world, s sigstore.Server, n int) {
				w.proxies[s].Set(lab.Rule{Fault: named(t, fault.name), At: n, On: true})
				w.failed(w.sign(w.model), steps[s].says, `"`+w.URL(s), fault.says)
				want := 1
				if fault.again {
					want = tries
				}
				most := want // by each bundle whose request is struck; the first to fail ends the other
				if n < steps[s].asks {
					most *= steps[s].asks
				}
				if got := w.proxies[s].Struck(); got < want || got > most {
					t.Errorf("asked %d times, want %d to %d", got, want, most)
				}
				w.mustSign()
			})
		})
	}
}

// TestKeylessServerRecovers has one server fail once. That what was asked for may have been done does not matter: what a
// log holds already is signed again.
func TestKeylessServerRecovers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"503", "429 Retry-After 0", "reset before", "reset after", "500 after", "closed after", "truncated"} {
		t.Run(name, func(t *testing.T) {
			eachStep(t, func(t *testing.T, w *world, s sigstore.Server, n int) {
				w.proxies[s].Set(lab.Rule{Fault: named(t, name), At: n})
				if a := w.sign(w.model); a.code != 0 {
					t.Fatalf("exit %d\n%s", a.code, a.err)
				}
				if w.proxies[s].Struck() != 1 {
					t.Errorf("the fault struck %d times", w.proxies[s].Struck())
				}
				if a := w.verify(w.model, "--offline"); a.code != 0 {
					t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
				}
			})
		})
	}
}

// TestKeylessServerIsSlow has one server take for ever: signing ends with the timeout that was set.
func TestKeylessServerIsSlow(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hangs", "hangs within", "drips"} {
		t.Run(name, func(t *testing.T) {
			eachStep(t, func(t *testing.T, w *world, s sigstore.Server, n int) {
				w.proxies[s].Set(lab.Rule{Fault: named(t, name), At: n, On: true})
				w.failed(w.sign(w.model, "--timeout", "8s"), steps[s].says, `"`+w.URL(s), "no answer within 8s")
				w.mustSign()
			})
		})
	}
}

// TestKeylessServerIsNotThere has a signing config name a port where nobody listens.
func TestKeylessServerIsNotThere(t *testing.T) {
	t.Parallel()
	for i, step := range steps {
		s := sigstore.Server(i)
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, sigstore.Options{})
			good, err := os.ReadFile(w.SigningConfig)
			if err != nil {
				t.Fatal(err)
			}
			nowhere := "http://127.0.0.1:1"
			config := filepath.Join(t.TempDir(), "signing_config.json")
			write(t, config, strings.ReplaceAll(string(good), w.URL(s), nowhere))
			w.failed(w.sign(w.model, "--signing-config", config), step.says, `"`+nowhere, "connection refused")
			w.mustSign()
		})
	}
}

// TestKeylessRegistryGetsNothingHalfSigned signs in a layout: a fault at the last step leaves no evidence there.
func TestKeylessRegistryGetsNothingHalfSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sigstore.Options{})
	dir := filepath.Join(t.TempDir(), "layout")
	ref := "oci:" + dir + ":v1"
	if a := w.hallmark("push", w.model, ref); a.code != 0 {
		t.Fatalf("push: exit %d\n%s", a.code, a.err)
	}
	before := list(t, dir)
	w.proxies[sigstore.Rekor].Set(lab.Rule{Fault: lab.Status(http.StatusForbidden, ""), At: steps[sigstore.Rekor].asks})
	w.failed(w.sign(ref), steps[sigstore.Rekor].says, "403 Forbidden")
	if after := list(t, dir); strings.Join(after, "\n") != strings.Join(before, "\n") {
		t.Errorf("the layout has changed:\n%q\n%q", before, after)
	}
	w.clearFaults()
	if a := w.sign(ref); a.code != 0 {
		t.Fatalf("sign without the fault: exit %d\n%s", a.code, a.err)
	}
	if a := w.verify(ref); a.code != 0 {
		t.Errorf("verify: exit %d\n%s%s", a.code, a.out, a.err)
	}
}
