package registry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// authority is a certificate authority that lives as long as a test, and files with what it made.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // its certificate in PEM
	dir         string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageCertSign,
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	a.certificate, a.key = template, nil
	a.file, _, a.certificate, a.key = a.issue(t, "authority", template)
	return a
}

// issue makes a certificate and returns the files that hold it and its key.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (certificate, key string, _ *x509.Certificate, _ *ecdsa.PrivateKey) {
	t.Helper()
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	by := a.key
	if by == nil {
		by = own
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, own.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	for at, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(at, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key, parsed, own
}

// leaf makes a certificate for a server or client.
func (a *authority) leaf(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	certificate, key, _, _ = a.issue(t, name, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"localhost", "registry.example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	return certificate, key
}

// serve runs a handler behind TLS and returns HOST:PORT.
func (a *authority) serve(t *testing.T, clients tls.ClientAuthType, h http.Handler) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(a.leaf(t, "server"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = silent()
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: clients, ClientCAs: pool}
	s.StartTLS()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "https://")
}

func TestRegistryCAIsTrustedAndNoOther(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	host := a.serve(t, tls.NoClientCert, quiet())
	ref := mustRef(t, host+"/team/chat:v1")
	c, _ := pushed(t, open(t, ref, Options{RegistryCA: a.file}), model(t, nil))
	if err := open(t, ref, Options{RegistryCA: a.file}).Pull(context.Background(), c, filepath.Join(t.TempDir(), "out"), PullOptions{}); err != nil {
		t.Error(err)
	}
	var w waits
	for name, ca := range map[string]string{"none": "", "another": other.file} {
		if _, err := open(t, ref, Options{RegistryCA: ca, Wait: w.wait}).Manifest(context.Background(), c.ID); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if len(w.all) > 0 {
		t.Errorf("waited for trust: %v", w.all)
	}
}

func TestClientCertificatesAreForTheRegistryAlone(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.leaf(t, "client")
	inner := quiet()
	var home, away, shown atomic.Int64
	storage := a.serve(t, tls.RequestClientCert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		away.Add(1)
		if len(r.TLS.PeerCertificates) > 0 {
			shown.Add(1)
		}
		inner.ServeHTTP(w, r)
	}))
	host := a.serve(t, tls.RequireAndVerifyClientCert, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		home.Add(1)
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			http.Redirect(w, r, "https://"+strings.Replace(storage, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	ref := mustRef(t, host+"/team/chat:v1")
	o := Options{RegistryCA: a.file, ClientCertificate: certificate, ClientKey: key}
	dir := model(t, nil)
	c, _ := pushed(t, open(t, ref, o), dir)
	target := filepath.Join(t.TempDir(), "out")
	if err := open(t, ref, o).Pull(context.Background(), c, target, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	mustEqualTree(t, dir, target)
	if home.Load() == 0 || away.Load() == 0 || shown.Load() != 0 {
		t.Errorf("the certificate was shown to %d of %d requests elsewhere", shown.Load(), away.Load())
	}
	if _, err := open(t, ref, Options{RegistryCA: a.file, Retries: -1}).Manifest(context.Background(), c.ID); err == nil {
		t.Error("read without a certificate")
	}
}

func TestOpenRefusesUnusableCertificates(t *testing.T) {
	a := newAuthority(t)
	certificate, key := a.leaf(t, "client")
	_, otherKey := a.leaf(t, "other")
	empty := filepath.Join(t.TempDir(), "empty")
	huge := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(huge, make([]byte, maxPEM+1), 0o600); err != nil {
		t.Fatal(err)
	}
	ref := mustRef(t, "registry.example/a:b")
	for name, row := range map[string]struct {
		options Options
		ok      bool
	}{
		"all right":             {Options{RegistryCA: a.file, ClientCertificate: certificate, ClientKey: key}, true},
		"CA alone":              {Options{RegistryCA: a.file}, true},
		"no CA":                 {Options{RegistryCA: empty}, false},
		"missing CA":            {Options{RegistryCA: empty + "x"}, false},
		"huge CA":               {Options{RegistryCA: huge}, false},
		"certificate alone":     {Options{ClientCertificate: certificate}, false},
		"key alone":             {Options{ClientKey: key}, false},
		"key of another":        {Options{ClientCertificate: certificate, ClientKey: otherKey}, false},
		"missing key":           {Options{ClientCertificate: certificate, ClientKey: empty + "x"}, false},
		"transport":             {Options{Transport: http.DefaultTransport}, true},
		"transport and its own": {Options{Transport: http.DefaultTransport, RegistryCA: a.file}, false},
	} {
		r, err := Open(ref, row.options)
		if (err == nil) != row.ok {
			t.Errorf("%s: %v", name, err)
		}
		if r != nil {
			_ = r.Close()
		}
	}
}

const proxyChild = "HALLMARK_TEST_PROXY_CHILD"

// loginNeeded lets in who logs in.
func loginNeeded(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "alice" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// alice logs in everywhere.
type alice struct{}

func (alice) Resolve(authn.Resource) (authn.Authenticator, error) {
	return &authn.Basic{Username: "alice", Password: "secret"}, nil
}

// tunnel is a proxy to one server, which counts what passes and what it is told besides.
type tunnel struct {
	to            string
	opened, heard atomic.Int64
}

func (p *tunnel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" || r.Header.Get("Proxy-Authorization") != "" {
		p.heard.Add(1)
	}
	if r.Method != http.MethodConnect || !strings.HasPrefix(r.Host, "registry.example.com:") {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	p.opened.Add(1)
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer from.Close()
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(to, from) }()
	_, _ = io.Copy(from, to)
}

// Go reads the environment's proxies once in a process, so this one is started again with others.
func TestProxiesComeFromTheEnvironment(t *testing.T) {
	if args := os.Getenv(proxyChild); args != "" {
		ref, ca, _ := strings.Cut(args, " ")
		r := open(t, mustRef(t, ref), Options{RegistryCA: ca, Keychain: alice{}, Retries: -1})
		n := &names{know: map[string]string{}}
		n.set("registry.example.com", "127.0.0.1")
		guardOf(r).dialer.Resolver = n.resolver()
		if _, err := r.Resolve(context.Background(), mustRef(t, ref)); err != nil {
			t.Fatal(err)
		}
		return
	}
	a := newAuthority(t)
	host := a.serve(t, tls.NoClientCert, loginNeeded(quiet()))
	pushed(t, open(t, mustRef(t, host+"/team/chat:v1"), Options{RegistryCA: a.file, Keychain: alice{}}), model(t, nil))
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	through := &tunnel{to: host}
	proxy := httptest.NewServer(through)
	t.Cleanup(proxy.Close)
	for except, want := range map[string]bool{
		"": true, "other.example.com": true, "example.com": false,
	} {
		through.opened.Store(0)
		child := exec.Command(os.Args[0], "-test.run=^TestProxiesComeFromTheEnvironment$", "-test.count=1")
		child.Env = append(os.Environ(), proxyChild+"=registry.example.com:"+port+"/team/chat:v1 "+a.file,
			"HTTPS_PROXY="+proxy.URL, "https_proxy=", "NO_PROXY="+except, "no_proxy=")
		if out, err := child.CombinedOutput(); err != nil {
			t.Errorf("NO_PROXY=%s: %v: %s", except, err, out)
		}
		if through.opened.Load() > 0 != want {
			t.Errorf("NO_PROXY=%s: the proxy was asked %d times", except, through.opened.Load())
		}
	}
	if through.heard.Load() > 0 {
		t.Error("the proxy was sent credentials")
	}
}
