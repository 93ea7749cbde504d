package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hallmark-project/hallmark/test/lab"
)

// What the addresses of these tests stand for. Linux, unlike other systems, answers on all of 127.0.0.0/8.
const (
	outsideIP = "127.0.0.2"
	networkIP = "127.0.0.3"
	machineIP = "127.0.0.4"
)

// mapped opens a repository whose names and depths are the test's.
func mapped(t *testing.T, ref Ref, n *names, o Options) *Repo {
	t.Helper()
	o.InsecureHTTP = true
	r := open(t, ref, o)
	g := guardOf(r)
	g.dialer.Resolver = n.resolver()
	g.depthOf = func(ip netip.Addr) depth {
		return map[string]depth{networkIP: network, machineIP: machine}[ip.String()]
	}
	return r
}

// everywhere serves a handler on one port of each of the addresses.
func everywhere(t *testing.T, h http.Handler) (port string) {
	t.Helper()
	first, err := net.Listen("tcp", outsideIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(first.Addr().String())
	listeners := []net.Listener{first}
	for _, ip := range []string{networkIP, machineIP} {
		l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, l)
	}
	for _, l := range listeners {
		s := &http.Server{Handler: h, ErrorLog: silent()}
		go func() { _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close() })
	}
	return port
}

// TestRedirectsDoNotLeadFurtherInside: by name, which says nothing before it is resolved.
func TestRedirectsDoNotLeadFurtherInside(t *testing.T) {
	for _, row := range []struct {
		registry, storage string
		ok                bool
	}{
		{outsideIP, outsideIP, true}, {outsideIP, networkIP, false}, {outsideIP, machineIP, false},
		{networkIP, outsideIP, true}, {networkIP, networkIP, true}, {networkIP, machineIP, false},
		{machineIP, outsideIP, true}, {machineIP, networkIP, true}, {machineIP, machineIP, true},
	} {
		t.Run(fmt.Sprintf("%s to %s", row.registry, row.storage), func(t *testing.T) {
			var asked atomic.Int64
			var storage http.Handler
			storagePort := everywhere(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				storage.ServeHTTP(w, r)
			}))
			g := lab.New(lab.Options{BlobsAt: "http://storage.example:" + storagePort + "/"})
			storage = g.Storage()
			ref := mustRef(t, "registry.example:"+everywhere(t, g)+"/team/chat:v1")
			n := &names{know: map[string]string{}}
			n.set("registry.example", row.registry)
			n.set("storage.example", row.storage)
			r := mapped(t, ref, n, Options{})
			dir := model(t, map[string]string{"a.bin": "a"})
			c, _ := pushed(t, r, dir)
			target := filepath.Join(t.TempDir(), "out")
			err := r.Pull(context.Background(), c, target, PullOptions{})
			if (err == nil) != row.ok || !row.ok && !errors.Is(err, errInside) {
				t.Errorf("pull ended with %v", err)
			}
			if asked.Load() > 0 != row.ok {
				t.Errorf("the storage was asked %d times", asked.Load())
			}
		})
	}
}

// TestNameMayNotTurnInside: a registry that was reached outside is not reached inside under the same name.
func TestNameMayNotTurnInside(t *testing.T) {
	g := lab.New(lab.Options{})
	ref := mustRef(t, "registry.example:"+everywhere(t, g)+"/team/chat:v1")
	for _, row := range []struct {
		before, after string
		ok            bool
	}{{outsideIP, machineIP, false}, {outsideIP, networkIP, false}, {machineIP, outsideIP, true}, {outsideIP, outsideIP, true}} {
		n := &names{know: map[string]string{}}
		n.set("registry.example", row.before)
		r := mapped(t, ref, n, Options{})
		c, _ := pushed(t, r, model(t, map[string]string{"a.bin": "a"}))
		n.set("registry.example", row.after)
		if err := r.Close(); err != nil { // so that a new connection is made
			t.Fatal(err)
		}
		err := r.Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{})
		if (err == nil) != row.ok || !row.ok && !errors.Is(err, errInside) {
			t.Errorf("from %s to %s: pull ended with %v", row.before, row.after, err)
		}
	}
}

// TestTokenServicesDoNotLeadFurtherInside: one of the registry's own domain, under a name that leads elsewhere.
func TestTokenServicesDoNotLeadFurtherInside(t *testing.T) {
	for ip, ok := range map[string]bool{outsideIP: true, networkIP: false, machineIP: false} {
		g := lab.New(lab.Options{Tokens: true})
		var asked atomic.Int64
		port := everywhere(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" && strings.HasPrefix(r.Host, "auth.") {
				asked.Add(1)
			}
			g.ServeHTTP(&heading{w, func(h http.Header) {
				h["Www-Authenticate"] = slices.Clone(h["Www-Authenticate"])
				for i, v := range h["Www-Authenticate"] {
					h["Www-Authenticate"][i] = strings.Replace(v, "//registry.", "//auth.", 1)
				}
			}}, r)
		}))
		n := &names{know: map[string]string{}}
		n.set("registry.lab.example", outsideIP)
		n.set("auth.lab.example", ip)
		ref := mustRef(t, "registry.lab.example:"+port+"/team/chat:v1")
		_, err := mapped(t, ref, n, Options{}).Resolve(context.Background(), ref)
		if errors.Is(err, errInside) == ok || (asked.Load() > 0) != ok {
			t.Errorf("token service at %s: resolve ended with %v after %d requests for tokens", ip, err, asked.Load())
		}
	}
}

func TestDepthOfAddresses(t *testing.T) {
	for ip, want := range map[string]depth{
		"192.0.2.1": outside, "2001:db8::1": outside, "8.8.8.8": outside, "::ffff:8.8.8.8": outside, "64:ff9b::808:808": outside,
		"10.1.2.3": network, "172.16.0.1": network, "192.168.1.1": network, "100.64.0.1": network, "fd00::1": network,
		"::ffff:10.0.0.1": network, "64:ff9b::a00:1": network,
		"127.0.0.1": machine, "::1": machine, "169.254.169.254": machine, "fe80::1%eth0": machine, "0.0.0.0": machine, "0.1.2.3": machine,
		"::": machine, "224.0.0.1": machine, "ff02::1": machine, "::ffff:127.0.0.1": machine, "64:ff9b::7f00:1": machine,
		"::ffff:169.254.169.254": machine,
	} {
		if got := depthOf(netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s is at depth %d, not %d", ip, got, want)
		}
	}
}
