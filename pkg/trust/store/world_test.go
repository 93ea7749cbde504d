package store

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// now is the present of the tests; metadata that is made here holds for a week.
var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const week = 7 * 24 * time.Hour

// trustedRoot is a small trusted_root.json, another one for each name.
func trustedRoot(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: now.Add(-week), NotAfter: now.Add(52 * week),
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256(spki)
	logs := map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		BaseURL: "https://rekor." + name, ID: id[:], HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
		PublicKey: key.Public(), ValidityPeriodStart: now.Add(-week),
	}}
	made, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{Root: ca, URI: "https://fulcio." + name}}, logs, nil, logs)
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// repository is a TUF repository on loopback with one key for all roles.
type repository struct {
	t       *testing.T
	server  *httptest.Server
	key     ed25519.PrivateKey
	root    *metadata.Metadata[metadata.RootType]
	version int64
	expires time.Time
	stamps  [][]byte // every timestamp.json that was published
	length  int64    // of the target, if targets.json is to lie about it

	mu       sync.Mutex
	files    map[string][]byte
	requests []string
	instead  http.HandlerFunc
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, files: map[string][]byte{}, expires: now.Add(week)}
	r.key = r.newKey()
	r.root = metadata.Root(now.Add(52 * week))
	r.own(r.key)
	r.putRoot(r.key)
	r.server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.server.Close)
	return r
}

func (r *repository) newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// own gives every role to key.
func (r *repository) own(key ed25519.PrivateKey) {
	public, err := metadata.KeyFromPublicKey(key.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, role := range []string{metadata.ROOT, metadata.TIMESTAMP, metadata.SNAPSHOT, metadata.TARGETS} {
		r.root.Signed.Roles[role].KeyIDs = nil
		if err := r.root.Signed.AddKey(public, role); err != nil {
			r.t.Fatal(err)
		}
	}
	r.key = key
}

func (r *repository) serve(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := strings.TrimPrefix(q.URL.Path, "/")
	r.requests = append(r.requests, name)
	if r.instead != nil {
		r.instead(w, q)
		return
	}
	data, ok := r.files[name]
	if !ok {
		http.NotFound(w, q)
		return
	}
	_, _ = w.Write(data)
}

func (r *repository) put(name string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name] = data
}

// sign returns m signed by keys.
func sign[T metadata.Roles](r *repository, m *metadata.Metadata[T], keys ...ed25519.PrivateKey) []byte {
	r.t.Helper()
	m.ClearSignatures()
	for _, k := range keys {
		s, err := signature.LoadSigner(k, crypto.Hash(0))
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := m.Sign(s); err != nil {
			r.t.Fatal(err)
		}
	}
	data, err := m.ToBytes(false)
	if err != nil {
		r.t.Fatal(err)
	}
	return data
}

func (r *repository) putRoot(keys ...ed25519.PrivateKey) {
	r.put(fmt.Sprintf("%d.root.json", r.root.Signed.Version), sign(r, r.root, keys...))
}

// anchor is the first root.json.
func (r *repository) anchor() []byte { return r.files["1.root.json"] }

// publish makes the next version of everything, with data as the trusted root.
func (r *repository) publish(data []byte) {
	r.t.Helper()
	r.version++
	file, err := metadata.TargetFile().FromBytes(target, data, "sha256")
	if err != nil {
		r.t.Fatal(err)
	}
	if r.length != 0 {
		file.Length = r.length
	}
	targets := metadata.Targets(r.expires)
	targets.Signed.Version, targets.Signed.Targets = r.version, map[string]*metadata.TargetFiles{target: file}
	snapshot := metadata.Snapshot(r.expires)
	snapshot.Signed.Version, snapshot.Signed.Meta["targets.json"] = r.version, metadata.MetaFile(r.version)
	stamp := metadata.Timestamp(r.expires)
	stamp.Signed.Version, stamp.Signed.Meta["snapshot.json"] = r.version, metadata.MetaFile(r.version)
	r.put(fmt.Sprintf("%d.targets.json", r.version), sign(r, targets, r.key))
	r.put(fmt.Sprintf("%d.snapshot.json", r.version), sign(r, snapshot, r.key))
	r.stamps = append(r.stamps, sign(r, stamp, r.key))
	r.put("timestamp.json", r.stamps[len(r.stamps)-1])
	r.put("targets/"+hex.EncodeToString(file.Hashes["sha256"])+"."+target, data)
}

func (r *repository) options() UpdateOptions {
	return UpdateOptions{Mirror: r.server.URL, Anchor: r.anchor()}
}

// asked reports whether a file with this in its name was asked for since the last call.
func (r *repository) asked(part string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for _, name := range r.requests {
		found = found || strings.Contains(name, part)
	}
	r.requests = nil
	return found
}

// newStore is an empty store whose clock stands still at the time that is returned.
func newStore(t *testing.T) (Store, *time.Time) {
	t.Helper()
	clock := now
	return Store{Dir: t.TempDir() + "/hallmark", Now: func() time.Time { return clock }}, &clock
}
