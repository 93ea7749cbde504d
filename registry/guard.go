package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
)

// errInside is a connection that would lead further inside than the registry itself is.
var errInside = errors.New("address that only this machine or its network reaches, where no registry outside may lead: not followed")

// depth is how far inside an address is.
type depth int32

const (
	outside depth = iota
	network       // of this machine's private network
	machine       // this machine, or its link, where cloud providers keep their metadata
)

// Ranges that netip has no question for.
var (
	sharedRange = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	thisRange   = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122 §3.2.1.3
	translated  = netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052: the last four bytes are an IPv4 address
)

// depthOf returns how far inside an address is.
func depthOf(ip netip.Addr) depth {
	ip = ip.Unmap().WithZone("")
	if translated.Contains(ip) {
		raw := ip.As16()
		ip = netip.AddrFrom4([4]byte(raw[12:]))
	}
	switch {
	case ip.IsLoopback(), ip.IsLinkLocalUnicast(), ip.IsMulticast(), ip.IsUnspecified(), thisRange.Contains(ip):
		return machine
	case ip.IsPrivate(), sharedRange.Contains(ip):
		return network
	}
	return outside
}

// guard looks at addresses when connections are made, for what a name leads to is known only then. A registry may send
// its clients to storage beside it, on the same network; not from outside to what only they can reach, and not under its
// own name either, once it was reached outside. What a proxy connects to is the proxy's business.
type guard struct {
	dialer  net.Dialer
	depthOf func(netip.Addr) depth
	own     atomic.Int32 // depth of the registry, where it was first reached
	reached atomic.Bool  // own is known; a registry behind a proxy counts as outside
}

func newGuard() *guard {
	return &guard{depthOf: depthOf, dialer: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}}
}

// toRegistry connects to the registry, and notes how far inside it is.
func (g *guard) toRegistry(ctx context.Context, how, address string) (net.Conn, error) {
	if ctx.Value(directKey{}) == nil {
		return g.dialer.DialContext(ctx, how, address)
	}
	if g.reached.Load() {
		return g.elsewhere(ctx, how, address)
	}
	conn, err := g.dialer.DialContext(ctx, how, address)
	if err != nil {
		return nil, err
	}
	if to, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		g.own.Store(int32(g.depthOf(to.Addr())))
		g.reached.Store(true)
	}
	return conn, nil
}

// elsewhere connects to what is not further inside than the registry.
func (g *guard) elsewhere(ctx context.Context, how, address string) (net.Conn, error) {
	dialer := g.dialer
	if ctx.Value(directKey{}) != nil {
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			to, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("connect to %q: %w", address, err)
			}
			if g.depthOf(to.Addr()) > depth(g.own.Load()) {
				return errInside
			}
			return nil
		}
	}
	return dialer.DialContext(ctx, how, address)
}

// directKey marks a request that no proxy carries.
type directKey struct{}

// warded is a transport whose connections a guard makes.
type warded struct {
	*http.Transport
	guard *guard
}

// RoundTrip finds out whether a proxy will be asked, for a connection does not show what it is for.
func (t warded) RoundTrip(r *http.Request) (*http.Response, error) {
	direct := t.Proxy == nil
	if !direct {
		proxy, err := t.Proxy(r)
		direct = err == nil && proxy == nil
	}
	if direct {
		r = r.WithContext(context.WithValue(r.Context(), directKey{}, true))
	}
	return t.Transport.RoundTrip(r)
}
