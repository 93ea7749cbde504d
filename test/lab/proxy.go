package lab

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"sync"
)

// Fault is one way to go wrong.
type Fault struct {
	Name string
	// Lies: what comes out is a sound answer, only not the true one: of another artifact, or without some evidence. A
	// verdict of no is then right; after a fault that merely breaks something, only "don't know" is.
	Lies bool
	// When says which requests the fault is for; nil: all of them.
	When func(*http.Request) bool
	// Do answers the request, or lets the registry do it.
	Do func(*Exchange)
}

// At returns the fault, for requests of a method whose path contains part only; an empty method is any.
func (f Fault) At(method, part string) Fault {
	before := f.When
	f.When = func(r *http.Request) bool {
		return asks(r, method, part) && (before == nil || before(r))
	}
	return f
}

// Rule says when a fault strikes.
type Rule struct {
	Fault Fault
	At    int  // at which of the requests that the fault is for, from 1; 0: each, below 0: none
	On    bool // and each one after it
}

// Proxy passes requests on to a registry, and answers and fails as its rules say. It is safe for concurrent use.
type Proxy struct {
	next http.Handler
	done chan struct{}
	once sync.Once

	mu     sync.Mutex
	rules  []Rule
	seen   []int // by rule: requests that its fault is for
	struck int
	log    []Request
}

// NewProxy returns a proxy without faults before next: a Registry, or Reverse of one that runs elsewhere.
func NewProxy(next http.Handler) *Proxy { return &Proxy{next: next, done: make(chan struct{})} }

// Reverse passes requests on to a server on loopback. The server sees the host that the client asked for, so that the
// addresses that it gives lead back through the proxy.
func Reverse(host string) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: host})
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

// Set replaces all rules and begins to count anew. Where several apply to one request, the first does.
func (p *Proxy) Set(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.seen, p.struck, p.log = rules, make([]int, len(rules)), 0, nil
}

// Struck is how often a fault struck since Set.
func (p *Proxy) Struck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// Seen is how many requests the first rule's fault was for since Set, whether it struck or not.
func (p *Proxy) Seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.seen) == 0 {
		return 0
	}
	return p.seen[0]
}

// Requests returns what was asked since Set, in order.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.log)
}

// Close ends what hangs.
func (p *Proxy) Close() { p.once.Do(func() { close(p.done) }) }

// ServeHTTP answers.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f := p.turn(r); f != nil {
		f.Do(&Exchange{Writer: w, Request: r, proxy: p})
		return
	}
	p.next.ServeHTTP(w, r)
}

// turn counts a request and returns the fault whose turn it is, if there is one.
func (p *Proxy) turn(r *http.Request) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, Request{Method: r.Method, URI: r.URL.RequestURI(), Host: r.Host, Header: r.Header.Clone()})
	var now *Fault
	for i, rule := range p.rules {
		if rule.Fault.When != nil && !rule.Fault.When(r) {
			continue
		}
		p.seen[i]++
		if now == nil && (rule.At == 0 || p.seen[i] == rule.At || (rule.On && p.seen[i] > rule.At)) {
			now = &p.rules[i].Fault
		}
	}
	if now != nil {
		p.struck++
	}
	return now
}

// Exchange is a request that a fault has in its hands.
type Exchange struct {
	Writer  http.ResponseWriter
	Request *http.Request
	proxy   *Proxy
}

// Answer is what a registry says.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask has the registry answer, to nobody but the fault.
func (x *Exchange) Ask() *Answer {
	w := httptest.NewRecorder()
	x.proxy.next.ServeHTTP(w, x.Request)
	return &Answer{w.Code, w.Header(), w.Body.Bytes()}
}

// Pass lets the registry answer as if nothing were.
func (x *Exchange) Pass() { x.proxy.next.ServeHTTP(x.Writer, x.Request) }

// Give sends an answer. It has the length of its body, unless its header says otherwise.
func (x *Exchange) Give(a *Answer) {
	for k, v := range a.Header {
		x.Writer.Header()[k] = v
	}
	x.Writer.WriteHeader(a.Status)
	_, _ = x.Writer.Write(a.Body)
}

// Hang says nothing until the client gives up, or the proxy is closed.
func (x *Exchange) Hang() {
	x.readAll() // a server notices that its client left only once it has read the request
	select {
	case <-x.Request.Context().Done():
	case <-x.proxy.done:
	}
	panic(http.ErrAbortHandler)
}

// Cut sends an answer's head and the first n bytes of its body, and then ends the connection: in order, or with a reset.
func (x *Exchange) Cut(a *Answer, n int, reset bool) {
	if n = min(n, len(a.Body)); a.Header.Get("Content-Length") == "" {
		a.Header.Set("Content-Length", itoa(len(a.Body)))
	}
	for k, v := range a.Header {
		x.Writer.Header()[k] = v
	}
	x.Writer.WriteHeader(a.Status)
	_, _ = x.Writer.Write(a.Body[:n])
	_ = http.NewResponseController(x.Writer).Flush()
	if reset {
		x.Reset()
	}
	panic(http.ErrAbortHandler)
}

// Reset ends the connection the hard way: what the client has not read yet is lost. With HTTP/2 it is the stream.
func (x *Exchange) Reset() {
	conn, _, err := http.NewResponseController(x.Writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	under := conn
	if secured, ok := conn.(*tls.Conn); ok {
		under = secured.NetConn() // closed by itself: TLS would say goodbye first
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = under.Close()
	_ = conn.Close()
}

// Raw sends bytes that need not be HTTP, and ends the connection.
func (x *Exchange) Raw(b []byte) {
	conn, _, err := http.NewResponseController(x.Writer).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = conn.Write(b)
	_ = conn.Close()
}
