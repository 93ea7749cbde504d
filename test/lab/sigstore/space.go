package sigstore

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// space is the network that the servers run in. The zero space is the machine's.
type space struct {
	jobs chan func() // to the thread that is in the space; nil: every thread is
}

// private reports whether nobody else uses the space.
func (s *space) private() bool { return s.jobs != nil }

// do runs f on a thread that is in the space.
func (s *space) do(f func()) {
	if s.jobs == nil {
		f()
		return
	}
	done := make(chan struct{})
	s.jobs <- func() {
		defer close(done)
		f()
	}
	<-done
}

// close gives the space back. Nothing may use it any more.
func (s *space) close() {
	if s.jobs != nil {
		close(s.jobs)
	}
}

// listen returns a listener in the space at a port of 127.0.0.1; port 0 is any.
func (s *space) listen(port int) (l net.Listener, err error) {
	s.do(func() { l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)) })
	return l, err
}

// freePorts returns n ports of the space that are free now.
func (s *space) freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := s.listen(0)
		if err != nil {
			return nil, err
		}
		defer l.Close() // only then: the next one must be another
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// transport reaches the servers in the space.
func (s *space) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		s.do(func() { conn, err = new(net.Dialer).DialContext(ctx, network, address) })
		return conn, err
	}}
}

// reverse passes requests on to a server in the space. Where it can't be reached the connection just ends, as it would
// without anybody between.
func reverse(t http.RoundTripper, port int) http.Handler {
	to := &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	return &httputil.ReverseProxy{
		Transport:    t,
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}
