package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/hallmark-project/hallmark/pkg/retry"
)

// Caps on what one answer may make the client do.
const (
	maxRedirects   = 5
	maxRenewals    = 3       // of a token, for one request: others may have used up the first one meanwhile
	maxErrorDetail = 8 << 10 // bytes of an error's body
	// stepBytes must move within one timeout: a transfer that trickles is a transfer that hangs.
	stepBytes = 64 << 10
)

// client speaks HTTP with one registry. Requests go to that registry alone; only where a call says so (blobs) is a
// redirect to another host followed, and then without credentials.
type client struct {
	home    *http.Client // for the registry's host; follows no redirect of its own
	away    *http.Client // for all others
	host    string
	plain   bool // plain HTTP is allowed with this host
	alone   bool // no other host is spoken to
	timeout time.Duration
	auth    *authorizer
	patience

	reached atomic.Bool // there was an answer
	reach   *connection
}

// call is one request.
type call struct {
	method    string
	url       *url.URL // relative to the registry, or absolute on it
	header    http.Header
	body      func() (io.ReadCloser, error) // nil: none; may be called again
	size      int64                         // of the body
	stores    int64                         // bytes that the registry stores for good before it answers
	access    access
	elsewhere bool // GET and HEAD: may be answered by another host
}

// do sends c and returns the answer, whatever its status but 401 with a challenge that can be met and redirects. The
// caller closes the body. An answer that does not move within the timeout is an ErrTimeout. Nothing is retried here: only
// the caller knows where to begin again.
func (c *client) do(ctx context.Context, r call) (*http.Response, error) {
	base, err := c.base(ctx)
	if err != nil {
		return nil, err
	}
	target := base.ResolveReference(r.url)
	for redirects, renewals := 0, 0; ; {
		home := sameOrigin(base, target)
		if !home && (!r.elsewhere || redirects == 0) {
			return nil, fmt.Errorf("registry leads to another host, %q: not followed", target.Host)
		}
		used := ""
		if home {
			used = c.auth.header(r.access)
		}
		resp, err := c.send(ctx, r, target, used)
		if err != nil {
			return nil, err
		}
		switch {
		case resp.StatusCode == http.StatusUnauthorized && home && renewals < maxRenewals:
			renewals++
			again, err := c.auth.renew(ctx, c, base, r.access, used, resp.Header.Values("WWW-Authenticate"))
			if err != nil {
				drain(resp)
				return nil, err
			}
			if !again {
				return resp, nil
			}
			drain(resp)
			continue
		case !isRedirect(resp) || (r.method != http.MethodGet && r.method != http.MethodHead):
			return resp, nil
		}
		drain(resp)
		if redirects++; redirects > maxRedirects {
			return nil, fmt.Errorf("registry redirects more than %d times", maxRedirects)
		}
		if target, err = c.follow(base, target, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

// send sends one request, bound to a watchdog until its answer's body is closed.
func (c *client) send(ctx context.Context, r call, target *url.URL, authorization string) (*http.Response, error) {
	if c.alone && !c.isOwn(target) {
		return nil, fmt.Errorf("registry leads to another host, %q: not followed", target.Host)
	}
	w := watch(ctx, c.timeout)
	var body io.ReadCloser
	if r.body == nil || r.size == 0 {
		w.rest(r.stores)
	}
	if r.body != nil && r.size > 0 {
		opened, err := r.body()
		if err != nil {
			w.stop()
			return nil, err
		}
		body = &lastByte{&watched{ReadCloser: opened, w: w}, r.size, func() { w.rest(r.stores) }}
	}
	req, err := http.NewRequestWithContext(w.ctx, r.method, target.String(), body)
	if err != nil {
		w.stop()
		return nil, err
	}
	if body == nil {
		req.Body = http.NoBody
	} else {
		req.ContentLength = r.size
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "hallmark")
	req.Header.Set("Accept-Encoding", "identity") // digests are of the bytes as they are
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := c.to(target).Do(req)
	if err != nil {
		defer w.stop()
		return nil, w.explain(interrupted(err, c.reached.Load()))
	}
	c.reached.Store(true)
	w.moved(stepBytes)
	resp.Body = &watched{ReadCloser: resp.Body, w: w, last: true}
	return resp, nil
}

// to returns the client for a host.
func (c *client) to(target *url.URL) *http.Client {
	if strings.EqualFold(target.Hostname(), (&url.URL{Host: c.host}).Hostname()) {
		return c.home
	}
	return c.away
}

// isOwn reports whether an address is the registry's host and port.
func (c *client) isOwn(target *url.URL) bool {
	own := &url.URL{Scheme: target.Scheme, Host: c.host}
	return sameOrigin(target, own)
}

// follow returns where a redirect leads, unless nobody should go there.
func (c *client) follow(base, from *url.URL, location string) (*url.URL, error) {
	target, err := from.Parse(location)
	if err != nil || location == "" || target.User != nil || target.Host == "" {
		return nil, fmt.Errorf("registry redirects to %q, which is no address", location)
	}
	if sameOrigin(base, target) {
		return target, nil
	}
	switch {
	case target.Scheme != "https" && (target.Scheme != "http" || !c.plain):
		return nil, fmt.Errorf("registry redirects to %q without TLS: not followed", target.Host)
	case isInside(target.Hostname()) && !isInside(base.Hostname()):
		return nil, fmt.Errorf("registry redirects to %q, an address of this machine or its link: not followed", target.Host)
	}
	return target, nil
}

// base returns the registry's address. HTTPS it is; where plain HTTP is allowed too, the first call finds out which of
// the two is spoken.
func (c *client) base(ctx context.Context) (*url.URL, error) {
	c.reach.mu.Lock()
	defer c.reach.mu.Unlock()
	if c.reach.scheme == "" {
		c.reach.scheme = "https"
		if c.plain {
			if err := c.probe(ctx); err != nil {
				c.reach.scheme = ""
				return nil, err
			}
		}
	}
	return &url.URL{Scheme: c.reach.scheme, Host: c.host}, nil
}

func (c *client) probe(ctx context.Context) error {
	resp, err := c.send(ctx, call{method: http.MethodGet}, &url.URL{Scheme: "https", Host: c.host, Path: "/v2/"}, "")
	if err == nil {
		drain(resp)
		return nil
	}
	var dial *net.OpError
	if errors.Is(err, http.ErrSchemeMismatch) || (errors.As(err, &dial) && dial.Op == "dial") {
		c.reach.scheme = "http"
		return nil
	}
	return err
}

// isLoopback reports whether a host without its port is this machine.
func isLoopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isInside reports whether a host is this machine or on its link, where cloud providers keep their metadata. A host that
// ends in a number and is no address as Go writes it may be one as C does (0x7f.1, 2130706433): nobody needs those, so
// they count as inside.
func isInside(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 0, 64)
	digits := last != "" && strings.Trim(last, "0123456789") == ""
	return isLoopback(host) || err == nil || digits
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && b.User == nil && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// drain ends an answer that nobody reads; a short rest is read so that the connection can be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorDetail)
	_ = resp.Body.Close()
}

// refusal turns an answer of another status than was wanted into an error, and ends it.
func refusal(resp *http.Response) error {
	defer resp.Body.Close()
	e := &StatusError{Code: resp.StatusCode, RetryAfter: retry.After(resp.Header)}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorDetail))
	if err != nil {
		return e
	}
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(raw, &body) == nil && len(body.Errors) > 0 {
		e.Detail = fmt.Sprintf("%q, %q", body.Errors[0].Code, body.Errors[0].Message)
	}
	return e
}

