package registry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

// maxPEM is the cap on a file of certificates or a key in bytes.
const maxPEM = 4 << 20

// connections is how many idle connections to one host are kept.
const connections = 32

// newTransports returns how the registry's host is reached, and how every other host: the client's certificate is for
// the registry alone, and what it leads to is looked at by a guard. Both go through the proxies that the environment names. They speak HTTP/1.1, because several
// streams of HTTP/2 share one connection, and with it one congestion window and one fate.
func newTransports(o Options) (home, away http.RoundTripper, err error) {
	if o.Transport != nil {
		if o.RegistryCA != "" || o.ClientCertificate != "" || o.ClientKey != "" {
			return nil, nil, errors.New("a transport brings its own certificates: it excludes others")
		}
		return o.Transport, o.Transport, nil
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = connections
	base.Protocols = new(http.Protocols)
	base.Protocols.SetHTTP1(true)
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if base.TLSClientConfig.RootCAs, err = authorities(o.RegistryCA); err != nil {
		return nil, nil, err
	}
	g := newGuard()
	other := base.Clone()
	base.DialContext, other.DialContext = g.toRegistry, g.elsewhere
	if o.ClientCertificate != "" || o.ClientKey != "" {
		own, err := clientCertificate(o.ClientCertificate, o.ClientKey)
		if err != nil {
			return nil, nil, err
		}
		base.TLSClientConfig.Certificates = []tls.Certificate{own}
	}
	return warded{base, g}, warded{other, g}, nil
}

// authorities returns the machine's certificate authorities and those of a file, or nil, which stands for the machine's.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	raw, err := readPEM(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("read certificate authorities: %q holds no certificate in PEM", file)
	}
	return pool, nil
}

func clientCertificate(certificate, key string) (tls.Certificate, error) {
	if certificate == "" || key == "" {
		return tls.Certificate{}, errors.New("a client certificate and its key are needed together")
	}
	chain, err := readPEM(certificate)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read client certificate: %w", err)
	}
	private, err := readPEM(key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read client key: %w", err)
	}
	pair, err := tls.X509KeyPair(chain, private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read client certificate %q with key %q: %w", certificate, key, err)
	}
	return pair, nil
}

func readPEM(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readCapped(f, fmt.Sprintf("%q", file), maxPEM)
}

// isTLS reports whether TLS itself refused a connection.
func isTLS(err error) bool {
	var (
		untrusted *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		step      *net.OpError
	)
	if errors.As(err, &step) && (step.Op == "remote error" || step.Op == "local error") {
		return true
	}
	return errors.As(err, &untrusted) || errors.As(err, &record)
}