// watchdog ends a request that does not move.
type watchdog struct {
	ctx     context.Context // of the request, whose life it ends
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
	allowed atomic.Int64 // nanoseconds for which the timer was last set
	bytes   atomic.Int64 // that went by since then
}

// storing is how many bytes a registry stores in a second at the least. Once it has the last byte of an upload it
// hashes, copies or moves the whole of it, in object stores at the speed of a copy, and says nothing meanwhile: that is
// no hang. One who does hang is found out so much later.
const storing = 8 << 20

func watch(ctx context.Context, timeout time.Duration) *watchdog {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{ctx: ctx, cancel: cancel, timeout: timeout}
	w.allowed.Store(int64(timeout))
	w.timer = time.AfterFunc(timeout, func() {
		cancel(fmt.Errorf("%w: nothing moved for %s", ErrTimeout, time.Duration(w.allowed.Load())))
	})
	return w
}

// moved tells the watchdog that n bytes went by.
func (w *watchdog) moved(n int) {
	if w.bytes.Add(int64(n)) >= stepBytes {
		w.wait(w.timeout)
	}
}

// rest tells the watchdog that everything was sent, and what the registry now has to store before it answers.
func (w *watchdog) rest(stores int64) {
	w.wait(w.timeout + time.Duration(stores/storing)*time.Second)
}

func (w *watchdog) wait(d time.Duration) {
	if w.ctx.Err() != nil {
		return
	}
	w.bytes.Store(0)
	w.allowed.Store(int64(d))
	w.timer.Reset(d)
}

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// explain prefers the reason for which a request was ended to what the connection says of it.
func (w *watchdog) explain(err error) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	return err
}

// watched is a body under a watchdog.
type watched struct {
	io.ReadCloser
	w    *watchdog
	last bool // closing it ends the request
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.w.moved(n)
	if err != nil && err != io.EOF && b.last {
		err = b.w.explain(fmt.Errorf("%w: %w", errInterrupted, err))
	}
	return n, err
}

func (b *watched) Close() error {
	err := b.ReadCloser.Close()
	if b.last {
		b.w.stop()
	}
	return err
}

// lastByte is the body of a request that tells when all of it was read.
type lastByte struct {
	io.ReadCloser
	left int64
	read func()
}

func (b *lastByte) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 && b.left > 0 {
		if b.left -= int64(n); b.left <= 0 {
			b.read()
		}
	}
	return n, err
}
